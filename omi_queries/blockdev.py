"""From a mounted device to its kernel name and to the disks below it.

The rule is the original's (spec/omi-scx.md 8): device-mapper devices go through their slaves, other names are cut from
the end until a disk remains. Where it asked for a shorter path in /dev this asks /sys/block, so that a whole NVMe
disk is not taken for a partition of its controller.
"""

from __future__ import annotations

import os
from collections.abc import Collection

_DEPTH = 16  # device-mapper tables do not nest deeper than a few levels; a loop in a broken tree must end


class BlockDevices:
    """Looks names up below ``root``; ``known`` are the names of /proc/diskstats, used where /sys is missing."""

    def __init__(self, root: str, known: Collection[str]) -> None:
        self._root = root
        self._known = known
        self._block = os.path.join(root, "sys/block")
        self._has_sys = os.path.isdir(self._block)

    def kernel_name(self, device: str, number: str = "") -> str:
        """The kernel's name of ``device`` ("sda1", "dm-0", "cciss/c0d0p1"), "" if it is not a block device in /dev.

        ``number`` is its "major:minor", needed for /dev/root only.
        """
        if not device.startswith("/dev/") or device == "/dev/fuse":
            return ""
        if device == "/dev/root":
            return self._by_number(number)
        name = device[5:]
        if name in self._known:
            return name
        mapped = self._mapper_name(name)
        if mapped:
            return mapped
        link = os.path.join(self._root, "dev", name)
        if os.path.islink(link):  # /dev/disk/by-uuid/..., /dev/mapper/..., /dev/VG/LV
            name = os.path.basename(os.path.realpath(link))
        return name

    def disks(self, name: str) -> list[str]:
        """The whole disks below kernel device ``name``, in order, each once; none if it is no block device."""
        found: list[str] = []
        if name:
            self._walk(name, found, _DEPTH)
        return [disk for disk in found if disk in self._known or not self._known or self._is_disk(disk)]

    def _walk(self, name: str, found: list[str], depth: int) -> None:
        slaves = self._slaves(name) if name.startswith("dm-") and depth else []
        for slave in slaves:
            self._walk(slave, found, depth - 1)
        if not slaves:
            disk = self._whole(name)
            if disk not in found:
                found.append(disk)

    def _slaves(self, name: str) -> list[str]:
        try:
            return sorted(s.replace("!", "/") for s in os.listdir(os.path.join(self._block, name, "slaves")))
        except (OSError, ValueError):
            return []

    def _is_disk(self, name: str) -> bool:
        return os.path.isdir(os.path.join(self._block, name.replace("/", "!")))

    def _whole(self, name: str) -> str:
        """The disk of a partition: the longest beginning of its name that is a disk; the name itself if none is."""
        if self._has_sys:
            if self._is_disk(name):
                return name
            candidate = name.rstrip("0123456789")
            while candidate and not self._is_disk(candidate):
                candidate = candidate[:-1]
            return candidate or name
        stem = name.rstrip("0123456789")
        if stem[-1:] == "p" and stem[-2:-1].isdigit():  # nvme0n1p1, mmcblk0p2, md0p1: disks that end in a digit
            return stem[:-1]
        return stem if stem[-1:].isalpha() and stem in self._known else name  # sda1, xvdb2, dasda1

    def _mapper_name(self, name: str) -> str:
        """dm-N of mapper/X or VG/LV, by the names that the device-mapper tables have."""
        group, slash, volume = name.partition("/")
        if not slash or group == "disk" or "/" in volume:
            return ""
        wanted = volume if group == "mapper" else f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
        try:
            candidates = os.listdir(self._block)
        except OSError:
            return ""
        for candidate in candidates:
            if candidate.startswith("dm-") and self._line(self._block, candidate, "dm/name") == wanted:
                return candidate
        return ""

    def _by_number(self, number: str) -> str:
        for line in self._line(self._root, "sys/dev/block", number, "uevent", whole=True).split("\n"):
            if line.startswith("DEVNAME="):
                return line[8:]
        return ""

    @staticmethod
    def _line(*parts: str, whole: bool = False) -> str:
        try:
            with open(os.path.join(*parts), encoding="utf-8", errors="replace") as file:
                text = file.read(4096)
        except (OSError, ValueError):
            return ""
        return text if whole else text.split("\n", 1)[0]
