"""The built package driven by the local VM agent: the real handler, the real daemon, real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.vmagent import secrets as tenants
from extension.vmagent.folder import Settings
from extension.vmagent.package import find_package, open_package
from handler import daemon
from tests.handler_bed import SECRET_PART, Bed, handler_bed, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return find_package({}, str(tmp_path_factory.mktemp("package")))


@pytest.fixture
def bed(short_path: Path, package: str) -> Iterator[Bed]:
    with handler_bed(short_path, package) as made:
        yield made


def test_whole_life(bed: Bed) -> None:
    done = bed.agent.enable(bed.package, bed.settings())
    assert [(r.command, r.exit_code) for r in done] == [("install", 0), ("enable", 0)], done[-1].output
    first = bed.watchdog()
    assert first
    assert bed.status()["status"] in ("success", "transitioning")
    assert {part["name"] for part in bed.status()["substatus"]} == {"collector", "uploader"}
    home = bed.home
    assert (home / "mrseq").read_text() == "0"
    for name in ("xmlCfg.xml", "options.json", "daemon.json"):
        assert (home / name).stat().st_mode & 0o077 == 0
    assert SECRET_PART.encode() not in (home / "xmlCfg.xml").read_bytes()
    assert json.loads((bed.state / "installed.json").read_text())["config"] == str(home / "xmlCfg.xml")

    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog() == first

    os.kill(first, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{first}").exists() or not daemon.alive(first, daemon.WATCHDOG))
    assert bed.agent.noop()[0].exit_code == 0
    second = bed.watchdog()
    assert second not in (0, first)

    assert bed.agent.disable()[0].exit_code == 0
    assert bed.agent.processes() == []
    assert bed.status()["formattedMessage"]["message"] == "Disable succeeded"
    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog()

    assert [r.exit_code for r in bed.agent.uninstall()] == [0, 0]
    assert bed.agent.processes() == []
    assert not bed.state.exists()
    assert not home.exists()
    log = bed.log()
    for line in (
        "sequence number is 0", "setting file path is/", "Config decoded correctly.", "Dispatching command:-enable",
        "LAD settings with secrets redacted: ", "Event volume not found in config. Using default value: Medium",
    ):  # fmt: skip
        assert line in log


def test_no_secret_in_any_file_or_command_line(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    for folder, _, names in os.walk(bed.root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and path.suffix not in (".so", ".py"):
                assert SECRET_PART.encode() not in path.read_bytes(), path
    assert not [line for _, line in bed.agent.processes() if SECRET_PART in line]
    for pid, _ in bed.agent.processes():
        names_set = {part.partition(b"=")[0] for part in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert b"ConfigSequenceNumber" not in names_set
        assert b"AZURE_GUEST_AGENT_EXTENSION_PATH" not in names_set
    bed.agent.uninstall()


def test_daemon_survives_the_death_of_the_handlers_group(bed: Bed) -> None:
    bed.agent.install(bed.package, bed.settings())
    home = bed.home
    env = {**bed.agent.env, "ConfigSequenceNumber": "0"}
    child = subprocess.Popen(["/bin/sh", "-c", f"{home}/shim.sh -enable"], cwd=home, env=env, start_new_session=True,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    until(bed.watchdog)
    pid = bed.watchdog()
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(20)
    until(lambda: len(bed.agent.processes()) >= 3)
    assert bed.watchdog() == pid
    assert os.getsid(pid) != child.pid


def test_bad_settings_change_nothing(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    pid, document = bed.watchdog(), (bed.home / "xmlCfg.xml").read_bytes()
    done = bed.agent.enable(None, Settings({"xmlCfg": "*not base64*"}, {"storageAccountName": 7}))
    assert done[0].exit_code == 53
    body = bed.status()
    assert (body["status"], body["code"]) == ("error", 53)
    text = json.dumps(body)
    assert "$.public.xmlCfg" in text
    assert "$.protected.storageAccount" in text
    assert "goes on" in text
    assert bed.watchdog() == pid
    assert (bed.home / "xmlCfg.xml").read_bytes() == document
    assert (bed.home / "mrseq").read_text() == "0"

    # a daemon that died meanwhile comes back with the old settings, though the new ones are still bad
    os.kill(pid, signal.SIGKILL)
    until(lambda: not daemon.alive(pid, daemon.WATCHDOG))
    assert bed.agent.noop()[0].exit_code == 53
    until(bed.watchdog)

    assert bed.agent.enable(None, bed.settings(eventVolume="Large"))[0].exit_code == 0
    assert (bed.home / "mrseq").read_text() == "2"
    assert (bed.home / "xmlCfg.xml").read_bytes() != document


def test_first_settings_bad_leave_nothing_running(bed: Bed) -> None:
    done = bed.agent.enable(bed.package, Settings({}, None))
    assert [r.exit_code for r in done] == [0, 53]
    assert bed.agent.processes() == []
    assert not (bed.home / "daemon.json").exists()


def test_new_settings_reload_without_a_new_watchdog(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    pid = bed.watchdog()
    assert bed.agent.enable(None, bed.settings(eventVolume="Large"))[0].exit_code == 0
    assert bed.watchdog() == pid
    health = daemon.read_health(str(bed.state))
    assert health is not None
    assert health.sequence == 1
    assert bed.status()["operation"] == "Enable"


def test_a_rotated_certificate_is_taken_over_by_the_same_daemon(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    pid = bed.watchdog()
    lib_dir = bed.agent.lib_dir
    thumbprint = tenants.make_tenant(lib_dir)
    path = bed.home / "config" / "0.settings"
    value = json.loads(path.read_text())
    body = value["runtimeSettings"][0]["handlerSettings"]
    body["protectedSettings"] = tenants.encrypt(lib_dir, thumbprint, json.dumps(bed.settings().protected).encode())
    body["protectedSettingsCertThumbprint"] = thumbprint
    path.write_text(json.dumps(value))
    document = (bed.home / "xmlCfg.xml").read_text()
    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog() == pid
    renewed = (bed.home / "xmlCfg.xml").read_text()
    assert f"{thumbprint}.prv" in renewed
    assert f"{thumbprint}.prv" not in document
    assert bed.agent.noop()[0].exit_code == 0
    assert (bed.home / "xmlCfg.xml").read_text() == renewed


def test_a_stopped_daemon_is_replaced(bed: Bed) -> None:
    """SIGSTOP, with a health file that still says that all is well."""
    bed.agent.enable(bed.package, bed.settings())
    pid = bed.watchdog()
    os.kill(pid, signal.SIGSTOP)
    assert json.loads((bed.state / "daemon.health").read_text())["pid"] == pid
    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog() not in (0, pid)
    assert not daemon.alive(pid, daemon.WATCHDOG)
    assert "is stopped (SIGSTOP): ending it" in bed.log()
    until(lambda: bed.status()["status"] == "success")
    assert len(bed.agent.processes()) == 3


def test_a_daemon_that_is_stopped_altogether_is_ended_in_order(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    for pid, _ in bed.agent.processes():
        os.kill(pid, signal.SIGSTOP)
    assert bed.agent.disable()[0].exit_code == 0
    assert bed.agent.processes() == []
    assert "had to be killed" not in bed.log()
    assert (bed.home / "daemon.json").exists()


def test_a_silent_daemon_is_judged_by_its_health_once_it_is_old() -> None:
    health = daemon.Health(9, 0, 1000.0, True, "", ())
    assert daemon.Running(9, "/d.json", 10.0, health).reports(5000.0)
    assert not daemon.Running(9, "/d.json", 1e6, health).reports(5000.0)
    assert daemon.Running(9, "/d.json", 1e6, health).reports(1060.0)
    assert not daemon.Running(9, "/d.json", 10.0, health, stopped=True).reports(1000.0)


def test_upgrade_keeps_state_and_real_uninstall_removes_it(bed: Bed, tmp_path: Path) -> None:
    bed.agent.enable(bed.package, bed.settings())
    first = bed.watchdog()
    newer = tmp_path / "newer"
    open_package(bed.package).unpack(str(newer))
    manifest = json.loads((newer / "HandlerManifest.json").read_text())
    manifest[0]["version"] = "1.0.1"
    (newer / "HandlerManifest.json").write_text(json.dumps(manifest))
    (newer / "version").write_text("1.0.1\n")
    kept = bed.state / "kept"
    kept.write_text("unsent rows")
    done = bed.agent.update(str(newer))
    assert [(r.command, r.version, r.exit_code) for r in done] == [
        ("disable", "1.0.0", 0), ("update", "1.0.1", 0), ("uninstall", "1.0.0", 0),
        ("install", "1.0.1", 0), ("enable", "1.0.1", 0),
    ], done  # fmt: skip
    assert kept.exists()
    assert not (bed.state / "upgrading").exists()
    assert bed.watchdog() not in (0, first)
    assert json.loads((bed.state / "installed.json").read_text())["version"] == "1.0.1"
    assert bed.status()["operation"] == "Enable"
    bed.agent.uninstall()
    assert not bed.state.exists()
    assert bed.agent.processes() == []


def test_everything_ends_when_the_folder_vanishes(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    assert bed.agent.processes()
    shutil.rmtree(bed.home)
    until(lambda: not bed.agent.processes(), 90)


def test_daemon_command_runs_in_the_foreground(bed: Bed) -> None:
    """What the systemd unit runs: the watchdog takes the shim's place and ends in order on SIGTERM."""
    bed.agent.enable(bed.package, bed.settings())
    bed.agent.disable()
    shim = [str(bed.home / "shim.sh"), "-daemon"]
    child = subprocess.Popen(shim, env=bed.agent.env, stdout=subprocess.DEVNULL, cwd="/")
    try:
        until(lambda: bed.watchdog() == child.pid)
        child.terminate()
        assert child.wait(15) == 0
    finally:
        child.kill()
        child.wait()
    assert bed.agent.processes() == []
