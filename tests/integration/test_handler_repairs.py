"""Commands at the same time, folders that vanish under the daemon, files that cannot be written, what status keeps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.vmagent.package import find_package
from handler import daemon
from tests.handler_bed import Bed, handler_bed, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return find_package({}, str(tmp_path_factory.mktemp("package")))


@pytest.fixture
def bed(short_path: Path, package: str) -> Iterator[Bed]:
    with handler_bed(short_path, package) as made:
        yield made


def command(bed: Bed, word: str, sequence: int = 0) -> subprocess.CompletedProcess[str]:
    """One command beside the agent, as somebody calls it by hand."""
    env = {**bed.agent.env, "ConfigSequenceNumber": str(sequence)}
    return subprocess.run(
        [str(bed.home / "shim.sh"), word], cwd=bed.home, env=env, capture_output=True, text=True, timeout=120
    )


def at_once(bed: Bed, *words: str) -> list[subprocess.CompletedProcess[str]]:
    done: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda word=word: done.append(command(bed, word))) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_commands_at_the_same_time_run_one_after_the_other(bed: Bed) -> None:
    bed.agent.install(bed.package, bed.settings())
    assert [d.returncode for d in at_once(bed, "-enable", "-enable", "-enable")] == [0, 0, 0]
    starts = bed.log().count("Start daemon")
    assert starts == 1
    assert len(bed.agent.processes()) == 3
    assert {d.returncode for d in at_once(bed, "-enable", "-uninstall")} == {0}
    running = bed.watchdog()  # whichever was last
    assert len(bed.agent.processes()) == (3 if running else 0)
    assert (bed.home / "daemon.json").exists() == bool(running)
    assert bed.state.exists() == bool(running)


def test_a_removed_state_folder_is_made_anew_and_leaves_no_second_daemon(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    first = bed.watchdog()
    shutil.rmtree(bed.state)
    assert bed.watchdog() == 0
    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog() not in (0, first)
    assert len(bed.agent.processes()) == 3
    bed.agent.uninstall()
    assert bed.agent.processes() == []
    assert not bed.state.exists()


def test_a_daemon_whose_state_folder_is_removed_starts_over_by_itself(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    shutil.rmtree(bed.state)
    until(lambda: bed.watchdog() != 0 and (bed.state / "collector.db").exists(), 60)
    until(lambda: len(bed.agent.processes()) == 3)
    assert "somebody has removed the state folder" in bed.log()
    bed.agent.uninstall()
    assert not bed.state.exists()


def test_a_state_folder_that_lad_run_made_is_ours_too(bed: Bed) -> None:
    bed.state.mkdir(parents=True)
    bed.state.chmod(0o755)
    for name in ("collector.db", "collector.db-wal", "uploader.lock", "run.json", "reserve"):
        (bed.state / name).write_text("")
    bed.agent.enable(bed.package, bed.settings())
    assert bed.state.stat().st_mode & 0o777 == 0o700
    bed.agent.uninstall()
    assert not bed.state.exists()


def test_warnings_about_settings_stay_in_the_status(bed: Bed) -> None:
    """After an enable with nothing changed, and after a component came back."""
    bed.agent.enable(bed.package, bed.settings(noSuchSetting=1))
    part = "Enable succeeded, with warnings: "
    until(lambda: bed.status()["status"] == "success")
    assert part in bed.status()["formattedMessage"]["message"]
    bed.agent.noop()
    assert part in bed.status()["formattedMessage"]["message"]
    health = daemon.read_health(str(bed.state))
    assert health is not None
    os.kill(next(c.pid for c in health.components if c.name == "collector"), signal.SIGKILL)
    until(lambda: bed.status()["status"] != "success")
    assert "; about the settings: " in bed.status()["formattedMessage"]["message"]
    until(lambda: bed.status()["status"] == "success", 60)
    assert part in bed.status()["formattedMessage"]["message"]


def test_damaged_files_of_the_daemon_are_made_anew(bed: Bed) -> None:
    """By an enable with nothing changed, as the daemon's own complaint says."""
    bed.agent.enable(bed.package, bed.settings())
    pid = bed.watchdog()
    (bed.home / "daemon.json").write_text("{")
    assert bed.agent.noop()[0].exit_code == 0
    assert json.loads((bed.home / "daemon.json").read_text())["sequence"] == 0
    (bed.home / "options.json").unlink()
    assert bed.agent.noop()[0].exit_code == 0
    assert (bed.home / "options.json").exists()
    (bed.home / "xmlCfg.xml").write_text("<MonitoringManagement")
    os.kill(pid, signal.SIGHUP)
    until(lambda: (health := daemon.read_health(str(bed.state))) is not None and health.refused != "")
    assert bed.agent.noop()[0].exit_code == 0
    assert bed.watchdog() == pid
    until(lambda: bed.status()["status"] == "success")


def test_files_that_cannot_be_written_are_told_on_standard_error(bed: Bed) -> None:
    bed.agent.enable(bed.package, bed.settings())
    log = Path(bed.agent.log_root) / "LadEmulator.LinuxDiagnostic" / "extension.log"
    shutil.rmtree(bed.home / "status")
    (bed.home / "status").write_text("in the way")
    log.unlink()
    log.mkdir()
    done = command(bed, "-enable")
    assert done.returncode == 0
    assert f"cannot write {bed.home}/status/0.status: " in done.stderr
    assert f"lines could not be written to {log}: Is a directory" in done.stderr
    (bed.home / "status").unlink()
    (bed.home / "status").mkdir()


def test_a_path_of_nothing_and_odd_files_beside_the_settings(bed: Bed) -> None:
    bed.agent.install(bed.package, bed.settings())
    os.mkfifo(bed.home / "config" / "7.settings")
    (bed.home / "config" / "8.settings").mkdir()
    env = {**bed.agent.env, "PATH": "", "ConfigSequenceNumber": "7"}
    env.pop("LAD_PYTHON")
    done = subprocess.run(
        ["/bin/sh", str(bed.home / "shim.sh"), "-disable"], cwd="/", env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (0, 52), done.stderr  # 52: this machine's own Python is another one
    assert "not found" not in done.stderr
    assert command(bed, "-enable", 7).returncode == 0
    assert json.loads((bed.home / "status" / "0.status").read_text())[0]["status"]["operation"] == "Enable"


def test_a_state_folder_without_room_is_named(bed: Bed) -> None:
    bed.agent.install(bed.package, bed.settings())
    (bed.state / "watchdog.lock").symlink_to("/dev/full")
    done = command(bed, "-enable")
    assert done.returncode == 1
    assert "cannot lock" in done.stderr
    assert "No space left on device" in done.stderr
