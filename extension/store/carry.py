"""The uploader's counts survive the loss of its file, or of its latest changes.

The collector keeps a copy of the uploader's totals, taken together with the acknowledgements whose batches it deletes.
So a new ``uploader.db``, or one that lost its newest transactions with the power, goes on where the lost one ended:
what is still in the outbox is sent and counted again.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import Any

from extension.store import drops
from extension.store.database import StoreError, open_reader, transaction

SETTLED = "settled"
to_json = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
"""Made once: dumps() with options makes an encoder per call."""


def totals(db: sqlite3.Connection) -> str:
    """The uploader's totals as text: rows delivered and dropped by table, with the times of the last ones."""
    delivered = {table: [n, last] for table, n, last in db.execute("SELECT tbl, n, last FROM delivered")}
    dropped: dict[str, dict[str, int]] = {}
    for table, reason, n in db.execute("SELECT tbl, reason, n FROM dropped"):
        dropped.setdefault(table, {})[reason] = n
    found: dict[str, Any] = {"delivered": delivered, "dropped": dropped}
    if dropped:
        found["dropped_at"] = [[table, reason, at] for (table, reason), at in drops.read(db).items()]
    return to_json(found)


def totals_of(uploads: str) -> str:
    """As :func:`totals`, of the file ``uploads``. Raises StoreError, sqlite3.Error."""
    reader = open_reader(uploads)
    if reader is None:
        return json.dumps({"delivered": {}, "dropped": {}})
    with closing(reader) as db:
        return totals(db)


def into_uploader(db: sqlite3.Connection, outbox: str, now: float) -> None:
    """Raise the counts of an ``uploader.db`` to the totals that the collector's file ``outbox`` has kept, if any.

    Drops without a time are dated ``now`` (Unix s). Raises StoreError if it cannot be written.
    """
    kept = _kept(outbox)
    if kept:
        _raise_counts(db, kept)
    times = {(table, reason): at for table, reason, at in kept.get("dropped_at", ())}
    with suppress(sqlite3.Error), transaction(db):  # without room for it, at the next start
        drops.take_over(db, times, now)


def _kept(outbox: str) -> dict[str, Any]:
    """The totals in the collector's file; {} if there are none, and then the counts begin anew too."""
    with suppress(StoreError, sqlite3.Error, ValueError):
        reader = open_reader(outbox)
        if reader is not None:
            with closing(reader) as collected:
                row = collected.execute("SELECT value FROM meta WHERE key=?", (SETTLED,)).fetchone()
            return dict(json.loads(row[0])) if row else {}
    return {}


def _raise_counts(db: sqlite3.Connection, kept: dict[str, Any]) -> None:
    try:
        known = dict(db.execute("SELECT tbl, n FROM delivered"))
        refused = {(table, reason): n for table, reason, n in db.execute("SELECT tbl, reason, n FROM dropped")}
        delivered = [(t, n, last) for t, (n, last) in kept["delivered"].items() if n > known.get(t, -1)]
        dropped = [
            (table, reason, n)
            for table, reasons in kept["dropped"].items()
            for reason, n in reasons.items()
            if n > refused.get((table, reason), 0)
        ]
        if delivered or dropped:
            with transaction(db):
                db.executemany("INSERT OR REPLACE INTO delivered VALUES(?,?,?)", delivered)
                db.executemany("INSERT OR REPLACE INTO dropped VALUES(?,?,?)", dropped)
    except sqlite3.Error as error:
        raise StoreError(f"cannot begin a new record of what was uploaded: {error}") from error
