"""Class data against the declarations that the original server prints."""

from __future__ import annotations

from pathlib import Path

import pytest

import omi_queries
from omi_queries import classes

MEMORY = (
    "InstanceID Caption Description ElementName Name IsAggregate AvailableMemory PercentAvailableMemory UsedMemory "
    "PercentUsedMemory PercentUsedByCache PagesPerSec PagesReadPerSec PagesWrittenPerSec AvailableSwap "
    "PercentAvailableSwap UsedSwap PercentUsedSwap"
)
ETHERNET = (
    "InstanceID Caption Description ElementName StartStatisticTime StatisticTime SampleInterval BytesTransmitted "
    "BytesReceived PacketsTransmitted PacketsReceived SymbolErrors AlignmentErrors FCSErrors SingleCollisionFrames "
    "MultipleCollisionFrames SQETestErrors DeferredTransmissions LateCollisions ExcessiveCollisions "
    "InternalMACTransmitErrors InternalMACReceiveErrors CarrierSenseErrors FrameTooLongs BytesTotal TotalRxErrors "
    "TotalTxErrors TotalCollisions"
)


@pytest.mark.parametrize(
    ("name", "properties", "key"),
    [
        ("SCX_MemoryStatisticalInformation", MEMORY, "Name"),
        ("SCX_EthernetPortStatistics", ETHERNET, "InstanceID"),
    ],
)
def test_order_and_key_are_the_declared_ones(name: str, properties: str, key: str) -> None:
    found = classes.get(name)
    assert list(found.properties) == properties.split()
    assert [p.name for p in found.properties.values() if p.key] == [key]
    assert found.key() == key


def test_types_units_and_flags() -> None:
    disk = classes.get("SCX_DiskDriveStatisticalInformation")
    assert disk.types["AverageDiskQueueLength"] == "real64"
    assert disk.types["IsOnline"] == "boolean"
    assert disk.properties["ReadBytesPerSecond"].unit == "Bytes per Second"
    assert disk.properties["ReadBytesPerSecond"].rate
    assert disk.properties["PercentBusyTime"].null
    assert disk.template()["Caption"] == "Disk drive information"
    assert disk.template()["PercentBusyTime"] is None


def test_lineage_and_subclasses() -> None:
    assert classes.lineage("SCX_EthernetPortStatistics") == [
        "SCX_EthernetPortStatistics",
        "CIM_EthernetPortStatistics",
        "CIM_NetworkPortStatistics",
        "CIM_StatisticalData",
        "CIM_ManagedElement",
    ]
    assert [c.name for c in classes.served_by("CIM_StatisticalData")] == ["SCX_EthernetPortStatistics"]
    assert len(classes.served_by("CIM_ManagedElement")) == 15
    assert classes.served_by("SCX_LogFile") == []


def test_find_has_no_case() -> None:
    found = classes.find("scx_MEMORYstatisticalinformation")
    assert found is not None
    assert found.name == "SCX_MemoryStatisticalInformation"
    assert classes.find("SCX_Nothing") is None


@pytest.mark.parametrize(
    ("word", "near"),
    [("Nme", "Name"), ("nAMES", "Name"), ("IsOnlin", "IsOnline"), ("IsOn", "IsOnline"), ("Qwerty", ""), ("", "")],
)
def test_nearest(word: str, near: str) -> None:
    assert classes.nearest(word, ["Name", "IsOnline", "ReadsPerSecond"]) == near


def test_the_version_is_the_packages() -> None:
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'version = "{omi_queries.VERSION}"' in declared.splitlines()
