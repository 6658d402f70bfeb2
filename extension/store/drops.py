"""When rows were dropped last, by table and reason.

Kept among the small values of the file that counts them (``collector.db`` or ``uploader.db``), so that a store of an
earlier version needs no change; drops that such a version counted are dated when the file is first opened again: they
are no later than that. Times are Unix seconds.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping

_PREFIX, _BEYOND = "dropped:", "dropped;"

Times = dict[tuple[str, str], float]
"""By (table, reason)."""


def note(db: sqlite3.Connection, table: str, reason: str, at: float) -> None:
    """Rows were dropped at ``at``."""
    db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (f"{_PREFIX}{table}:{reason}", repr(at)))


def read(db: sqlite3.Connection) -> Times:
    """What is known of the drops in a file."""
    found: Times = {}
    texts = db.execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_PREFIX, _BEYOND))
    for key, text in texts:
        table, _, reason = key[len(_PREFIX) :].partition(":")  # names of tables hold no colon
        try:
            at = float(text)
        except ValueError:
            continue
        if math.isfinite(at):
            found[table, reason] = at
    return found


def take_over(db: sqlite3.Connection, known: Mapping[tuple[str, str], float], now: float) -> None:
    """In the caller's transaction: what is counted as dropped here has the times ``known``, or else ``now``."""
    there = read(db)
    for table, reason in db.execute("SELECT tbl, reason FROM dropped").fetchall():
        at = max(there.get((table, reason), -math.inf), known.get((table, reason), -math.inf))
        if at == -math.inf:
            at = now
        if at != there.get((table, reason)):
            note(db, table, reason, at)
