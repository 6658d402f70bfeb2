"""SCX_FileSystem (what a mounted file system is) and SCX_DiskDrive (what the disks below them are)."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, count
from operator import ne
from typing import NamedTuple

from omi_queries import classes
from omi_queries.mounts import FileSystem, Layout, MountTable
from omi_queries.scx.family import NOTHING, Ask, Counters, everything, template
from omi_queries.scx.host import Host
from omi_queries.scx.space import Space
from omi_queries.types import CimValue, Instance

FILE_SYSTEM, DISK = "SCX_FileSystem", "SCX_DiskDrive"
_PLAIN = frozenset(["btrfs", "ext2", "ext3", "ext4", "hfs", "jfs", "reiserfs", "ufs", "vfat", "xfs", "vxfs"])
_SPACE = frozenset(
    [
        "BlockSize", "FileSystemSize", "AvailableSpace", "ReadOnly", "MaxFileNameLength", "NumberOfFiles",
        "TotalInodes", "FreeInodes",
    ]
)  # fmt: skip
_LAYOUT = ("TotalCylinders", "TotalHeads")
_UINT32_MAX = (1 << 32) - 1
_SECTOR = 512  # the unit of sizes in /sys/block, whatever the disk's own sectors are
_HDIO_GETGEO = 0x0301  # linux/hdreg.h


class Geometry(NamedTuple):
    """What a disk says of itself; the sector size is not in it."""

    heads: int
    sectors: int
    cylinders: int


GeometryOf = Callable[[str], Geometry | None]
"""Path of a block device -> its geometry, None if it does not tell or may not be opened."""


def geometry_by_ioctl(path: str) -> Geometry | None:
    """HDIO_GETGEO of the disk at ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(descriptor, _HDIO_GETGEO, b"\0" * 16)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return Geometry(*struct.unpack_from("BBH", answer))


def size_values(found: os.statvfs_result) -> dict[str, CimValue]:
    """The properties that statvfs decides. Free space here is all that is free, also what is kept for root."""
    unit, files = found.f_frsize, found.f_files
    return {
        "BlockSize": unit,
        "FileSystemSize": found.f_blocks * unit,
        "AvailableSpace": found.f_bfree * unit,
        "ReadOnly": bool(found.f_flag & os.ST_RDONLY),
        "MaxFileNameLength": min(found.f_namemax, _UINT32_MAX),
        "NumberOfFiles": max(0, files - found.f_ffree) if files else None,
        "TotalInodes": files,
        "FreeInodes": found.f_ffree,
    }


