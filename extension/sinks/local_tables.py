"""The embedded table store of ``file:`` endpoints: one SQLite file that behaves like a table service.

Same tables (names compared without case), keys, EDM types and refusals (:mod:`extension.sinks.limits`) as Azure
Tables, so a document that the service would refuse is refused here. WAL mode: readers never block the writer.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from extension.rows import ticks
from extension.rows.edm import EdmValue, Row
from extension.sinks import limits
from extension.sinks.base import MAX_ROWS, SinkError
from extension.sinks.entity import Entity

APPLICATION_ID = 0x4C414454
"""Marks the file in its SQLite header, so that another program's database is never written to."""
BUSY_SECONDS = 5.0
_SCHEMA = """
CREATE TABLE tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE);
CREATE TABLE entities (
  table_id INTEGER NOT NULL, partition_key TEXT NOT NULL, row_key TEXT NOT NULL,
  changed_us INTEGER NOT NULL, event_time TEXT NOT NULL, columns TEXT NOT NULL,
  PRIMARY KEY (table_id, partition_key, row_key)
) WITHOUT ROWID;
"""
_UPSERT = """
INSERT INTO entities (table_id, partition_key, row_key, changed_us, event_time, columns) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (table_id, partition_key, row_key)
DO UPDATE SET changed_us = excluded.changed_us, event_time = excluded.event_time, columns = excluded.columns
"""


class LocalTablesSink:
    """Writes to the store at ``path``; file (0600) and missing parent folders (0700) are made at the first send."""

    def __init__(self, path: str, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._inode: tuple[int, int] = (0, 0)

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Upsert-replace ``rows`` in one transaction; the row's Timestamp is the clock's now."""
        refusal = limits.check_batch(table, rows, max_rows=MAX_ROWS)
        if refusal is not None:
            status = 413 if refusal.code == "RequestBodyTooLarge" else 400
            raise SinkError(refusal.reaction, refusal.code, refusal.message, http_status=status, row=refusal.row)
        if not rows:
            return
        changed = int(self._clock() * ticks.SECOND_US)
        try:
            db = self._connection()
            with db:
                db.execute("BEGIN IMMEDIATE")
                table_id = _table_id(db, table)
                db.executemany(_UPSERT, (_record(table_id, row, changed) for row in rows))
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise storage_error(self._path, error) from error

    def close(self) -> None:
        """Close the file; a later send opens it again."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _connection(self) -> sqlite3.Connection:
        if self._db is not None and self._inode == _identity(self._path):
            return self._db
        self.close()  # the file was removed or replaced: rows written to the old one would be lost
        _create(self._path)
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, self._path)
        except BaseException:
            db.close()
            raise
        self._inode = _identity(self._path)
        self._db = db
        return db


class LocalTablesReader:
    """Reads the store at ``path``, which must exist; never changes it. Raises :class:`SinkError`."""

    def __init__(self, path: str) -> None:
        self._path = path
        if not os.path.exists(path):
            raise SinkError(
                "slow",
                "StoreNotFound",
                f"there is no table store {path}: nothing has been written there yet, or check the path",
            )
        try:
            self._db = _open_for_reading(path)
            self._made = _check_ours(self._db, path)
        except (sqlite3.Error, OSError) as error:
            raise storage_error(path, error) from error

    def tables(self) -> dict[str, int | None]:
        """Every table and its number of rows, in order of name."""
        if not self._made:
            return {}
        sql = "SELECT t.name, (SELECT count(*) FROM entities e WHERE e.table_id = t.id) FROM tables t ORDER BY t.folded"
        try:
            return {str(name): int(count) for name, count in self._db.execute(sql)}
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def query(
        self,
        table: str,
        *,
        partition_key: str | None = None,
        row_key_ge: str | None = None,
        row_key_le: str | None = None,
        time_ge: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Entity]:
        """The entities of ``table`` that match, by PartitionKey and RowKey."""
        try:
            sql = "SELECT id FROM tables WHERE folded = ?"
            found = self._db.execute(sql, (table.lower(),)).fetchone() if self._made else None
            if found is None:
                raise SinkError(
                    "drop-batch", "TableNotFound", f"there is no table {table} in {self._path}", http_status=404
                )
            conditions = {
                "partition_key = ?": partition_key,
                "row_key >= ?": row_key_ge,
                "row_key <= ?": row_key_le,
                "substr(event_time, 1, 19) >= ?": None if time_ge is None else time_ge[:19],
            }
            sql, values = _select(conditions, limit)
            for pk, rk, changed, columns in self._db.execute(sql, (found[0], *values)):
                yield Entity(pk, rk, _decode(columns), ticks.iso(changed))
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _select(conditions: dict[str, str | None], limit: int | None) -> tuple[str, list[str | int]]:
    """SQL and its values after the table's id; a condition without a value is left out."""
    used = {clause: value for clause, value in conditions.items() if value is not None}
    values: list[str | int] = [*used.values()]
    sql = "SELECT partition_key, row_key, changed_us, columns FROM entities WHERE "
    sql += " AND ".join(("table_id = ?", *used)) + " ORDER BY partition_key, row_key"
    if limit is not None:
        sql += " LIMIT ?"
        values.append(limit)
    return sql, values


