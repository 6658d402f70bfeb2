"""A new configuration under a running daemon: nothing is lost, and a bad one never replaces a good one."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from extension.plan import Account
from extension.store import ledger
from tests.daemon_bed import Daemon, daemon, document, until

RATE = 2


def _account(folder: Path) -> Account:
    return Account("m", "acct", "key", "c2VjcmV0", f"file://{folder}/tables.db", True)


def _document(folder: Path, period: int = 10) -> str:
    return document(_account(folder), rate=RATE, period=period, raw=True)


def _hangup(bed: Daemon) -> None:
    os.kill(bed.pid("watchdog"), signal.SIGHUP)


def _start(bed: Daemon, folder: Path) -> None:
    bed.configure(_document(folder), upload_spread_s=0)
    bed.start()
    bed.wait_healthy()
    until(lambda: _delivered(bed, "RawVer2v0") > 1, 30, bed.describe)


def _delivered(bed: Daemon, table: str) -> int:
    balance = ledger.read(str(bed.state)).get(table)
    return balance.delivered if balance else 0


def _sampled(bed: Daemon) -> list[int]:
    """The sampling intervals (Unix s of their beginnings) whose raw row is in the table or on its way."""
    with contextlib.closing(sqlite3.connect(f"file:{bed.folder}/tables.db?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    assert tables
    from extension.sinks.reader import open_reader

    rows = list(open_reader(_account(bed.folder)).query("RawVer2v0"))
    from datetime import datetime

    stamps = [str(row.columns["TIMESTAMP"][1]) for row in rows]
    return sorted(int(datetime.fromisoformat(s[:19] + "+00:00").timestamp()) for s in stamps)


def test_a_reload_loses_no_sample_no_window_and_no_row(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _start(bed, tmp_path)
        for count in range(3):
            before = {name: bed.pid(name) for name in ("collector", "uploader")}
            bed.configure(_document(tmp_path).replace(">bed<", f">bed{count}<"), upload_spread_s=0)
            _hangup(bed)
            for name, pid in before.items():
                until(lambda name=name, pid=pid: bed.pid(name) not in (0, pid), 30, bed.describe)  # type: ignore[misc]
            bed.wait_healthy()
            seen = _delivered(bed, "RawVer2v0")
            until(lambda seen=seen: _delivered(bed, "RawVer2v0") > seen + 1, 30, bed.describe)  # type: ignore[misc]
        until(lambda: _delivered(bed, "Metrics") > 0, 40, bed.describe)
        bed.stop()
        times = _sampled(bed)
        assert len(set(times)) == len(times)  # nothing twice
        gaps = [(a, b) for a, b in pairwise(times) if b - a > 2 * RATE]
        assert not gaps, f"{gaps}\n{bed.describe()}"
        balances = ledger.read(str(bed.state))
        assert all(not b.dropped for b in balances.values())
        assert "was killed" not in bed.log.read_text()


def test_a_component_that_dies_under_a_refused_document_goes_on_with_the_accepted_one(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _start(bed, tmp_path)
        until(lambda: (bed.state / "accepted" / "source.json").exists(), 10, bed.describe)
        assert (bed.state / "accepted").stat().st_mode & 0o777 == 0o700
        assert (bed.state / "accepted" / "xmlCfg.xml").stat().st_mode & 0o777 == 0o600
        good = (bed.home / "xmlCfg.xml").read_text()
        (bed.home / "xmlCfg.xml").write_text(good.replace("</Events>", "<Oops></Events>"))
        _hangup(bed)
        until(lambda: bool(bed.health().get("refused")), 20, bed.describe)
        assert "xmlCfg.xml" in str(bed.health()["refused"])
        killed = bed.kill("collector")
        seen = _delivered(bed, "RawVer2v0")
        until(lambda: bed.pid("collector") not in (0, killed), 30, bed.describe)
        until(lambda: _delivered(bed, "RawVer2v0") > seen + 1, 30, bed.describe)
        assert bed.health()["refused"]
        part = next(p for p in bed.status()["substatus"] if p["name"] == "configuration")
        assert part["status"] == "error"
        (bed.home / "xmlCfg.xml").write_text(good)
        _hangup(bed)
        bed.wait_healthy()
        until(lambda: bed.status()["status"] == "success", 10, bed.describe)
        bed.stop()


def test_a_start_with_a_broken_document_runs_the_accepted_one(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _start(bed, tmp_path)
        until(lambda: (bed.state / "accepted" / "source.json").exists(), 10, bed.describe)
        bed.stop()
        (bed.home / "xmlCfg.xml").write_text("<MonitoringManagement")
        seen = _delivered(bed, "RawVer2v0")
        bed.start()
        until(lambda: _delivered(bed, "RawVer2v0") > seen + 1, 40, bed.describe)
        until(lambda: "xmlCfg.xml" in str(bed.health().get("refused")), 10, bed.describe)
        until(lambda: bed.status()["status"] == "error", 10, bed.describe)
        bed.stop()


def test_another_documents_copy_is_not_run(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        bed.configure("<MonitoringManagement", upload_spread_s=0)
        accepted = bed.state / "accepted"
        accepted.mkdir(parents=True)
        (accepted / "xmlCfg.xml").write_text(_document(tmp_path))
        (accepted / "options.json").write_text("{}")
        (accepted / "source.json").write_text('["/elsewhere/xmlCfg.xml", ""]')
        bed.start()
        until(lambda: "xmlCfg.xml" in str(bed.health().get("components")), 30, bed.describe)
        assert not bed.health()["healthy"]
        assert not bed.health()["refused"]
        bed.stop()


def test_lad_run_reloads_on_sighup_and_ends_with_its_terminal(tmp_path: Path) -> None:
    config = tmp_path / "xmlCfg.xml"
    config.write_text(_document(tmp_path))
    (tmp_path / "options.json").write_text('{"upload_spread_s": 0}')
    state = tmp_path / "state"
    command = [sys.executable, "-m", "extension.cli", "run", "-c", str(config), "--state-dir", str(state)]
    master, slave = pty.openpty()
    with open(tmp_path / "out", "wb") as out:
        run = subprocess.Popen(command, stdin=slave, stdout=out, stderr=out, start_new_session=True, preexec_fn=_tty)
    os.close(slave)
    bed = Daemon(tmp_path)
    try:
        until(lambda: (state / "daemon.health").exists() and bed.health().get("healthy"), 30, _text(tmp_path / "out"))
        collector = bed.pid("collector")
        config.write_text(_document(tmp_path).replace('"Raw"', '"Other"'))
        run.send_signal(signal.SIGHUP)
        until(lambda: _delivered(bed, "OtherVer2v0") > 0, 30, _text(tmp_path / "out"))
        assert bed.pid("collector") != collector
        os.close(master)  # the terminal goes away: the kernel sends SIGHUP, and there is nobody to run for
        assert run.wait(20) == 0
        assert "terminal is gone" in (tmp_path / "out").read_text()
    finally:
        if run.poll() is None:
            run.terminate()
            run.wait(20)


def _tty() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _text(path: Path):  # type: ignore[no-untyped-def]
    return path.read_text
