"""The store's files vanish under a running daemon: it begins new ones by itself, says so, and the balance holds."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.plan import Account
from extension.store import ledger
from tests.daemon_bed import Daemon, daemon, document, until


def _delivered(bed: Daemon) -> int:
    return sum(balance.delivered for balance in ledger.read(str(bed.state)).values())


@contextlib.contextmanager
def _delivering(folder: Path, period: int) -> Iterator[Daemon]:
    """A daemon whose first rows have been delivered."""
    account = Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{folder}/tables.db", True)
    with daemon(folder) as bed:
        bed.configure(document(account, rate=1, period=period, raw=True), upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        until(lambda: _delivered(bed) > 0, 30, bed.describe)
        yield bed


def _check_balance(bed: Daemon) -> None:
    for table, balance in ledger.read(str(bed.state)).items():
        ended = balance.delivered + balance.queued + sum(balance.dropped.values())
        assert balance.produced == ended, (table, balance, bed.describe())


@pytest.mark.parametrize("component", ["collector", "uploader"])
def test_a_removed_file_is_noticed(tmp_path: Path, component: str) -> None:
    with _delivering(tmp_path, period=5) as bed:
        before = bed.pid(component)
        for end in ("", "-wal", "-shm"):
            (bed.state / f"{component}.db{end}").unlink(missing_ok=True)
        until(lambda: bed.pid(component) not in (0, before), 60, bed.describe)
        bed.wait_healthy()
        assert f"{component}.db was removed while in use" in bed.log.read_text()
        known = _delivered(bed)
        until(lambda: _delivered(bed) > known, 30, bed.describe)
        bed.stop()
        # what a removed uploader.db knew and the collector did not is sent once more, or was already taken note of
        _check_balance(bed)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_comes_after_a_truncated_store_is_uploaded_and_kept(tmp_path: Path, share: float) -> None:
    with _delivering(tmp_path, period=2) as bed:
        bed.stop()
        path = bed.state / "collector.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        os.truncate(path, int(path.stat().st_size * share))
        bed.start()
        bed.wait_healthy()
        assert "collector.db.corrupt and a new one was started" in bed.log.read_text()
        known = _delivered(bed)
        until(lambda: _delivered(bed) > known + 20, 30, bed.describe)
        known = _delivered(bed)
        bed.kill("collector")
        until(lambda: _delivered(bed) > known + 10, 30, bed.describe)
        bed.stop()
        _check_balance(bed)
