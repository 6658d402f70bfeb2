"""The providers over one root, each made when it is first needed, and what they share.

The statistical classes are made here; the modules of the others are loaded when one of them is asked for, so that a
collector which never asks does not carry them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omi_queries import classes
from omi_queries.mounts import MountTable
from omi_queries.scx import disk, filesystem, memory, network, processor
from omi_queries.scx.conf import CONFIG, number, settings
from omi_queries.scx.family import Family
from omi_queries.scx.interfaces import Interfaces
from omi_queries.scx.ring import Ring
from omi_queries.scx.sampled import (
    PERIOD,
    RT_PERIOD,
    RT_SIZE,
    SIZE,
    Fill,
    Sampled,
    fill_disk,
    fill_file_system,
    fill_memory,
    fill_processor,
)
from omi_queries.scx.shared import Injected, Shared
from omi_queries.scx.space import Space
from omi_queries.sources import Sources

if TYPE_CHECKING:
    from omi_queries.scx.other_families import OtherFamilies

TRUE_DELTA, SCX = "delta", "scx"


class Families:
    """The providers by class name."""

    def __init__(self, root: str, injected: Injected, scx: bool) -> None:
        self.sources = Sources(root, injected.boottime)
        mounts, interfaces = MountTable(self.sources), Interfaces(root)
        self._shared = Shared(root, injected, scx, self.sources, mounts, interfaces, Space(injected.statvfs))
        self._other: OtherFamilies | None = None
        self._made: dict[str, Family] = {}

    def get(self, class_name: str) -> Family:
        """The provider of a class with instances."""
        if class_name not in self._made:
            self._made[class_name] = self._make(class_name)
        return self._made[class_name]

    def _make(self, name: str) -> Family:
        shared, sources, mounts = self._shared, self.sources, self._shared.mounts
        if name == processor.CLASS:
            return self._rated(name, processor.Processor(sources, name), fill_processor)
        if name == processor.RT_CLASS:
            return self._rated(name, processor.Processor(sources, name), fill_processor, *self._rt_window())
        if name == memory.CLASS:
            return self._rated(name, memory.Memory(sources, shared.injected.page_size), fill_memory)
        if name == disk.CLASS:
            return self._rated(name, disk.Disk(sources, mounts), fill_disk)
        if name == filesystem.CLASS:
            family = filesystem.FileSystems(sources, mounts, shared.space)
            return self._rated(name, family, fill_file_system(mounts))
        if name == network.CLASS:
            return network.Network(sources, shared.interfaces)
        if self._other is None:
            from omi_queries.scx.other_families import OtherFamilies

            self._other = OtherFamilies(shared)
        return self._other.make(name)

    def _rt_window(self) -> tuple[int, int, tuple[str, ...]]:
        """Period and size of the RT class's ring, and what is wrong with them in SCX's configuration."""
        if not self._shared.scx:
            return RT_PERIOD, RT_SIZE, ()
        found = settings(self._shared.root, CONFIG)
        period, first = number(found, "RTCPUProvider_SampleSecs", RT_PERIOD, 1, 3600)
        size, second = number(found, "RTCPUProvider_SampleSize", RT_SIZE, 2, 60)
        return period, size, tuple(note for note in (first, second) if note)

    def _rated(
        self,
        name: str,
        family: Family,
        fill: Fill,
        period: int = PERIOD,
        size: int = SIZE,
        notes: tuple[str, ...] = (),
    ) -> Family:
        if not self._shared.scx:
            return family
        ring = Ring(period, size, family.counters)
        return Sampled(classes.get(name), family, fill, self._shared.injected.boottime, ring, notes)

    def rings(self) -> list[Ring]:
        """The rings of the sampler, with or without samples yet; none with true deltas."""
        found = [one.ring for one in self._made.values() if isinstance(one, Sampled)]
        return found if self._other is None else [*found, *self._other.rings()]

    def close(self) -> None:
        """Give up descriptors."""
        self.sources.close()
        self._shared.mounts.close()
        if self._other is not None:
            self._other.close()
