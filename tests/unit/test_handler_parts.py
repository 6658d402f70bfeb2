"""The handler's smaller parts: redaction, state folder, upgrade mark, systemd unit, launcher, health."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from handler import daemon, files, launcher, service, state
from handler.log import redacted
from handler.service import ServiceError, Systemd

TEMPLATE = Path(__file__).resolve().parents[2] / "packaging" / "lad-emulator.service"


class TestRedaction:
    def test_protected_values_are_hidden(self) -> None:
        text = redacted(
            {"eventVolume": "Medium"},
            {"storageAccountName": "acc", "storageAccountKey": "K3Y", "other": {"deep": "D33P"}, "sasURL": "S4S"},
        )
        assert "acc" in text
        assert not [secret for secret in ("K3Y", "D33P", "S4S") if secret in text]

    def test_a_secret_in_an_open_field_is_hidden(self) -> None:
        assert "xyz" not in redacted(None, {"storageAccountName": "acc?sv=1&sig=xyz"})

    @pytest.mark.parametrize(
        "public",
        [
            {"storageAccountKey": "xyz"},
            {"a": [{"sasToken": "xyz"}]},
            {"url": "https://a/?sv=1&sig=xyz"},
            {"url": "http://user:xyz@host/"},
            {"c": "DefaultEndpointsProtocol=https;AccountKey=xyz"},
        ],
    )
    def test_secrets_in_public_settings_are_hidden_too(self, public: dict[str, object]) -> None:
        assert "xyz" not in redacted(public, None)

    def test_long_texts_are_cut(self) -> None:
        assert len(redacted({"xmlCfg": "A" * 100_000}, None)) < 1000

    def test_deep_and_odd_values(self) -> None:
        value: object = 1
        for _ in range(200):
            value = [value]
        assert redacted({"x": value}, [1])


class TestState:
    def test_made_private_and_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "state"
        assert state.ensure(str(folder)) is True
        assert state.ensure(str(folder)) is False
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "removed" in state.remove(str(folder))
        assert not folder.exists()

    def test_a_folder_with_other_things_is_never_removed(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("x")
        state.ensure(str(tmp_path))
        assert "left in place" in state.remove(str(tmp_path))
        assert (tmp_path / "precious").exists()

    def test_what_a_daemon_made_is_ours_and_nothing_else(self, tmp_path: Path) -> None:
        folder = tmp_path / "state"
        folder.mkdir()
        for name in ("watchdog.lock", "collector.db", "collector.db-wal", "daemon.health.77.tmp", "reserve"):
            (folder / name).write_text("")
        (folder / "precious").write_text("x")
        assert "left in place" in state.remove(str(folder))
        (folder / "precious").unlink()
        (folder / "watchdog.lock").rename(tmp_path / "watchdog.lock")
        assert "left in place" in state.remove(str(folder))
        (tmp_path / "watchdog.lock").rename(folder / "watchdog.lock")
        assert "removed" in state.remove(str(folder))
        assert not folder.exists()

    def test_a_link_is_never_followed(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        state.ensure(str(target))
        link = tmp_path / "link"
        link.symlink_to(target)
        assert "left in place" in state.remove(str(link))
        assert target.exists()

    def test_unusable_path_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(state.StateError, match="LAD_STATE_DIR"):
            state.ensure(str(tmp_path / "file" / "state"))

    @pytest.mark.parametrize(
        ("version", "environ", "target"),
        [
            ("2.0", {"VERSION": "2.0", "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": "1.0"}, "2.0"),
            ("2.0", {}, "2.0"),  # old agents pass nothing
            ("2.0", {"VERSION": "1.0", "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": "1.0"}, "1.0"),  # downgrade
        ],
    )
    def test_upgrade_mark(self, tmp_path: Path, version: str, environ: dict[str, str], target: str) -> None:
        assert state.mark_upgrade(str(tmp_path), version, environ) == target
        now = time.time()
        assert state.upgrade_target(str(tmp_path), now) == target
        assert state.upgrade_target(str(tmp_path), now + state.UPGRADE_LIFE + 60) is None

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"to": 1, "time": 1}', '{"time": 1}', '{"to": "x", "time": "y"}'])
    def test_odd_mark_counts_as_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / state.UPGRADING).write_text(text)
        assert state.upgrade_target(str(tmp_path), 1.0) is None


class FakeSystemctl:
    """Records systemctl's calls; one of them may fail."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[str] = []
        self.failing = failing

    def __call__(self, argv: Sequence[str], seconds: float) -> tuple[int, str]:
        self.calls.append(" ".join(argv[1:]))
        return (1, "Access denied") if self.failing and self.failing in argv else (0, "")


