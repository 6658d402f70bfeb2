"""SCX classes as data: inheritance, properties in declaration order, CIM types, keys, units, and which are rates.

Source: spec/scx-classes.tsv (the declarations of SCXcore's MOF as the original server lists them). Each class lists
only what it adds to its base. A property is ``Name:type[:flags[:unit]]`` where flags are ``k`` key, ``r`` rate
(needs two readings) and ``n`` never set on Linux (always NULL).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

NAMESPACE = "root/scx"

_UNITS = {
    "%": "Percent",
    "B": "Bytes",
    "B/s": "Bytes per Second",
    "MB": "MegaBytes",
    "P": "Packets",
    "P/s": "Pages per Second",
    "T/s": "Transfers per Second",
    "s": "Seconds",
}
_TYPES = {"u8": "uint8", "u32": "uint32", "u64": "uint64", "r64": "real64", "str": "string", "bool": "boolean",
          "dt": "datetime"}  # fmt: skip

_PROCESSOR = (
    "PercentIdleTime:u8:r:% PercentUserTime:u8:r:% PercentNiceTime:u8:r:% PercentPrivilegedTime:u8:r:% "
    "PercentInterruptTime:u8:r:% PercentDPCTime:u8:r:% PercentProcessorTime:u8:r:% PercentIOWaitTime:u8:r:%"
)
_TRANSFER_RATES = (
    "BytesPerSecond:u64:r:B/s ReadBytesPerSecond:u64:r:B/s WriteBytesPerSecond:u64:r:B/s "
    "TransfersPerSecond:u64:r:T/s ReadsPerSecond:u64:r:T/s WritesPerSecond:u64:r:T/s "
)

# name: (base, served by a provider, added properties, constants)
_CLASSES: dict[str, tuple[str, bool, str, dict[str, str]]] = {
    "CIM_ManagedElement": ("", False, "InstanceID:str:n Caption:str Description:str ElementName:str:n", {}),
    "CIM_StatisticalInformation": ("CIM_ManagedElement", False, "Name:str:k", {}),
    "SCX_StatisticalInformation": ("CIM_StatisticalInformation", False, "IsAggregate:bool", {}),
    "SCX_ProcessorStatisticalInformation": (
        "SCX_StatisticalInformation", True, _PROCESSOR,
        {"Caption": "Processor information", "Description": "CPU usage statistics"},
    ),
    "SCX_MemoryStatisticalInformation": (
        "SCX_StatisticalInformation", True,
        (
            "AvailableMemory:u64::MB PercentAvailableMemory:u8::% UsedMemory:u64::MB PercentUsedMemory:u8::% "
            "PercentUsedByCache:u8::% PagesPerSec:u64:r:P/s PagesReadPerSec:u64:r:P/s PagesWrittenPerSec:u64:r:P/s "
            "AvailableSwap:u64::MB PercentAvailableSwap:u8::% UsedSwap:u64::MB PercentUsedSwap:u8::%"
        ),
        {"Caption": "Memory information", "Description": "Memory usage and performance statistics"},
    ),
    "SCX_FileSystemStatisticalInformation": (
        "SCX_StatisticalInformation", True,
        "IsOnline:bool FreeMegabytes:u64::MB UsedMegabytes:u64::MB PercentFreeSpace:u8::% PercentUsedSpace:u8::% "
        "PercentFreeInodes:u8::% PercentUsedInodes:u8::% PercentBusyTime:u8:n:% PercentIdleTime:u8:n:% "
        + _TRANSFER_RATES + "AverageTransferTime:r64:n:s AverageDiskQueueLength:r64:n",
        {"Caption": "File system information",
         "Description": "Performance statistics related to a logical unit of secondary storage"},
    ),
    "SCX_DiskDriveStatisticalInformation": (
        "SCX_StatisticalInformation", True,
        "IsOnline:bool PercentBusyTime:u8:n:% PercentIdleTime:u8:n:% " + _TRANSFER_RATES
        + "AverageReadTime:r64:r:s AverageWriteTime:r64:r:s AverageTransferTime:r64:r:s AverageDiskQueueLength:r64",
        {"Caption": "Disk drive information",
         "Description": "Performance statistics related to a physical unit of secondary storage"},
    ),
    "CIM_StatisticalData": (
        "CIM_ManagedElement", False,
        "InstanceID:str:k StartStatisticTime:dt:n StatisticTime:dt:n SampleInterval:dt:n", {},
    ),
    "CIM_NetworkPortStatistics": (
        "CIM_StatisticalData", False,
        "BytesTransmitted:u64::B BytesReceived:u64::B PacketsTransmitted:u64::P PacketsReceived:u64::P", {},
    ),
    "CIM_EthernetPortStatistics": (
        "CIM_NetworkPortStatistics", False,
        (
            "SymbolErrors:u32:n AlignmentErrors:u32:n FCSErrors:u32:n SingleCollisionFrames:u32:n "
            "MultipleCollisionFrames:u32:n SQETestErrors:u32:n DeferredTransmissions:u32:n LateCollisions:u32:n "
            "ExcessiveCollisions:u32:n InternalMACTransmitErrors:u32:n InternalMACReceiveErrors:u32:n "
            "CarrierSenseErrors:u32:n FrameTooLongs:u32:n"
        ),
        {},
    ),
    "SCX_EthernetPortStatistics": (
        "CIM_EthernetPortStatistics", True,
        "BytesTotal:u64::B TotalRxErrors:u64 TotalTxErrors:u64 TotalCollisions:u64",
        {"Caption": "Ethernet port information",
         "Description": "Statistics on transfer performance for a port"},
    ),
}  # fmt: skip


class Property(NamedTuple):
    """One property. ``type`` is the CIM type, ``unit`` "" if it has none, ``rate`` True if it needs two readings."""

    name: str
    type: str
    key: bool
    rate: bool
    null: bool
    unit: str


class CimClass(NamedTuple):
    """One class. ``properties`` are in declaration order, inherited ones first; ``constants`` are fixed values.

    ``served`` tells a class with instances of its own from a base class, whose instances are its subclasses'.
    """

    name: str
    base: str
    served: bool
    properties: Mapping[str, Property]
    types: Mapping[str, str]
    constants: Mapping[str, str]

    def template(self) -> dict[str, str | None]:
        """A new instance in declaration order: constants set, all else NULL."""
        return {name: self.constants.get(name) for name in self.properties}

    def key(self) -> str:
        """Name of the (first) key property."""
        return next((p.name for p in self.properties.values() if p.key), "Name")


def _property(text: str) -> Property:
    name, kind, flags, unit = [*text.split(":"), "", ""][:4]
    return Property(name, _TYPES[kind], "k" in flags, "r" in flags, "n" in flags, _UNITS.get(unit, unit))


@cache
def get(name: str) -> CimClass:
    """The class of exactly this name (KeyError if there is none)."""
    base, served, added, constants = _CLASSES[name]
    properties = dict(get(base).properties) if base else {}
    for text in added.split():
        one = _property(text)
        properties[one.name] = one  # a redeclared property keeps its inherited place
    types = {p.name: p.type for p in properties.values()}
    return CimClass(name, base, served, properties, types, constants)


def find(name: str) -> CimClass | None:
    """The class of that name in any case, or None."""
    wanted = name.lower()
    return next((get(known) for known in _CLASSES if known.lower() == wanted), None)


def served_by(name: str) -> list[CimClass]:
    """The classes whose instances a query on class ``name`` returns: itself, or all its subclasses with instances."""
    return [get(known) for known in _CLASSES if _CLASSES[known][1] and name in lineage(known)]


def lineage(name: str) -> list[str]:
    """``name`` and its bases, nearest first."""
    chain = [name]
    while _CLASSES[chain[-1]][0]:
        chain.append(_CLASSES[chain[-1]][0])
    return chain


def names() -> list[str]:
    """All class names, bases included."""
    return list(_CLASSES)


def nearest(word: str, candidates: list[str]) -> str:
    """The candidate most like ``word``, case ignored; "" if none is near enough to be meant.

    Near is a few letters changed, or a common beginning of at least two thirds of the word.
    """
    best, distance = "", 1 + max(2, len(word) // 3)
    for candidate in candidates:
        d = _edits(word.lower()[:80], candidate.lower(), distance)
        if d < distance:
            best, distance = candidate, d
    if best or not candidates:
        return best
    longest = max(candidates, key=lambda c: _common(word, c))
    return longest if 3 * _common(word, longest) >= 2 * max(3, len(word)) else ""


def _common(a: str, b: str) -> int:
    """Length of the common beginning, case ignored."""
    return next((i for i, (x, y) in enumerate(zip(a.lower(), b.lower(), strict=False)) if x != y), min(len(a), len(b)))


def _edits(a: str, b: str, limit: int) -> int:
    """Levenshtein distance of two short words, or ``limit`` when it is at least that."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)
