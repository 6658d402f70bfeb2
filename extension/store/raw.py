"""Raw counters of queries, for the first sample after a restart.

They are small values of ``collector.db`` like others, unless :mod:`extension.store.journal` has newer ones.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from extension.store import bodies

_PREFIX, _BEYOND = "raw:", "raw;"


def read(db: sqlite3.Connection, damaged: Callable[[str], None]) -> dict[str, Any]:
    """Those that are kept, by query; ``damaged(what)`` is told of what is left out."""
    found = {}
    for name, text in db.execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_PREFIX, _BEYOND)):
        query = name[len(_PREFIX) :]
        try:
            found[query] = json.loads(text)
        except ValueError:
            damaged(f"what was counted last for {query}")
    return found


def key(query: str) -> str:
    """The name of the value."""
    return _PREFIX + query


def values(states: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """The small values that the raw counters of some queries are."""
    return [(key(query), bodies.to_json(state)) for query, state in states]


def forget(db: sqlite3.Connection, queries: Iterable[str]) -> None:
    """Delete those of some queries."""
    db.executemany("DELETE FROM meta WHERE key=?", [(key(query),) for query in queries])