class TestSystemd:
    def unit(self, tmp_path: Path, failing: str = "") -> tuple[Systemd, FakeSystemctl]:
        home = tmp_path / "P.T-1.0"
        home.mkdir(exist_ok=True)
        (home / service.TEMPLATE).write_text(TEMPLATE.read_text())
        run = FakeSystemctl(failing)
        return Systemd(str(home), "/state", "/opt/100%/python", str(tmp_path / "root"), run), run

    def test_write_once(self, tmp_path: Path) -> None:
        unit, run = self.unit(tmp_path)
        assert unit.write() is True
        assert unit.write() is False
        assert run.calls == ["daemon-reload"]
        text = Path(unit.unit_path).read_text()
        assert f'ExecStart=/bin/sh "{unit.home}/shim.sh" -daemon' in text
        assert "LAD_STATE_DIR=/state" in text
        assert "LAD_PYTHON=/opt/100%%/python" in text
        assert "@" not in text
        assert unit.owns_unit()

    def test_start_stop_remove(self, tmp_path: Path) -> None:
        unit, run = self.unit(tmp_path)
        unit.write()
        unit.start()
        unit.stop()
        unit.remove()
        name = service.UNIT
        assert run.calls == [
            "daemon-reload", f"enable {name}", f"restart {name}", f"stop {name}", f"disable {name}", "daemon-reload",
        ]  # fmt: skip
        assert not unit.owns_unit()

    def test_refusal_is_named(self, tmp_path: Path) -> None:
        unit, _ = self.unit(tmp_path, failing="restart")
        with pytest.raises(ServiceError, match=r"systemctl restart .* ended with 1: Access denied"):
            unit.start()

    def test_another_versions_unit_is_not_ours(self, tmp_path: Path) -> None:
        unit, _ = self.unit(tmp_path)
        unit.write()
        other = Systemd(f"{unit.home}.7", "/state", "python", unit.root)
        assert not other.owns_unit()

    def test_mode(self, tmp_path: Path) -> None:
        assert service.mode({}, 0, str(tmp_path)) == "daemon"
        (tmp_path / "run/systemd/system").mkdir(parents=True)
        assert service.mode({}, 0, str(tmp_path)) == "systemd"
        assert service.mode({}, 1000, str(tmp_path)) == "daemon"
        assert service.mode({"LAD_SERVICE": "daemon"}, 0, str(tmp_path)) == "daemon"


class TestRunCommand:
    def test_exit_code_and_output(self) -> None:
        assert service.run_command(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], 20) == (3, "out\nerr")

    def test_missing(self) -> None:
        assert service.run_command(["/no/such/thing"], 5)[0] == 127

    def test_deadline_ends_the_whole_group(self, tmp_path: Path) -> None:
        mark = tmp_path / "pid"
        code, said = service.run_command(["/bin/sh", "-c", f"sleep 300 & echo $! >{mark}; wait"], 1.0)
        assert code == 124
        assert "1 s" in said
        deadline = time.monotonic() + 10
        while daemon.arguments(int(mark.read_text())) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not daemon.arguments(int(mark.read_text()))


