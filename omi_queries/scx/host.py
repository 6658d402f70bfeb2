"""Facts about the machine below one root: names, release, time zone, boot time; and CIM's way of writing a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from omi_queries.procfs import field_value
from omi_queries.scx.conf import assignments

Wall = Callable[[], float]
"""Unix time in seconds."""

_LIMIT = 1 << 20
_RELEASE_FILES = ("etc/os-release", "usr/lib/os-release")
_SCX_RELEASE = "etc/opt/microsoft/scx/conf/scx-release"
_DPKG_FAMILY = frozenset(["debian", "ubuntu"])


class Release(NamedTuple):
    """The distribution: "Debian GNU/Linux", "12.0", both with the architecture, and the kind of its packages."""

    name: str
    version: str
    full: str
    alias: str


def cim_datetime(microseconds: int, offset_minutes: int = 0) -> str:
    """Unix microseconds as CIM datetime: 25 characters, local time with its distance from UTC (DSP0004 5.2.4)."""
    seconds, micros = divmod(microseconds, 1_000_000)
    text = time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds + 60 * offset_minutes))
    return f"{text.rjust(14, '0')}.{micros:06d}{offset_minutes:+04d}"


def release_of(scx: Mapping[str, str], os_release: Mapping[str, str], machine: str, has_dpkg: bool) -> Release:
    """The release from SCX's own file if there is one, else from os-release(5)."""
    name = scx.get("OSName") or os_release.get("NAME") or "Linux"
    version = scx.get("OSVersion") or os_release.get("VERSION_ID") or ""
    if version.isdigit() and not scx.get("OSVersion"):
        version += ".0"  # the original's script has major.minor for all
    family = {os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()}
    alias = "UniversalD" if has_dpkg or family & _DPKG_FAMILY else "UniversalR"
    full = scx.get("OSFullName") or f"{name} {version} ({machine})".replace("  ", " ")
    return Release(name, version, full, scx.get("OSAlias") or alias)


class Host:
    """Reads what is asked for each time: host names and time zones change while a collector runs."""

    def __init__(self, root: str, live: bool, wall: Wall = time.time) -> None:
        self._root = root
        self._live = live
        self.wall = wall
        self._release: Release | None = None

    def raw(self, path: str) -> bytes:
        """The content of the file at ``path`` (relative to the root), b"" if it cannot be read."""
        try:
            with open(os.path.join(self._root, path), "rb") as file:
                return file.read(_LIMIT)
        except (OSError, ValueError):
            return b""

    def text(self, path: str) -> str:
        """As :meth:`raw`, decoded."""
        return self.raw(path).decode("utf-8", "replace")

    def _kernel(self, name: str, fallback: Callable[[os.uname_result], str]) -> str:
        return fallback(os.uname()) if self._live else self.text(f"proc/sys/kernel/{name}").strip()

    def name(self) -> str:
        """The host name, as uname -n."""
        return self._kernel("hostname", lambda u: u.nodename) or "localhost"

    def full_name(self) -> str:
        """The host name with its domain if /etc/hosts knows one for it."""
        name = self.name()
        if "." in name:
            return name
        for line in self.text("etc/hosts").splitlines():
            names = line.partition("#")[0].split()[1:]
            if name in names:
                full = next((n for n in names if n.startswith(name + ".")), "")
                if full:
                    return full
        return name

    def machine(self) -> str:
        """The architecture, as uname -m."""
        return self._kernel("arch", lambda u: u.machine) or "x86_64"

    def kernel(self) -> tuple[str, str]:
        """Release and version of the kernel, as uname -r and -v."""
        return self._kernel("osrelease", lambda u: u.release), self._kernel("version", lambda u: u.version)

    def release(self) -> Release:
        """The distribution (read once: it changes by an upgrade only, which restarts)."""
        if self._release is None:
            os_release = next((t for t in map(self.text, _RELEASE_FILES) if t), "")
            has_dpkg = os.path.exists(os.path.join(self._root, "usr/bin/dpkg"))
            scx = assignments(self.text(_SCX_RELEASE))
            self._release = release_of(scx, assignments(os_release), self.machine(), has_dpkg)
        return self._release

    def boot_time(self) -> int | None:
        """Unix time of the boot in seconds (btime of /proc/stat)."""
        return field_value(self.raw("proc/stat"), b"btime ")

    def utc_offset(self, at: float) -> int:
        """Minutes that local time is ahead of UTC at Unix time ``at``."""
        if self._live:
            return time.localtime(at).tm_gmtoff // 60
        path = os.path.join(self._root, "etc/localtime")
        if os.path.islink(path):
            path = os.path.join(self._root, os.path.normpath(os.path.join("/etc", os.readlink(path))).lstrip("/"))
        if not os.path.isfile(path):
            return 0
        from datetime import datetime, timezone  # only below other roots than /
        from zoneinfo import ZoneInfo

        try:
            with open(path, "rb") as file:
                zone = ZoneInfo.from_file(file)
            offset = datetime.fromtimestamp(at, timezone.utc).astimezone(zone).utcoffset()
        except (OSError, ValueError, OverflowError):
            return 0
        return int(offset.total_seconds()) // 60 if offset is not None else 0