def layout_values(size: int, sector_size: int, told: Geometry | None) -> dict[str, CimValue]:
    """Cylinders, heads and sectors of a disk of ``size`` bytes.

    What the disk tells is taken if it accounts for the size to within a cylinder, else 255 heads of 63 sectors.
    """
    heads, cylinders = 255, size // (sector_size * 63 * 255)
    if told is not None:
        cylinder = told.heads * told.sectors * _SECTOR
        if cylinder and 0 <= size - told.cylinders * cylinder < cylinder:
            heads, cylinders = told.heads, told.cylinders
    return {"TotalCylinders": cylinders, "TotalHeads": heads, "TotalSectors": size // sector_size}


def interface_type(name: str) -> str:
    """By the first letters of the kernel's name."""
    if name.startswith("xvd"):
        return "Virtual"
    return {"h": "IDE", "s": "SCSI"}.get(name[:1], "Unknown")


class Volumes:
    """SCX_FileSystem: an instance per mount point, no "_Total"."""

    width = 0

    def __init__(self, mounts: MountTable, space: Space, host: Host) -> None:
        self._mounts = mounts
        self._space = space
        self._host = host
        self._template = template(classes.get(FILE_SYSTEM))
        self._of: tuple[Layout, str] | None = None
        self._paths: list[str] = []
        self._sizes: list[os.statvfs_result | None] = []
        self._instances: list[Instance] = []

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        layout = self._mounts.get(ask.tick)
        for note in layout.notes:
            ask.skip(note)
        wanted: Sequence[FileSystem] = layout.file_systems
        if ask.wants is not everything:
            wanted = [one for one in wanted if ask.wants(one.name, False)]
        sizes = {} if _SPACE.isdisjoint(ask.needs) else self._space.get(ask, wanted)
        system = self._host.name()
        if ask.wants is not everything:
            return NOTHING, [self._instance(one, sizes.get(one.path), system) for one in wanted]
        return NOTHING, self._all(layout, sizes, system)

    def _all(self, layout: Layout, sizes: Mapping[str, os.statvfs_result], system: str) -> list[Instance]:
        """All instances, made again where the sizes are others than before; most say the same again."""
        if self._of is None or self._of[0] is not layout or self._of[1] != system:
            self._of = (layout, system)
            self._paths = [one.path for one in layout.file_systems]
            self._sizes = [None] * len(self._paths)
            self._instances = [self._instance(one, None, system) for one in layout.file_systems]
        now = list(map(sizes.get, self._paths))
        for at in compress(count(), map(ne, now, self._sizes)):
            self._instances[at] = self._instance(layout.file_systems[at], now[at], system)
        self._sizes = now
        return self._instances.copy()

    def _instance(self, one: FileSystem, size: os.statvfs_result | None, system: str) -> Instance:
        plain = one.fstype.lower() in _PLAIN
        instance = dict(self._template)
        instance["Name"] = instance["Root"] = one.name
        instance["CSName"] = system
        instance["EncryptionMethod"] = "Not Encrypted" if plain else "Unknown"
        instance["CompressionMethod"] = "Not Compressed" if plain else "Unknown"
        instance["FileSystemType"] = one.fstype
        instance["PersistenceType"] = 2 if plain else 0
        instance["IsOnline"] = one.online
        if size is not None:
            instance.update(size_values(size))
        return instance


class Drives:
    """SCX_DiskDrive: an instance per disk below a mounted file system.

    ``online_known`` False leaves IsOnline NULL, as the original does by a mistake.
    """

    width = 0

    def __init__(self, root: str, mounts: MountTable, host: Host, geometry: GeometryOf, online_known: bool) -> None:
        self._root = root
        self._mounts = mounts
        self._host = host
        self._geometry = geometry
        self._online_known = online_known
        self._template = template(classes.get(DISK))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        layout = self._mounts.get(ask.tick)
        for note in layout.notes:
            ask.skip(note)
        system = self._host.name()
        found: list[Instance] = []
        for name, online in layout.disks:
            shown = name.rpartition("/")[2]
            if not ask.wants(shown, False):
                continue
            instance = dict(self._template)
            instance["Name"] = instance["DeviceID"] = shown
            instance["SystemName"] = system
            instance["IsOnline"] = online if self._online_known else None
            instance["InterfaceType"] = interface_type(name)
            self._set_size(ask, instance, name)
            found.append(instance)
        return NOTHING, found

    def _set_size(self, ask: Ask, instance: Instance, name: str) -> None:
        block = f"sys/block/{name.replace('/', '!')}"
        text = self._host.text
        vendor = text(f"{block}/device/vendor").strip()
        instance["Manufacturer"] = None if vendor.startswith("0x") else vendor or None  # 0x: a bus number, no name
        instance["Model"] = text(f"{block}/device/model").strip() or None
        size = text(f"{block}/size").strip()
        if not size.isdigit():
            ask.skip(f"disk {name}: its size is not in /sys/block")
            return
        sector = text(f"{block}/queue/logical_block_size").strip()
        sector_size = int(sector) if sector.isdigit() and int(sector) else _SECTOR
        instance["MaxMediaSize"] = int(size) * _SECTOR
        asks = not ask.needs.isdisjoint(_LAYOUT)
        told = self._geometry(os.path.join(self._root, "dev", name)) if asks else None
        instance.update(layout_values(int(size) * _SECTOR, sector_size, told))
