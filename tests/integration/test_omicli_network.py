"""``omicli --hostname``: CIM-XML over the network, against the emulated service and against servers that misbehave."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import cimxml_bed, omicli_bed

USER, SECRET = "tester", "a b:c"
MEMORY = "SCX_MemoryStatisticalInformation"
LOG_FILE = [
    word
    for key in ("Name", "CSCreationClassName", "CSName", "FSCreationClassName", "FSName", "CreationClassName")
    for word in (key, "x")
]
ROOT = Path(__file__).parent.parent / "fixtures" / "proc" / "vm" / "root"


def omicli(*argv: str, secret: str = SECRET, **env: str) -> subprocess.CompletedProcess[str]:
    return omicli_bed.omicli(*argv, secret=secret, **env)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of a running service: HTTP and HTTPS."""
    folder = tmp_path_factory.mktemp("omi")
    credentials = folder / "credentials"
    credentials.write_text(f"{USER}:{SECRET}\n")
    credentials.chmod(0o600)
    argv = [
        sys.executable, "-m", "omi_queries.server", "--bind", "127.0.0.1:0", "--tls-bind", "127.0.0.1:0",
        "--credentials", str(credentials), "--root", str(ROOT),
    ]  # fmt: skip
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = {}
            for _ in range(2):
                match = re.search(r"(https?)://.*:(\d+)", server.stdout.readline())
                assert match is not None, server.stderr.read() if server.stderr else ""
                found[match.group(1)] = int(match.group(2))
            yield found["http"], found["https"]
        finally:
            server.terminate()


