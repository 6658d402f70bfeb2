"""The balance per table: produced = delivered + queued + dropped(reason), read from both files."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TypeVar

from extension.rows import packed
from extension.rows.edm import Row
from extension.store import drops
from extension.store.database import StoreError, open_reader

N = TypeVar("N", int, float)


@dataclass
class Balance:
    """Row counts of one table since its store was made; ``oldest_queued`` is a Unix time or None,
    ``last_error`` an object of code, message and time (Unix s), ``last_dropped`` the time (Unix s) of the last drop by
    reason, as far as it is known, ``drop_ranges`` the times of the rows themselves."""

    produced: int = 0
    queued: int = 0
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    last_dropped: dict[str, float] = field(default_factory=dict)
    drop_ranges: dict[str, list[drops.Range]] = field(default_factory=dict)
    oldest_queued: float | None = None
    last_success: float | None = None
    last_error: dict[str, object] | None = None

    @property
    def unproduced(self) -> int:
        """Rows whose whereabouts are known and that were not counted as produced; 0 unless a file lost changes."""
        return self.delivered + self.queued + sum(self.dropped.values()) - self.produced


def read(folder: str) -> dict[str, Balance]:
    """The balance of every table of the store in ``folder``; {} while there is none. Raises StoreError."""
    # The outbox first, and held: a batch that is delivered in between is in both files and counts once, as delivered.
    # The other way round one that is also deleted in between would be in neither.
    with ExitStack() as stack:
        found: list[sqlite3.Connection | None] = []
        for name in ("collector.db", "uploader.db"):
            reader = open_reader(os.path.join(folder, name))
            if reader is not None:
                stack.enter_context(closing(reader)).execute("BEGIN")
                generation_of(reader)  # a transaction begins with its first read
            found.append(reader)
        return balances(*found)


def balances(
    outbox: sqlite3.Connection | None, uploads: sqlite3.Connection | None, *, troubles_only: bool = False
) -> dict[str, Balance]:
    """As :func:`read` of the two files, given connections to them whose view does not change meanwhile. Raises
    StoreError, sqlite3.Error.

    ``troubles_only``: nothing but how many rows were dropped or are queued, and since when.
    """
    out: dict[str, Balance] = {}

    def of(table: str) -> Balance:
        return out.setdefault(table, Balance())

    def drop(table: str, reason: str, n: int) -> None:
        dropped = of(table).dropped
        dropped[reason] = dropped.get(reason, 0) + _sound(n, table)

    queued: list[tuple[int, float, str, int]] = []
    given_up: list[tuple[int, str, str, int]] = []
    here = None
    if outbox is not None:
        here = generation_of(outbox)
        for table, n in () if troubles_only else outbox.execute("SELECT tbl, n FROM produced"):
            of(table).produced = _sound(n, table)
        for table, reason, n in outbox.execute("SELECT tbl, reason, n FROM dropped"):
            drop(table, reason, n)
        queued = outbox.execute("SELECT id, t, tbl, n FROM outbox ORDER BY id").fetchall()
        given_up = _given_up(outbox)
    acked: set[int] = set()
    errors: list[tuple[str, str]] = []
    if uploads is not None:
        if generation_of(uploads) == here:
            acked = {i for (i,) in uploads.execute("SELECT batch FROM acks")}
        for table, n, last in () if troubles_only else uploads.execute("SELECT tbl, n, last FROM delivered"):
            of(table).delivered = _sound(n, table)
            of(table).last_success = _sound(last, table) if n else None
        for table, reason, n in uploads.execute("SELECT tbl, reason, n FROM dropped"):
            drop(table, reason, n)
        if not troubles_only:
            errors = uploads.execute("SELECT substr(key, 7), value FROM meta WHERE key LIKE 'error:%'").fetchall()
    for table, text in errors:
        if table in out:
            out[table].last_error = _error(text)
    for batch, table, reason, n in given_up:
        if batch in acked:  # it was on its way when it was dropped, and arrived
            drop(table, reason, -_sound(n, table))
            if of(table).dropped[reason] <= 0:
                del of(table).dropped[reason]
    for batch, t, table, n in queued:
        if batch not in acked:
            balance = of(table)
            balance.queued += _sound(n, table)
            since = _sound(t, table)
            balance.oldest_queued = since if balance.oldest_queued is None else min(since, balance.oldest_queued)
    for db in () if troubles_only else (outbox, uploads):
        for (table, reason), at in drops.read(db).items() if db is not None else ():
            if table in out and reason in out[table].dropped:
                out[table].last_dropped[reason] = max(at, out[table].last_dropped.get(reason, at))
        for (table, reason), found in drops.ranges(db).items() if db is not None else ():
            if table in out and reason in out[table].dropped:
                out[table].drop_ranges.setdefault(reason, []).extend(found)
    return out


def _sound(number: N, table: str) -> N:
    """A count or time as it is read, which on a bad disk may be anything. Raises StoreError."""
    if not isinstance(number, int | float):
        cure = "restart the daemon, which sets aside what is damaged"
        raise StoreError(f"the counts of {table} in the store are damaged; {cure}")
    return number


def _error(text: str) -> dict[str, object] | None:
    """What the uploader noted of a failure; None if it is damaged."""
    try:
        found = json.loads(text)
        return {"code": str(found["code"]), "message": str(found["message"]), "time": float(found["time"])}
    except (ValueError, LookupError, TypeError):
        return None


def _given_up(db: sqlite3.Connection) -> list[tuple[int, str, str, int]]:
    """Batches that the collector dropped lately; [] in a store of a version that did not remember them."""
    try:
        return db.execute("SELECT batch, tbl, reason, n FROM given_up").fetchall()
    except sqlite3.OperationalError:
        return []


def acknowledged(folder: str, generation: str | None) -> set[int]:
    """The batches of the outbox ``generation`` that the uploader has acknowledged. Raises StoreError."""
    uploads = open_reader(os.path.join(folder, "uploader.db"))
    if uploads is None:
        return set()
    with closing(uploads) as db:
        db.execute("BEGIN")
        return {i for (i,) in db.execute("SELECT batch FROM acks")} if generation_of(db) == generation else set()


def waiting(folder: str) -> Iterator[tuple[str, Row]]:
    """(table, row) of every row that is queued and not acknowledged. Raises StoreError, sqlite3.Error."""
    outbox = open_reader(os.path.join(folder, "collector.db"))
    if outbox is None:
        return
    with closing(outbox) as db:
        db.execute("BEGIN")
        known = generation_of(db)
        acked = acknowledged(folder, known)
        for batch, table, body in db.execute("SELECT id, tbl, body FROM outbox ORDER BY id"):
            if batch not in acked:
                for row in packed.read(zlib.decompress(body)):
                    yield table, row


def generation_of(db: sqlite3.Connection) -> str | None:
    """Which outbox a file is, or acknowledges."""
    row = db.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
    return None if row is None else str(row[0])
