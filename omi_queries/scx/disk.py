"""SCX_DiskDriveStatisticalInformation from /proc/diskstats, for the disks below mounted file systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from omi_queries import classes
from omi_queries.mounts import MountTable
from omi_queries.scx.family import Ask, Counters, deltas, elapsed, per_second, rates_of, template
from omi_queries.sources import Sources
from omi_queries.types import CimValue, Instance

CLASS = "SCX_DiskDriveStatisticalInformation"
TOTAL = "_Total"
SECTOR = 512
READS, SECTORS_READ, MS_READING, WRITES, SECTORS_WRITTEN, MS_WRITING, IN_FLIGHT = range(7)
_COUNTS = (READS, SECTORS_READ, WRITES, SECTORS_WRITTEN)


def transfer_rates(reads: int, sectors_read: int, writes: int, sectors_written: int, seconds: float) -> Instance:
    """The six ...PerSecond properties, in declaration order, from what was counted in ``seconds``."""
    return {
        "BytesPerSecond": per_second((sectors_read + sectors_written) * SECTOR, seconds),
        "ReadBytesPerSecond": per_second(sectors_read * SECTOR, seconds),
        "WriteBytesPerSecond": per_second(sectors_written * SECTOR, seconds),
        "TransfersPerSecond": per_second(reads + writes, seconds),
        "ReadsPerSecond": per_second(reads, seconds),
        "WritesPerSecond": per_second(writes, seconds),
    }


def average_times(change: Sequence[int]) -> Instance:
    """Seconds per transfer in the interval, 0 without transfers; what a time counter's wrap touches is left out."""
    reads, writes, reading, writing = change[READS], change[WRITES], change[MS_READING], change[MS_WRITING]
    values: dict[str, CimValue] = {}
    if reading >= 0:
        values["AverageReadTime"] = _average(reading, reads)
    if writing >= 0:
        values["AverageWriteTime"] = _average(writing, writes)
    if reading >= 0 and writing >= 0:
        values["AverageTransferTime"] = _average(reading + writing, reads + writes)
    return values


def _average(milliseconds: int, count: int) -> float:
    return milliseconds / count / 1000.0 if count else 0.0


TRANSFER_RATES = frozenset(transfer_rates(0, 0, 0, 0, 1.0))
_IDLE: Instance = {**transfer_rates(0, 0, 0, 0, 1.0), **average_times([0] * 7)}


def summed(changes: Iterable[Sequence[int]]) -> list[int]:
    """The rows added up, column by column."""
    return [sum(column) for column in zip(*changes, strict=True)]


class Disk:
    """An instance per disk and "_Total". A disk once seen stays, with IsOnline false when nothing of it is mounted."""

    width = 7

    def __init__(self, sources: Sources, mounts: MountTable) -> None:
        self._source = sources.diskstats
        self._mounts = mounts
        cim_class = classes.get(CLASS)
        self._rates = rates_of(cim_class)
        self._template = template(cim_class)

    def counters(self) -> Counters:
        layout = self._mounts.get(None)
        at, table = self._source.get(None)
        return Counters(at, {name: table.rows[name] for name, _ in layout.disks if name in table.rows})

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        layout = self._mounts.get(ask.tick)
        at, table = self._source.get(ask.tick)
        new = Counters(at, {name: table.rows[name] for name, _ in layout.disks if name in table.rows})
        for note in (*layout.notes, *table.notes):
            ask.skip(note)
        seconds = elapsed(ask, new, self._rates)
        total = ask.wants(TOTAL, True)
        found: list[Instance] = []
        changes: list[list[int]] = []
        for name, online in layout.disks:
            wanted = ask.wants(name.rpartition("/")[2], False)
            if not wanted and not total:
                continue
            change = self._change(ask, new, name) if seconds > 0.0 else None
            if change is not None:
                changes.append(change)
            if wanted:
                found.append(self._instance(ask, new, name, online, change, seconds))
        if total and (layout.disks or not layout.notes):
            known = changes or (not layout.disks and seconds > 0.0)
            found.append(self._total(changes or [[0] * self.width] if known else [], seconds))
        return new, found

    def _change(self, ask: Ask, new: Counters, name: str) -> list[int] | None:
        """What the disk did in the interval; None, with the reason counted, if that cannot be known."""
        row = new.raw.get(name)
        if row is None:
            ask.skip(f"disk {name}: not in /proc/diskstats")
            return None
        change = deltas(ask.old, name, row)
        if change is None:
            ask.skip(f"disk {name}: new, rates are not known yet")
        elif min(change) < 0 and min(change[i] for i in _COUNTS) < 0:
            ask.skip(f"disk {name}: counter went backwards")
            return None
        elif change[MS_READING] < 0 or change[MS_WRITING] < 0:
            ask.skip(f"disk {name}: time counter went backwards")
        return change

    def _instance(
        self, ask: Ask, new: Counters, name: str, online: bool, change: list[int] | None, seconds: float
    ) -> Instance:
        instance = dict(self._template)
        instance["Name"] = name.rpartition("/")[2]
        instance["IsAggregate"] = False
        instance["IsOnline"] = online
        if change is not None and not any(change[:IN_FLIGHT]):
            instance.update(_IDLE)  # most disks, most of the time
        else:
            self._set_rates(instance, change, seconds)
        row = new.raw.get(name)
        if row is not None:  # the mean of what was in flight at the two moments
            before = ask.old.raw.get(name) if ask.old is not None else None
            now = row[IN_FLIGHT]
            instance["AverageDiskQueueLength"] = (now + before[IN_FLIGHT]) / 2.0 if before else float(now)
        return instance

    def _total(self, changes: list[list[int]], seconds: float) -> Instance:
        """The sum of all disks whose change is known; its queue length is always 0, as the original's."""
        instance = dict(self._template)
        instance["Name"] = TOTAL
        instance["IsAggregate"] = True
        instance["IsOnline"] = True
        known = [c for c in changes if c[MS_READING] >= 0 and c[MS_WRITING] >= 0]
        self._set_rates(instance, summed(changes) if changes else None, seconds)
        if known and len(known) < len(changes):  # averages of those disks whose times are known
            instance.update(average_times(summed(known)))
        instance["AverageDiskQueueLength"] = 0.0
        return instance

    def _set_rates(self, instance: Instance, change: list[int] | None, seconds: float) -> None:
        if change is None:
            for name in self._rates:
                del instance[name]
            return
        instance.update(
            transfer_rates(change[READS], change[SECTORS_READ], change[WRITES], change[SECTORS_WRITTEN], seconds)
        )
        times = average_times(change)
        instance.update(times)
        if len(times) < 3:
            for name in ("AverageReadTime", "AverageWriteTime", "AverageTransferTime"):
                if name not in times:
                    del instance[name]
