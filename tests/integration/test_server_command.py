"""The omiserver command and the start of the service: daemon, pid file, TLS, privileges, refusals."""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from omi_queries import classes
from tests.server_bed import CHECKOUT, VM, Client, ask, call, credentials, of_class, post, result, running, until

EI = call("EnumerateInstances", of_class("SCX_MemoryStatisticalInformation"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Command:
    """omiserver with a state folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "omi"
        self.port = free_port()
        self._env = {**os.environ, "LAD_STATE_DIR": str(folder)}

    def __call__(self, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "omi_queries.server.omiserver", *options]
        return subprocess.run(
            argv, cwd=CHECKOUT, env=self._env, capture_output=True, text=True, timeout=60, check=False
        )

    def pid(self) -> int:
        return int((self.folder / "omiserver.pid").read_text())

    def auth(self) -> str:
        return "Basic " + base64.b64encode((self.folder / "credentials").read_bytes().strip()).decode()


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def test_the_life_of_the_daemon(tmp_path: Path) -> None:
    omiserver = Command(tmp_path)
    assert outcome(omiserver("-s")) == (1, "", "omiserver: server is not running\n")
    omiserver.folder.mkdir()
    (omiserver.folder / "omiserver.conf").write_text(f"httpport={omiserver.port}\n")
    try:
        assert outcome(omiserver("-d")) == (0, "", "")
        first = omiserver.pid()
        assert result(ask(omiserver.port, post(EI, "EnumerateInstances", auth=omiserver.auth()))).startswith("returns")
        assert outcome(omiserver("-d")) == (0, "", ""), "a second start leaves the first alone"
        assert omiserver.pid() == first
        (omiserver.folder / "credentials").write_text("other:password\n")
        assert outcome(omiserver("-r")) == (0, "omiserver: refreshed server\n", "")
        assert omiserver.pid() != first
        assert ask(omiserver.port, post(EI, "EnumerateInstances", auth=omiserver.auth())).status == 200
    finally:
        stopped = omiserver("-s")
    assert outcome(stopped) == (0, "omiserver: stopped server\n", "")
    assert not (omiserver.folder / "omiserver.pid").exists()
    with pytest.raises(ConnectionRefusedError):
        Client(omiserver.port)
    for name in ("credentials", "omiserver.log"):
        assert (omiserver.folder / name).stat().st_mode & 0o077 == 0
    assert "password" not in (omiserver.folder / "omiserver.log").read_text().replace("a random password", "")


def test_a_pid_file_left_behind_is_no_reason_to_signal_anyone(tmp_path: Path) -> None:
    omiserver = Command(tmp_path)
    omiserver.folder.mkdir()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            (omiserver.folder / "omiserver.pid").write_text(f"{bystander.pid}\n")
            assert omiserver("-s").returncode == 1
            assert omiserver("-r", "--httpport", str(omiserver.port)).returncode == 1
            assert bystander.poll() is None
            assert omiserver("-d", "--httpport", str(omiserver.port)).returncode == 0
            assert omiserver.pid() != bystander.pid
            assert omiserver("-s").returncode == 0
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_killed_or_stopped_daemon_can_be_replaced(tmp_path: Path) -> None:
    omiserver = Command(tmp_path)
    port = str(omiserver.port)
    assert omiserver("-d", "--httpport", port).returncode == 0
    first = omiserver.pid()
    os.kill(first, signal.SIGKILL)
    until(lambda: omiserver("-s").returncode == 1)
    assert omiserver("-d", "--httpport", port).returncode == 0
    os.kill(omiserver.pid(), signal.SIGSTOP)
    assert outcome(omiserver("-s")) == (0, "omiserver: stopped server\n", "")


def test_what_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    omiserver = Command(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = omiserver("-d", "--httpport", str(port))
    assert outcome(done) == (1, "", f"omiserver: cannot listen on 127.0.0.1:{port}: Address already in use\n")
    (omiserver.folder / "credentials").chmod(0o644)
    done = omiserver("-d", "--httpport", str(omiserver.port))
    assert (done.returncode, "chmod 600" in done.stderr, done.stderr.count("\n")) == (1, True, 1)
    (omiserver.folder / "omiserver.conf").write_text("httpport=0\n")
    done = omiserver("-d")
    assert (done.returncode, "nothing to serve" in done.stderr) == (1, True)
    (omiserver.folder / "omiserver.conf").write_text("nosuchkey=0\n")
    assert "line 1: unknown key 'nosuchkey'" in omiserver("-d").stderr


def test_texts(tmp_path: Path) -> None:
    omiserver = Command(tmp_path)
    for option in ("-v", "--version"):
        code, said, _ = outcome(omiserver(option))
        assert (code, said.startswith("omiserver: lad-emulator-"), "emulated" in said) == (0, True, True)
    assert "-d" in omiserver("-h").stdout
    assert f"pidfile={omiserver.folder}/omiserver.pid" in omiserver("-p").stdout.splitlines()
    assert omiserver("--nonsense").returncode == 2
    assert not omiserver.folder.exists(), "asking leaves nothing behind"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bind", "0.0.0.0:0"], "only loopback"), (["--tls-bind", "0.0.0.0:0"], "--allow-remote"), ([], "--bind"),
        (["--bind", "127.0.0.1:0", "--credentials", "/nonexistent/x"], "no such file"),
        (["--tls-bind", "127.0.0.1:0", "--tls-cert", "/etc/passwd", "--tls-key", "KEY"], "cannot be loaded"),
    ],
)  # fmt: skip
def test_the_service_refuses(tmp_path: Path, options: list[str], says: str) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    argv = [sys.executable, "-m", "omi_queries.server", "--credentials", str(credentials(tmp_path)), *options]
    done = subprocess.run(
        [str(key) if one == "KEY" else one for one in argv], cwd=CHECKOUT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_tls_files_are_made_once_and_private(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        with running(tmp_path, root=VM, tls=True):
            made.append((tmp_path / "server.pem").read_bytes())
    assert made[0] == made[1]
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_root_is_given_up_and_nothing_is_loaded_afterwards(tmp_path: Path) -> None:
    """From a folder that nobody else may enter, as an agent's extension folder is."""
    code = tmp_path / "private"
    code.mkdir(mode=0o700)
    shutil.copytree(CHECKOUT / "omi_queries", code / "omi_queries", ignore=shutil.ignore_patterns("__pycache__"))
    path = credentials(tmp_path)
    argv = [sys.executable, "-m", "omi_queries.server", "--bind", "127.0.0.1:0", "--credentials", str(path)]
    with subprocess.Popen(argv, cwd=code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(b":")[2])
            status = Path(f"/proc/{process.pid}/status").read_text()
            nobody = pwd.getpwnam("nobody").pw_uid
            assert f"Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}\n" in status
            assert "Groups:\t \n" in status
            with Client(port) as client:
                for namespace in classes.namespaces():
                    for name in classes.names(namespace):
                        for method in ("EnumerateInstances", "GetClass"):
                            client.send(post(call(method, of_class(name), namespace), method, namespace))
                            answer = client.answer()
                            assert answer.status == 200, name
                            assert result(answer).startswith("returns") or classes.unlisted(name), (name, answer.body)
        finally:
            process.terminate()


def test_credentials_are_read_again_on_sighup(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the service gave up root and cannot read the file of root; omiserver -r starts it anew")
    with running(tmp_path, root=VM) as server:
        (tmp_path / "credentials").write_text("tester:changed\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: ask(server.port, post(EI, "EnumerateInstances")).status == 401)


def test_unreadable_credentials_on_sighup_leave_the_old_ones(tmp_path: Path) -> None:
    with running(tmp_path, root=VM) as server:
        (tmp_path / "credentials").write_text("broken\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "old ones stay" in (tmp_path / "log").read_text())
        assert ask(server.port, post(EI, "EnumerateInstances")).status == 200
