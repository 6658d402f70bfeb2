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
"""


@dataclass(frozen=True)
class Queued:
    """A batch in the outbox: at most 100 rows of one table and PartitionKey."""

    id: int
    queued_at: float
    moniker: str
    table: str
    rows: list[Row]


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
                for row in reader.execute(
                    "SELECT id, t, moniker, tbl, body FROM outbox WHERE moniker=? ORDER BY id", (moniker,)
                ):
                    if row[0] in acked:
                        continue
                    found.append(Queued(row[0], row[1], row[2], row[3], unpack(json.loads(zlib.decompress(row[4])))))
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

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            self._close_reader()
            self.db.close()
