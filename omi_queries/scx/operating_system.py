"""SCX_OperatingSystem: one instance about the running system."""

from __future__ import annotations

import os

from omi_queries import classes
from omi_queries.procfs import field_value
from omi_queries.scx.family import NOTHING, Ask, Counters, template
from omi_queries.scx.host import Host, cim_datetime
from omi_queries.scx.utmp import parse_utmp
from omi_queries.sources import Sources
from omi_queries.types import CimValue, Instance

CLASS = "SCX_OperatingSystem"
NAME = "Linux Distribution"
_UINT32_MAX = (1 << 32) - 1
_MEMORY = frozenset(
    [
        "TotalSwapSpaceSize", "TotalVirtualMemorySize", "FreeVirtualMemory", "FreePhysicalMemory",
        "TotalVisibleMemorySize", "SizeStoredInPagingFiles", "FreeSpaceInPagingFiles",
    ]
)  # fmt: skip


def memory_values(meminfo: bytes) -> dict[str, CimValue]:
    """The memory properties in KiB; those whose fields are missing are left out."""
    total, free = field_value(meminfo, b"MemTotal:"), field_value(meminfo, b"MemFree:")
    swap, swap_free = field_value(meminfo, b"SwapTotal:"), field_value(meminfo, b"SwapFree:")
    available = field_value(meminfo, b"MemAvailable:")
    buffers, cached = field_value(meminfo, b"Buffers:"), field_value(meminfo, b"Cached:")
    if not available and free is not None and buffers is not None and cached is not None:
        available = free + buffers + cached  # kernels before 3.14
    values: dict[str, CimValue] = {}
    if swap is not None and swap_free is not None:
        values.update(TotalSwapSpaceSize=swap, SizeStoredInPagingFiles=swap, FreeSpaceInPagingFiles=swap_free)
    if total is not None:
        values["TotalVisibleMemorySize"] = total
        if swap is not None:
            values["TotalVirtualMemorySize"] = total + swap
    if available is not None:
        values["FreePhysicalMemory"] = available
        if swap_free is not None:
            values["FreeVirtualMemory"] = available + swap_free
    return values


def limits(text: str) -> dict[str, CimValue]:
    """MaxProcessMemorySize (KiB, 0 unlimited) and MaxProcessesPerUser from /proc/PID/limits."""
    values: dict[str, CimValue] = {}
    for line in text.splitlines():
        fields = line[26:].split()
        if len(fields) < 2:
            continue
        soft, hard = fields[0], fields[1]
        if line.startswith("Max address space ") and (hard.isdigit() or hard == "unlimited"):
            values["MaxProcessMemorySize"] = int(hard) // 1024 if hard.isdigit() else 0
        elif line.startswith("Max processes ") and soft.isdigit():
            values["MaxProcessesPerUser"] = min(int(soft), _UINT32_MAX)
    return values


class OperatingSystem:
    """The single instance."""

    width = 0

    def __init__(self, sources: Sources, host: Host) -> None:
        self._sources = sources
        self._host = host
        self._template = template(classes.get(CLASS))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        if not ask.wants(NAME, False):
            return NOTHING, []
        one = dict(self._template)
        needs = ask.needs
        host = self._host
        one["CSName"] = host.name()
        if not needs.isdisjoint(("Caption", "Description", "Version")):
            release = host.release()
            one["Caption"] = one["Description"] = release.full
            one["Version"] = release.version
        machine = host.machine()
        kernel, version = host.kernel()
        one["OtherTypeDescription"] = f"{kernel} {version} {machine}   "  # three parts of uname that Linux leaves empty
        one["OperatingSystemCapability"] = "64 bit" if "64" in machine or machine == "s390x" else "32 bit"
        self._set_times(one, needs, machine)
        self._set_processes(ask, one)
        if not needs.isdisjoint(_MEMORY):
            _, data, notes = self._sources.meminfo.get(ask.tick)
            for note in notes:
                ask.skip(note)
            one.update(memory_values(data))
        return NOTHING, [one]

    def _set_times(self, one: Instance, needs: frozenset[str], machine: str) -> None:
        now = self._host.wall()
        offset = self._host.utc_offset(now)
        one["CurrentTimeZone"] = offset
        one["LocalDateTime"] = cim_datetime(int(now * 1_000_000), offset)
        if not needs.isdisjoint(("LastBootUpTime", "NumberOfUsers")):
            logins = parse_utmp(self._host.raw("run/utmp") or self._host.raw("var/run/utmp"), machine)
            one["NumberOfUsers"] = logins.users
            if logins.booted is not None:
                one["LastBootUpTime"] = cim_datetime(logins.booted, self._host.utc_offset(logins.booted / 1_000_000))
        uptime = self._host.text("proc/uptime").partition(".")[0].strip()
        one["SystemUpTime"] = int(uptime) if uptime.isdigit() else None

    def _set_processes(self, ask: Ask, one: Instance) -> None:
        if "NumberOfProcesses" in ask.needs:
            try:
                names = os.listdir(self._sources.path("/proc"))
            except OSError as error:
                ask.skip(f"/proc: {error.strerror}")
            else:
                one["NumberOfProcesses"] = sum(map(str.isdigit, names))
        most = self._host.text("proc/sys/kernel/threads-max").strip()
        one["MaxNumberOfProcesses"] = min(int(most), _UINT32_MAX) if most.isdigit() else None
        if not ask.needs.isdisjoint(("MaxProcessMemorySize", "MaxProcessesPerUser")):
            one.update(limits(self._host.text("proc/self/limits") or self._host.text("proc/1/limits")))
