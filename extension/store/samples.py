"""The samples of local tables in ``collector.db``, which windows are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from extension.pipeline.metrics import Pair
from extension.pipeline.named import Named
from extension.pipeline.records import Record
from extension.rows.ticks import SECOND_US, iso
from extension.store import bodies

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples(source TEXT, t INTEGER, body TEXT NOT NULL);
DROP INDEX IF EXISTS samples_by_time;
CREATE INDEX IF NOT EXISTS samples_at ON samples(t, source);
"""
KEPT_S = 90
"""Samples of the newest minute and a half are not given up: windows of a minute need them."""
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError)
"""What :mod:`extension.store.bodies` raises of a text whose bytes were damaged on the disk."""


class Samples:
    """Over the connection ``db``, in whose transactions changes are made; ``damaged(what)`` is told of what is left
    out."""

    def __init__(self, db: sqlite3.Connection, damaged: Callable[[str], None]) -> None:
        self._db, self._tell_damage = db, damaged
        self._bodies = bodies.Bodies()

    def add(self, source: str, at_us: int, found: Sequence[Record] | Named) -> None:
        """Append the records that one run put into the local table ``source``."""
        self._db.execute("INSERT INTO samples VALUES(?,?,?)", (source, at_us, self._bodies.encode(found)))

    def add_dated(self, source: str, dated: Iterable[tuple[int, Record]]) -> None:
        """Append (time, record) pairs; neighbours of one time are kept together."""
        for at_us, group in groupby(dated, itemgetter(0)):
            self.add(source, at_us, [record for _, record in group])

    def read(self, source: str, begin_us: int, end_us: int) -> Iterator[tuple[int, Record]]:
        """(time, record) pairs of [begin, end) in time order, insertion order for equal times."""
        for t, body in self._found(source, begin_us, end_us):
            try:
                found = list(bodies.decode(body))
            except _DAMAGED:
                self._tell_damage(_sample(source, t))
                continue
            for record in found:
                yield t, record

    def pairs(self, source: str, begin_us: int, end_us: int, by: str, of: str) -> Iterator[Pair]:
        """The names in column ``by`` and the values in column ``of`` of :meth:`read`, without making the records."""
        for t, body in self._found(source, begin_us, end_us):
            try:
                found = self._bodies.pairs(body, by, of)
            except _DAMAGED:
                self._tell_damage(_sample(source, t))
                continue
            yield from found

    def _found(self, source: str, begin_us: int, end_us: int) -> sqlite3.Cursor:
        return self._db.execute(
            "SELECT t, body FROM samples WHERE source=? AND t>=? AND t<? ORDER BY t, rowid", (source, begin_us, end_us)
        )

    def window_starts(self, source: str, begin: int, end: int, duration: int) -> list[int]:
        """Starts (Unix s) of the windows of ``duration`` s within [begin, end) that have samples, ascending."""
        span = (source, begin * SECOND_US, end * SECOND_US)
        if end - begin == duration and not begin % duration:  # the one that has just ended, as a rule
            one = self._db.execute("SELECT 1 FROM samples WHERE source=? AND t>=? AND t<? LIMIT 1", span)
            return [begin for _ in one]
        rows = self._db.execute(
            "SELECT DISTINCT t/? FROM samples WHERE source=? AND t>=? AND t<? ORDER BY 1", (duration * SECOND_US, *span)
        )
        return [number * duration for (number,) in rows]

    def sources(self) -> list[str]:
        """The local tables that hold samples."""
        return [source for (source,) in self._db.execute("SELECT DISTINCT source FROM samples")]

    def trim(self, source: str, before_us: int) -> None:
        """Forget samples that no window needs any more."""
        self._db.execute("DELETE FROM samples WHERE source=? AND t<?", (source, before_us))

    def forget_from(self, source: str, at_us: int) -> None:
        """Forget samples that are dated ``at_us`` or later: the clock was set back, and their time comes again."""
        self._db.execute("DELETE FROM samples WHERE source=? AND t>=?", (source, at_us))

    def thin(self) -> int:
        """Forget the oldest quarter of all samples, but none of the newest minutes; 0, since they are no rows yet."""
        oldest, newest = self._db.execute("SELECT min(t), max(t) FROM samples").fetchone()
        if oldest is not None:
            before = min(oldest + (newest - oldest) // 4, newest - KEPT_S * SECOND_US)
            self._db.execute("DELETE FROM samples WHERE t <= ?", (before,))
        return 0


def _sample(source: str, at_us: int) -> str:
    return f"the sample of {source} at {iso(at_us)}"
