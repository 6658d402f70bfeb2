"""The providers of the classes that are not statistics of the machine: processes, devices, the system, the agent."""

from __future__ import annotations

from collections.abc import Callable

from omi_queries.scx import agent, endpoints, operating_system
from omi_queries.scx import process as proc
from omi_queries.scx.family import Family
from omi_queries.scx.host import Host
from omi_queries.scx.ipv4 import by_ioctl
from omi_queries.scx.processes import ProcessTable
from omi_queries.scx.ring import Ring
from omi_queries.scx.sampled_processes import SampledProcesses
from omi_queries.scx.shared import Shared
from omi_queries.scx.volume import DISK, FILE_SYSTEM, Drives, GeometryOf, Volumes, geometry_by_ioctl


class OtherFamilies:
    """Makes providers over what ``shared`` has."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        injected = shared.injected
        self._host = Host(shared.root, shared.sources.live, injected.wall)
        self._units = proc.Units(injected.hz, max(1, injected.page_size // 1024), shared.scx)
        self._table = ProcessTable(shared.sources)
        self._sampled = SampledProcesses(self._table, injected.boottime) if shared.scx else None
        self._makers: dict[str, Callable[[], Family]] = {
            endpoints.LAN: lambda: endpoints.LanEndpoints(shared.sources, shared.interfaces, self._host),
            endpoints.IP: self._ip_endpoints,
            proc.PROCESS: self._processes,
            proc.STATISTICS: self._process_statistics,
            FILE_SYSTEM: lambda: Volumes(shared.mounts, shared.space, self._host),
            DISK: lambda: Drives(shared.root, shared.mounts, self._host, self._geometry(), not shared.scx),
            operating_system.CLASS: lambda: operating_system.OperatingSystem(shared.sources, self._host),
            agent.AGENT: lambda: agent.Agent(shared.sources, self._host),
            agent.APPLICATION_SERVER: lambda: agent.application_servers(self._host),
            agent.IDENTIFY: lambda: agent.identify(self._host),
            agent.NAMESPACE: lambda: agent.namespaces(self._host),
            agent.MANAGER: lambda: agent.object_manager(self._host),
        }

    def make(self, class_name: str) -> Family:
        """A new provider of the class."""
        return self._makers[class_name]()

    def rings(self) -> list[Ring]:
        """The ring of the processes, if there is a sampler."""
        return [] if self._sampled is None else [self._sampled.ring]

    def close(self) -> None:
        """Give up descriptors."""
        self._table.close()

    def _history(self) -> proc.History:
        return self._sampled or proc.TrueDelta(self._table, self._shared.injected.hz)

    def _processes(self) -> Family:
        columns, rates = proc.process_columns(self._units), proc.process_rates(self._units)
        return proc.ProcessFamily(proc.PROCESS, self._history(), self._host, self._units, columns, rates)

    def _process_statistics(self) -> Family:
        columns, rates = proc.statistics_columns(self._units), proc.statistics_rates(self._units)
        return proc.ProcessFamily(proc.STATISTICS, self._history(), self._host, self._units, columns, rates)

    def _ip_endpoints(self) -> Family:
        addresses = self._shared.injected.addresses or (by_ioctl if self._shared.sources.live else None)
        return endpoints.IpEndpoints(self._shared.sources, self._shared.interfaces, self._host, addresses)

    def _geometry(self) -> GeometryOf:
        if self._shared.injected.geometry is not None:
            return self._shared.injected.geometry
        return geometry_by_ioctl if self._shared.sources.live else (lambda _path: None)
