"""Processes as SCX's own sampler sees them: a list that is renewed once a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omi_queries.scx.family import NOTHING, Ask, Counters
from omi_queries.scx.process_history import Change, Changes
from omi_queries.scx.processes import MAJFLT, STARTTIME, STIME, UTIME, Process, ProcessTable, Walk
from omi_queries.scx.ring import Ring
from omi_queries.scx.sampled import PERIOD, SIZE


class SampledProcesses:
    """The processes of the last sample, for up to a period after they ended; new ones come with the next sample."""

    def __init__(self, table: ProcessTable, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        self._walk = table.nothing
        self.ring = Ring(PERIOD, SIZE, self._take)

    def _take(self) -> Counters:
        self._walk = self._table.get(None)
        return self._walk.counters()

    def walk(self, _ask: Ask) -> Walk:
        self.ring.sample(self._clock())
        return self._walk

    def begin(self, _ask: Ask, _walk: Walk) -> tuple[Counters, Changes]:
        samples = self.ring.samples

        def change(one: Process) -> Change | None:
            now = samples[-1].raw[one.handle]
            for old in samples:
                before = old.raw.get(one.handle)
                if before is not None and before[STARTTIME] == now[STARTTIME]:
                    user, system, faults = (max(0, now[at] - before[at]) for at in (UTIME, STIME, MAJFLT))
                    return Change(user, system, faults, int((samples[-1].at - old.at) * 1000))
            return None

        def changes(processes: Sequence[Process]) -> list[Change | None]:
            return [change(one) for one in processes]

        return NOTHING, changes
