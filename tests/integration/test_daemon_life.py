"""The real processes: life, hangs, kills, stop, reload, a vanished folder."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from extension import component, descriptor, locks
from extension.plan import Account
from extension.sinks.local_tables import LocalTablesReader
from extension.store import ledger
from tests.daemon_bed import Daemon, daemon, document, until


def _account(folder: Path) -> Account:
    return Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{folder}/tables.db", True)


def _rows(folder: Path, table: str = "Metrics") -> int:
    try:
        return LocalTablesReader(str(folder / "tables.db")).tables().get(table) or 0
    except Exception:
        return 0


def _ready(bed: Daemon, folder: Path, **options: object) -> None:
    bed.configure(document(_account(folder), rate=1, period=5, raw=True), upload_spread_s=0, **options)
    bed.start()
    bed.wait_healthy()


def test_a_quiet_life(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        until(lambda: _rows(tmp_path) >= 20 and _rows(tmp_path, "RawVer2v0") >= 5, 40, bed.describe)
        assert bed.status()["status"] == "success"
        assert {s["name"]: s["status"] for s in bed.status()["substatus"]} == {
            "collector": "success",
            "uploader": "success",
        }
        pids = [int(line) for line in (bed.home / "lad.pids").read_text().split()]
        assert pids == [bed.pid("watchdog"), bed.pid("collector")]
        begin = time.monotonic()
        bed.stop()
        assert time.monotonic() - begin < 10  # the promise, not a speed
        assert not (bed.home / "lad.pids").exists()
        for table, balance in ledger.read(str(bed.state)).items():
            assert balance.produced == balance.delivered + balance.queued, table
        text = bed.log.read_text()
        assert "c2VjcmV0LWtleS0x" not in text
        assert "Traceback" not in bed.describe()


@pytest.mark.parametrize("name", ["collector", "uploader"])
def test_a_killed_component_comes_back_and_status_recovers(tmp_path: Path, name: str) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        watchdog, before = bed.pid("watchdog"), bed.kill(name)
        until(lambda: bed.pid(name) not in (0, before), 20, bed.describe)
        bed.wait_healthy()
        assert bed.pid("watchdog") == watchdog
        assert bed.health()["components"][name]["restarts"] == 1
        assert f"{name} was ended by SIGKILL" in bed.log.read_text()
        until(lambda: bed.status()["status"] == "success", 10, bed.describe)
        bed.stop()


@pytest.mark.parametrize("name", ["collector", "uploader"])
def test_a_stopped_component_is_found_by_its_missing_progress(tmp_path: Path, name: str) -> None:
    with daemon(tmp_path) as bed:
        # the uploader's deadline is three of its idle reports at least
        _ready(bed, tmp_path, hang_s=4)
        before = bed.pid(name)
        os.kill(before, signal.SIGSTOP)
        until(lambda: bed.pid(name) not in (0, before), 130, bed.describe)
        assert f"{name} showed no progress for" in bed.log.read_text()
        bed.wait_healthy()
        bed.stop()


def test_a_stopped_component_does_not_delay_the_stop(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        os.kill(bed.pid("uploader"), signal.SIGSTOP)
        bed.stop(10)


def test_a_killed_watchdog_is_replaced(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        before = bed.kill("watchdog")
        until(lambda: bed.pid("watchdog") not in (0, before), 20, bed.describe)
        until(lambda: bed.health().get("pid") == bed.pid("watchdog"), 20, bed.describe)
        bed.wait_healthy()
        assert len(bed.pids()) == 3
        bed.stop()


def test_a_killed_watchdog_that_still_holds_its_lock_is_replaced(tmp_path: Path) -> None:
    """The kernel may close the pipe to a component before the lock file."""
    with daemon(tmp_path) as bed:
        bed.configure(document(_account(tmp_path), rate=1, period=5), upload_spread_s=0)
        bed.state.mkdir(mode=0o700)
        ended = subprocess.Popen(["true"])
        ended.wait()
        where = descriptor.read(str(bed.home / "daemon.json"))
        lock = locks.take(where.lock_file)
        os.pwrite(lock, f"{ended.pid:<19}\n".encode(), 0)
        threading.Timer(0.5, os.close, [lock]).start()
        component.after_orphaned(where)
        until(lambda: bed.pid("watchdog"), 20, bed.describe)
        bed.wait_healthy()
        bed.stop()


def test_an_orphan_starts_no_watchdog_beside_another(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        before = bed.pids()
        component.after_orphaned(descriptor.read(str(bed.home / "daemon.json")))
        assert set(bed.pids()) == set(before)
        assert "already" not in bed.log.read_text()
        bed.stop()


def test_in_the_foreground_a_killed_watchdog_ends_all(tmp_path: Path) -> None:
    with daemon(tmp_path, "foreground") as bed:
        _ready(bed, tmp_path)
        bed.kill("watchdog")
        bed._reap_while(lambda: bool(bed.pids()), 10)


def test_when_the_folder_vanishes_everything_ends(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        pids = [bed.pid(n) for n in ("watchdog", "collector", "uploader")]
        shutil.rmtree(bed.home)
        end = time.monotonic() + 30
        while any(os.path.exists(f"/proc/{p}") for p in pids):
            assert bed.process is not None
            bed.process.poll()
            assert time.monotonic() < end, bed.describe()
            time.sleep(0.1)
        assert "is gone" in bed.log.read_text()


def test_a_second_watchdog_leaves_the_first_alone(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        first, first_process = bed.pid("watchdog"), bed.process
        bed.start()
        assert bed.process is not None
        assert bed.process.wait(20) == 0
        bed.process = first_process
        assert bed.pid("watchdog") == first
        bed.stop()


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _ready(bed, tmp_path)
        watchdog, collector = bed.pid("watchdog"), bed.pid("collector")
        good = (bed.home / "xmlCfg.xml").read_text()
        (bed.home / "xmlCfg.xml").write_text(good.replace("</Events>", "<Oops></Events>"))
        os.kill(watchdog, signal.SIGHUP)
        until(lambda: bool(bed.health().get("refused")), 20, bed.describe)
        assert bed.pid("collector") == collector
        until(lambda: bed.status()["status"] == "error", 10, bed.describe)  # written after the health
        (bed.home / "xmlCfg.xml").write_text(good.replace('"Raw"', '"Other"'))
        os.kill(watchdog, signal.SIGHUP)
        until(lambda: _rows(tmp_path, "OtherVer2v0") > 0, 30, bed.describe)
        assert bed.pid("watchdog") == watchdog
        assert bed.pid("collector") != collector
        bed.wait_healthy()
        until(lambda: bed.status()["status"] == "success", 10, bed.describe)
        bed.stop()


def test_a_broken_document_is_named_in_status_and_tried_again(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        bed.configure("<MonitoringManagement")
        bed.start()
        until(lambda: "xmlCfg.xml" in str(bed.health().get("components")), 30, bed.describe)
        until(lambda: bed.status()["status"] == "error", 10, bed.describe)
        bed.configure(document(_account(tmp_path), rate=1, period=5))
        until(lambda: bed.health().get("healthy") is True, 60, bed.describe)
        bed.stop()


def test_a_damaged_store_costs_no_start(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        bed.state.mkdir()
        (bed.state / "collector.db").write_bytes(b"garbage" * 1000)
        _ready(bed, tmp_path)
        assert "unusable" in bed.log.read_text()
        with sqlite3.connect(bed.state / "collector.db") as db:
            assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        bed.stop()
