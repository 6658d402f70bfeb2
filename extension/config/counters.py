"""The counters of the LAD 2.3 metric chain: which SCX property feeds which ``\\Family\\Counter`` (lad-counters.tsv)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from extension.config.model import MIB


class Counter(NamedTuple):
    """One SCX property and the factor that turns it into the metric's unit (1048576 where SCX reports MiB)."""

    name: str
    scale_up: int = 1


class Family(NamedTuple):
    """The counters of one SCX class: ``event`` is the local table that its query feeds."""

    name: str
    event: str
    scx_class: str
    condition: str
    counters: tuple[Counter, ...]
    stray: str = ""

    def specifier(self, counter: Counter) -> str:
        """The counterSpecifier, which is also the CounterName of the rows."""
        return f"\\{self.name}\\{counter.name}"


def _counters(names: str) -> tuple[Counter, ...]:
    return tuple(Counter(name.rstrip("*"), MIB if name.endswith("*") else 1) for name in names.split())


MEMORY = Family(
    "Memory",
    "memoryStats",
    "SCX_MemoryStatisticalInformation",
    "",
    _counters(
        "AvailableMemory* PercentAvailableMemory UsedMemory* PercentUsedMemory PercentUsedByCache PagesPerSec"
        " PagesReadPerSec PagesWrittenPerSec AvailableSwap* PercentAvailableSwap UsedSwap* PercentUsedSwap"
    ),
)
PROCESSOR = Family(
    "Processor",
    "cpuStats",
    "SCX_ProcessorStatisticalInformation",
    "Name='_Total'",
    _counters(
        "PercentIdleTime PercentUserTime PercentNiceTime PercentPrivilegedTime PercentInterruptTime"
        " PercentDPCTime PercentProcessorTime PercentIOWaitTime"
    ),
)
DISK = Family(
    "PhysicalDisk",
    "diskStats",
    "SCX_DiskDriveStatisticalInformation",
    "Name='_Total'",
    _counters(
        "BytesPerSecond ReadBytesPerSecond WriteBytesPerSecond TransfersPerSecond ReadsPerSecond WritesPerSecond"
        " AverageReadTime AverageWriteTime AverageTransferTime AverageDiskQueueLength"
    ),
)
NETWORK = Family(
    "NetworkInterface",
    "netStats",
    "SCX_EthernetPortStatistics",
    "",
    _counters(
        "BytesTransmitted BytesReceived PacketsTransmitted PacketsReceived BytesTotal TotalRxErrors"
        " TotalTxErrors TotalCollisions"
    ),
    # LAD's own template ends its column list in these two words; no property has such a name, so they select nothing.
    stray=" from SCX_EthernetPortStatistics",
)

FAMILIES = (MEMORY, PROCESSOR, DISK, NETWORK)
BY_SPECIFIER = {family.specifier(c).lower(): (family, c) for family in FAMILIES for c in family.counters}
SPECIFIERS = tuple(family.specifier(c) for family in FAMILIES for c in family.counters)

CLASS_ALIASES = {family.name.lower(): family.scx_class.lower() for family in FAMILIES}
"""``class`` values of ladCfg that stand for an SCX class; any other value is a class name itself (spec 4.3)."""
