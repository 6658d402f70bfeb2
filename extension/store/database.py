"""Opening SQLite files the way every process here does: WAL, bounded waits, private modes."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

BUSY_MS = 5000
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS ([^;]+)")
_NUMBERS = {
    "produced": "SELECT 1 FROM produced WHERE typeof(n)<>'integer' LIMIT 1",
    "delivered": "SELECT 1 FROM delivered WHERE typeof(n)<>'integer' LIMIT 1",
    "dropped": "SELECT 1 FROM dropped WHERE typeof(n)<>'integer' LIMIT 1",
    "outbox": "SELECT 1 FROM outbox WHERE typeof(n)<>'integer' OR typeof(t)<>'real' LIMIT 1",
}
_LENIENT = partial(str, encoding="utf-8", errors="replace")
"""Texts with damaged bytes are read all the same: one of them must not make the rest unreadable."""


class StoreError(Exception):
    """The store cannot be used; one line that names the file and what to do."""


class Connection(sqlite3.Connection):
    """A connection that can begin a transaction when it is needed, and not before."""

    _before: Callable[[], None] | None = None

    def in_one(self, work: Callable[[], None], before: Callable[[], None]) -> None:
        """Make what ``work`` does one atomic change. The transaction begins with its first statement, after a call of
        ``before``; without one there is none. Any exception undoes it, one of the COMMIT itself too."""
        self._before = before
        try:
            work()
            if self.in_transaction:
                self.execute("COMMIT")
        except BaseException:
            if self.in_transaction:
                self.execute("ROLLBACK")
            raise
        finally:
            self._before = None

    def begin(self) -> None:
        """Begin it now, if it has not begun."""
        before, self._before = self._before, None
        if before is not None:
            try:
                before()
                self.execute("BEGIN IMMEDIATE")
            except BaseException:
                self._before = before  # nothing may be changed without one
                raise

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As the original does it."""
        if self._before is not None:
            self.begin()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """As the original does it."""
        if self._before is not None:
            self.begin()
        return super().executemany(sql, parameters)


def open_writer(path: str, script: str, *, max_bytes: int | None = None) -> Connection:
    """The writer's connection: file 0600, folder 0700, WAL, synchronous NORMAL, autocommit (BEGIN is explicit).

    ``script`` creates the schema if it is missing; ``max_bytes`` caps the main file. Raises StoreError.
    """
    try:
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(
            path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, factory=Connection
        )
        with _closed_on_error(db):
            db.text_factory = _LENIENT
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table, or it is without effect
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA journal_size_limit=4194304")
            db.execute("PRAGMA cache_size=-512")
            db.executescript(f"BEGIN IMMEDIATE;{script};COMMIT;")  # at once: a reader never sees half a schema
            if max_bytes is not None:  # after the schema: a full file of an earlier version can be opened all the same
                size = db.execute("PRAGMA page_size").fetchone()[0]
                db.execute(f"PRAGMA max_page_count={max(64, max_bytes // size)}")
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes damaged names in its messages
        raise StoreError(f"cannot open the store {path}: {error}; check free space and permissions") from error
    return db


@contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """A connection that outlives the renaming of its file would remove the ``-shm`` of the one that takes its place:
    within a process SQLite knows files by their inodes and removes them by the names that they had."""
    try:
        yield
    except BaseException:
        db.close()
        raise


def open_checked(path: str, script: str, *, max_bytes: int | None = None) -> Connection:
    """As :func:`open_writer`, and all pages are looked at. Raises StoreError; :func:`is_corrupt` knows its cause."""
    db = open_writer(path, script, max_bytes=max_bytes)
    try:
        with _closed_on_error(db):
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                raise sqlite3.DatabaseError(f"malformed: {' '.join(found.split())[:200]}")
            _check_columns(db, script)
            _check_numbers(db, script)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreError(f"cannot use the store {path}: {error}") from error
    return db


def _check_columns(db: sqlite3.Connection, script: str) -> None:
    """Whether the tables have the columns that ``script`` gives them: the schema is text that may be damaged too.

    SQLite keeps the statements themselves; only where one is not there word for word the tables are looked at.
    """
    kept = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type='table'")}
    if all(f"CREATE TABLE {rest}" in kept for rest in _TABLE.findall(script)):
        return
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(script)
        for (table,) in model.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            wanted, there = ({row[1] for row in d.execute(f"PRAGMA table_info({table})")} for d in (model, db))
            if not wanted <= there:
                raise sqlite3.DatabaseError(f"malformed: table {table} lacks {', '.join(sorted(wanted - there))}")


def _check_numbers(db: sqlite3.Connection, script: str) -> None:
    """Whether counts and times are numbers: SQLite takes anything for good that is not NULL."""
    for table, odd in _NUMBERS.items():
        if f"EXISTS {table}(" in script and db.execute(odd).fetchone():
            raise sqlite3.DatabaseError(f"malformed: {table} has texts in place of numbers")


def inode(path: str) -> int:
    """What tells the file at ``path`` from one that takes its place; 0 if there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def inodes(path: str) -> tuple[int, int]:
    """:func:`inode` of a database and of the index of its log, which its readers and its writer share."""
    return inode(path), inode(path + "-shm")


def set_aside(path: str) -> str:
    """Rename a damaged file and its logs out of the way; where it is then."""
    aside = path + ".corrupt"
    for end in ("-wal", "-shm", ""):
        if os.path.exists(path + end):
            os.replace(path + end, aside + end)
    return aside


def open_reader(path: str) -> sqlite3.Connection | None:
    """A connection that only reads, or None while the file does not exist or has no tables yet.

    It is opened read-write and then restrained, because a plain read-only connection cannot recover the WAL index
    after its writer was killed.
    """
    if not os.path.exists(path):
        return None
    try:
        quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")  # what means something in a URI
        db = sqlite3.connect(
            f"file:{quoted}?mode=rw", uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        with _closed_on_error(db):
            db.text_factory = _LENIENT
            db.execute("PRAGMA query_only=ON")
            db.execute("PRAGMA cache_size=-512")
            empty = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
        if empty:
            db.close()
            return None
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreError(unreadable(path, error)) from error
    return db


def unreadable(path: str, error: Exception) -> str:
    """What to say of a store (a file or its folder) whose reading failed with ``error``."""
    if isinstance(error, StoreError):
        return str(error)
    cure = "; the daemon sets it aside and begins a new one when it starts next" if is_corrupt(error) else ""
    return f"cannot read the store {path}: {error}{cure}"


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One atomic change of ``db``; any exception undoes it, one of the COMMIT itself too."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def reuse_log(db: sqlite3.Connection) -> None:
    """Let the write-ahead log begin anew, if no reader needs it: on a full disk, its file is room that is had."""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def is_full(error: BaseException) -> bool:
    """Whether the error says that the disk or the cap is full."""
    text = str(error)
    return "full" in text or "disk I/O error" in text


def is_corrupt(error: BaseException) -> bool:
    """Whether the error says that the file is not a (whole) database."""
    return isinstance(error, UnicodeDecodeError) or (
        isinstance(error, sqlite3.DatabaseError)
        and any(word in str(error) for word in ("malformed", "not a database", "corrupt"))
    )
