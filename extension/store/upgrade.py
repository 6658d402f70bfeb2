"""A ``collector.db`` that an earlier version of this program has written, alone or after this one."""

from __future__ import annotations

import sqlite3

from extension.store import gaps, raw
from extension.store.database import is_full, transaction


def take_over(db: sqlite3.Connection) -> None:
    """Earlier versions make a table for raw counters, with the whole text that identifies a query.

    They know nothing of :mod:`extension.store.runs`: what is dated after the samples that they took was left by a
    time that came again.
    """
    if db.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='raw'").fetchone() is None:
        return
    try:
        with transaction(db):
            rows = [(raw.key(gaps.short_key(q)), text) for q, text in db.execute("SELECT query, state FROM raw")]
            db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", rows)
            db.execute("DELETE FROM runs WHERE t >= (SELECT min(t) FROM samples)")
            db.execute("DROP TABLE raw")
    except sqlite3.OperationalError as error:
        if not is_full(error):  # without room for them rates begin anew
            raise
