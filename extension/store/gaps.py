"""The record of what was not sampled: which query, which counter, from when to when, and why.

Kept in ``collector.db`` beside the samples and written in their transactions, at changes only: a counter that never
has a value costs one row. ``lad audit`` explains missing rows with it. Times are Unix seconds of the wall clock;
a gap lies between two samples that were good: (``since``, ``until``), both ends excluded.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field

from extension import hashes
from extension.plan import Query
from extension.store import journal
from extension.store.database import open_reader

ALL = "*"
"""Stands for every counter of a query."""
MAX_GAPS = 5000
FORGET_EVERY = 200
MAX_COUNTERS = 500
MAX_CAUSE = 200
FORGET_S = 90 * 86400
"""Queries that left the configuration so long ago are forgotten."""
NOT_RUNNING = "the collector was not running"
MACHINE_OFF = "the machine was off or starting"
NOT_CONFIGURED = "not in the configuration"

SCHEMA = """
CREATE TABLE IF NOT EXISTS watched(query TEXT PRIMARY KEY, since REAL NOT NULL, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps(id INTEGER PRIMARY KEY AUTOINCREMENT, query TEXT NOT NULL, counter TEXT NOT NULL,
  since REAL NOT NULL, until REAL, cause TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS open_gaps ON gaps(query, counter) WHERE until IS NULL;
"""


@dataclass(frozen=True)
class Gap:
    """``until`` is None while it lasts; ``counter`` is :data:`ALL` for the whole query."""

    query: str
    counter: str
    since: float
    until: float | None
    cause: str


@dataclass
class _Query:
    """``last``: time of the last sample that was asked for; ``why``: what kept it from being asked since then."""

    rate: int
    last: float
    why: str = ""
    open: dict[str, str] = field(default_factory=dict)


def query_key(query: Query) -> str:
    """What identifies a query over restarts and documents."""
    return short_key(f"{query.target.event}|{query.rate}|{query.namespace}|{query.text}")


def short_key(full: str) -> str:
    """The key for all that identifies a query."""
    return hashes.digest("md5", full.encode()).hex()[:16]


def sampled(rate: int, last: float, gap_end: float | None) -> float:
    """When a query was sampled last, if any was at ``last``: in the interval of its own rate, at its beginning unless
    its newest gap (which ended with a sample) says that it was late. Never later than it really was."""
    slot = last // rate * rate
    return max(slot + min(last - slot, 0.001), gap_end or 0.0)


def window_key(consumer: str) -> str:
    """What stands for a consumer (its id among the windows) where a query's key can stand."""
    return f"window {consumer}"


class GapKeeper:
    """Writes the record through the collector's connection ``db``, inside the transactions of its owner.

    :meth:`observe` only notes what is to be written; :meth:`write` writes it (as often as the transaction is tried)
    and :meth:`done` says whether that was kept.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._queries: dict[str, _Query] = {}
        self._staged: dict[str, _Query] = {}
        self._notes: list[tuple[str, tuple[object, ...]]] = []
        self._written = 0

    def begin(
        self,
        rates: Mapping[str, int],
        consumers: Iterable[str],
        now: float,
        last: float | None,
        why: str = NOT_RUNNING,
    ) -> None:
        """Take over the record at a start: ``rates`` (s) by query, ``consumers``: the ids of what reads their records,
        ``last``: the time of the last sample of any, ``why`` there has been none since."""
        known: dict[str, float | None] = dict(self._db.execute("SELECT query, until FROM watched"))
        begun: dict[str, float] = dict(self._db.execute("SELECT query, since FROM watched"))
        for query, rate in rates.items():
            left = known.get(query)
            if left is not None:
                self._queries[query] = _Query(rate, left, NOT_CONFIGURED)
            elif query in known and last is not None:
                newest = self._db.execute("SELECT max(until) FROM gaps WHERE query=? AND until<?", (query, last + rate))
                self._queries[query] = _Query(rate, sampled(rate, last, newest.fetchone()[0]), why)
            elif query in known:  # it ended before its first sample
                self._queries[query] = _Query(rate, begun[query], why)
            else:
                self._queries[query] = _Query(rate, now)
        keys = [window_key(c) for c in consumers]
        back = [(k, ALL, left, now, NOT_CONFIGURED) for k in keys if (left := known.get(k)) is not None]
        self._db.executemany("INSERT INTO gaps(query, counter, since, until, cause) VALUES(?,?,?,?,?)", back)
        marks = [(key, now) for key in (*rates, *keys)]
        self._db.executemany("INSERT INTO watched VALUES(?,?,NULL) ON CONFLICT(query) DO UPDATE SET until=NULL", marks)
        here, end = {*rates, *keys}, now if last is None else last
        gone = [(end, key) for key, until in known.items() if until is None and key not in here]
        self._db.executemany("UPDATE watched SET until=? WHERE query=?", gone)
        self._db.execute("DELETE FROM watched WHERE until < ?", (now - FORGET_S,))
        for query, counter, cause in self._db.execute("SELECT query, counter, cause FROM gaps WHERE until IS NULL"):
            if query in self._queries:
                self._queries[query].open[counter] = cause

    def observe(self, query: str, at: float, missing: Mapping[str, str], why: str) -> tuple[float, str] | None:
        """A sample was asked for at ``at``; ``missing``: counter (or :data:`ALL`) -> cause.

        ``why`` names what kept earlier samples from being taken if nothing else is known of it. Returns (seconds
        without a sample, cause) if there are so many that one must have been left out.
        """
        known = self._staged.get(query) or self._queries.get(query)
        if known is None:
            return None
        last, rate, found = known.last, known.rate, None
        if not missing and not known.open and last <= at <= last + 1.5 * rate and at // rate - last // rate <= 1:
            self._staged[query] = _Query(rate, at)  # as most samples are: in time and complete
            return None
        state = _Query(rate, at, "", dict(known.open))
        if at < last:  # the clock was set back: what lasts begins again
            for counter in state.open:
                self._close(query, counter, last)
            state.open.clear()
            last = at - rate
        elif at // rate - last // rate > 1 or at - last > 1.5 * rate:
            found = (at - last, known.why or why)
            self._add(query, ALL, last, at, found[1])
        wanted = dict(list(missing.items())[:MAX_COUNTERS])
        for counter in [c for c, cause in state.open.items() if wanted.get(c) != cause]:
            self._close(query, counter, at)
            continued = counter in wanted
            del state.open[counter]
            if continued:
                self._open(state, query, counter, last, wanted[counter])  # they overlap: nothing good lies between
        for counter, cause in wanted.items():
            if counter not in state.open:
                self._open(state, query, counter, last, cause)
        self._staged[query] = state
        return found

    def _open(self, state: _Query, query: str, counter: str, since: float, cause: str) -> None:
        state.open[counter] = cause
        self._add(query, counter, since, None, cause)

    def _add(self, query: str, counter: str, since: float, until: float | None, cause: str) -> None:
        sql = "INSERT INTO gaps(query, counter, since, until, cause) VALUES(?,?,?,?,?)"
        self._notes.append((sql, (query, counter, since, until, cause[:MAX_CAUSE])))

    def _close(self, query: str, counter: str, until: float) -> None:
        sql = "UPDATE gaps SET until=max(since, ?) WHERE query=? AND counter=? AND until IS NULL"
        self._notes.append((sql, (until, query, counter)))

    def write(self) -> None:
        """Write what was noted."""
        for sql, values in self._notes:
            self._db.execute(sql, values)
        if self._written + len(self._notes) >= FORGET_EVERY:
            self._forget()

    def _forget(self) -> None:
        """Of more than :data:`MAX_GAPS` rows the oldest go; up to when is remembered."""
        newest = self._db.execute("SELECT id FROM gaps ORDER BY id DESC LIMIT 1 OFFSET ?", (MAX_GAPS,)).fetchone()
        if newest is None:
            return
        upto = self._db.execute("SELECT max(until) FROM gaps WHERE id <= ?", newest).fetchone()[0]
        if upto is not None:
            self._db.execute("DELETE FROM gaps WHERE id <= ? AND until IS NOT NULL", newest)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES('gaps_from', ?)", (repr(upto),))

    def done(self, kept: bool, why: str = "") -> None:
        """The transaction is committed; or it is not, because of ``why``: then its samples have not been taken."""
        if kept:
            self._queries.update(self._staged)
            self._written = (self._written + len(self._notes)) % FORGET_EVERY
        else:
            for query in self._staged:
                self._queries[query].why = why
        self._staged.clear()
        self._notes.clear()


@dataclass(frozen=True)
class Known:
    """What the store in a folder knows: ``since`` by query (when it was first sampled), ``gaps`` by query,
    ``closed`` (Unix s) by window id, ``last_sample``, ``gaps_from`` (gaps before it may be forgotten), ``replaced``
    (when a damaged store was replaced by this one) and ``left`` (when a query or window left the configuration
    last)."""

    since: dict[str, float] = field(default_factory=dict)
    gaps: dict[str, list[Gap]] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    last_sample: float | None = None
    gaps_from: float | None = None
    replaced: float | None = None
    left: float | None = None


def read(path: str) -> Known | None:
    """The record in the ``collector.db`` at ``path``; None while there is none. Raises StoreError, sqlite3.Error."""
    reader = open_reader(path)
    if reader is None:
        return None
    folder = os.path.dirname(path)
    with closing(reader) as db:
        before = journal.peek(folder)  # and once more afterwards: what is not there then may have been taken over
        db.execute("BEGIN")
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        known = Known(closed=dict(db.execute("SELECT id, closed FROM windows")))
        numbers = _numbers(db.execute("SELECT key, value FROM meta"))
        left = None
        if "gaps" in there:
            left = db.execute("SELECT max(until) FROM watched").fetchone()[0]
            known.since.update(db.execute("SELECT query, since FROM watched"))
            for row in db.execute("SELECT query, counter, since, until, cause FROM gaps ORDER BY id"):
                known.gaps.setdefault(row[0], []).append(Gap(*row))
        return Known(
            known.since,
            known.gaps,
            known.closed,
            journal.newest([*before, *journal.peek(folder)], numbers.get("last_sample")),
            numbers.get("gaps_from"),
            numbers.get("replaced"),
            left,
        )


def _numbers(rows: Iterable[tuple[str, str]]) -> dict[str, float]:
    found = {}
    for key, value in rows:
        if key in ("last_sample", "gaps_from", "replaced"):
            with suppress(ValueError):  # a damaged one is none
                found[key] = float(value)
    return found
