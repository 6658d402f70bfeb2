"""``uploader.db``: which batches were acknowledged and what became of their rows. Written by the uploader alone."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from extension.rows import packed
from extension.rows.edm import Row
from extension.store import carry, drops
from extension.store.database import (
    StoreError,
    inodes,
    is_corrupt,
    is_full,
    open_checked,
    open_reader,
    open_writer,
    reuse_log,
    set_aside,
    transaction,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks(batch INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS delivered(tbl TEXT PRIMARY KEY, n INTEGER NOT NULL, last REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(tbl TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY(tbl, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memos(key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
KEPT_MEMOS = 500
LASTING_MEMOS = "expiry "
"""Memos whose keys begin so are few and needed for weeks: the many ones of blobs do not push them out."""
LOG_PAGES = 64
MAX_UNWRITTEN = 20_000
"""Acknowledgements that wait in memory for room on the disk; after a kill their rows are sent once more."""


@dataclass(frozen=True)
class Queued:
    """A batch in the outbox: ``count`` rows, at most 100, of one table and PartitionKey; ``body`` is them, packed."""

    id: int
    queued_at: float
    moniker: str
    table: str
    count: int
    body: bytes

    @property
    def rows(self) -> Sequence[Row]:
        """The rows, unpacked anew at each call. ValueError if the body is damaged."""
        try:
            return packed.read(zlib.decompress(self.body))
        except (zlib.error, AttributeError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"batch {self.id} of table {self.table} is damaged: {error!r}") from error


class _Ack(NamedTuple):
    batch: int
    table: str
    delivered: int
    dropped: dict[str, int]
    now: float
    spans: Mapping[str, drops.Span]


class UploaderStore:
    """The uploader's view: the outbox (read only) and its own acknowledgements, in ``folder``."""

    def __init__(self, folder: str, clock: Callable[[], float] = time.time) -> None:
        self.path = os.path.join(folder, "uploader.db")
        self._outbox_path = os.path.join(folder, "collector.db")
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._outbox_inodes = (0, 0)
        self._unwritten: list[_Ack] = []
        self._adopting = ""
        self._generation: str | None = None
        self._acks: set[int] | None = None
        """What the file says, if it was read: no other process writes it."""
        self._passed: dict[str, int] = {}
        self._horizon: dict[str, int] = {}
        self.replaced = ""
        """Why the file of an earlier process was set aside, "" if it was not."""
        try:
            self.db = open_checked(self.path, _SCHEMA)
        except StoreError as error:
            if not is_corrupt(error.__cause__ or error):
                raise
            self.replaced = str(error.__cause__ or error)
            set_aside(self.path)
            self.db = open_writer(self.path, _SCHEMA)  # acknowledgements are re-made: re-sent rows replace themselves
        self._inodes = inodes(self.path)
        # A long log would be room taken from the collector, on a full disk all of it.
        self.db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}").fetchone()
        carry.into_uploader(self.db, self._outbox_path, clock())

    def in_place(self) -> bool:
        """Whether the files are still those at their path: what is written into removed ones is seen by nobody."""
        return inodes(self.path) == self._inodes

    def pending(
        self, moniker: str, limit: int = 20, fresh: int = 0, without: Collection[str | int] = ()
    ) -> list[Queued]:
        """The oldest batches of an account that are not acknowledged yet; [] while there is no outbox.

        While there is a backlog, up to ``fresh`` of them are of those queued since it was met, oldest first as well.
        Tables (names) and batches (ids) ``without`` are left out.
        """
        with self._guarded():
            reader = self._outbox()
            if reader is None:
                return []
            acked = self._acked()
            first = self._passed.get(moniker, 0)
            old = self._find(reader, moniker, first, limit, acked, without)
            if old and not without:
                self._passed[moniker] = old[0].id - 1
            if len(old) < limit:
                self._horizon.pop(moniker, None)
                return old
            if moniker not in self._horizon:
                newest = reader.execute("SELECT max(id) FROM outbox").fetchone()[0]
                self._horizon[moniker] = newest or 0
            recent = self._find(reader, moniker, max(self._horizon[moniker], old[-1].id), fresh, acked, without)
            if recent and not without:
                self._horizon[moniker] = recent[0].id - 1
            return [*old[: limit - len(recent)], *recent]

    def _find(
        self,
        reader: sqlite3.Connection,
        moniker: str,
        after: int,
        limit: int,
        acked: set[int],
        without: Collection[str | int],
    ) -> list[Queued]:
        found: list[Queued] = []
        if limit <= 0:
            return found
        whole = "SELECT id, t, moniker, tbl, n, body FROM outbox WHERE id=?"
        ids = reader.execute("SELECT id, tbl FROM outbox WHERE id>? AND moniker=? ORDER BY id", (after, moniker))
        for batch, table in ids:
            if batch in acked or table in without or batch in without:
                continue
            try:
                row = reader.execute(whole, (batch,)).fetchone()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                # Its body lies on damaged pages: it is reported as damaged, and holds nothing else up.
                row = reader.execute(whole.replace("body", "X''"), (batch,)).fetchone()
            if row is not None:
                found.append(Queued(*row))
            if len(found) >= limit:
                break
        return found

    def _acked(self) -> set[int]:
        waiting = {ack.batch for ack in self._unwritten}
        if self._adopting:
            return waiting
        return self._written() | waiting if waiting else self._written()

    def _written(self) -> set[int]:
        """The acknowledgements that are in the file."""
        if self._acks is None:
            self._acks = {i for (i,) in self.db.execute("SELECT batch FROM acks")}
        return self._acks

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One thread at a time; what SQLite complains of becomes a StoreError."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                self._close_reader()
                self._generation = self._acks = None
                raise StoreError(f"the store of {self._outbox_path} and {self.path} fails: {error}") from error

    def _outbox(self) -> sqlite3.Connection | None:
        """The reader, and its outbox's generation adopted: acknowledgements of another outbox mean nothing."""
        if self._reader is not None and inodes(self._outbox_path) != self._outbox_inodes:
            self._close_reader()
        if self._reader is None:
            self._reader = open_reader(self._outbox_path)
            if self._reader is None:
                return None
            self._outbox_inodes = inodes(self._outbox_path)
            if not self._outbox_inodes[0]:  # it was moved away meanwhile
                raise FileNotFoundError(self._outbox_path)
        row = self._reader.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
        if row is None:
            return None
        if self._generation is None:
            known = self.db.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
            self._generation = None if known is None else str(known[0])
        if self._generation != row[0] and self._adopting != row[0]:
            self._adopting = str(row[0])
            self._unwritten.clear()
            self._passed.clear()
            self._horizon.clear()
        if self._adopting:
            self._write()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def acknowledge(
        self,
        batch: int,
        table: str,
        delivered: int,
        dropped: dict[str, int],
        now: float,
        spans: Mapping[str, drops.Span] = MappingProxyType({}),
    ) -> None:
        """Record a batch's end: rows delivered, and rows dropped by reason, with their times where those are known."""
        ack = _Ack(batch, table, delivered, dropped, now, spans)
        with self._guarded():
            if len(self._unwritten) >= MAX_UNWRITTEN:
                self._write()
            if len(self._unwritten) >= MAX_UNWRITTEN:
                raise StoreError(f"{self.path} cannot be written: the disk is full; free some space")
            self._unwritten.append(ack)
            self._write()

    def _write(self) -> bool:
        """Write what waits; False if there is no room for it now."""
        for _ in range(2):
            try:
                with transaction(self.db):
                    if self._adopting:
                        self.db.execute("DELETE FROM acks")
                        self.db.execute("INSERT OR REPLACE INTO meta VALUES('generation', ?)", (self._adopting,))
                    for ack in self._unwritten:
                        self._write_one(ack)
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                reuse_log(self.db)
                continue
            if self._adopting:
                self._generation, self._acks = self._adopting, set()
            self._adopting = ""
            self._written().update(ack.batch for ack in self._unwritten)
            self._unwritten.clear()
            return True
        return False

    def _write_one(self, ack: _Ack) -> None:
        self.db.execute("INSERT OR IGNORE INTO acks VALUES(?)", (ack.batch,))
        self.db.execute(
            "INSERT INTO delivered VALUES(?,?,?) ON CONFLICT(tbl) DO UPDATE SET n=n+excluded.n, last=excluded.last",
            (ack.table, ack.delivered, ack.now),
        )
        for reason, n in ack.dropped.items():
            self.db.execute(
                "INSERT INTO dropped VALUES(?,?,?) ON CONFLICT(tbl, reason) DO UPDATE SET n=n+excluded.n",
                (ack.table, reason, n),
            )
            drops.note(self.db, ack.table, reason, ack.now, n, ack.spans.get(reason))

    @property
    def unwritten(self) -> bool:
        """Whether acknowledgements wait for room on the disk."""
        return bool(self._unwritten)

    def prune(self) -> None:
        """Write what waits, and forget acknowledgements of batches that the collector has deleted."""
        with self._guarded():
            reader = self._outbox()
            if reader is None or (self._unwritten and not self._write()):
                return
            here = {i for (i,) in reader.execute("SELECT id FROM outbox UNION ALL SELECT batch FROM given_up")}
            gone = self._written() - here
            if gone and self._while_there_is_room("DELETE FROM acks WHERE batch=?", [(i,) for i in gone]):
                self._written().difference_update(gone)

    def _while_there_is_room(self, statement: str, values: Sequence[tuple[object, ...]]) -> bool:
        """Do what can as well be done later, or not at all; whether it was done."""
        try:
            with transaction(self.db):
                self.db.executemany(statement, values)
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            reuse_log(self.db)
            return False
        return True

    def note(self, key: str, value: str) -> None:
        """Remember a fact for status, such as the last error of an account."""
        with self._guarded():
            self._while_there_is_room("INSERT OR REPLACE INTO meta VALUES(?,?)", [(key, value)])

    def forget_notes(self, prefix: str) -> None:
        """Forget the facts for status whose keys begin with ``prefix``."""
        with self._guarded():
            self._while_there_is_room("DELETE FROM meta WHERE substr(key, 1, ?) = ?", [(len(prefix), prefix)])

    def recall(self, key: str) -> str | None:
        """What a sink remembered of its last batch."""
        with self._guarded():
            row = self.db.execute("SELECT value FROM memos WHERE key=?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Keep what has to be known after a kill; of many keys, the oldest are forgotten."""
        with self._guarded(), transaction(self.db):
            self.db.execute("INSERT OR REPLACE INTO memos VALUES(?,?)", (key, value))  # a new rowid: the newest
            self.db.execute(
                "DELETE FROM memos WHERE rowid <= (SELECT rowid FROM memos ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
                " AND substr(key, 1, ?) <> ?",
                (KEPT_MEMOS, len(LASTING_MEMOS), LASTING_MEMOS),
            )

    def waiting(self) -> set[str]:
        """The lanes that have anything in the outbox which is not acknowledged yet."""
        with self._guarded():
            reader = self._outbox()
            if reader is None:
                return set()
            acked = self._acked()
            found = [m for (m,) in reader.execute("SELECT DISTINCT moniker FROM outbox").fetchall()]
            return {moniker for moniker in found if self._find(reader, moniker, 0, 1, acked, ())}

    def close(self) -> None:
        """Write what waits if there is room, and close both files."""
        with self._lock:
            self._close_reader()
            if self._unwritten:
                with suppress(sqlite3.Error):
                    self._write()
            self.db.close()
