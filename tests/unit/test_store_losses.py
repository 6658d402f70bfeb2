"""Files that vanish, are cut or lose their newest changes with the power: the balance holds and nothing new is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from extension.lane import DAMAGED, Lane
from extension.pipeline.batches import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import open_sink
from extension.store import gaps, ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore

FILES = ("collector.db", "collector.db-wal", "uploader.db", "uploader.db-wal")


def _batch(name: str, width: int = 40) -> Batch:
    texts = [os.urandom(width // 2).hex() for _ in range(4)]
    return Batch("m", "Tab", [Row("p", f"{name}{i}", {"V": ("String", text)}) for i, text in enumerate(texts)])


def _queue(store: CollectorStore, *names: str, width: int = 40) -> None:
    with store.transaction():
        store.queue([_batch(name, width) for name in names], 1.0)


def _acknowledge(uploads: UploaderStore, limit: int) -> None:
    for batch in uploads.pending("m", limit):
        uploads.acknowledge(batch.id, batch.table, batch.count, {}, 2.0)


def _copy(folder: Path, to: Path, names: tuple[str, ...] = FILES) -> None:
    to.mkdir(exist_ok=True)
    for name in names:
        if (folder / name).exists():
            shutil.copy(folder / name, to / name)


def _open(folder: Path, said: list[str]) -> tuple[CollectorStore, UploaderStore]:
    return CollectorStore(str(folder), max_bytes=64 << 20, report=said.append), UploaderStore(str(folder))


def _balance(folder: Path) -> ledger.Balance:
    balance = ledger.read(str(folder))["Tab"]
    assert balance.produced == balance.delivered + balance.queued + sum(balance.dropped.values())
    return balance


def _unlink(folder: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (folder / f"collector.db{end}").unlink(missing_ok=True)


def _empty(folder: Path) -> None:
    _unlink(folder)
    (folder / "collector.db").touch()


@pytest.mark.parametrize("lose", [_unlink, _empty])
def test_a_store_that_is_gone_is_said_and_the_balance_goes_on(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a", "b", "c")
    _acknowledge(uploads, 2)
    store.close()
    uploads.close()
    lose(tmp_path)
    said: list[str] = []
    store, uploads = _open(tmp_path, said)
    assert "8 rows that were uploaded" in said[0]
    known = gaps.read(store.path)
    assert known is not None
    assert known.replaced is not None  # lad audit names the lost store as the cause of what is missing
    _queue(store, "d")
    balance = _balance(tmp_path)
    assert (balance.produced, balance.delivered, balance.queued) == (12, 8, 4)
    assert [batch.rows[0].row_key for batch in uploads.pending("m")] == ["d0"]


@pytest.mark.parametrize("sent", [0, 1])
def test_both_files_lost_one_after_the_other(tmp_path: Path, sent: int) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a", "b")
    _acknowledge(uploads, 2)
    _unlink(tmp_path)
    assert not store.in_place()
    assert uploads.in_place()
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    assert store.in_place()
    _queue(store, "c")
    if sent:
        _acknowledge(uploads, sent)
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"uploader.db{end}").unlink(missing_ok=True)
    assert not uploads.in_place()
    uploads = UploaderStore(str(tmp_path))
    assert uploads.in_place()
    balance = _balance(tmp_path)
    assert (balance.produced, balance.delivered, balance.queued) == (12, 8, 4)
    _acknowledge(uploads, 1)
    store.forget_delivered()
    assert _balance(tmp_path).delivered == 12


def test_a_new_store_says_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    _open(tmp_path, said)
    assert said == []


def test_a_collector_that_lost_its_newest_changes_gives_no_number_twice(tmp_path: Path) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a")
    _copy(tmp_path, tmp_path / "before")
    _queue(store, "b", "c")
    _acknowledge(uploads, 3)
    store.close()
    uploads.close()
    after = tmp_path / "after"
    _copy(tmp_path / "before", after, FILES[:2])
    _copy(tmp_path, after, FILES[2:])
    said: list[str] = []
    store, uploads = _open(after, said)
    assert "8 rows that were uploaded" in said[0]
    _queue(store, "new", "newer")
    store.forget_delivered()
    assert [batch.rows[0].row_key for batch in uploads.pending("m")] == ["new0", "newer0"]
    balance = _balance(after)
    assert (balance.produced, balance.delivered, balance.queued) == (20, 12, 8)


def test_an_uploader_that_lost_its_newest_changes_counts_nothing_twice(tmp_path: Path) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a", "b", "c", "d")
    _acknowledge(uploads, 1)
    _copy(tmp_path, tmp_path / "before")
    _acknowledge(uploads, 2)
    store.forget_delivered()
    _acknowledge(uploads, 1)
    store.close()
    uploads.close()
    after = tmp_path / "after"
    _copy(tmp_path, after, FILES[:2])
    _copy(tmp_path / "before", after, FILES[2:])
    store, uploads = _open(after, [])
    assert [batch.rows[0].row_key for batch in uploads.pending("m")] == ["d0"]  # sent once more: it replaces itself
    balance = _balance(after)
    assert (balance.produced, balance.delivered, balance.queued) == (16, 12, 4)
    _acknowledge(uploads, 1)
    assert _balance(after).delivered == 16


def test_damage_that_sqlite_cannot_even_quote_is_damage(tmp_path: Path) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a")
    store.close()
    uploads.close()
    raw = (tmp_path / "collector.db").read_bytes()
    at = raw.index(b"samples_at")
    (tmp_path / "collector.db").write_bytes(raw[:at] + bytes([0xE8, 0xB6]) + raw[at + 2 :])
    said: list[str] = []
    store, _ = _open(tmp_path, said)
    assert "kept as" in said[0]
    _queue(store, "b")


@pytest.mark.parametrize("name", ["collector.db", "uploader.db"])
def test_a_file_of_another_kind_is_set_aside(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xe8\xb6 no database " * 400)
    said: list[str] = []
    store, uploads = _open(tmp_path, said)
    assert (tmp_path / f"{name}.corrupt").exists()
    assert bool(said) == (name == "collector.db")
    assert bool(uploads.replaced) == (name == "uploader.db")
    _queue(store, "a")
    assert len(uploads.pending("m")) == 1


def test_a_batch_on_damaged_pages_holds_nothing_up(tmp_path: Path) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a")
    _queue(store, "big", width=20_000)
    _queue(store, "c")
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    page = store.db.execute("PRAGMA page_size").fetchone()[0]
    body = store.db.execute("SELECT body FROM outbox ORDER BY id LIMIT 1 OFFSET 1").fetchone()[0]
    raw = (tmp_path / "collector.db").read_bytes()
    at = raw.index(body[12000:12050]) // page * page  # one page of the chain that the body fills
    with open(tmp_path / "collector.db", "r+b") as file:
        file.seek(at)
        file.write(b"\x7f\xff\xff\xff")  # its successor: far behind the end of the file
    said: list[tuple[str, str]] = []
    uploads = UploaderStore(str(tmp_path))
    lane = Lane(
        Account("m", "", "key", "", f"file://{tmp_path}/tables.db"),
        uploads,
        spread_s=0.0,
        publish=_nothing,
        progress=_nothing,
        log=lambda level, text: said.append((level, text)),
        connect=open_sink,
    )
    lane.drain()
    balance = _balance(tmp_path)
    assert (balance.delivered, balance.queued, balance.dropped) == (8, 0, {DAMAGED: 4})
    assert "damaged" in said[0][1]


def _nothing() -> None:
    """Nobody is told."""


def test_a_store_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "collector.db").mkdir()
    with pytest.raises(StoreError, match="check free space and permissions"):
        CollectorStore(str(folder), max_bytes=64 << 20)


def test_the_newest_acknowledgement_of_another_store_moves_no_number(tmp_path: Path) -> None:
    store, uploads = _open(tmp_path, [])
    _queue(store, "a")
    _acknowledge(uploads, 1)
    uploads.close()
    with sqlite3.connect(tmp_path / "uploader.db") as db:
        db.execute("UPDATE meta SET value='another' WHERE key='generation'")
        db.execute("UPDATE acks SET batch=9000000000000000000")
    store.close()
    store, uploads = _open(tmp_path, [])
    _queue(store, "b")
    assert max(batch.id for batch in uploads.pending("m")) < 2**62
