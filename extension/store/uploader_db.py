"""``uploader.db``: which batches were acknowledged and what became of their rows. Written by the uploader alone."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from dataclasses import dataclass

from extension.rows.edm import Row, unpack
from extension.store.database import StoreError, is_corrupt, open_reader, open_writer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks(batch INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS delivered(tbl TEXT PRIMARY KEY, n INTEGER NOT NULL, last REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(tbl TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY(tbl, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memos(key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
KEPT_MEMOS = 500


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
    def rows(self) -> list[Row]:
        """The rows, unpacked anew at each call. ValueError if the body is damaged."""
        try:
            return unpack(json.loads(zlib.decompress(self.body)))
        except (zlib.error, KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"batch {self.id} of table {self.table} is damaged: {error!r}") from error


class UploaderStore:
    """The uploader's view: the outbox (read only) and its own acknowledgements, in ``folder``."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "uploader.db")
        self._outbox_path = os.path.join(folder, "collector.db")
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        try:
            self.db = open_writer(self.path, _SCHEMA)
        except StoreError as error:
            if not is_corrupt(error.__cause__ or error):
                raise
            for end in ("-wal", "-shm", ""):
                if os.path.exists(self.path + end):
                    os.replace(self.path + end, self.path + ".corrupt" + end)
            self.db = open_writer(self.path, _SCHEMA)  # acknowledgements are re-made: re-sent rows replace themselves

    def pending(self, moniker: str, limit: int = 20) -> list[Queued]:
        """The oldest batches of an account that are not acknowledged yet; [] while there is no outbox."""
        with self._lock:
            try:
                reader = self._outbox()
                if reader is None:
                    return []
                acked = {i for (i,) in self.db.execute("SELECT batch FROM acks")}
                found = []
                whole = "SELECT id, t, moniker, tbl, n, body FROM outbox WHERE id=?"
                for (batch,) in reader.execute("SELECT id FROM outbox WHERE moniker=? ORDER BY id", (moniker,)):
                    if batch in acked:
                        continue
                    row = reader.execute(whole, (batch,)).fetchone()
                    if row is not None:
                        found.append(Queued(*row))
                    if len(found) >= limit:
                        break
                return found
            except sqlite3.Error as error:
                self._close_reader()
                raise StoreError(f"cannot read {self._outbox_path}: {error}") from error

    def _outbox(self) -> sqlite3.Connection | None:
        """The reader, and its outbox's generation adopted: acknowledgements of another outbox mean nothing."""
        if self._reader is not None and not self._same_file():
            self._close_reader()
        if self._reader is None:
            self._reader = open_reader(self._outbox_path)
            if self._reader is None:
                return None
            self._inode = os.stat(self._outbox_path).st_ino
        row = self._reader.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
        if row is None:
            return None
        known = self.db.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
        if known is None or known[0] != row[0]:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("DELETE FROM acks")
            self.db.execute("INSERT OR REPLACE INTO meta VALUES('generation', ?)", (row[0],))
            self.db.execute("COMMIT")
        return self._reader

    def _same_file(self) -> bool:
        try:
            return os.stat(self._outbox_path).st_ino == self._inode
        except OSError:
            return False

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def acknowledge(self, batch: int, table: str, delivered: int, dropped: dict[str, int], now: float) -> None:
        """Record a batch's end: rows delivered, and rows dropped by reason."""
        with self._lock:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("INSERT OR IGNORE INTO acks VALUES(?)", (batch,))
            self.db.execute(
                "INSERT INTO delivered VALUES(?,?,?) ON CONFLICT(tbl) DO UPDATE SET n=n+excluded.n, last=excluded.last",
                (table, delivered, now),
            )
            for reason, n in dropped.items():
                self.db.execute(
                    "INSERT INTO dropped VALUES(?,?,?) ON CONFLICT(tbl, reason) DO UPDATE SET n=n+excluded.n",
                    (table, reason, n),
                )
            self.db.execute("COMMIT")

    def prune(self) -> None:
        """Forget acknowledgements of batches that the collector has deleted."""
        with self._lock:
            reader = self._outbox()
            if reader is None:
                return
            here = {i for (i,) in reader.execute("SELECT id FROM outbox")}
            gone = [(i,) for (i,) in self.db.execute("SELECT batch FROM acks") if i not in here]
            if gone:
                self.db.execute("BEGIN IMMEDIATE")
                self.db.executemany("DELETE FROM acks WHERE batch=?", gone)
                self.db.execute("COMMIT")

    def note(self, key: str, value: str) -> None:
        """Remember a fact for status, such as the last error of an account."""
        with self._lock:
            self.db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, value))

    def recall(self, key: str) -> str | None:
        """What a sink remembered of its last batch."""
        with self._lock:
            row = self.db.execute("SELECT value FROM memos WHERE key=?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Keep what a sink has to know after a kill; of many keys, the oldest are forgotten."""
        with self._lock:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("INSERT OR REPLACE INTO memos VALUES(?,?)", (key, value))  # a new rowid: the newest
            self.db.execute(
                "DELETE FROM memos WHERE rowid <= (SELECT rowid FROM memos ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (KEPT_MEMOS,),
            )
            self.db.execute("COMMIT")

    def waiting(self) -> set[str]:
        """The lanes that have anything in the outbox."""
        with self._lock:
            try:
                reader = self._outbox()
                return (
                    set() if reader is None else {m for (m,) in reader.execute("SELECT DISTINCT moniker FROM outbox")}
                )
            except sqlite3.Error as error:
                self._close_reader()
                raise StoreError(f"cannot read {self._outbox_path}: {error}") from error

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            self._close_reader()
            self.db.close()
