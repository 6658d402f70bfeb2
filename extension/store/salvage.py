"""What becomes of the counts when a damaged ``collector.db`` is replaced: nothing that it held vanishes uncounted."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from extension.store import drops
from extension.store.database import StoreError, open_reader

REASON = "store damaged"


def carry_over(old: str, uploads: str, db: sqlite3.Connection, now: float) -> str:
    """Take the counts of the store set aside as ``old`` into the new ``db`` (in the caller's transaction).

    Its rows that ``uploads`` (uploader.db) has no end of are lost: they are counted as dropped, as far as the old
    store can still be read, ``now`` (Unix s). Returns a few words on the loss.
    """
    produced: dict[str, int] = {}
    dropped: dict[tuple[str, str], int] = {}
    times: drops.Times = {}
    known = False
    with suppress(sqlite3.Error, StoreError):
        reader = open_reader(old)
        if reader is not None:
            with closing(reader) as there:
                dropped = {(t, why): n for t, why, n in there.execute(_whole("SELECT tbl, reason, n FROM dropped"))}
                produced = dict(there.execute(_whole("SELECT tbl, n FROM produced")))
                known = True
                times = drops.read(there)
    settled = _settled(uploads)
    lost = 0
    for table in produced.keys() | settled.keys() | {table for table, _ in dropped}:
        ended = settled.get(table, 0) + sum(n for (t, _), n in dropped.items() if t == table)
        made = max(produced.get(table, 0), ended)
        db.execute("INSERT OR REPLACE INTO produced VALUES(?,?)", (table, made))
        if made > ended:
            dropped[table, REASON] = dropped.get((table, REASON), 0) + made - ended
            times[table, REASON] = now
            lost += made - ended
    rows = [(table, reason, n) for (table, reason), n in dropped.items()]
    db.executemany("INSERT OR REPLACE INTO dropped VALUES(?,?,?)", rows)
    drops.take_over(db, times, now)
    return f"{lost} unsent rows in it are lost" if known else "how many unsent rows it held cannot be read"


def _whole(question: str) -> str:
    """Without the rows whose number is none any more: a single bit can have made it NULL."""
    return f"{question} WHERE typeof(n) = 'integer'"


def _settled(uploads: str) -> dict[str, int]:
    """Rows by table of which the uploader knows the end."""
    found: dict[str, int] = {}
    with suppress(sqlite3.Error, StoreError):
        reader = open_reader(uploads)
        if reader is not None:
            with closing(reader) as db:
                db.execute("BEGIN")  # one view for both
                for counts in ("SELECT tbl, n FROM delivered", "SELECT tbl, n FROM dropped"):
                    for table, n in db.execute(_whole(counts)).fetchall():
                        found[table] = found.get(table, 0) + n
    return found
