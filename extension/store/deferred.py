"""What a tick leaves in the store besides rows: samples, raw counters, its time; at once, or with a later transaction.

A tick is kept in :mod:`extension.store.journal`. If there has to be a transaction besides, as where a window ends, that
one takes over what earlier ticks left. So a tick that only samples costs no transaction at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any

from extension.rows.ticks import SECOND_US, iso
from extension.store import journal, raw
from extension.store.database import Connection
from extension.store.journal import Journal, Tick
from extension.store.samples import Samples

LAST = "last_sample"
"""The time of the newest tick whose samples are in ``collector.db`` (Unix s)."""


class _Kept(Enum):
    """Where what a change put is kept."""

    NOWHERE = auto()
    IN_JOURNAL = auto()
    IN_PLACE = auto()
    """In the journal, what earlier ones left there in the file."""
    IN_FILE = auto()
    """And all that was in the journal."""


class Deferred:
    """Between ``samples`` and ``db``, over ``journal``. A change is :meth:`begin`, what it puts, :meth:`finish`, and
    when that is kept :meth:`done`; :meth:`undo` otherwise."""

    def __init__(self, db: Connection, samples: Samples, journal: Journal) -> None:
        self._db, self._samples, self._runs, self._journal = db, samples, samples.runs, journal
        self.states: dict[str, Any] = {}
        """Raw counters by query that only the journal has."""
        self._new_states: dict[str, Any] = {}
        self._last: float | None = None
        self._waiting: list[float] = []
        self._base: float | None = None
        self._kept = _Kept.NOWHERE

    def load(self, base: float | None, damaged: Callable[[str], None], report: Callable[[str], None]) -> None:
        """Take over what a process that ended left in the journal. ``base``: the time of the newest tick in the file;
        ``damaged(what)`` and ``report(message)`` are told of what is left out."""
        self._base = base
        found, broken = self._journal.read()
        if self._journal.problem:
            report(f"{self._journal.path} cannot be used: {self._journal.problem}; samples in it are left out")
        if broken:
            damaged(f"a sample in {journal.NAME}")
        ticks = journal.following(found, base)
        for tick in ticks:
            self._runs.load(tick.samples)
            self.states.update(tick.states)
            self._waiting.append(tick.last)
        held = self.newest or 0.0
        in_progress = bool(ticks) and found[-1].base in self._waiting
        lost = [t.last for t in (found[:-1] if in_progress else found) if t.base != base and t.last > held]
        if lost:
            report(
                f"samples up to {iso(int(max(lost)) * SECOND_US)} in {self._journal.path} do not follow on what the "
                "store holds: they are left out"
            )
        self._journal.forget_after(found.index(ticks[-1]) + 1 if ticks else 0)

    @property
    def waiting(self) -> bool:
        """Whether there is something that only the journal has."""
        return bool(self._waiting)

    @property
    def newest(self) -> float | None:
        """The time of the newest tick (Unix s)."""
        return self._waiting[-1] if self._waiting else self._base

    def forget_raw(self, queries: Iterable[str]) -> None:
        """Forget raw counters."""
        for query in queries:
            self.states.pop(query, None)

    def give_up(self) -> None:
        """Forget what only the journal has."""
        self._runs.give_up()
        self.states, self._waiting = {}, []
        self._journal.clear()

    def put_raw(self, states: Iterable[tuple[str, Any]], last_sample: float | None) -> None:
        """Keep the raw counters of queries, and the time of the tick."""
        self._new_states.update(states)
        self._last = last_sample

    def begin(self) -> None:
        """A change begins."""
        self.undo()
        self._samples.begin()

    def take_in(self) -> None:
        """A change of its own that lets the file have it all."""
        self.begin()
        self._db.begin()
        self.finish()

    def finish(self) -> None:
        """It is all there: keep it."""
        if not (self._db.in_transaction or self._new_states or self._runs.added or self._last is not None):
            return
        if self._append():
            self._kept = _Kept.IN_JOURNAL
            if self._db.in_transaction:
                self._kept = _Kept.IN_PLACE
                self._runs.write_earlier()
                self._put([], self._waiting[-1:])
            return
        self._kept = _Kept.IN_FILE
        self._runs.write()
        times = self._waiting[-1:] if self._last is None else [self._last]
        self._put(raw.values({**self.states, **self._new_states}.items()), times)

    def _append(self) -> bool:
        """Let the journal have it, if it may be there; whether it is.

        What is put within a transaction counts if that is committed: then the file has another newest tick than before.
        """
        base, states = self._base, self._new_states
        if self._last is None or base is None or self._runs.written:
            return False
        if self._db.in_transaction:
            if self._waiting[-1:] in ([], [base]):
                return False
            base, states = self._waiting[-1], {**self.states, **states}
        elif len(self._waiting) >= journal.MAX_WAITING:
            return False
        try:
            self._journal.append(Tick(base, self._last, self._runs.added, states))
        except OSError:
            return False
        return True

    def _put(self, values: list[tuple[str, str]], times: list[float]) -> None:
        values += [(LAST, repr(time)) for time in times]
        if values:
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", values)

    def done(self) -> None:
        """The change is kept."""
        kept, last = self._kept, self._last
        if kept in (_Kept.IN_FILE, _Kept.IN_PLACE):
            self._base = self.newest if last is None or kept is _Kept.IN_PLACE else last
            self._waiting = []
        if kept is _Kept.IN_FILE:
            self.states = {}
        elif last is not None:
            self.states.update(self._new_states)
            self._waiting.append(last)
        self._runs.done()
        self._rest()
        if kept is _Kept.IN_FILE:
            self._journal.clear()
        elif kept is _Kept.IN_PLACE:
            self._journal.pass_by()

    def undo(self) -> None:
        """Nothing of the change is kept."""
        if self._kept in (_Kept.IN_JOURNAL, _Kept.IN_PLACE):
            self._journal.take_back()
        self._runs.undo()
        self._rest()

    def _rest(self) -> None:
        self._new_states, self._last, self._kept = {}, None, _Kept.NOWHERE