class TestService:
    def ask(self, ports: tuple[int, int], *argv: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
        return omicli("--hostname", "127.0.0.1", "--port", str(ports[0]), "-u", USER, *argv, secret=secret)

    def test_noop_and_id(self, ports: tuple[int, int]) -> None:
        assert self.ask(ports, "noop").stdout == "got noop response\n"
        found = self.ask(ports, "id")
        assert found.returncode == 0
        assert "    [Key] InstanceID=2FDB5542-5896-45D5-9BE9-DC04430AAABE\n" in found.stdout

    @pytest.mark.parametrize(
        "argv",
        [
            ["gc", "root/scx", MEMORY],
            ["gc", "root/scx", "SCX_Agent"],
            ["gc", "root/scx", "SCX_UnixProcessStatisticalInformation"],
            ["ei", "root/scx", "SCX_Agent"],
            ["-n", "-xml", "ei", "root/scx", "SCX_Agent"],
            ["-n", "cql", "root/scx", "SELECT Name,PercentBusyTime FROM SCX_DiskDriveStatisticalInformation"],
            ["wql", "root/scx", f"SELECT UsedMemory, Name FROM {MEMORY} WHERE Name='memory' AND UsedMemory > 0"],
            ["wql", "root/scx", f"SELECT Name FROM {MEMORY} WHERE Name LIKE 'mem%'"],
            ["cql", "root/scx", f"SELECT name FROM {MEMORY}"],
            ["cql", "root/scx", f"SELECT Nope FROM {MEMORY}"],
            ["ei", "root/nope", "X"],
            ["ei", "root/scx", "SCX_Nope"],
            ["ei", "root/scx", "SCX_LogFile"],
            ["ein", "root/scx", MEMORY],
            ["ein", "root/scx", "SCX_DiskDriveStatisticalInformation"],
            ["-xml", "ein", "root/scx", "SCX_Agent"],
            ["ein", "-shallow", "root/scx", "SCX_StatisticalInformation"],
            ["ein", "root/scx", "SCX_LogFile"],
            ["ei", "-shallow", "root/scx", "SCX_StatisticalInformation"],
            ["gi", "root/scx", "{", MEMORY, "Name", "Nope", "}"],
            ["gi", "root/scx", "{", MEMORY, "name", "Memory", "}"],
            ["gi", "root/scx", "{", MEMORY, "Name", "Memory", "Caption", "no key", "}"],
            ["gi", "root/scx", "{", MEMORY, "}"],
            ["gi", "root/scx", "{", MEMORY, "Nome", "Memory", "}"],
            ["gi", "root/scx", "{", "SCX_LogFile", "}"],
            ["gi", "root/scx", "{", "SCX_LogFile", *LOG_FILE, "}"],
            ["gi", "root/scx", "{", "SCX_StatisticalInformation", "Name", "Memory", "}"],
            ["gi", "root/scx", "{", "SCX_Nope", "Name", "Memory", "}"],
            ["gi", "root/nope", "{", "SCX_Nope", "}"],
            ["gi", "root/omi", "{", "OMI_Identify", "InstanceID", "2FDB5542-5896-45D5-9BE9-DC04430AAABE", "}"],
        ],
    )
    def test_the_same_answer_as_in_process(self, argv: list[str], ports: tuple[int, int]) -> None:
        remote = self.ask(ports, *argv)
        local = subprocess.run(
            [sys.executable, "-c", LOCAL, str(ROOT), *argv], capture_output=True, text=True, timeout=60, check=False
        )
        assert remote.stdout == local.stdout
        assert remote.stderr == local.stderr
        assert remote.returncode == local.returncode

    def test_get_instance(self, ports: tuple[int, int]) -> None:
        found = self.ask(ports, "gi", "root/scx", "{", MEMORY, "Name", "Memory", "}")
        assert "    [Key] Name=Memory\n    IsAggregate=true\n" in found.stdout

    def test_names_of_classes_in_keys_have_no_case(self, ports: tuple[int, int]) -> None:
        [name] = self.ask(ports, "ein", "root/scx", "SCX_OperatingSystem").stdout.split("instance of ")[1:]
        keys = [word for line in name.splitlines()[2:-1] for word in line.replace("    [Key] ", "").split("=", 1)]
        words = [word.upper() if word.startswith("SCX_") else word for word in keys]
        assert words != keys
        found = self.ask(ports, "gi", "root/scx", "{", "SCX_OperatingSystem", *words, "}")
        assert found.returncode == 0, found.stderr
        assert "    [Key] CSCreationClassName=SCX_ComputerSystem\n" in found.stdout
        other = self.ask(ports, "gi", "root/scx", "{", "SCX_OperatingSystem", *(w.upper() for w in words), "}")
        assert other.returncode == 6

    def test_nothing_that_the_library_warns_of_is_printed(self, ports: tuple[int, int]) -> None:
        found = self.ask(ports, "gi", "root/else", "{", "Any_Class", "}")
        assert found.returncode == 3
        assert [line.partition(":")[0] for line in found.stderr.splitlines()] == ["omicli"] * 2

    def test_wrong_password(self, ports: tuple[int, int]) -> None:
        found = self.ask(ports, "-t", "id", secret="wrong")
        assert found.returncode == 2
        assert "    OMI_Code=2\n" in found.stdout
        assert "refused the user or the password" in found.stderr
        assert "wrong" not in found.stderr.replace("wrong password", "")

    def test_https_needs_a_known_certificate(self, ports: tuple[int, int]) -> None:
        argv = ("--hostname", "127.0.0.1", "--port", str(ports[1]), "--encryption", "https", "-u", USER, "noop")
        refused = omicli(*argv)
        assert refused.returncode == 1
        assert "certificate" in refused.stderr.lower()
        assert refused.stderr.count("\n") == 2
        assert "refused (self-signed); set OMI_CA_FILE to the certificate" in refused.stderr
        assert omicli(*argv, OMI_NO_VERIFICATION="1").stdout == "got noop response\n"


LOCAL = """
import os, sys
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.omicli.command import World, run
root = sys.argv[1]
world = World(sys.stdout, sys.stderr, os.environ, sleep=lambda s: None, backend=lambda: ProcfsBackend(root))
sys.exit(run(["omicli", *sys.argv[2:]], world))
"""


def _request(connection: socket.socket) -> bytes:
    """A whole request: what is left unread would become a reset that overtakes the answer."""
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    left = int(found.group(1)) - len(body) if found else 0
    while left > 0 and (more := connection.recv(65536)):
        data += more
        left -= len(more)
    return data


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads each request's head and then does what ``answer`` does; its port and the heads."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(30)
                        heads.append(_request(connection))
                        answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heads
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)


def ask(port: int, **env: str) -> subprocess.CompletedProcess[str]:
    return omicli("--hostname", "127.0.0.1", "--port", str(port), "-u", USER, "ei", "root/scx", MEMORY, **env)


def reply(body: bytes, *headers: str, status: str = "200 OK") -> Callable[[socket.socket], None]:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/xml", f"Content-Length: {len(body)}", *headers]
    data = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda connection: connection.sendall(data)


