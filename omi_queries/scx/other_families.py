"""The providers of the classes that are not statistics of the machine: processes, devices, the system, the agent.

The module of each is loaded when the class is asked for: a new process of a command asks for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omi_queries.scx.family import Family
from omi_queries.scx.host import Host
from omi_queries.scx.ring import Ring
from omi_queries.scx.shared import Shared

if TYPE_CHECKING:
    from omi_queries.scx.processes import ProcessTable
    from omi_queries.scx.sampled_processes import SampledProcesses


class OtherFamilies:
    """Makes providers over what ``shared`` has."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._host = Host(shared.root, shared.sources.live, shared.injected.wall)
        self._table: ProcessTable | None = None
        self._sampled: SampledProcesses | None = None

    def make(self, class_name: str) -> Family:
        """A new provider of the class."""
        if class_name.startswith("SCX_UnixProcess"):
            return self._processes(class_name)
        if class_name.endswith("Endpoint"):
            return self._endpoints(class_name)
        if class_name in ("SCX_FileSystem", "SCX_DiskDrive"):
            return self._volumes(class_name)
        if class_name == "SCX_OperatingSystem":
            from omi_queries.scx.operating_system import OperatingSystem

            return OperatingSystem(self._shared.sources, self._host)
        from omi_queries.scx import agent

        if class_name == agent.AGENT:
            return agent.Agent(self._shared.sources, self._host)
        return agent.FIXED[class_name](self._host)

    def rings(self) -> list[Ring]:
        """The ring of the processes, if there is a sampler."""
        return [] if self._sampled is None else [self._sampled.ring]

    def close(self) -> None:
        """Give up descriptors."""
        if self._table is not None:
            self._table.close()

    def _processes(self, class_name: str) -> Family:
        from omi_queries.scx import process, process_family, process_history

        shared, injected = self._shared, self._shared.injected
        if self._table is None:
            from omi_queries.scx.processes import ProcessTable

            self._table = ProcessTable(shared.sources, injected.descriptors() if shared.sources.live else 0)
        history: process_history.History = process_history.TrueDelta(self._table, injected.hz)
        if shared.scx:
            from omi_queries.scx.sampled_processes import SampledProcesses

            if self._sampled is None:
                self._sampled = SampledProcesses(self._table, injected.boottime)
            history = self._sampled
        units = process.Units(injected.hz, max(1, injected.page_size // 1024), shared.scx)
        columns_of = process.process_columns if class_name == process.PROCESS else process.statistics_columns
        columns = columns_of(units)
        return process_family.ProcessFamily(class_name, history, self._host, units, columns)

    def _endpoints(self, class_name: str) -> Family:
        from omi_queries.scx import endpoints

        shared = self._shared
        if class_name == endpoints.LAN:
            return endpoints.LanEndpoints(shared.sources, shared.interfaces, self._host)
        addresses = shared.injected.addresses
        if addresses is None and shared.sources.live:
            from omi_queries.scx.ipv4 import by_ioctl

            addresses = by_ioctl
        return endpoints.IpEndpoints(shared.sources, shared.interfaces, self._host, addresses)

    def _volumes(self, class_name: str) -> Family:
        from omi_queries.scx import volume

        shared = self._shared
        if class_name == volume.FILE_SYSTEM:
            return volume.Volumes(shared.mounts, shared.space, self._host)
        geometry = shared.injected.geometry
        if geometry is None:
            geometry = volume.geometry_by_ioctl if shared.sources.live else (lambda _path: None)
        return volume.Drives(shared.root, shared.mounts, self._host, geometry, not shared.scx)
