"""The two store files: atomic ticks, acknowledgements, balance, bounds, damage."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from extension.pipeline.engine import Batch
from extension.pipeline.records import Record
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore


def _store(folder: Path, **more: object) -> CollectorStore:
    return CollectorStore(str(folder), max_bytes=64 << 20, **more)  # type: ignore[arg-type]


def _batch(table: str = "T", n: int = 2, moniker: str = "m", size: int = 1) -> Batch:
    rows = [Row("pk", f"{table}{i}", {"V": ("Int64", i), "S": ("String", os.urandom(size).hex())}) for i in range(n)]
    return Batch(moniker, table, rows)


def test_a_folder_with_characters_of_uris_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "a #b?c %41"
    store = _store(folder)

    def change() -> None:
        store.queue([_batch(n=3)], 1.0)

    store.commit(change)
    assert ledger.read(str(folder))["T"].queued == 3
    store.close()


def test_a_failed_tick_leaves_nothing(tmp_path: Path) -> None:
    store = _store(tmp_path)

    def change() -> None:
        store.samples.add("s", 1, [Record({"V": ("Int32", 1)})])
        store.queue([_batch()], 1.0)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        store.commit(change)
    assert list(store.samples.read("s", 0, 10)) == []
    assert store.outbox_rows() == 0
    assert ledger.read(str(tmp_path)) == {}


def test_samples_keep_types_keys_and_order(tmp_path: Path) -> None:
    store = _store(tmp_path)
    first = Record({"N": ("String", "é\\n"), "V": ("Int64", 2**62), "D": ("Double", float("inf"))})
    second = Record({"V": ("Int32", 1)}, "pk", "rk")
    store.samples.add("s", 20, [second])
    store.samples.add("s", 10, [first])
    store.samples.add("other", 15, [first])
    assert list(store.samples.read("s", 10, 21)) == [(10, first), (20, second)]
    assert list(store.samples.read("s", 10, 20)) == [(10, first)]
    assert [t for t, _ in store.samples.read("s", 0, 100)] == [10, 20]
    store.samples.trim("s", 20)
    assert [t for t, _ in store.samples.read("s", 0, 100)] == [20]


@pytest.mark.parametrize(
    ("begin", "end", "starts"),
    [(60, 120, [60]), (120, 180, []), (180, 240, [180]), (0, 240, [0, 60, 180]), (90, 150, [60]), (0, 60, [0])],
)
def test_windows_that_have_samples(tmp_path: Path, begin: int, end: int, starts: list[int]) -> None:
    store = _store(tmp_path)
    for second in (59, 119, 180, 181):
        store.samples.add("s", second * 1_000_000, [Record({"V": ("Int32", 1)})])
    store.samples.add("other", 120_000_000, [Record({"V": ("Int32", 1)})])
    assert store.samples.window_starts("s", begin, end, 60) == starts
    store.close()


def test_delivery_and_balance(tmp_path: Path) -> None:
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch("A", 3), _batch("B", 2), _batch("B", 1, moniker="other")], 5.0)
    uploads = UploaderStore(str(tmp_path))
    queued = uploads.pending("m")
    assert [(q.table, len(q.rows), q.queued_at) for q in queued] == [("A", 3, 5.0), ("B", 2, 5.0)]
    assert queued[0].rows[1].columns["V"] == ("Int64", 1)
    uploads.acknowledge(queued[0].id, "A", 2, {"PropertyValueTooLarge": 1}, 9.0)
    assert [q.table for q in uploads.pending("m")] == ["B"]
    balance = ledger.read(str(tmp_path))
    for b in balance.values():
        assert b.produced == b.delivered + b.queued + sum(b.dropped.values())
    assert (balance["A"].delivered, balance["A"].dropped, balance["A"].queued) == (2, {"PropertyValueTooLarge": 1}, 0)
    assert (balance["B"].queued, balance["B"].oldest_queued) == (3, 5.0)
    assert store.forget_delivered() == 1
    assert store.forget_delivered() == 0
    uploads.prune()
    assert uploads.db.execute("SELECT count(*) FROM acks").fetchone() == (0,)
    after = ledger.read(str(tmp_path))
    assert after["A"].delivered == 2
    assert after["B"].queued == 3


def test_acknowledgements_survive_a_restart_and_ids_are_never_reused(tmp_path: Path) -> None:
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch("A")], 1.0)
    uploads = UploaderStore(str(tmp_path))
    (first,) = uploads.pending("m")
    uploads.acknowledge(first.id, "A", 2, {}, 1.0)
    uploads.close()
    store.forget_delivered()
    store.close()
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch("A")], 2.0)
    uploads = UploaderStore(str(tmp_path))
    (second,) = uploads.pending("m")
    assert second.id > first.id


def test_a_new_outbox_makes_old_acknowledgements_void(tmp_path: Path) -> None:
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch("A")], 1.0)
    uploads = UploaderStore(str(tmp_path))
    uploads.acknowledge(uploads.pending("m")[0].id, "A", 2, {}, 1.0)
    store.close()
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"collector.db{end}").unlink(missing_ok=True)
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch("A")], 2.0)
    assert len(uploads.pending("m")) == 1
    assert ledger.read(str(tmp_path))["A"].queued == 2
    assert store.forget_delivered() == 0


def test_a_damaged_store_is_set_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / "collector.db").write_bytes(b"this is not a database" * 500)
    (tmp_path / "uploader.db").write_bytes(b"neither is this" * 500)
    said: list[str] = []
    store = _store(tmp_path, report=said.append)
    assert len(said) == 1
    assert "collector.db.corrupt" in said[0]
    assert (tmp_path / "collector.db.corrupt").read_bytes().startswith(b"this is not")
    with store.transaction():
        store.queue([_batch()], 1.0)
    assert len(UploaderStore(str(tmp_path)).pending("m")) == 1


@pytest.mark.parametrize("size", [100, 4096, 0.5, -4096])
def test_what_takes_the_place_of_a_truncated_store_is_seen_by_others(tmp_path: Path, size: float) -> None:
    store = _store(tmp_path)
    for number in range(300):
        with store.transaction():
            store.queue([_batch(f"T{number}", 10)], 1.0)
    store.close()
    path = tmp_path / "collector.db"
    whole = path.stat().st_size
    os.truncate(path, int(whole * size if 0 < size < 1 else size if size > 0 else whole + size))
    said: list[str] = []
    store = _store(tmp_path, report=said.append)
    gc.collect()  # whatever was left of the old one
    assert "collector.db.corrupt" in said[0]
    assert [name for name in _open_files() if "collector.db" in name and "(deleted)" in name] == []
    with store.transaction():
        store.queue([_batch("New")], 2.0)
    program = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT tbl FROM outbox').fetchone())"
    seen = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert seen.stdout == "New\n", seen.stderr
    assert store.in_place()
    store.close()


def _open_files() -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


def test_a_removed_index_of_the_log_is_noticed(tmp_path: Path) -> None:
    store, uploads = _store(tmp_path), UploaderStore(str(tmp_path))
    assert store.in_place()
    assert uploads.in_place()
    for name in ("collector.db-shm", "uploader.db-shm"):
        (tmp_path / name).unlink()
    assert not store.in_place()
    assert not uploads.in_place()


def test_the_size_cap_drops_the_oldest_batches_counted(tmp_path: Path) -> None:
    said: list[str] = []
    store = CollectorStore(str(tmp_path), max_bytes=1 << 20, report=said.append)
    queued = 0
    for i in range(200):
        batch = _batch(f"T{i:03}", 10, size=1000)
        with store.transaction():
            queued += store.queue([batch], float(i))
        store.enforce_bounds()
    size = sum((tmp_path / f"collector.db{end}").stat().st_size for end in ("", "-wal"))
    assert size < 6 << 20
    balance = ledger.read(str(tmp_path))
    dropped = sum(sum(b.dropped.values()) for b in balance.values())
    assert dropped > 0
    assert sum(b.produced for b in balance.values()) == queued == dropped + sum(b.queued for b in balance.values())
    assert balance["T199"].queued == 10  # the newest stay
    assert balance["T000"].queued == 0


def test_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    opened = (_store(folder), UploaderStore(str(folder)))  # a closed database has no -wal
    assert all(opened)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("collector.db", "uploader.db", "collector.db-wal", "reserve"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_a_store_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open the store .*file/collector\.db.*\n?"):
        _store(tmp_path / "file")


def test_a_reader_inside_a_transaction_does_not_stop_the_writer(tmp_path: Path) -> None:
    store = _store(tmp_path)
    with store.transaction():
        store.queue([_batch()], 1.0)
    reader = sqlite3.connect(tmp_path / "collector.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
    with store.transaction():
        store.queue([_batch()], 2.0)
    assert reader.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
    reader.execute("COMMIT")
    assert store.outbox_rows() == 4


def test_what_is_remembered_of_acknowledgements_is_what_the_file_says(tmp_path: Path) -> None:
    store = _store(tmp_path)
    kept = UploaderStore(str(tmp_path))

    def agree() -> list[int]:
        found = [queued.id for queued in kept.pending("m", 100)]
        other = UploaderStore(str(tmp_path))
        assert [queued.id for queued in other.pending("m", 100)] == found
        other.close()
        return found

    for turn in range(6):
        with store.transaction():
            store.queue([_batch("A"), _batch("B"), _batch("C")], float(turn))
        waiting = agree()
        kept.acknowledge(waiting[0], "A", 2, {}, float(turn))
        kept.acknowledge(waiting[-1], "C", 2, {}, float(turn))
        assert agree() == waiting[1:-1]
        if turn % 2:
            store.forget_delivered()
            kept.prune()
            assert agree() == waiting[1:-1]
        if turn == 2:  # another outbox, whose numbers begin anew
            store.close()
            for end in ("", "-wal", "-shm"):
                (tmp_path / f"collector.db{end}").unlink(missing_ok=True)
            store = _store(tmp_path)
            assert agree() == []
    assert len(agree()) == 3
    acks = {number for (number,) in kept.db.execute("SELECT batch FROM acks")}
    assert len(acks) == 0