def failed(found: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with MI_RESULT_FAILED, without an OMI_Error, and said why in one line without a secret."""
    assert (found.returncode, found.stdout) == (1, "")
    lines = found.stderr.splitlines()
    assert lines[0] == "omicli: result: MI_RESULT_FAILED"
    assert len(lines) == 2
    assert len(lines[1]) < 500
    assert any(word in lines[1] for word in words), lines[1]
    assert SECRET not in found.stderr


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failed(ask(port), "refused", "Connection")


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 1000000\r\n\r\n<?xml")
        for _ in range(200):
            time.sleep(0.1)
            connection.sendall(b" ")

    with serving(drip) as (port, _):
        failed(ask(port, OMI_DEADLINE="3"), "no answer within 3 s")


def test_a_server_that_is_silent_is_left_at_the_deadline() -> None:
    ended = threading.Event()

    def wait(_connection: socket.socket) -> None:
        ended.wait(20)

    with serving(wait) as (port, _):
        found = ask(port, OMI_DEADLINE="2")
        ended.set()
    failed(found, "no answer within 2 s", "Read timed out")


def test_no_redirect_is_followed() -> None:
    with serving(reply(b"")) as (other, other_heads):
        moved = reply(b"", f"Location: http://127.0.0.1:{other}/cimom", status="307 Temporary Redirect")
        with serving(moved) as (port, heads):
            found = ask(port)
            failed(found, "redirects")
            assert "set --hostname and --port to where the server is" in found.stderr
        assert len(heads) == 1
        assert other_heads == []


def test_the_proxy_of_the_environment_gets_nothing() -> None:
    with serving(reply(b"")) as (proxy, proxy_heads), serving(reply(b"<x/>")) as (port, heads):
        url = f"http://127.0.0.1:{proxy}"
        ask(port, http_proxy=url, HTTP_PROXY=url, all_proxy=url)
        assert len(heads) == 1
        assert proxy_heads == []


@pytest.mark.parametrize("body", [b"", b"hello", b"<x/>", b"\xff\xfe\x00", b"<CIM CIMVERSION='2.0' DTDVERSION='2.0'/>"])
def test_nonsense(body: bytes) -> None:
    with serving(reply(body)) as (port, _):
        failed(ask(port), "127.0.0.1")


ERROR = '<IMETHODRESPONSE NAME="EnumerateInstances"><ERROR CODE="x"/></IMETHODRESPONSE>'
OPENED = '<MESSAGE ID="1001" PROTOCOLVERSION="1.0">'


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('<MESSAGE ID="9" PROTOCOLVERSION="1.0">', "another message"),
        (f"{OPENED}<SIMPLERSP>{ERROR}</SIMPLERSP>", "invalid literal"),
        (OPENED + "<VALUE.ARRAY>" * 2000 + "</VALUE.ARRAY>" * 2000, "127.0.0.1"),
    ],
    ids=["wrong id", "no number", "deep"],
)  # fmt: skip
def test_replies_that_lie(given: str, said: str) -> None:
    body = f'<CIM CIMVERSION="2.0" DTDVERSION="2.0">{given}</MESSAGE></CIM>'.encode()
    with serving(reply(body)) as (port, _):
        failed(ask(port), said)


def test_an_entity_bomb_is_not_parsed() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    body = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{levels}]><x>&e9;</x>'.encode()
    with serving(reply(body)) as (port, _):
        failed(ask(port), "DOCTYPE")


def test_a_compressed_bomb_does_not_fill_the_memory() -> None:
    member = gzip.compress(bytes(16 << 20), 9)
    with serving(reply(member * 200, "Content-Encoding: gzip")) as (port, _):
        failed(ask(port), "compressed (gzip)")


def test_whoever_reads_the_answer_may_go(tmp_path: Path) -> None:
    """The place of the failure is the pipe, not the server."""
    large: cimxml_bed.Values = {"Name": ("string", "Memory"), "Caption": ("string", "x" * 500)}
    with cimxml_bed.serving(cimxml_bed.FakeServer({MEMORY: [(MEMORY, large)] * 2000})) as fake:
        argv = ["--hostname", "127.0.0.1", "--port", str(fake.port), "-u", cimxml_bed.USER, "ei", "root/scx", MEMORY]
        with (tmp_path / "err").open("wb") as err, subprocess.Popen(
            [sys.executable, "-m", "omi_queries.omicli", *argv], stdout=subprocess.PIPE, stderr=err,
            env={**os.environ, "OMI_PASSWORD": cimxml_bed.PASSWORD},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == f"instance of {MEMORY}\n".encode()
            process.stdout.close()
            process.wait(60)
    assert (tmp_path / "err").read_text() == ""


def test_wrong_wishes() -> None:
    assert omicli("--hostname", "127.0.0.1", "noop").stdout.startswith("omicli: -u USERNAME option must be")
    negotiate = omicli("--hostname", "127.0.0.1", "-u", USER, "--auth", "Kerberos", "-t", "noop")
    assert (negotiate.returncode, "only Basic is" in negotiate.stderr) == (7, True)
    strange = omicli("--hostname", "user@127.0.0.1/x", "-u", USER, "noop")
    assert strange.returncode == 4
    assert omicli("--hostname", "127.0.0.1", "-u", USER, "noop", OMI_DEADLINE="soon").returncode == 4
