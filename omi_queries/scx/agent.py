"""SCX_Agent, and what the service says of itself: OMI_Identify, CIM_Namespace, CIM_ObjectManager.

The agent and the service described are this program, an emulation, and say so; nothing claims to be the original.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from omi_queries import VERSION, classes
from omi_queries.scx.family import NOTHING, Ask, Counters, template
from omi_queries.scx.host import Host, cim_datetime
from omi_queries.server.paths import paths
from omi_queries.sources import Sources
from omi_queries.types import CimValue, Instance

AGENT, IDENTIFY, NAMESPACE, MANAGER = "SCX_Agent", "OMI_Identify", "CIM_Namespace", "CIM_ObjectManager"
APPLICATION_SERVER = "SCX_Application_Server"
PRODUCT = "lad-emulator (an emulation of OMI)"
VENDOR = "lad-emulator"
BUILD_DATE = "2026-11-21"
_INSTALL_INFO = "etc/opt/microsoft/scx/conf/installinfo.txt"
_VIRTUAL = ("Microsoft", "VMware", "Xen")  # DMI vendors of the hypervisors that the original knows by CPUID


def version_parts() -> tuple[int, int, int]:
    """Major, minor and patch number of this program."""
    parts = [int(part) if part.isdigit() else 0 for part in VERSION.split(".")]
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major, minor, patch


def install_date(line: str) -> str | None:
    """``2025-04-29T10:11:12.0Z`` (line 1 of installinfo.txt) as CIM datetime; None if it is not such a time."""
    import calendar  # once per query of the agent
    import time

    try:
        parsed = time.strptime(line.strip()[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return cim_datetime(calendar.timegm(parsed) * 1_000_000)


def physical_processors(cpuinfo: str) -> int:
    """Distinct "physical id" of /proc/cpuinfo, at least 1."""
    found = {line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("physical id")}
    return max(1, len(found))


def machine_type(cpuinfo: str, vendor: str) -> str:
    """Physical without a hypervisor, Virtual under one that is known, else Unknown."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    if not flags:
        return "Unknown"
    if " hypervisor" not in flags:
        return "Physical"
    return "Virtual" if vendor.startswith(_VIRTUAL) else "Unknown"


class Agent:
    """The single instance "scx"."""

    width = 0

    def __init__(self, sources: Sources, host: Host) -> None:
        self._stat = sources.stat
        self._host = host
        self._template = template(classes.get(AGENT))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        if not ask.wants("scx", False):
            return NOTHING, []
        host, one = self._host, dict(self._template)
        major, minor, patch = version_parts()
        release, machine = host.release(), host.machine()
        one.update(
            Description=f"Emulation by lad-emulator - {BUILD_DATE.replace('-', '')}",
            VersionString=f"{major}.{minor}.{patch}-0", MajorVersion=major, MinorVersion=minor,
            RevisionNumber=patch, BuildNumber=0, BuildDate=f"{BUILD_DATE}T00:00:00Z",
            Architecture={"x86_64": "x64", "i686": "x86", "i586": "x86", "i386": "x86"}.get(machine, machine),
            OSName=release.name, OSVersion=release.version, OSAlias=release.alias, Hostname=host.name(),
            UnameArchitecture=machine,
        )  # fmt: skip
        lines = host.text(_INSTALL_INFO).splitlines()
        if len(lines) > 1:
            one["InstallDate"] = install_date(lines[0])
            one["KitVersionString"] = lines[1].strip()
        if not ask.needs.isdisjoint(("MachineType", "PhysicalProcessors", "LogicalProcessors")):
            cpuinfo = host.text("proc/cpuinfo")
            one["MachineType"] = machine_type(cpuinfo, host.text("sys/class/dmi/id/sys_vendor"))
            one["PhysicalProcessors"] = physical_processors(cpuinfo)
            rows = self._stat.get(ask.tick).table.rows
            one["LogicalProcessors"] = sum(name != "_Total" for name in rows) or None
        return NOTHING, [one]


class Fixed:
    """A class whose instances are known from the start, but for the host's name in ``host_property``."""

    width = 0

    def __init__(self, class_name: str, rows: list[dict[str, CimValue]], host_property: str, host: Host) -> None:
        cim_class = classes.get(class_name)
        self._key = cim_class.key()
        self._instances = [{**template(cim_class), **row} for row in rows]
        self._host_property = host_property
        self._host = host

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        wanted = [dict(one) for one in self._instances if ask.wants(str(one[self._key]), False)]
        for one in wanted:
            one[self._host_property] = self._host.name()
        return NOTHING, wanted


def identify(host: Host, environment: Mapping[str, str] = os.environ) -> Fixed:
    """OMI_Identify: the fixed key of the original, and this program's own name, version and folders ("" for none)."""
    major, minor, patch = version_parts()
    machine = host.machine().upper()
    where = paths(environment)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    row: dict[str, CimValue] = {
        "ProductName": PRODUCT, "ProductVendor": VENDOR, "ProductVersionMajor": major, "ProductVersionMinor": minor,
        "ProductVersionRevision": patch, "ProductVersionString": f"{VERSION} (emulation)",
        "Platform": f"LINUX_{machine}_PYTHON", "Architecture": machine, "Compiler": "none (Python)",
        "ConfigPrefix": sys.prefix, "ConfigLibDir": package, "ConfigBinDir": os.path.dirname(sys.executable),
        "ConfigIncludeDir": "", "ConfigDataDir": package, "ConfigLocalStateDir": where.folder,
        "ConfigSysConfDir": where.folder, "ConfigProviderDir": os.path.join(package, "scx"),
        "ConfigLogFile": where.log, "ConfigPIDFile": where.pid, "ConfigRegisterDir": "",
        "ConfigSchemaDir": os.path.join(package, "scx"),
        "ConfigNameSpaces": [name.replace("/", "-") for name in sorted(classes.namespaces())],
    }  # fmt: skip
    return Fixed(IDENTIFY, [row], "SystemName", host)


def namespaces(host: Host) -> Fixed:
    """CIM_Namespace: one instance per namespace that has classes."""
    return Fixed(NAMESPACE, [{"Name": name} for name in classes.namespaces()], "SystemName", host)


def object_manager(host: Host) -> Fixed:
    """CIM_ObjectManager: what clients ask for a server's name."""
    return Fixed(MANAGER, [{}], "SystemName", host)


def application_servers(host: Host) -> Fixed:
    """SCX_Application_Server: no Java application servers are looked for, so there are none."""
    return Fixed(APPLICATION_SERVER, [], "", host)


FIXED: dict[str, Callable[[Host], Fixed]] = {
    IDENTIFY: identify,
    NAMESPACE: namespaces,
    MANAGER: object_manager,
    APPLICATION_SERVER: application_servers,
}
"""Class name -> its provider."""
