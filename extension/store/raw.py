"""Raw counters of queries, for the first sample after a restart.

They are small values of ``collector.db`` like others, so that a tick writes them on the page of its time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from extension.store import bodies, gaps
from extension.store.database import is_full, transaction

_PREFIX, _BEYOND = "raw:", "raw;"


def read(db: sqlite3.Connection, damaged: Callable[[str], None]) -> dict[str, Any]:
    """Those that are kept, by query; ``damaged(what)`` is told of what is left out."""
    found = {}
    for key, text in db.execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_PREFIX, _BEYOND)):
        query = key[len(_PREFIX) :]
        try:
            found[query] = json.loads(text)
        except ValueError:
            damaged(f"what was counted last for {query}")
    return found


def values(states: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """The small values that the raw counters of some queries are."""
    return [(_PREFIX + query, bodies.to_json(state)) for query, state in states]


def forget(db: sqlite3.Connection, queries: Iterable[str]) -> None:
    """Delete those of some queries."""
    db.executemany("DELETE FROM meta WHERE key=?", [(_PREFIX + query,) for query in queries])


def take_over(db: sqlite3.Connection) -> None:
    """Earlier versions kept them in a table of their own, by the whole text that identifies a query."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='raw'").fetchone() is None:
        return
    try:
        with transaction(db):
            rows = [(_PREFIX + gaps.short_key(q), text) for q, text in db.execute("SELECT query, state FROM raw")]
            db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", rows)
            db.execute("DROP TABLE raw")
    except sqlite3.OperationalError as error:
        if not is_full(error):  # without room for them rates begin anew
            raise
