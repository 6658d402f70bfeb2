"""What the queries of one tick gave, in one row of ``collector.db``: most samples are of this kind.

The names hardly ever change from tick to tick, so they stand once, in ``layouts``; a row of ``runs`` has a line
``layout microseconds [values]`` for each query. ``t`` is the time (Unix microseconds) of its first line, to which the
others add; all are of one second, so that a row never lies in two windows.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from extension.pipeline.named import Named
from extension.rows.ticks import SECOND_US, iso
from extension.store import bodies

SCHEMA = """
CREATE TABLE IF NOT EXISTS layouts(id INTEGER PRIMARY KEY, source TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs(t INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""
MAX_LAYOUTS = 200
"""Names that change so often are kept with their values."""
SHORT = 300
"""Several sources ask in turn for the same time: rows up to so many, an hour of the usual rate, are read once."""
SPANS = 3
"""So many times, as the minute and the hour that end together."""
_NUMBERS = re.compile(r"[-+.,0-9e]*")
"""What ``repr`` writes of numbers as JSON does, and of nothing else."""
_time = attrgetter("at_us")


@dataclass(frozen=True)
class Layout:
    """What the samples of ``source`` have in common: :class:`Named` without its values."""

    source: str
    by: str
    of: str
    names: list[str]
    kinds: str | list[str]

    def body(self, values: list[Any]) -> dict[str, Any]:
        """A sample as :mod:`extension.store.bodies` knows it. ValueError if these are no values for all names."""
        if not isinstance(values, list) or len(values) != len(self.names):
            raise ValueError(f"not {len(self.names)} values")
        return {"c": [[self.by, "String", self.names], [self.of, self.kinds, values]]}


class Run(NamedTuple):
    """A sample: its layout's number, its time, and its values, as text where it stands in the file."""

    layout: int
    at_us: int
    values: str | list[Any]


class Runs:
    """Over the connection ``db``, in whose transactions changes are made; ``damaged(what)`` is told of what is left
    out.

    A change is what comes between :meth:`begin` and :meth:`done` or :meth:`undo`. What it adds is in memory until it is
    written, in this change or, if somebody else keeps it meanwhile, in a later one.
    """

    def __init__(self, db: sqlite3.Connection, damaged: Callable[[str], None]) -> None:
        self._db, self._tell_damage = db, damaged
        self._open = False
        self._runs: list[tuple[int, int, list[Any]]] = []
        self._earlier = self._written = self._trimmed = 0
        self._newest: dict[str, tuple[Named, int]] = {}
        self._asked: dict[tuple[int, int], dict[int, list[Run]] | None] = {}
        self._upto = max(self.times(), default=0)
        """Later than that, there is nothing in the file."""
        self._load()

    def _load(self) -> None:
        """Know the layouts that are in the file."""
        self._layouts: dict[int, Layout] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._sources: dict[str, list[int]] = {}
        self._unreadable: set[int] = set()
        self._newest.clear()
        self._changed = False
        for number, source, text in self._db.execute("SELECT id, source, body FROM layouts ORDER BY id"):
            try:
                by, of, names, kinds = json.loads(text)
                if not (isinstance(names, list) and isinstance(kinds, (str, list))):
                    raise ValueError(text)
            except bodies.DAMAGED:
                self._tell_damage(f"what the samples of {source} are called")
                self._unreadable.add(number)
                continue
            self._know(number, text, Layout(source, by, of, names, kinds))

    def _know(self, number: int, text: str, layout: Layout) -> None:
        self._layouts[number] = layout
        self._numbers[layout.source, text] = number
        self._sources.setdefault(layout.source, []).append(number)

    # -- writing

    def begin(self) -> None:
        """A change begins; whether the one before was kept as a transaction, only the file knows."""
        self.undo()
        self._open = True
        if self._changed:
            self._load()
            if len(self._layouts) >= MAX_LAYOUTS:
                self._forget_unused()

    def undo(self) -> None:
        """It ends, and nothing of it is kept."""
        del self._runs[self._earlier :]
        self._end()

    def done(self) -> None:
        """It ends, and is kept: what was written, and elsewhere what was not."""
        del self._runs[: self._written]
        self._earlier = len(self._runs)
        self._end()

    def _end(self) -> None:
        self._asked.clear()
        self._written = self._trimmed = 0
        self._open = False

    def give_up(self) -> None:
        """Forget what somebody else has kept."""
        del self._runs[: self._earlier]
        self._earlier = 0

    def load(self, samples: Iterable[tuple[int, int, list[Any]]]) -> None:
        """Know what somebody else has kept."""
        for layout, at_us, values in samples:
            if layout in self._layouts:
                self._runs.append((layout, at_us, values))
            elif layout not in self._unreadable:
                self._tell_damage(f"the sample of {iso(at_us)}")
        self._earlier = len(self._runs)

    def add(self, source: str, found: Named) -> bool:
        """Add what a query gave; False if it has to be kept elsewhere."""
        if not self._open:
            return False
        known = self._newest.get(source)
        if known is None or not _alike(known[0], found):
            number = self._number(source, found)
            if number is None:
                return False
            known = self._newest[source] = found, number
        self._runs.append((known[1], found.at_us, found.values))
        self._asked.clear()
        return True

    def _number(self, source: str, found: Named) -> int | None:
        (by, _, names), (of, kinds, _) = found.packed()["c"]
        text = bodies.to_json([by, of, names, kinds])
        number = self._numbers.get((source, text))
        if number is None and len(self._layouts) < MAX_LAYOUTS:
            self._changed = True
            number = self._db.execute("INSERT INTO layouts(source, body) VALUES(?,?)", (source, text)).lastrowid
            assert number is not None
            self._know(number, text, Layout(source, by, of, names, kinds))
        return number

    @property
    def added(self) -> list[tuple[int, int, list[Any]]]:
        """The samples of this change."""
        return self._runs[self._earlier :]

    @property
    def written(self) -> bool:
        """Whether this change has written any."""
        return self._written > 0

    def write_earlier(self) -> None:
        """Write what earlier changes added; inside a transaction, as :meth:`write`."""
        self._write(self._earlier)

    def write(self) -> None:
        """Write what this and earlier changes added."""
        self._write(len(self._runs))

    def _write(self, upto: int) -> None:
        """Without what would be forgotten at once."""
        rows = []
        found = [run for run in self._runs[self._written : upto] if run[1] >= self._trimmed]
        for _, group in groupby(found, lambda run: run[1] // SECOND_US):
            runs = list(group)
            t = runs[0][1]
            rows.append((t, "\n".join([f"{layout} {at_us - t} {_text(values)}" for layout, at_us, values in runs])))
        if rows:
            self._upto = max(self._upto, *(t for t, _ in rows))
            self._db.executemany(
                "INSERT INTO runs VALUES(?,?) ON CONFLICT(t) DO UPDATE SET body=body||char(10)||excluded.body", rows
            )
        self._written = upto
        self._asked.clear()

    # -- reading

    def sources(self) -> list[str]:
        """Those that may have samples here."""
        return list(self._sources)

    def has(self, source: str) -> bool:
        """Whether ``source`` may have samples here."""
        return source in self._sources

    def found(self, source: str, begin_us: int, end_us: int) -> Iterator[Run]:
        """The samples of ``source`` in [begin, end), in time order."""
        numbers = self._sources.get(source, ())
        if not numbers:
            return iter(())
        known = self._spanned(begin_us, end_us)
        if known is None:
            written = self._within(self._stored(begin_us, end_us), begin_us, end_us)
            both = merge(written, self._in_memory(begin_us, end_us), key=_time)
            return (run for run in both if run.layout in numbers)
        parts = [part for number in numbers if (part := known.get(number))]
        if len(parts) > 1:
            return iter(sorted((run for part in parts for run in part), key=_time))
        return iter(parts[0] if parts else ())

    def _spanned(self, begin_us: int, end_us: int) -> dict[int, list[Run]] | None:
        """As :meth:`_by_layout`; within a transaction, nothing is read twice that has not changed."""
        span = begin_us, end_us
        if not self._open:
            return self._by_layout(*span)
        if span not in self._asked:
            if len(self._asked) >= SPANS:
                self._asked.clear()
            self._asked[span] = self._by_layout(*span)
        return self._asked[span]

    def _by_layout(self, begin_us: int, end_us: int) -> dict[int, list[Run]] | None:
        """The samples of all sources; None if they are too many to be held in memory."""
        rows = self._stored(begin_us, end_us).fetchmany(SHORT + 1) if begin_us <= self._upto + SECOND_US else []
        if len(rows) > SHORT:
            return None
        newest = self._in_memory(begin_us, end_us)
        runs: Iterable[Run] = chain(self._within(rows, begin_us, end_us), newest)
        if rows and newest and newest[0].at_us < rows[-1][0] + SECOND_US:  # the clock was set back
            runs = sorted(runs, key=_time)
        found: dict[int, list[Run]] = {}
        for run in runs:
            found.setdefault(run.layout, []).append(run)
        return found

    def _in_memory(self, begin_us: int, end_us: int) -> list[Run]:
        """Those that are not in the file, in time order."""
        begin_us = max(begin_us, self._trimmed)
        found = [Run(*run) for run in self._runs[self._written :] if begin_us <= run[1] < end_us]
        return sorted(found, key=_time)

    def _stored(self, begin_us: int, end_us: int) -> sqlite3.Cursor:
        first = begin_us - begin_us % SECOND_US
        return self._db.execute("SELECT t, body FROM runs WHERE t>=? AND t<? ORDER BY t", (first, end_us))

    def _within(self, rows: Iterable[tuple[int, str]], begin_us: int, end_us: int) -> Iterator[Run]:
        for t, body in rows:
            for run in self._lines(t, body):
                if begin_us <= run.at_us < end_us:
                    yield run

    def _lines(self, t: int, body: str) -> Iterator[Run]:
        for line in str(body).split("\n"):
            try:
                number, later, values = line.split(" ", 2)
                run = Run(int(number), t + int(later), values)
            except ValueError:
                self._tell_damage(f"the sample of {iso(t)}")
                continue
            if run.layout in self._layouts:
                yield run
            elif run.layout not in self._unreadable:
                self._tell_damage(f"the sample of {iso(t)}")

    def bodies(self, source: str, begin_us: int, end_us: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """(time, body as :mod:`extension.store.bodies` knows it) of :meth:`found`."""
        for run in self.found(source, begin_us, end_us):
            try:
                values = json.loads(run.values) if isinstance(run.values, str) else run.values
                body = self._layouts[run.layout].body(values)
            except bodies.DAMAGED:
                self._tell_damage(f"the sample of {source} at {iso(run.at_us)}")
                continue
            yield run.at_us, body

    # -- forgetting

    def trim(self, before_us: int) -> None:
        """Forget the samples of all sources that are older."""
        self._asked.clear()
        first = before_us - before_us % SECOND_US
        self._trimmed = max(self._trimmed, first) if self._open else 0
        self._db.execute("DELETE FROM runs WHERE t<?", (first,))

    def forget_from(self, source: str, at_us: int) -> None:
        """Forget the samples of ``source`` that are dated ``at_us`` or later; its names too if that is all."""
        numbers = self._sources.get(source)
        if not numbers:
            return
        if self._open:
            self.write()
        first = at_us - at_us % SECOND_US
        for t, body in self._db.execute("SELECT t, body FROM runs WHERE t>=?", (first,)).fetchall():
            lines = body.split("\n")
            kept = [x for x in lines if not any(r.layout in numbers and r.at_us >= at_us for r in self._lines(t, x))]
            if not kept:
                self._db.execute("DELETE FROM runs WHERE t=?", (t,))
            elif len(kept) < len(lines):
                self._db.execute("UPDATE runs SET body=? WHERE t=?", ("\n".join(kept), t))
        if at_us <= 0:
            self._db.executemany("DELETE FROM layouts WHERE id=?", [(number,) for number in numbers])
            self._load()
            self._changed = True

    def times(self) -> list[int]:
        """Times of some, the oldest and the newest among them."""
        found = self._db.execute("SELECT (SELECT min(t) FROM runs), (SELECT max(t) FROM runs)").fetchone()
        return [*(t for t in found if t is not None), *(at_us for _, at_us, _ in self._runs[self._written :])]

    def _forget_unused(self) -> None:
        """Forget the layouts that no sample has any more."""
        used = {run.layout for t, body in self._db.execute("SELECT t, body FROM runs") for run in self._lines(t, body)}
        used.update(layout for layout, _, _ in self._runs)
        unused = [(number,) for (number,) in self._db.execute("SELECT id FROM layouts") if number not in used]
        self._db.executemany("DELETE FROM layouts WHERE id=?", unused)
        if unused:
            self._load()
            self._changed = True


def _text(values: list[Any]) -> str:
    text = ",".join(map(repr, values))
    return f"[{text}]" if _NUMBERS.fullmatch(text) else bodies.to_json(values)


def _alike(a: Named, b: Named) -> bool:
    return a.names == b.names and a.kinds == b.kinds and a.by == b.by and a.of == b.of
