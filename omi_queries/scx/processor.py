"""SCX_ProcessorStatisticalInformation and SCX_RTProcessorStatisticalInformation from /proc/stat."""

from __future__ import annotations

from collections.abc import Sequence

from omi_queries import classes
from omi_queries.scx.family import Ask, Counters, deltas, elapsed, percent, rates_of, template
from omi_queries.sources import Sources
from omi_queries.types import Instance

CLASS = "SCX_ProcessorStatisticalInformation"
RT_CLASS = "SCX_RTProcessorStatisticalInformation"
TOTAL = "_Total"
USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ = range(7)

# idle and iowait of a row are sums over moments that the kernel does not lock: they may step back a little
# (kernel, filesystems/proc.rst on iowait). More than a second of ticks is another counter, not jitter.
_JITTER_TICKS = 100


def percentages(ticks: Sequence[int]) -> dict[str, int]:
    """Percent properties from the ticks of one row between two readings; steal and guest are not in the total.

    Each value is rounded on its own, so they need not add up to 100 (spec/scx-classes.tsv).
    """
    user, nice, system, idle, iowait, irq, softirq = ticks
    busy = user + nice + system + irq + softirq
    total = busy + idle + iowait
    return {
        "PercentIdleTime": percent(idle, total),
        "PercentUserTime": percent(user, total),
        "PercentNiceTime": percent(nice, total),
        "PercentPrivilegedTime": percent(system, total),
        "PercentInterruptTime": percent(irq, total),
        "PercentDPCTime": percent(softirq, total),
        "PercentProcessorTime": percent(busy, total),
        "PercentIOWaitTime": percent(iowait, total),
    }


class Processor:
    """Instances "0", "1", ... for the rows of /proc/stat (online processors) and "_Total".

    The two classes differ in the original's sampling only; here each stream has rates over its own interval.
    """

    width = 7

    def __init__(self, sources: Sources, class_name: str = CLASS) -> None:
        self._source = sources.stat
        cim_class = classes.get(class_name)
        self._rates = rates_of(cim_class)
        self._bare = template(cim_class, without=self._rates)
        self._full = template(cim_class)

    def counters(self) -> Counters:
        at, table = self._source.get(None)
        return Counters(at, table.rows)

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        at, table = self._source.get(ask.tick)
        new = Counters(at, table.rows)
        for note in table.notes:
            ask.skip(note)
        known = elapsed(ask, new, self._rates) > 0.0
        names = [name for name in table.rows if name != TOTAL]
        if TOTAL in table.rows:
            names.append(TOTAL)
        found = [self._instance(ask, new, name, known) for name in names if ask.wants(name, name == TOTAL)]
        if ask.old is not None and not table.notes:
            for name in ask.old.raw:
                if name not in table.rows:
                    ask.skip(f"processor {name}: no longer in /proc/stat")
        return new, found

    def _instance(self, ask: Ask, new: Counters, name: str, known: bool) -> Instance:
        values = self._values(ask, new, name) if known else {}
        instance = dict(self._full if len(values) == len(self._rates) else self._bare)
        instance["Name"] = name
        instance["IsAggregate"] = name == TOTAL
        instance.update(values)
        return instance

    def _values(self, ask: Ask, new: Counters, name: str) -> dict[str, int]:
        ticks = deltas(ask.old, name, new.raw[name])
        if ticks is None:
            ask.skip(f"processor {name}: new, rates are not known yet")
            return {}
        without: list[str] = []
        if min(ticks) < 0:
            for index, prop in ((IDLE, "PercentIdleTime"), (IOWAIT, "PercentIOWaitTime")):
                if -_JITTER_TICKS <= ticks[index] < 0:
                    ticks[index] = 0
                    without.append(prop)
            ask.skip(f"processor {name}: counter went backwards")
            if min(ticks) < 0:
                return {}
        if not any(ticks):
            ask.skip(f"processor {name}: its counters did not move")
            return {}
        values = percentages(ticks)
        for prop in without:
            del values[prop]
        return values
