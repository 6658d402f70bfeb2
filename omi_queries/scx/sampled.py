"""The classes with rates as SCX itself answers them: from its sampler's ring, with its rounding and its defects.

The instances come from the ordinary providers, their rates from a :class:`Ring`. Until the ring has two samples of a
row all its rates are 0, the idle time too (spec/omi-scx.md 1 and 8).
"""

from __future__ import annotations

from collections.abc import Callable

from omi_queries.classes import CimClass
from omi_queries.mounts import MountTable
from omi_queries.scx import disk, memory, processor
from omi_queries.scx.family import NOTHING, Ask, Counters, Family, rates_of, template
from omi_queries.scx.ring import Ring, Span
from omi_queries.types import Instance

PERIOD, SIZE = 60, 6
RT_PERIOD, RT_SIZE = 10, 2

Set = Callable[[Instance], None]
"""Sets the sampled properties of an instance whose other properties are set."""
Fill = Callable[[Ask, Ring], Set]
"""What sets them in one answer; what all instances need is looked up once."""


class Sampled:
    """A provider whose rates are its ring's.

    ``width`` is that of the provider's rows; ``notes`` are counted with each answer.
    """

    def __init__(
        self,
        cim_class: CimClass,
        family: Family,
        fill: Fill,
        clock: Callable[[], float],
        ring: Ring,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.width = family.width
        self.ring = ring
        self._family = family
        self._fill = fill
        self._notes = notes
        self._clock = clock
        self._rates = rates_of(cim_class)
        self._template = template(cim_class)

    def counters(self) -> Counters:
        """Start the sampler, or take what is due; there is nothing for a stream to keep."""
        self.ring.sample(self._clock())
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        self.ring.sample(self._clock())
        for note in self._notes:
            ask.skip(note)
        _, plain = self._family.sample(ask._replace(old=None, where=None, needs=ask.needs - self._rates))
        fill = self._fill(ask, self.ring)
        found: list[Instance] = [{**self._template, **one} for one in plain]
        for instance in found:
            fill(instance)
        return NOTHING, found


def fill_processor(_ask: Ask, ring: Ring) -> Set:
    """Percentages over the ring; 0 where nothing was counted."""

    def fill(instance: Instance) -> None:
        span = ring.span(str(instance["Name"]))
        instance.update(processor.percentages(span.change if span else [0] * 7))

    return fill


def fill_memory(ask: Ask, ring: Ring) -> Set:
    """KiB per second where pages are meant, and no page cache."""
    rates = []
    for key in ("pgpgin", "pgpgout"):
        span = ring.span(key)
        rates.append(ring.per_second(span.change[0], span.periods) if span else 0)
        if key not in ring.samples[-1].raw and not ask.needs.isdisjoint(memory.PAGES):
            ask.skip(f"/proc/vmstat: {key} is missing or unreadable, its rate is shown as 0")
    read, written = rates
    values: Instance = {
        "PagesPerSec": read + written, "PagesReadPerSec": read, "PagesWrittenPerSec": written, memory.CACHE: 0,
    }  # fmt: skip
    return lambda instance: instance.update(values)


def fill_disk(ask: Ask, ring: Ring) -> Set:
    """Rates and times of a disk, or of all; the queue is the mean of what was in flight at the samples."""
    rows = list(ring.samples[-1].raw)
    by_name: dict[str, list[str]] = {}
    for key in rows:
        by_name.setdefault(key.rpartition("/")[2], []).append(key)

    def fill(instance: Instance) -> None:
        name, total = str(instance["Name"]), instance["IsAggregate"]
        keys = rows if total else by_name.get(name, [])
        if not keys and not total:
            _unsampled(ask, f"disk {name}")
        spans = [span for span in map(ring.span, keys) if span is not None]
        instance.update(_transfer_rates(ring, spans, disk.READS, disk.SECTORS_READ, disk.WRITES, disk.SECTORS_WRITTEN))
        instance.update(disk.average_times(disk.summed([[0] * 7, *(span.change for span in spans)])))
        queue = [one.raw[key][disk.IN_FLIGHT] for one in ring.samples for key in keys if key in one.raw]
        instance["AverageDiskQueueLength"] = sum(queue) / len(queue) if queue and not total else 0.0

    return fill


def fill_file_system(mounts: MountTable) -> Fill:
    """Rates of the device that a file system is on; the total is that of all devices."""

    def prepare(ask: Ask, ring: Ring) -> Set:
        device_of = {one.name: one.device for one in mounts.get(ask.tick).file_systems}
        rows = ring.samples[-1].raw

        def fill(instance: Instance) -> None:
            name, total = str(instance["Name"]), instance["IsAggregate"]
            devices = sorted(set(device_of.values())) if total else [device_of.get(name, "")]
            if not total and devices[0] not in rows:
                _unsampled(ask, f"file system {name[:200]}")
            spans = [span for span in map(ring.span, devices) if span is not None]
            instance.update(_transfer_rates(ring, spans, 0, 1, 2, 3))

        return fill

    return prepare


def _unsampled(ask: Ask, what: str) -> None:
    if not ask.needs.isdisjoint(disk.TRANSFER_RATES):
        ask.skip(f"{what}: not in the sampler's last reading of /proc/diskstats, its rates are shown as 0")


def _transfer_rates(
    ring: Ring, spans: list[Span], reads: int, sectors_read: int, writes: int, sectors_written: int
) -> Instance:
    """The rates of a row of counters at these places; of several rows the sum of what each has after rounding."""

    def rate(*places: int, unit: int = 1) -> int:
        return sum(ring.per_second(sum(one.change[at] for at in places) * unit, one.periods) for one in spans)

    return {
        "BytesPerSecond": rate(sectors_read, sectors_written, unit=disk.SECTOR),
        "ReadBytesPerSecond": rate(sectors_read, unit=disk.SECTOR),
        "WriteBytesPerSecond": rate(sectors_written, unit=disk.SECTOR),
        "TransfersPerSecond": rate(reads, writes),
        "ReadsPerSecond": rate(reads),
        "WritesPerSecond": rate(writes),
    }
