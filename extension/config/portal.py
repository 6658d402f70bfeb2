"""The fixed queries of LAD 2.3 as data: the default perf tables and the metric chain (spec/lad-handler.md 4.4, 4.6)."""

from __future__ import annotations

from extension.config.counters import FAMILIES
from extension.config.model import Period
from extension.config.model23 import MetricQuery, PerfQuery

DEFAULT_PERF = (
    PerfQuery(
        "SELECT PercentAvailableMemory, AvailableMemory, UsedMemory, PercentUsedSwap"
        " FROM SCX_MemoryStatisticalInformation",
        "LinuxMemory",
    ),
    PerfQuery(
        "SELECT PercentProcessorTime, PercentIOWaitTime, PercentIdleTime"
        " FROM SCX_ProcessorStatisticalInformation WHERE Name='_TOTAL'",
        "LinuxCpu",
    ),
    PerfQuery(
        "SELECT AverageWriteTime,AverageReadTime,ReadBytesPerSecond,WriteBytesPerSecond"
        " FROM SCX_DiskDriveStatisticalInformation WHERE Name='_TOTAL'",
        "LinuxDisk",
    ),
)

QUERIES: tuple[MetricQuery, ...] = tuple(MetricQuery(family.event, family, family.counters) for family in FAMILIES)
PERIODS: tuple[Period, ...] = (Period("PT1M", "PT1M"), Period("PT1H", "PT1H"))
