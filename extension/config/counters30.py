"""The 48 builtin counters of LAD 3.0 and 4.x as data (spec/lad-counters.tsv, spec/lad-handler.md 7)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from extension.config.model import MIB

_AGGREGATE = "IsAggregate=TRUE"


class Builtin(NamedTuple):
    """One counter: ``unit`` and ``display`` are what the portal shows; ``scale_up`` turns the property into the unit.

    ``column`` is the SCX property, empty where it has the counter's own name.
    """

    name: str
    unit: str
    display: str
    column: str = ""
    scale_up: int = 1

    @property
    def key(self) -> str:
        """The name as settings write it; case does not count there."""
        return self.name.lower()

    @property
    def scx_property(self) -> str:
        """The SCX property that is asked for."""
        return self.column or self.name


class CounterClass(NamedTuple):
    """One class: ``condition`` selects the instance where a counter names none, "" for all instances."""

    name: str
    scx_class: str
    condition: str
    counters: tuple[Builtin, ...]

    def specifier(self, counter: Builtin) -> str:
        """The counterSpecifier that the portal uses."""
        return f"/builtin/{self.name}/{counter.key}"


CLASSES = (
    CounterClass(
        "processor",
        "SCX_ProcessorStatisticalInformation",
        _AGGREGATE,
        (
            Builtin("PercentIdleTime", "Percent", "CPU idle time"),
            Builtin("PercentProcessorTime", "Percent", "CPU percentage guest OS"),
            Builtin("PercentIOWaitTime", "Percent", "CPU IO wait time"),
            Builtin("PercentInterruptTime", "Percent", "CPU interrupt time"),
            Builtin("PercentUserTime", "Percent", "CPU user time"),
            Builtin("PercentNiceTime", "Percent", "CPU nice time"),
            Builtin("PercentPrivilegedTime", "Percent", "CPU privileged time"),
        ),
    ),
    CounterClass(
        "memory",
        "SCX_MemoryStatisticalInformation",
        "",
        (
            Builtin("AvailableMemory", "Bytes", "Memory available", scale_up=MIB),
            Builtin("PercentAvailableMemory", "Percent", "Mem. percent available"),
            Builtin("UsedMemory", "Bytes", "Memory used", scale_up=MIB),
            Builtin("PercentUsedMemory", "Percent", "Memory percentage"),
            Builtin("PagesPerSec", "CountPerSecond", "Pages"),
            Builtin("PagesReadPerSec", "CountPerSecond", "Page reads"),
            Builtin("PagesWrittenPerSec", "CountPerSecond", "Page writes"),
            Builtin("AvailableSwap", "Bytes", "Swap available", scale_up=MIB),
            Builtin("PercentAvailableSwap", "Percent", "Swap percent available"),
            Builtin("UsedSwap", "Bytes", "Swap used", scale_up=MIB),
            Builtin("PercentUsedSwap", "Percent", "Swap percent used"),
        ),
    ),
    CounterClass(
        "network",
        "SCX_EthernetPortStatistics",
        "",
        (
            Builtin("BytesTransmitted", "Bytes", "Network out guest OS"),
            Builtin("BytesReceived", "Bytes", "Network in guest OS"),
            Builtin("BytesTotal", "Bytes", "Network total bytes"),
            Builtin("PacketsTransmitted", "Count", "Packets sent"),
            Builtin("PacketsReceived", "Count", "Packets received"),
            Builtin("TotalRxErrors", "Count", "Packets received errors"),
            Builtin("TotalTxErrors", "Count", "Packets sent errors"),
            Builtin("TotalCollisions", "Count", "Network collisions"),
        ),
    ),
    CounterClass(
        "filesystem",
        "SCX_FileSystemStatisticalInformation",
        _AGGREGATE,
        (
            Builtin("FreeSpace", "Bytes", "Filesystem free space", "FreeMegabytes", scale_up=MIB),
            Builtin("UsedSpace", "Bytes", "Filesystem used space", "UsedMegabytes", scale_up=MIB),
            Builtin("PercentFreeSpace", "Percent", "Filesystem % free space"),
            Builtin("PercentUsedSpace", "Percent", "Filesystem % used space"),
            Builtin("PercentFreeInodes", "Percent", "Filesystem % free inodes"),
            Builtin("PercentUsedInodes", "Percent", "Filesystem % used inodes"),
            Builtin("BytesReadPerSecond", "CountPerSecond", "Filesystem read bytes/sec", "ReadBytesPerSecond"),
            Builtin("BytesWrittenPerSecond", "CountPerSecond", "Filesystem write bytes/sec", "WriteBytesPerSecond"),
            Builtin("BytesPerSecond", "BytesPerSecond", "Filesystem bytes/sec"),
            Builtin("ReadsPerSecond", "CountPerSecond", "Filesystem reads/sec"),
            Builtin("WritesPerSecond", "CountPerSecond", "Filesystem writes/sec"),
            Builtin("TransfersPerSecond", "CountPerSecond", "Filesystem transfers/sec"),
        ),
    ),
    CounterClass(
        "disk",
        "SCX_DiskDriveStatisticalInformation",
        _AGGREGATE,
        (
            Builtin("ReadsPerSecond", "CountPerSecond", "Disk reads"),
            Builtin("WritesPerSecond", "CountPerSecond", "Disk writes"),
            Builtin("TransfersPerSecond", "CountPerSecond", "Disk transfers"),
            Builtin("AverageReadTime", "Seconds", "Disk read time"),
            Builtin("AverageWriteTime", "Seconds", "Disk write time"),
            Builtin("AverageTransferTime", "Seconds", "Disk transfer time"),
            Builtin("AverageDiskQueueLength", "Count", "Disk queue length"),
            Builtin("ReadBytesPerSecond", "BytesPerSecond", "Disk read guest OS"),
            Builtin("WriteBytesPerSecond", "BytesPerSecond", "Disk write guest OS"),
            Builtin("BytesPerSecond", "BytesPerSecond", "Disk total bytes"),
        ),
    ),
)

BY_CLASS = {one.name: one for one in CLASSES}
BY_NAME = {(one.name, counter.key): counter for one in CLASSES for counter in one.counters}
BY_DISPLAY = {(one.name, counter.display.lower()): counter for one in CLASSES for counter in one.counters}
"""LAD 4.x's own look-up: class and displayName, both in lower case (spec/lad-handler.md 5.7)."""

OTHER_NAMES = {
    "physicaldisk": "disk",
    "networkinterface": "network",
    "cpu": "processor",
    "swap": "memory",
    "freemegabytes": "freespace",
    "usedmegabytes": "usedspace",
}
"""Names of other LAD versions and of SCX, with the one that is meant; used to propose a cure only."""