class TestLauncher:
    def test_scrubbed(self) -> None:
        kept = launcher.scrubbed(
            {
                "PATH": "/p",
                "LC_ALL": "C",
                "LAD_STATE_DIR": "/s",
                "https_proxy": "x",
                "NO_PROXY": "y",
                "AZURE_GUEST_AGENT_EXTENSION_PATH": "/h",
                "ConfigSequenceNumber": "1",
                "PYTHONPATH": "/evil",
            }
        )
        assert set(kept) == {"PATH", "LC_ALL", "LAD_STATE_DIR", "https_proxy", "NO_PROXY"}

    def test_detached_process_is_on_its_own(self, tmp_path: Path) -> None:
        output = tmp_path / "out"
        output.write_text("old content")
        code = (
            "import os, sys; print(os.getpid(), os.getsid(0), os.getppid(), sorted(os.listdir('/proc/self/fd')),"
            "os.readlink('/proc/self/fd/0'), os.getcwd(), sorted(os.environ), flush=True)"
        )
        argv = [sys.executable, "-I", "-S", "-c", code]
        held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)
        os.set_inheritable(held, True)
        try:
            pid = launcher.detach(argv, {"PATH": "/bin"}, str(output))
        finally:
            os.close(held)
        deadline = time.monotonic() + 20
        while not output.read_text().endswith("\n") and time.monotonic() < deadline:
            time.sleep(0.02)
        said = output.read_text()
        mine, session, parent = said.split()[:3]
        assert int(mine) == pid
        assert int(session) not in (pid, os.getsid(0))  # a session of its own that it does not lead
        assert int(parent) != os.getpid()
        assert "['0', '1', '2', '3'] /dev/null / " in said  # 3 is the listing's own
        assert "old content" not in said
        assert "PYTHONPATH" not in said

    def test_a_program_that_cannot_run(self, tmp_path: Path) -> None:
        with pytest.raises(launcher.StartError, match="No such file"):
            launcher.detach(["/no/such/python"], {}, str(tmp_path / "out"))

    def test_output_that_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(launcher.StartError, match="cannot write"):
            launcher.detach([sys.executable], {}, str(tmp_path / "no" / "out"))


class TestHealth:
    def write(self, folder: Path, **changes: object) -> None:
        value: dict[str, object] = {"pid": 5, "sequence": 2, "time": 10.0, "healthy": True, "components": {}}
        (folder / "daemon.health").write_text(json.dumps({**value, **changes}))

    def test_read(self, tmp_path: Path) -> None:
        part = {"state": "running", "level": "ok", "pid": 7, "restarts": 0, "message": "fine"}
        self.write(tmp_path, components={"collector": part})
        health = daemon.read_health(str(tmp_path))
        assert health is not None
        assert health.verdict == "success"
        assert health.components == (daemon.Component("collector", "running", "ok", 7, "fine"),)
        assert health.parts[0]["status"] == "success"

    @pytest.mark.parametrize(
        ("part", "status"),
        [
            ({"state": "starting", "level": "ok"}, "transitioning"),
            ({"state": "backoff", "level": "ok"}, "error"),
            ({"state": "failed"}, "error"),
            ({"state": "running", "level": "warning"}, "warning"),
            ({"state": "running", "level": "error"}, "error"),
        ],
    )
    def test_trouble_is_told(self, tmp_path: Path, part: dict[str, str], status: str) -> None:
        good = {"state": "running", "level": "ok"}
        self.write(tmp_path, healthy=False, components={"collector": good, "uploader": part})
        health = daemon.read_health(str(tmp_path))
        assert health is not None
        assert health.verdict == status
        assert [entry["status"] for entry in health.parts] == ["success", status]

    def test_refusal_is_told(self, tmp_path: Path) -> None:
        self.write(tmp_path, refused="$.x: bad")
        health = daemon.read_health(str(tmp_path))
        assert health is not None
        assert health.verdict == "error"
        assert "$.x: bad" in health.parts[-1]["formattedMessage"]["message"]

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": 1}', '{"pid": "x", "components": 7}', "null"])
    def test_odd_file_is_no_health(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "daemon.health").write_text(text)
        assert daemon.read_health(str(tmp_path)) is None

    def test_no_daemon_without_lock(self, tmp_path: Path) -> None:
        assert daemon.find(str(tmp_path)) is None
        (tmp_path / "watchdog.lock").write_text(f"{os.getpid()}\n")
        assert daemon.find(str(tmp_path)) is None

    def test_a_recycled_pid_is_not_the_daemon(self, tmp_path: Path) -> None:
        import fcntl

        path = tmp_path / "watchdog.lock"
        path.write_text(f"{os.getpid()}\n")
        with path.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert daemon.lock_is_held(str(tmp_path))
            assert daemon.find(str(tmp_path)) is None

    def test_age_of_this_process(self) -> None:
        assert 0 < daemon.age(os.getpid()) < 86_400
        assert daemon.age(2**22 + 1) == 0


class TestFiles:
    def test_all_or_none(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "good", tmp_path / "absent" / "bad"
        good.write_bytes(b"old")
        with pytest.raises(OSError, match="absent"):
            files.replace_all({str(good): b"new", str(bad): b"x"})
        assert good.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["good"]

    def test_private(self, tmp_path: Path) -> None:
        files.replace(str(tmp_path / "f"), b"x")
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