def _record(table_id: int, row: Row, changed_us: int) -> tuple[int, str, str, int, str, str]:
    kind, stamp = row.columns.get("TIMESTAMP", ("", ""))
    event_time = stamp if kind == "DateTime" and stamp else ""
    return table_id, row.partition_key, row.row_key, changed_us, event_time, _encode(row.columns)


def _encode(columns: dict[str, EdmValue]) -> str:
    """Columns as JSON ``{name: [type, value]}``; NULLs and the service's own Timestamp are not stored, as in Azure."""
    kept: dict[str, list[object]] = {}
    for name, (kind, value) in columns.items():
        if value is None or name == "Timestamp":
            continue
        if kind == "Double":
            value = float(value)
            if value != value or value in (float("inf"), float("-inf")):
                value = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
        kept[name] = [kind, value]
    return json.dumps(kept, separators=(",", ":"))


def _decode(text: str) -> dict[str, EdmValue]:
    columns: dict[str, EdmValue] = {}
    for name, (kind, value) in json.loads(text).items():
        columns[name] = (kind, float(value) if kind == "Double" else value)
    return columns


def _table_id(db: sqlite3.Connection, table: str) -> int:
    found = db.execute("SELECT id FROM tables WHERE folded = ?", (table.lower(),)).fetchone()
    if found is None:
        return int(db.execute("INSERT INTO tables (name, folded) VALUES (?, ?)", (table, table.lower())).lastrowid or 0)
    return int(found[0])


def _create(path: str) -> None:
    """Make parent folders (0700) and an empty file (0600) where they are missing."""
    parent = os.path.dirname(path)
    missing: list[str] = []
    while parent and not os.path.isdir(parent):
        missing.append(parent)
        if os.path.lexists(parent):
            break
        parent = os.path.dirname(parent)
    for folder in reversed(missing):
        os.mkdir(folder, 0o700)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _prepare(db: sqlite3.Connection, path: str) -> None:
    """Set the connection up and make the schema in an empty file."""
    db.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    if not _check_ours(db, path):
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute("BEGIN EXCLUSIVE")
            if not _check_ours(db, path):  # another process may have been faster
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 4194304")


def _check_ours(db: sqlite3.Connection, path: str) -> bool:
    """True for a table store, False for an empty file; a database of something else is a :class:`SinkError`."""
    alone = not db.in_transaction
    if alone:
        db.execute("BEGIN")  # one view for both questions: another process may be making the schema right now
    try:
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        identity = db.execute("PRAGMA application_id").fetchone()[0]
    finally:
        if alone:
            db.execute("COMMIT")
    if identity == APPLICATION_ID:
        return True
    if tables:
        raise SinkError(
            "slow",
            "NotATableStore",
            f"{path} is a database of another program; give the table endpoint a file of its own",
            connection=True,
        )
    return False


def _open_for_reading(path: str) -> sqlite3.Connection:
    """Read-only, WAL included. Its index file may have to be made, which needs a writable folder; in another one a
    store that nobody has open (no WAL file) is read as it lies there."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    if os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK):
        mode = "mode=rw"
    else:
        mode = "mode=ro" if os.path.exists(path + "-wal") else "mode=ro&immutable=1"
    db = sqlite3.connect(f"file:{quoted}?{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    db.execute("PRAGMA query_only = ON")
    return db


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def storage_error(path: str, error: Exception) -> SinkError:
    """What a failure of the file means: busy and full pass by themselves, the others need a person."""
    text = str(error)
    low = text.lower()
    if "locked" in low or "busy" in low:
        return SinkError(
            "retry", "StoreBusy", f"table store {path} is held by another process; it is tried again", connection=True
        )
    if "full" in low or getattr(error, "errno", None) in (28, 122):
        return SinkError(
            "retry", "DiskFull", f"no space for table store {path}; free some, it goes on by itself", connection=True
        )
    if "not a database" in low or "malformed" in low:
        what = f"table store {path} is damaged or no table store ({text}); move the file away and a new one is made"
        return SinkError("slow", "StoreDamaged", what, connection=True)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else text
    return SinkError(
        "slow", "StoreUnusable", f"table store {path} cannot be used: {reason}; check path and rights", connection=True
    )
