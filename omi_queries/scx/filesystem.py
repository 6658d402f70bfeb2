"""SCX_FileSystemStatisticalInformation from statvfs and /proc/diskstats."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from omi_queries import classes
from omi_queries.mounts import FileSystem, Layout, MountTable
from omi_queries.procfs import Row
from omi_queries.scx.disk import READS, SECTORS_READ, SECTORS_WRITTEN, WRITES, summed, transfer_rates
from omi_queries.scx.family import Ask, Counters, elapsed, percent, rates_of, template
from omi_queries.scx.space import Space
from omi_queries.sources import Sources
from omi_queries.types import CimValue, Instance

CLASS = "SCX_FileSystemStatisticalInformation"
TOTAL = "_Total"
_MIB = 1 << 20
_MAX_KNOWN = 4096
_STILL = [0, 0, 0, 0]
_IDLE = transfer_rates(0, 0, 0, 0, 1.0)
_pick = itemgetter(READS, SECTORS_READ, WRITES, SECTORS_WRITTEN)
_SPACE = frozenset(
    ["FreeMegabytes", "UsedMegabytes", "PercentFreeSpace", "PercentUsedSpace", "PercentFreeInodes", "PercentUsedInodes"]
)


def space_values(free_mib: int, used_mib: int) -> dict[str, CimValue]:
    """Space properties from MiB. The whole is free + used, as df has it, not the size (spec/scx-classes.tsv)."""
    whole = free_mib + used_mib
    return {
        "FreeMegabytes": free_mib,
        "UsedMegabytes": used_mib,
        "PercentFreeSpace": percent(free_mib, whole) if whole else 100,
        "PercentUsedSpace": percent(used_mib, whole),
    }


def mebibytes(found: os.statvfs_result) -> tuple[int, int]:
    """(free, used) MiB, each rounded up; free is what an unprivileged user may still take."""
    free = found.f_bavail * found.f_frsize
    used = max(0, found.f_blocks - found.f_bfree) * found.f_frsize
    return -(-free // _MIB), -(-used // _MIB)


def inode_values(found: os.statvfs_result) -> dict[str, CimValue]:
    """Inode properties; a file system without a fixed number of inodes is all free."""
    total, free = found.f_files, found.f_ffree
    return {
        "PercentFreeInodes": percent(free, total) if total else 100,
        "PercentUsedInodes": percent(max(0, total - free), total),
    }


class _Known(NamedTuple):
    """An answer of statvfs and what was made of it: MiB free and used, and the properties."""

    found: os.statvfs_result
    free: int
    used: int
    values: dict[str, CimValue]


class FileSystems:
    """An instance per mount point and "_Total", which counts each device once."""

    width = 4

    def __init__(self, sources: Sources, mounts: MountTable, space: Space) -> None:
        self._source = sources.diskstats
        self._mounts = mounts
        self._space = space
        cim_class = classes.get(CLASS)
        self._rates = rates_of(cim_class)
        self._template = template(cim_class)
        self._known: dict[str, _Known] = {}

    def counters(self) -> Counters:
        return self._counters(self._mounts.get(None), None)

    def _counters(self, layout: Layout, tick: float | None) -> Counters:
        at, table = self._source.get(tick)
        rows: dict[str, Row] = {}
        for one in layout.file_systems:
            row = table.rows.get(one.device)
            if row is not None:
                rows[one.device] = _pick(row)
        return Counters(at, rows)

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        layout = self._mounts.get(ask.tick)
        new = self._counters(layout, ask.tick)
        for note in layout.notes:
            ask.skip(note)
        total = ask.wants(TOTAL, True)
        wanted = [one for one in layout.file_systems if ask.wants(one.name, False)]
        looked_at = layout.file_systems if total else wanted
        changes = self._changes(ask, looked_at, new)
        spaces = self._spaces(ask, looked_at)
        seconds = new.at - ask.old.at if ask.old is not None else 0.0
        found: list[Instance] = []
        for one in wanted:
            instance = self._instance(one.name, False, one.online)
            self._set_rates(instance, changes.get(one.device), seconds)
            space = spaces.get(one.path)
            if space is not None:
                instance.update(self._space_values(one.path, space).values)
            found.append(instance)
        if total and (layout.file_systems or not layout.notes):
            found.append(self._total(layout, changes, spaces, seconds))
        return new, found

    def _changes(self, ask: Ask, file_systems: Sequence[FileSystem], new: Counters) -> dict[str, list[int]]:
        """What each device did in the interval; those of which it cannot be known are left out, with the reason."""
        changes: dict[str, list[int]] = {}
        if self._rates.isdisjoint(ask.needs):
            return changes
        for note in self._source.get(ask.tick).table.notes:
            ask.skip(note)
        if elapsed(ask, new, self._rates) <= 0.0 or ask.old is None:
            return changes
        earlier = ask.old.raw
        seen: set[str] = set()
        for one in file_systems:
            if one.key in seen:
                continue
            seen.add(one.key)
            row, before = new.raw.get(one.device), earlier.get(one.device)
            if row is None:
                ask.skip(f"file system {one.name[:200]}: its device is not in /proc/diskstats")
            elif before is None:
                ask.skip(f"file system {one.name[:200]}: new, rates are not known yet")
            elif row == before:  # most file systems, most of the time
                changes[one.device] = _STILL
            else:
                change = [n - o for n, o in zip(row, before, strict=True)]
                if min(change) < 0:
                    ask.skip(f"file system {one.name[:200]}: counter went backwards")
                else:
                    changes[one.device] = change
        return changes

    def _spaces(self, ask: Ask, file_systems: Sequence[FileSystem]) -> dict[str, os.statvfs_result]:
        return {} if _SPACE.isdisjoint(ask.needs) else self._space.get(ask, file_systems)

    def _instance(self, name: str, aggregate: bool, online: bool) -> Instance:
        instance = dict(self._template)
        instance["Name"] = name
        instance["IsAggregate"] = aggregate
        instance["IsOnline"] = online
        return instance

    def _set_rates(self, instance: Instance, change: list[int] | None, seconds: float) -> None:
        if change is None:
            for name in self._rates:
                del instance[name]
        elif change is _STILL:
            instance.update(_IDLE)
        else:
            reads, sectors_read, writes, sectors_written = change
            instance.update(transfer_rates(reads, sectors_read, writes, sectors_written, seconds))

    def _space_values(self, path: str, found: os.statvfs_result) -> _Known:
        """Space and inode properties, worked out again when the answer is another one."""
        known = self._known.get(path)
        if known is None or known.found != found:
            if len(self._known) > _MAX_KNOWN:
                self._known.clear()
            free, used = mebibytes(found)
            values = {**space_values(free, used), **inode_values(found)}
            known = self._known[path] = _Known(found, free, used, values)
        return known

    def _total(
        self, layout: Layout, changes: dict[str, list[int]], spaces: dict[str, os.statvfs_result], seconds: float
    ) -> Instance:
        """Sums over distinct devices, the first mount of each; inodes are always 100 % free, as the original's."""
        instance = self._instance(TOTAL, True, True)
        rows = list(changes.values())
        if not layout.file_systems and seconds > 0.0:
            rows = [[0] * self.width]  # of no file systems, nothing is read
        self._set_rates(instance, summed(rows) if rows else None, seconds)
        first = {one.key: one.path for one in reversed(layout.file_systems) if one.online}
        sizes = [self._space_values(path, spaces[path]) for path in first.values() if path in spaces]
        if sizes or not first:
            instance.update(space_values(sum(one.free for one in sizes), sum(one.used for one in sizes)))
            instance.update(PercentFreeInodes=100, PercentUsedInodes=0)
        return instance
