"""What processes did since an earlier time, and when they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from omi_queries.scx.family import NO_EARLIER, NO_TIME, Ask, Counters
from omi_queries.scx.host import Host, cim_datetime
from omi_queries.scx.processes import MAJFLT, STARTTIME, STIME, UTIME, Process, ProcessTable, Walk
from omi_queries.types import CimValue

_NEW = "processes without an earlier reading, rates are not known yet"
_BACKWARDS = "processes whose counters went backwards"


class Change(NamedTuple):
    """What a process used in ``milliseconds``: clock ticks in user and system mode, and major faults."""

    user: int
    system: int
    faults: int
    milliseconds: int


IDLE = Change(0, 0, 0, 1)
"""Nothing at all."""

Changes = Callable[[Sequence[Process]], Sequence[Change | None]]
"""What each process did: None, with the reason counted, if unknown."""


class History(Protocol):
    """Where processes come from and what they did since an earlier time."""

    def walk(self, ask: Ask) -> Walk:
        """The processes to answer with."""

    def begin(self, ask: Ask, walk: Walk) -> tuple[Counters, Changes]:
        """The counters to keep, and what processes did since ``ask.old``."""


class TrueDelta:
    """The change since the stream's own earlier reading. A process that began since then began from nothing."""

    def __init__(self, table: ProcessTable, hz: int) -> None:
        self._table = table
        self._hz = hz

    def walk(self, ask: Ask) -> Walk:
        return self._table.get(ask.tick)

    def begin(self, ask: Ask, walk: Walk) -> tuple[Counters, Changes]:
        new, old = walk.counters(), ask.old
        if old is None:
            ask.skip(NO_EARLIER)
            return new, _unknown
        milliseconds = int((new.at - old.at) * 1000)
        if milliseconds <= 0:
            ask.skip(NO_TIME)
            return new, _unknown
        earliest = old.at * self._hz - self._hz
        before_of = old.raw.get

        def change(one: Process) -> Change | None:
            now, before = one.numbers, before_of(one.handle)
            user, system, faults = now[UTIME], now[STIME], now[MAJFLT]
            if before is not None and before[STARTTIME] == now[STARTTIME]:
                user, system, faults = user - before[UTIME], system - before[STIME], faults - before[MAJFLT]
            elif now[STARTTIME] < earliest:  # another process of the same number, or one that was hidden
                ask.skip(_NEW)
                return None
            if user < 0 or system < 0 or faults < 0:
                ask.skip(_BACKWARDS)
                return None
            return Change(user, system, faults, milliseconds)

        def changes(processes: Sequence[Process]) -> list[Change | None]:  # the same numbers: its stat did not change
            return [IDLE if one.numbers is before_of(one.handle) else change(one) for one in processes]

        return new, changes


def _unknown(processes: Sequence[Process]) -> list[Change | None]:
    return [None] * len(processes)


class Endings:
    """When a process was first seen to have ended without being waited for, in Unix microseconds."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen: dict[tuple[str, int], int] = {}

    def look(self, walk: Walk) -> Callable[[Process], CimValue]:
        """Take note of the ended ones of ``walk``; the TerminationDate of a process that has ended."""
        now = int(self._host.wall() * 1_000_000)
        ended = [(one.handle, one.numbers[STARTTIME]) for one in walk.processes.values() if one.state == b"Z"]
        self._seen = {key: self._seen.get(key, now) for key in ended}
        return lambda one: cim_datetime(self._seen[one.handle, one.numbers[STARTTIME]])
