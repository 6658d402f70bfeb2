"""Rows that were dropped have a time: what is old is information, and the counters stay."""

from __future__ import annotations

import argparse
import json
import sqlite3
from pathlib import Path

import pytest

from extension.pipeline.batches import Batch
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from extension.view import status

HOUR = 3600.0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def _collector(folder: Path, clock: Clock) -> CollectorStore:
    return CollectorStore(str(folder), max_bytes=64 << 20, clock=clock)


def _queue(store: CollectorStore, n: int, table: str = "T") -> None:
    with store.transaction():
        for i in range(n):
            store.queue([Batch("m", table, [Row("pk", f"{i}", {"V": ("Int64", i)})])], 1.0)


def _dropped(folder: Path, now: float) -> list[str]:
    return [p["message"] for p in status.gather(str(folder), lambda: now)["problems"] if p["code"] == "rows-dropped"]


def _of_an_earlier_version(path: Path) -> None:
    """What a version that dated no drops would have left."""
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM meta WHERE key LIKE 'dropped:%'")
    db.close()


def test_a_drop_is_a_problem_for_a_day_and_then_information(tmp_path: Path) -> None:
    clock = Clock(1e9)
    store = _collector(tmp_path, clock)
    _queue(store, 3)
    store.drop_oldest(2, "store full")
    now = clock.now + 23.9 * HOUR
    assert _dropped(tmp_path, now) == ["T: 2 rows dropped (store full), the last 23 h ago"]
    assert "T: 2 rows dropped (store full), the last 23 h ago" not in status._lines(status.gather(str(tmp_path)), now)
    now = clock.now + 24.1 * HOUR
    assert _dropped(tmp_path, now) == []
    found = status.gather(str(tmp_path), lambda: now)
    assert "T: 2 rows dropped (store full), the last 1 d ago" in status._lines(found, now)
    event = found["events"]["T"]
    assert (event["dropped"], event["last_dropped"]) == ({"store full": 2}, {"store full": 1e9})
    clock.now = now
    store.drop_oldest(1, "store full")
    assert _dropped(tmp_path, now + 90) == ["T: 3 rows dropped (store full), the last 1 min ago"]


def test_each_reason_and_each_file_has_its_own_time(tmp_path: Path) -> None:
    clock = Clock(1e9)
    store = _collector(tmp_path, clock)
    _queue(store, 4)
    uploads = UploaderStore(str(tmp_path), clock)
    batches = uploads.pending("m", 3)
    uploads.acknowledge(batches[0].id, "T", 0, {"InvalidInput": 1}, 1e9 + 5)
    uploads.acknowledge(batches[1].id, "T", 0, {"store full": 1}, 1e9 + 7)
    with store.transaction():
        store.refuse("T", "NaN", 1)
        clock.now += 2
        store.drop("T", "store full", 1)
    assert ledger.read(str(tmp_path))["T"].last_dropped == {"InvalidInput": 1e9 + 5, "NaN": 1e9, "store full": 1e9 + 7}
    assert len(_dropped(tmp_path, 1e9 + 10)) == 3


def test_a_store_of_an_earlier_version_is_read_and_dated_when_it_is_opened(tmp_path: Path) -> None:
    clock = Clock(1e9)
    store = _collector(tmp_path, clock)
    _queue(store, 3)
    store.drop_oldest(1, "store full")
    uploads = UploaderStore(str(tmp_path), clock)
    uploads.acknowledge(uploads.pending("m")[0].id, "T", 0, {"InvalidInput": 1}, 1e9)
    store.close()
    uploads.close()
    for name in ("collector.db", "uploader.db"):
        _of_an_earlier_version(tmp_path / name)
    later = 1e9 + 300 * HOUR
    assert sorted(_dropped(tmp_path, later)) == ["T: 1 rows dropped (InvalidInput)", "T: 1 rows dropped (store full)"]
    clock.now = later
    _collector(tmp_path, clock).close()
    UploaderStore(str(tmp_path), clock).close()
    clock.now += HOUR
    _collector(tmp_path, clock).close()  # dated once, not at each start
    UploaderStore(str(tmp_path), clock).close()
    assert ledger.read(str(tmp_path))["T"].last_dropped == {"InvalidInput": later, "store full": later}
    assert _dropped(tmp_path, later + 25 * HOUR) == []


@pytest.mark.parametrize("lost", ["collector.db", "uploader.db"])
def test_the_times_outlive_a_damaged_file(tmp_path: Path, lost: str) -> None:
    clock = Clock(1e9)
    store = _collector(tmp_path, clock)
    _queue(store, 4)
    store.drop_oldest(1, "store full")
    uploads = UploaderStore(str(tmp_path), clock)
    uploads.acknowledge(uploads.pending("m")[0].id, "T", 0, {"InvalidInput": 1}, 1e9)
    assert store.forget_delivered() == 1  # the collector keeps the totals
    store.close()
    uploads.close()
    path = tmp_path / lost
    data = bytearray(path.read_bytes())
    if lost == "collector.db":
        with sqlite3.connect(path) as db:
            page, size = db.execute("SELECT rootpage FROM sqlite_master WHERE name='samples_at'").fetchone()[0], 4096
        db.close()
        data = bytearray(path.read_bytes())
        data[(page - 1) * size : page * size] = b"\xff" * size
    else:
        data[:] = b"not a database" * 500
    path.write_bytes(data)
    clock.now = 1e9 + 48 * HOUR
    _collector(tmp_path, clock)
    UploaderStore(str(tmp_path), clock)
    balance = ledger.read(str(tmp_path))["T"]
    assert (balance.dropped["store full"], balance.dropped["InvalidInput"]) == (1, 1)
    assert (balance.last_dropped["store full"], balance.last_dropped["InvalidInput"]) == (1e9, 1e9)
    if lost == "collector.db":
        assert balance.dropped["store damaged"] == 2
        assert balance.last_dropped["store damaged"] == clock.now


def test_a_drop_that_is_taken_back_shows_no_time(tmp_path: Path) -> None:
    clock = Clock(1e9)
    store = _collector(tmp_path, clock)
    _queue(store, 1)
    uploads = UploaderStore(str(tmp_path), clock)
    (batch,) = uploads.pending("m")
    store.drop_oldest(1, "store full")
    uploads.acknowledge(batch.id, "T", 1, {}, 1e9)
    balance = ledger.read(str(tmp_path))["T"]
    assert (balance.dropped, balance.last_dropped) == ({}, {})


def test_a_damaged_time_is_no_time(tmp_path: Path) -> None:
    store = _collector(tmp_path, Clock(1e9))
    _queue(store, 2)
    store.drop_oldest(1, "a:b")
    store.put("dropped:T:a:b", "nan")
    assert ledger.read(str(tmp_path))["T"].last_dropped == {}
    assert _dropped(tmp_path, 5e9) == ["T: 1 rows dropped (a:b)"]


def test_the_command_is_content_again_when_the_last_drop_is_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = _collector(tmp_path, Clock(1e9))
    _queue(store, 1)
    store.drop_oldest(1, "store full")
    arguments = argparse.Namespace(state_dir=str(tmp_path), json=True)
    assert status.status(arguments) == 1  # the daemon does not run
    found = json.loads(capsys.readouterr().out)
    assert [p["code"] for p in found["problems"]] == ["daemon-stopped"]
    assert found["events"]["T"]["last_dropped"] == {"store full": 1e9}
