"""The mount table: which file systems and disks the statistics are about.

Selection as in spec/omi-scx.md 8: loop devices, sources without a slash, and a fixed list of types are left out. In
addition remote file systems are left out whatever their type is (``host:/path``, ``remote:path``, ``//host/share``),
because asking one whose server is gone blocks without end.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
import select
from typing import NamedTuple

from omi_queries.blockdev import BlockDevices
from omi_queries.procfs import EMPTY, ProcFile, shown, why
from omi_queries.sources import Sources

_IGNORED = frozenset(
    b"autofs bdev binfmt_misc cachefs cdfs cdrfs cifs cgroup configfs ctfs debugfs devfs devpts devtmpfs efivarfs "
    b"fuse.lxcfs eventpollfs fd ffs fifofs fusectl futexfs hugetlbfs hsfs inotifyfs iso9660 lofs mntfs mqueue mvfs "
    b"namefs none objfs pipefs proc procfs pstore ramfs rootfs rpc_pipefs securityfs selinuxfs sharefs sockfs specfs "
    b"subfs sysfs tmpfs udfs usbfs udev tracefs vmblock vmhgfs vmware-hgfs zfs cgroup2 bpf nsfs smb3 smbfs".split()
)
_MAX_AGE = 300.0  # seconds after which devices are looked up again: LVM can move without a change of mounts
_MAX_OFFLINE = 256  # remembered disks or file systems that are gone


class Mount(NamedTuple):
    """One line: source, mount point, type; raw bytes with octal escapes decoded."""

    device: bytes
    point: bytes
    fstype: bytes


class FileSystem(NamedTuple):
    """A file system in the statistics.

    ``name`` is the mount point as text, ``path`` where it is reached below the root, ``device`` the kernel name of
    its device ("" if none), ``key`` the same for all mounts of one device, ``online`` False once it was unmounted,
    ``fstype`` its type as in the mount table.
    """

    name: str
    path: str
    device: str
    key: str
    online: bool = True
    fstype: str = ""


class Layout(NamedTuple):
    """What the mount table amounts to: file systems in mount order, and disks with whether they are in use."""

    file_systems: tuple[FileSystem, ...]
    disks: tuple[tuple[str, bool], ...]
    notes: tuple[str, ...]


def unescape(raw: bytes) -> bytes:
    r"""Octal escapes (``\040``) as the characters they stand for; a backslash without three octal digits stays."""
    if b"\\" not in raw:
        return raw
    parts = raw.split(b"\\")
    done = [parts[0]]
    for part in parts[1:]:
        digits = part[:3]
        if len(digits) == 3 and digits[0] in b"0123" and all(d in b"01234567" for d in digits):
            done.append(bytes([int(digits, 8)]) + part[3:])
        else:
            done.append(b"\\" + part)
    return b"".join(done)


def select_mounts(data: bytes) -> tuple[list[Mount], list[str]]:
    """The mounts of a mount table that count, one per mount point (the topmost), and notes on unreadable lines."""
    chosen: dict[bytes, Mount] = {}
    notes: list[str] = []
    for line in data.split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        fields = line.split(b" ", 4)
        if len(fields) < 4:
            notes.append(f"mount table: line {shown(line)[:60]!a} is unreadable")
            continue
        mount = Mount(*map(unescape, fields[:3]))
        if _counts(mount, fields[3]):
            chosen[mount.point] = mount
        else:  # what it covers cannot be seen any more
            chosen.pop(mount.point, None)
    return list(chosen.values()), notes


def _counts(mount: Mount, options: bytes) -> bool:
    device, fstype = mount.device, mount.fstype.lower()
    if b"/" not in device or device.startswith((b"/dev/loop", b"//")) or b"loop=" in options:
        return False
    if device == b"/dev/fuse" or (device[:1] != b"/" and b":" in device):
        return False
    return not (fstype in _IGNORED or fstype.startswith(b"nfs") or b"gvfs" in fstype)


class MountTable:
    """The layout, worked out again only when mounts or disks changed. What was seen once stays, as offline."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        paths = ("proc/self/mounts", "proc/mounts", "proc/1/mounts", "etc/mtab")
        self._file = ProcFile(sources.root, paths, sources.live, long_records=True)
        self._poll = select.poll()
        self._polled = -1
        self._tick: float | None = None
        self._data: bytes | None = None
        self._table = EMPTY
        self._names: frozenset[str] = frozenset()  # of the table's disks
        self._known = self._names  # when the layout was worked out
        self._at = 0.0
        self._layout = Layout((), (), ())

    def get(self, tick: float | None) -> Layout:
        """The layout at ``tick``; None looks anew."""
        if tick is None or tick != self._tick:
            self._tick = tick
            self._refresh(tick)
        return self._layout

    def close(self) -> None:
        self._file.close()

    def _changed(self) -> bool:
        """Whether the kernel says so since the last time asked (proc(5): POLLERR and POLLPRI on a change)."""
        fd = self._file.fileno()
        if not self._sources.live or fd < 0 or self._data is None:
            return True
        if self._polled != fd:
            self._poll = select.poll()  # a new one: the old descriptor must not be asked any more
            self._poll.register(fd, select.POLLERR | select.POLLPRI)
            self._polled = fd
        return bool(self._poll.poll(0))

    def _refresh(self, tick: float | None) -> None:
        disks = self._sources.diskstats.get(tick)
        if disks.table is not self._table:
            self._table, self._names = disks.table, frozenset(disks.table.rows)
        data = self._data
        if self._changed():
            try:
                data = self._file.read()
            except OSError as error:
                return self._unreadable(why(self._file.name, error))
        if not data:
            return self._unreadable(f"{self._file.name}: empty")
        if data != self._data or self._names != self._known or disks.at - self._at > _MAX_AGE:
            self._data, self._known, self._at = data, self._names, disks.at
            mounts, notes = select_mounts(data)
            self._layout = self._merged(mounts, notes, BlockDevices(self._sources.root, self._known))
        return None

    def _unreadable(self, reason: str) -> None:
        """Go on with the last layout: nothing is known to have been unmounted."""
        self._data = None
        self._layout = self._layout._replace(notes=(reason,))

    def _merged(self, mounts: list[Mount], notes: list[str], devices: BlockDevices) -> Layout:
        """The layout of ``mounts``, with what earlier layouts had and this one has not as offline."""
        current: dict[str, FileSystem] = {}
        disks: dict[str, bool] = {}
        for mount in mounts:
            one = self._file_system(mount, devices)
            current[one.name] = one
            disks.update((disk, True) for disk in devices.disks(one.device))
        gone = [old._replace(online=False) for old in self._layout.file_systems if old.name not in current]
        gone_disks = [name for name, _ in self._layout.disks if name not in disks]
        if len(gone) > _MAX_OFFLINE or len(gone_disks) > _MAX_OFFLINE:
            notes = [*notes, "mount table: too many unmounted entries, the oldest were forgotten"]
        disks.update((name, False) for name in gone_disks[-_MAX_OFFLINE:])
        return Layout((*current.values(), *gone[-_MAX_OFFLINE:]), tuple(disks.items()), tuple(notes))

    def _file_system(self, mount: Mount, devices: BlockDevices) -> FileSystem:
        source = os.fsdecode(mount.device)
        number = self._device_number(mount.point) if source == "/dev/root" else ""
        device = devices.kernel_name(source, number)
        path = self._sources.path(os.fsdecode(mount.point))
        name = mount.point.decode("utf-8", "backslashreplace")  # in full: two may differ in their ends only
        return FileSystem(name, path, device, device or source, fstype=shown(mount.fstype))

    def _device_number(self, point: bytes) -> str:
        """major:minor of the file system at ``point`` (proc(5): mountinfo fields 3 and 5)."""
        file = ProcFile(self._sources.root, ("proc/self/mountinfo", "proc/1/mountinfo"), False, long_records=True)
        try:
            lines = file.read().split(b"\n")
        except OSError:
            return ""
        fields = [line.split(b" ", 5) for line in lines]
        return next((shown(f[2]) for f in reversed(fields) if len(f) > 4 and unescape(f[4]) == point), "")
