"""The samples of local tables in ``collector.db``, which windows are made of.

What queries gave stands in :mod:`extension.store.runs`; what came one by one, from clients or other windows, and what
earlier versions of this program stored, in the table ``samples``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter

from extension.pipeline.metrics import Pair, pairs_of
from extension.pipeline.named import Named
from extension.pipeline.records import Record
from extension.rows.ticks import SECOND_US, iso
from extension.store import bodies, runs

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples(source TEXT, t INTEGER, body TEXT NOT NULL);
DROP INDEX IF EXISTS samples_by_time;
CREATE INDEX IF NOT EXISTS samples_at ON samples(t, source);
"""
SCHEMA += runs.SCHEMA
KEPT_S = 90
"""Samples of the newest minute and a half are not given up: windows of a minute need them."""


class Samples:
    """Over the connection ``db``, in whose transactions changes are made; ``damaged(what)`` is told of what is left
    out. Whoever makes a change says of ``runs`` whether, and where, it is kept."""

    def __init__(self, db: sqlite3.Connection, damaged: Callable[[str], None]) -> None:
        self._db, self._tell_damage = db, damaged
        self._bodies = bodies.Bodies()
        self.runs = runs.Runs(db, damaged)
        self._single = set(self._singles())
        self._trimmed = False

    def _singles(self) -> Iterator[str]:
        return (source for (source,) in self._db.execute("SELECT DISTINCT source FROM samples"))

    def begin(self) -> None:
        """A change begins."""
        if self._trimmed:
            self._trimmed = False
            for source in [source for source in self._single if self.runs.has(source)]:
                if self._db.execute("SELECT 1 FROM samples WHERE source=? LIMIT 1", (source,)).fetchone() is None:
                    self._single.discard(source)
        self.runs.begin()

    def add(self, source: str, at_us: int, found: Sequence[Record] | Named) -> None:
        """Append the records that one run put into the local table ``source``."""
        if not (isinstance(found, Named) and self.runs.add(source, found)):
            self._single.add(source)
            self._db.execute("INSERT INTO samples VALUES(?,?,?)", (source, at_us, self._bodies.encode(found)))

    def add_dated(self, source: str, dated: Iterable[tuple[int, Record]]) -> None:
        """Append (time, record) pairs; neighbours of one time are kept together."""
        for at_us, group in groupby(dated, itemgetter(0)):
            self.add(source, at_us, [record for _, record in group])

    def read(self, source: str, begin_us: int, end_us: int) -> Iterator[tuple[int, Record]]:
        """(time, record) pairs of [begin, end) in time order, insertion order for equal times."""
        found = self._of_runs(source, begin_us, end_us)
        if source not in self._single:
            return found
        singles = self._of_singles(source, begin_us, end_us)
        return merge(singles, found, key=itemgetter(0)) if self.runs.has(source) else singles

    def _of_runs(self, source: str, begin_us: int, end_us: int) -> Iterator[tuple[int, Record]]:
        for t, body in self.runs.bodies(source, begin_us, end_us):
            for record in bodies.records(body):
                yield t, record

    def _of_singles(self, source: str, begin_us: int, end_us: int) -> Iterator[tuple[int, Record]]:
        for t, body in self._found(source, begin_us, end_us):
            try:
                found = list(bodies.decode(body))
            except bodies.DAMAGED:
                self._tell_damage(_sample(source, t))
                continue
            for record in found:
                yield t, record

    def pairs(self, source: str, begin_us: int, end_us: int, by: str, of: str) -> Iterator[Pair]:
        """The names in column ``by`` and the values in column ``of`` of :meth:`read`, without making the records."""
        if source not in self._single:
            for _, whole in self.runs.bodies(source, begin_us, end_us):
                yield from bodies.pairs_in(whole, by, of)
            return
        if self.runs.has(source):
            yield from pairs_of((record.columns for _, record in self.read(source, begin_us, end_us)), by, of)
            return
        for t, body in self._found(source, begin_us, end_us):
            try:
                found = self._bodies.pairs(body, by, of)
            except bodies.DAMAGED:
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
        found = self.runs.found(*span)
        if end - begin == duration and not begin % duration:  # the one that has just ended, as a rule
            one = "SELECT 1 FROM samples WHERE source=? AND t>=? AND t<? LIMIT 1"
            there = next(found, None) or (source in self._single and self._db.execute(one, span).fetchone())
            return [begin] if there else []
        numbers = {run.at_us // (duration * SECOND_US) for run in found}
        if source in self._single:
            windows = "SELECT DISTINCT t/? FROM samples WHERE source=? AND t>=? AND t<?"
            numbers.update(number for (number,) in self._db.execute(windows, (duration * SECOND_US, *span)))
        return [number * duration for number in sorted(numbers)]

    def sources(self) -> list[str]:
        """The local tables that hold samples."""
        return list(dict.fromkeys((*self._singles(), *self.runs.sources())))

    def in_runs(self) -> list[str]:
        """The local tables of which :meth:`trim_runs` forgets samples."""
        return self.runs.sources()

    def trim(self, source: str, before_us: int) -> None:
        """Forget samples of ``source`` that no window needs any more; those of :meth:`trim_runs` stay."""
        if source in self._single:
            self._trimmed = True
            self._db.execute("DELETE FROM samples WHERE source=? AND t<?", (source, before_us))

    def trim_runs(self, before_us: int) -> None:
        """Forget what queries gave before, if no window of any source needs it any more."""
        self.runs.trim(before_us)

    def forget_from(self, source: str, at_us: int) -> None:
        """Forget samples that are dated ``at_us`` or later: the clock was set back, and their time comes again; or all
        of a source that nobody reads any more."""
        self._db.execute("DELETE FROM samples WHERE source=? AND t>=?", (source, at_us))
        self.runs.forget_from(source, at_us)

    def thin(self) -> int:
        """Forget the oldest quarter of all samples, but none of the newest minutes; 0, since they are no rows yet."""
        single = self._db.execute("SELECT min(t), max(t) FROM samples").fetchone()
        times = [t for t in (*single, *self.runs.times()) if t is not None]
        if times:
            oldest, newest = min(times), max(times)
            before = min(oldest + (newest - oldest) // 4, newest - KEPT_S * SECOND_US)
            self._db.execute("DELETE FROM samples WHERE t <= ?", (before,))
            self.runs.trim(before)
        return 0


def _sample(source: str, at_us: int) -> str:
    return f"the sample of {source} at {iso(at_us)}"
