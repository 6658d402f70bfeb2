"""Bounds of the store: cap, free-space floor, acknowledgements that find no room, and what is counted."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
from pathlib import Path

import pytest

from extension import health
from extension.pipeline.batches import Batch
from extension.rows.edm import Row
from extension.store import database, ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore


def _batch(table: str, n: int = 10, size: int = 1000, moniker: str = "m") -> Batch:
    rows = [Row("pk", f"{table}{i}", {"S": ("String", os.urandom(size).hex())}) for i in range(n)]
    return Batch(moniker, table, rows)


def _put(store: CollectorStore, *batches: Batch) -> bool:
    def change() -> None:
        store.queue(batches, 1.0)

    return store.commit(change)


def _size(store: CollectorStore) -> int:
    size, pages = (store.db.execute(f"PRAGMA {n}").fetchone()[0] for n in ("page_size", "page_count"))
    return int(size * pages)


def _balanced(folder: Path) -> dict[str, ledger.Balance]:
    found = ledger.read(str(folder))
    for table, b in found.items():
        assert b.produced == b.delivered + b.queued + sum(b.dropped.values()), (table, b)
    return found


def _dropped(folder: Path) -> int:
    return sum(sum(b.dropped.values()) for b in _balanced(folder).values())


def test_at_the_cap_the_newest_rows_win_and_no_more_is_dropped_than_has_to_be(tmp_path: Path) -> None:
    said: list[str] = []
    store = CollectorStore(str(tmp_path), max_bytes=2 << 20, report=said.append)
    for i in range(300):
        batch = _batch(f"T{i:03}")
        assert _put(store, batch)
    found = _balanced(tmp_path)
    assert found["T299"].queued == 10
    queued = sum(b.queued for b in found.values())
    assert queued > 500, "most of what fits into 2 MiB is still there"
    assert _dropped(tmp_path) == 3000 - queued
    assert found["T000"].dropped == {"store full": 10}
    assert len(said) == 1, said  # one state change


def test_a_change_that_can_never_fit_costs_no_queued_row(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=2 << 20)
    _put(store, _batch("Kept"))
    huge = _batch("Huge", 100, 40_000)
    assert not _put(store, huge)
    found = _balanced(tmp_path)
    assert found["Kept"].queued == 10
    assert "Huge" not in found
    assert _put(store, _batch("Next"))


def test_it_says_once_that_there_is_room_again(tmp_path: Path) -> None:
    said: list[str] = []
    store = CollectorStore(str(tmp_path), max_bytes=1 << 20, report=said.append)
    for i in range(120):
        batch = _batch(f"T{i:03}")
        _put(store, batch)
    uploads = UploaderStore(str(tmp_path))
    for queued in uploads.pending("m", 1000):
        uploads.acknowledge(queued.id, queued.table, len(queued.rows), {}, 2.0)
    store.forget_delivered()
    store.enforce_bounds()  # the first look after the last drop: it may go on
    assert store.commit(lambda: store.put("a", "b"))
    store.enforce_bounds()
    assert len(said) == 2, said
    assert "again" in said[1]
    assert "rows" in said[1]


def test_below_the_floor_the_file_stops_growing_and_nothing_is_dropped_for_it_alone(tmp_path: Path) -> None:
    said: list[str] = []
    free = [1 << 40]
    store = CollectorStore(
        str(tmp_path), max_bytes=64 << 20, min_free_bytes=1 << 30, report=said.append, free_bytes=lambda: free[0]
    )
    for i in range(100):
        batch = _batch(f"T{i:03}")
        _put(store, batch)
    free[0] = 1 << 20
    store.enforce_bounds()
    assert _dropped(tmp_path) == 0
    size = _size(store)
    for i in range(100, 200):
        batch = _batch(f"T{i:03}")
        assert _put(store, batch)
    found = _balanced(tmp_path)
    assert found["T199"].queued == 10
    assert found["T000"].dropped == {"disk free-space floor": 10}
    assert _size(store) <= max(size, 1 << 20)
    lost = _dropped(tmp_path)
    free[0] = 1 << 40
    for i in range(200, 260):
        batch = _batch(f"T{i:03}")
        assert _put(store, batch)
    assert _dropped(tmp_path) == lost  # it grows again
    assert len([s for s in said if "less than the floor" in s]) == 1, said


def test_a_disk_that_hovers_at_the_floor_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    free = [1 << 30]
    store = CollectorStore(
        str(tmp_path), max_bytes=64 << 20, min_free_bytes=64 << 20, report=said.append, free_bytes=lambda: free[0]
    )
    for i in range(20):
        free[0] = (64 << 20) + (-1 if i % 2 else 1) * (1 << 20)
        assert _put(store, _batch("T", 1, 1))
    assert len(said) == 1, said
    free[0] = 128 << 20
    assert _put(store, _batch("T", 1, 1))
    assert len(said) == 2, said


def test_on_an_almost_full_disk_an_empty_store_still_takes_a_little(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20, min_free_bytes=1 << 30, free_bytes=lambda: 1 << 20)
    assert _put(store, _batch("T"))
    assert _balanced(tmp_path)["T"].queued == 10


def test_space_of_a_delivered_backlog_is_given_back(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    for _ in range(20):
        _put(store, _batch("T", 100, 4000))
    uploads = UploaderStore(str(tmp_path))
    for queued in uploads.pending("m", 1000):
        uploads.acknowledge(queued.id, queued.table, len(queued.rows), {}, 2.0)
    store.forget_delivered()
    assert store.db.execute("PRAGMA freelist_count").fetchone()[0] > 2048
    for _ in range(3):
        store.enforce_bounds()
    assert _size(store) < 6 << 20


def test_rows_that_were_delivered_after_all_are_not_counted_as_dropped(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _put(store, _batch("A"), _batch("B"))
    uploads = UploaderStore(str(tmp_path))
    in_flight = uploads.pending("m")
    assert store.drop_oldest(2, "store full") == 20
    uploads.acknowledge(in_flight[0].id, "A", 9, {"InvalidInput": 1}, 2.0)
    found = _balanced(tmp_path)  # at once
    assert (found["A"].delivered, found["A"].dropped) == (9, {"InvalidInput": 1})
    assert found["B"].dropped == {"store full": 10}
    uploads.prune()
    store.forget_delivered()
    uploads.prune()
    assert uploads.db.execute("SELECT count(*) FROM acks").fetchone() == (0,)
    assert _balanced(tmp_path) == found


def _brim(db: sqlite3.Connection) -> None:
    """Let the database take no page more, as a full disk would."""
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count={pages}").fetchone()
    db.execute("CREATE TABLE IF NOT EXISTS ballast(x)")
    for size in (4000, 1000, 100, 10, 0):
        with contextlib.suppress(sqlite3.OperationalError):
            for _ in range(10_000):
                db.execute("INSERT INTO ballast VALUES(zeroblob(?))", (size,))


def test_acknowledgements_wait_in_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    batches = [_batch(f"T{i:03}", 1, 1) for i in range(500)]
    _put(store, *batches)
    uploads = UploaderStore(str(tmp_path))
    uploads.db.execute("CREATE TABLE ballast(x)")
    queued = uploads.pending("m", 1000)
    _brim(uploads.db)
    for one in queued:
        uploads.acknowledge(one.id, one.table, 1, {}, 2.0)
    uploads.note("problem:m", "x" * 5000)  # status can wait
    assert uploads.pending("m", 1000) == []
    assert sum(b.queued for b in _balanced(tmp_path).values()) > 0
    uploads.db.execute("PRAGMA max_page_count=100000").fetchone()
    uploads.prune()
    found = _balanced(tmp_path)
    assert sum(b.delivered for b in found.values()) == 500
    assert sum(b.queued for b in found.values()) == 0


def test_fresh_batches_go_out_beside_an_old_backlog(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _put(store, *[_batch(f"Old{i:03}", 1, 1) for i in range(100)])
    uploads = UploaderStore(str(tmp_path))
    sent: list[str] = []

    def send() -> list[str]:
        round_ = uploads.pending("m", 20, fresh=4)
        for queued in round_:
            uploads.acknowledge(queued.id, queued.table, 1, {}, 2.0)
        sent.extend(q.table for q in round_)
        return [q.table for q in round_]

    assert send() == [f"Old{i:03}" for i in range(20)]
    _put(store, *[_batch(f"New{i:03}", 1, 1) for i in range(6)])
    assert send() == [f"Old{i:03}" for i in range(20, 36)] + [f"New{i:03}" for i in range(4)]
    assert send() == [f"Old{i:03}" for i in range(36, 54)] + ["New004", "New005"]
    store.forget_delivered()
    uploads.prune()
    assert send() == [f"Old{i:03}" for i in range(54, 74)]
    while send():
        pass
    assert sorted(sent) == sorted([f"Old{i:03}" for i in range(100)] + [f"New{i:03}" for i in range(6)])


def test_an_outbox_that_goes_away_meanwhile_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CollectorStore(str(tmp_path), max_bytes=64 << 20)
    uploads = UploaderStore(str(tmp_path))

    def set_aside(path: str) -> sqlite3.Connection | None:
        found = database.open_reader(path)
        os.replace(path, path + ".corrupt")
        return found

    with monkeypatch.context() as patched:
        patched.setattr("extension.store.uploader_db.open_reader", set_aside)
        with pytest.raises(StoreError):
            uploads.pending("m")
    assert uploads.pending("m") == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "daemon.health"
    health.replace(str(path), b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"."):
            health.replace(str(path), b"x" * 5000)  # the first 1000 bytes can be written
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["daemon.health"]


def _damage(path: Path, pages: list[int]) -> None:
    with open(path, "r+b") as file:
        for page in pages:
            file.seek(page * 4096)
            file.write(os.urandom(4096))


def _used_store(folder: Path, said: list[str]) -> int:
    """30 batches of 10 rows of which 5 are delivered and 2 were dropped; the batch id that is on its way."""
    store = CollectorStore(str(folder), max_bytes=64 << 20, report=said.append)
    _put(store, *[_batch("T") for _ in range(30)])
    assert store.drop_oldest(2, "store full") == 20
    uploads = UploaderStore(str(folder))
    queued = uploads.pending("m", 100)
    for one in queued[:5]:
        uploads.acknowledge(one.id, one.table, 9, {"InvalidInput": 1}, 1.0)
    uploads.close()
    store.close()
    return queued[5].id


def test_what_a_damaged_store_held_is_counted_as_lost(tmp_path: Path) -> None:
    said: list[str] = []
    _used_store(tmp_path, said)
    pages = (tmp_path / "collector.db").stat().st_size // 4096
    _damage(tmp_path / "collector.db", list(range(pages * 3 // 4, pages)))  # the rows, not the counts
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20, report=said.append)
    assert len(said) == 1
    assert "230 unsent rows in it are lost" in said[0]
    balance = _balanced(tmp_path)["T"]
    assert balance.dropped == {"store full": 20, "store damaged": 230, "InvalidInput": 5}
    assert (balance.produced, balance.delivered, balance.queued) == (300, 45, 0)
    _put(store, _batch("T"))
    assert _balanced(tmp_path)["T"].queued == 10


def test_a_store_that_cannot_be_read_at_all_leaves_a_balance_too(tmp_path: Path) -> None:
    said: list[str] = []
    _used_store(tmp_path, said)
    with open(tmp_path / "collector.db", "r+b") as file:
        file.truncate(5000)
    CollectorStore(str(tmp_path), max_bytes=64 << 20, report=said.append)
    assert "how many unsent rows it held cannot be read" in said[0]
    balance = _balanced(tmp_path)["T"]
    assert (balance.produced, balance.delivered, balance.queued) == (50, 45, 0)


def test_an_acknowledgement_of_a_replaced_store_is_no_other_batchs(tmp_path: Path) -> None:
    said: list[str] = []
    late = _used_store(tmp_path, said)
    with open(tmp_path / "collector.db", "r+b") as file:
        file.truncate(5000)
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20, report=said.append)
    uploads = UploaderStore(str(tmp_path))
    assert uploads.pending("m") == []
    uploads.acknowledge(late, "T", 10, {}, 2.0)  # it was on its way all the time
    _put(store, *[_batch("T", 1, 1) for _ in range(100)])
    assert len(uploads.pending("m", 1000)) == 100
