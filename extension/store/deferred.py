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
        self._db, self._samples, self._journal = db, samples, journal
        self._states: dict[str, Any] = {}
        self._last: float | None = None
        self._earlier: dict[str, Any] = {}
        self._waiting: list[float] = []
        self._base: float | None = None
        self._kept = _Kept.NOWHERE
        self._all = False

    def load(self, base: float | None, damaged: Callable[[str], None], report: Callable[[str], None]) -> None:
        """Take over what a process that ended left in the journal. ``base``: the time of the newest tick in the file;
        ``damaged(what)`` and ``report(message)`` are told of what is left out."""
        self._base = base
        found, broken = self._journal.read()
        if broken:
            damaged(f"a sample in {journal.NAME}")
        ticks = journal.following(found, base)
        for tick in ticks:
            self._samples.load(tick.samples)
            self._earlier.update(tick.states)
            self._waiting.append(tick.last)
        ends = [base or 0.0, *self._waiting]  # what goes on from one of these was in progress
        lost = [tick.last for tick in found if tick.base not in ends and tick.last > max(ends)]
        if lost:
            report(
                f"samples up to {iso(int(lost[-1]) * SECOND_US)} in {self._journal.path} do not follow on what the "
                "store holds: they are left out"
            )

    @property
    def waiting(self) -> bool:
        """Whether there is something that only the journal has."""
        return bool(self._waiting)

    def put_raw(self, states: Iterable[tuple[str, Any]], last_sample: float | None) -> None:
        """Keep the raw counters of queries, and the time of the tick."""
        self._states.update(states)
        self._last = last_sample

    def write_all(self) -> None:
        """Let the file have it all with this change, and begin the transaction."""
        self._all = True
        self._db.begin()

    def begin(self) -> None:
        """A change begins."""
        self.undo()
        self._samples.begin()

    def finish(self) -> None:
        """It is all there: keep it."""
        if self._last is None and not (self._all or self._states or self._samples.added or self._samples.written):
            return
        if self._append():
            self._kept = _Kept.IN_JOURNAL
            if self._db.in_transaction:
                self._kept = _Kept.IN_PLACE
                self._samples.write_earlier()
                self._put([], self._waiting[-1:])
            return
        self._kept = _Kept.IN_FILE
        self._samples.write()
        times = self._waiting[-1:] if self._last is None else [self._last]
        self._put(raw.values({**self._earlier, **self._states}.items()), times)

    def _append(self) -> bool:
        """Let the journal have it, if it may be there; whether it is.

        What is put within a transaction counts if that is committed: then the file has another newest tick than before.
        """
        base, states = self._base, self._states
        if self._last is None or base is None or self._all or self._samples.written:
            return False
        if self._db.in_transaction:
            if self._waiting[-1:] in ([], [base]):
                return False
            base, states = self._waiting[-1], {**self._earlier, **states}
        elif len(self._waiting) >= journal.MAX_WAITING:
            return False
        try:
            self._journal.append(Tick(base, self._last, self._samples.added, states))
        except OSError:
            return False
        return True

    def _put(self, values: list[tuple[str, str]], times: list[float]) -> None:
        values += [(LAST, repr(time)) for time in times]
        if values:
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", values)

    def done(self) -> None:
        """The change is kept."""
        if self._kept is _Kept.IN_FILE:
            self._base = self._newest() if self._last is None else self._last
            self._earlier, self._waiting = {}, []
            self._journal.clear()
        elif self._kept is not _Kept.NOWHERE:
            assert self._last is not None
            if self._kept is _Kept.IN_PLACE:
                self._base, self._waiting = self._newest(), []
                self._journal.pass_by()
            self._earlier.update(self._states)
            self._waiting.append(self._last)
        self._samples.done()
        self._rest()

    def _newest(self) -> float | None:
        return self._waiting[-1] if self._waiting else self._base

    def undo(self) -> None:
        """Nothing of the change is kept."""
        if self._kept in (_Kept.IN_JOURNAL, _Kept.IN_PLACE):
            self._journal.take_back()
        self._samples.undo()
        self._rest()

    def _rest(self) -> None:
        self._states, self._last, self._kept, self._all = {}, None, _Kept.NOWHERE, False
