"""The CIM-XML source against the emulated OMI service: the same instances as from /proc itself."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omi_queries.backends.choose import Settings, open_backend
from omi_queries.types import QueryError

USER, PASSWORD = "lad", "some-pa55word"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A service on 127.0.0.1."""
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{USER}:{PASSWORD}\n")
    credentials.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "omi_queries.server", "--bind", f"127.0.0.1:{port}"]
    argv += ["--credentials", str(credentials)]
    process = subprocess.Popen(argv, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert process.poll() is None, process.stderr.read() if process.stderr else b""
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Name,IsAggregate,AvailableMemory,UsedMemory,AvailableSwap FROM SCX_MemoryStatisticalInformation",
        "SELECT Name,IsAggregate FROM SCX_ProcessorStatisticalInformation WHERE Name='_TOTAL'",
        "SELECT Name,IsAggregate,IsOnline,PercentBusyTime FROM SCX_DiskDriveStatisticalInformation",
        "SELECT Name,IsOnline,FreeMegabytes FROM SCX_FileSystemStatisticalInformation WHERE IsAggregate=FALSE",
        "SELECT InstanceID,BytesReceived FROM SCX_EthernetPortStatistics",
        "SELECT Name,OSType,Version,TotalVisibleMemorySize FROM SCX_OperatingSystem",
        "SELECT Name,IsAggregate FROM SCX_StatisticalInformation",
    ],
)
def test_the_same_names_properties_and_types(endpoint: str, text: str) -> None:
    there = open_backend("cimxml", Settings(endpoint=endpoint, user=USER, password=PASSWORD))
    here = open_backend("procfs", Settings())
    try:
        ours, theirs = here.open("root/scx", text).read(0.0), there.open("root/scx", text).read(0.0)
    finally:
        there.close()
        here.close()
    assert dict(theirs.skipped) == {}
    assert theirs.source == "cimxml"
    assert theirs.types == ours.types

    def shape(instances: list[dict[str, object]]) -> list[tuple[object, ...]]:
        names = [i.get("Name") or i.get("InstanceID") for i in instances]
        forms = [tuple((k, type(v).__name__) for k, v in i.items()) for i in instances]
        return sorted(zip(map(str, names), forms, strict=True))

    assert shape(theirs.instances) == shape(ours.instances)  # type: ignore[arg-type]
    assert theirs.instances


def test_a_wrong_password_and_namespace(endpoint: str) -> None:
    text = "SELECT Name FROM SCX_MemoryStatisticalInformation"
    there = open_backend("cimxml", Settings(endpoint=endpoint, user=USER, password="other"))
    try:
        with pytest.raises(QueryError, match="user name or password is refused"):
            there.open("root/scx", text).read(0.0)
    finally:
        there.close()
    there = open_backend("cimxml", Settings(endpoint=endpoint, user=USER, password=PASSWORD))
    try:
        with pytest.raises(QueryError, match="no namespace root/none") as caught:
            there.open("root/none", text).read(0.0)
        assert caught.value.code == 3
    finally:
        there.close()
