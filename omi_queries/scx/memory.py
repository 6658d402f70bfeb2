"""SCX_MemoryStatisticalInformation from /proc/meminfo and /proc/vmstat."""

from __future__ import annotations

from omi_queries import classes
from omi_queries.procfs import field_value
from omi_queries.scx.family import Ask, Counters, Raw, deltas, elapsed, per_second, percent, template
from omi_queries.sources import Sources
from omi_queries.types import CimValue, Instance

CLASS = "SCX_MemoryStatisticalInformation"
NAME = "Memory"
CACHE = "PercentUsedByCache"
_KIB = 1024
_MIB_IN_KIB = 1024
PAGES = frozenset(["PagesPerSec", "PagesReadPerSec", "PagesWrittenPerSec"])
_FROM_MEMINFO = frozenset(
    [
        "AvailableMemory", "PercentAvailableMemory", "UsedMemory", "PercentUsedMemory", "PercentUsedByCache",
        "AvailableSwap", "PercentAvailableSwap", "UsedSwap", "PercentUsedSwap",
    ]
)  # fmt: skip


def memory_values(meminfo: bytes) -> dict[str, CimValue]:
    """The properties that /proc/meminfo decides; a property whose fields are missing or impossible is left out.

    MiB truncate, percentages are made of the truncated MiB (spec/scx-classes.tsv). The page cache's share is that of
    Cached + Buffers + SReclaimable in MemTotal, where the original always says 0.
    """
    values: dict[str, CimValue] = {}
    total = field_value(meminfo, b"MemTotal:")
    free = field_value(meminfo, b"MemFree:")
    buffers = field_value(meminfo, b"Buffers:")
    cached = field_value(meminfo, b"Cached:")
    available = field_value(meminfo, b"MemAvailable:")
    if not available and free is not None and buffers is not None and cached is not None:
        available = free + buffers + cached  # kernels before 3.14
    if total and available is not None and available <= total:
        values.update(_share("Memory", total, available, total - available))
    if total and cached is not None and buffers is not None:
        cache = cached + buffers + (field_value(meminfo, b"SReclaimable:") or 0)
        values["PercentUsedByCache"] = percent(cache, total)
    swap, swap_free = field_value(meminfo, b"SwapTotal:"), field_value(meminfo, b"SwapFree:")
    if swap is not None and swap_free is not None and swap_free <= swap:
        values.update(_share("Swap", swap, swap_free, swap - swap_free))
    return values


def _share(kind: str, total: int, available: int, used: int) -> dict[str, CimValue]:
    whole, left, taken = total // _MIB_IN_KIB, available // _MIB_IN_KIB, used // _MIB_IN_KIB
    return {
        f"Available{kind}": left,
        f"PercentAvailable{kind}": percent(left, whole),
        f"Used{kind}": taken,
        f"PercentUsed{kind}": percent(taken, whole),
    }


class Memory:
    """The single instance "Memory". ``page_size`` is in bytes."""

    width = 1

    def __init__(self, sources: Sources, page_size: int) -> None:
        self._meminfo = sources.meminfo
        self._vmstat = sources.vmstat
        self._page_size = page_size
        self._template = template(classes.get(CLASS))
        self._template.update(Name=NAME, IsAggregate=True)
        self._last: tuple[bytes, dict[str, CimValue]] = (b"", {})

    def counters(self) -> Counters:
        return self._counters(None, PAGES)[0]

    def _counters(self, tick: float | None, needs: frozenset[str]) -> tuple[Counters, tuple[str, ...]]:
        """pgpgin and pgpgout (KiB read from and written to block devices since boot), if they are needed."""
        if needs.isdisjoint(PAGES):
            return Counters(0.0, {}), ()
        at, data, notes = self._vmstat.get(tick)
        raw: dict[str, tuple[int]] = {}
        for key in ("pgpgin", "pgpgout"):
            value = field_value(data, key.encode() + b" ")
            if value is not None:
                raw[key] = (value,)
            elif not notes:
                notes = (f"/proc/vmstat: {key} is missing or unreadable",)
        return Counters(at, raw), notes

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        new, notes = self._counters(ask.tick, ask.needs)
        if not ask.wants(NAME, True):
            return new, []
        instance = dict(self._template)
        if not ask.needs.isdisjoint(_FROM_MEMINFO):
            self._set_memory(ask, instance)
        if not ask.needs.isdisjoint(PAGES):
            for note in notes:
                ask.skip(note)
            self._set_pages(ask, new, instance)
        return new, [instance]

    def _set_memory(self, ask: Ask, instance: Instance) -> None:
        _, data, notes = self._meminfo.get(ask.tick)
        for note in notes:
            ask.skip(note)
        if data != self._last[0]:
            self._last = (data, memory_values(data))
        values = self._last[1]
        instance.update(values)
        if len(values) < len(_FROM_MEMINFO) and not notes:
            ask.skip("/proc/meminfo: fields are missing or contradict each other")

    def _set_pages(self, ask: Ask, new: Counters, instance: Instance) -> None:
        """PagesPerSec is the sum of the two rounded rates, as the original adds up what it has rounded."""
        read = written = None
        seconds = elapsed(ask, new, PAGES)
        if seconds > 0.0:
            read = self._pages(ask, new.raw, "pgpgin", seconds)
            written = self._pages(ask, new.raw, "pgpgout", seconds)
        both = read + written if read is not None and written is not None else None
        for name, value in (("PagesPerSec", both), ("PagesReadPerSec", read), ("PagesWrittenPerSec", written)):
            if value is None:
                del instance[name]
            else:
                instance[name] = value

    def _pages(self, ask: Ask, raw: Raw, key: str, seconds: float) -> int | None:
        if key not in raw:
            return None
        change = deltas(ask.old, key, raw[key])
        if change is None:
            ask.skip(f"/proc/vmstat {key}: not in the earlier reading")
            return None
        if change[0] < 0:
            ask.skip(f"/proc/vmstat {key}: counter went backwards")
            return None
        return per_second(change[0] * _KIB, seconds * self._page_size)
