"""Files of processes, some of which stay open from one walk over /proc to the next.

To open such a file costs more than to read it: the kernel looks the process up and makes an inode. An open one belongs
to its process for good: once that is gone, reading fails with ESRCH (a link's with ENOENT), even if another process has
its number. An open stat or wchan costs the kernel a page, the others about a kilobyte; statm, which fewer queries need,
would cost another page.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence

NAMES = ("stat", "cmdline", "wchan", "exe")
"""The files that are kept open; the first is needed by every query."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_OPEN_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.EMFILE, errno.ENFILE)


class Kept:
    """Reads files of processes and keeps at most ``limit`` descriptors; 0: each file is opened each time.

    A file is kept open when it is read for the second time: what asks once costs nothing, nor does a process that lives
    for a moment. Where descriptors have run out, half of them are given back, and no more are kept from then on.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, dict[str, int]] = {name: {} for name in NAMES} if limit > 0 else {}
        self._met: dict[str, set[str]] = {name: set() for name in self._open}

    def each(self, directory: int, name: str, handles: Sequence[str], size: int, most: int) -> list[bytes | int]:
        """That file of each process below ``directory``, up to ``most`` bytes of it, or the number of the error.

        A read that gives less than ``size`` bytes has given all.
        """
        kept = self._open.get(name)
        if kept is None:
            return self._each_opened(directory, name, handles, size, most)
        pread = os.pread
        full = size if size < most else -1
        found: list[bytes | int] = []
        add = found.append
        for handle in handles:
            try:
                data = pread(kept[handle], size, 0)
                if len(data) == full:
                    data += _rest(kept[handle], size, most)
                add(data)
            except (KeyError, OSError):  # not kept, or its process is gone and another may have the number
                add(self._anew(directory, name, handle, size, most))
        return found

    def _each_opened(
        self, directory: int, name: str, handles: Sequence[str], size: int, most: int
    ) -> list[bytes | int]:
        ending = "/" + name
        opened, read, close = os.open, os.read, os.close
        found: list[bytes | int] = []
        for handle in handles:
            try:
                descriptor = opened(handle + ending, _OPEN, dir_fd=directory)
                try:
                    data = read(descriptor, size)
                    if len(data) == size < most:
                        data += _rest(descriptor, size, most)
                finally:
                    close(descriptor)
                found.append(data)
            except OSError as error:
                tried = self.give_back(error)
                found.append(self._anew(directory, name, handle, size, most) if tried else error.errno or errno.EIO)
        return found

    def _anew(self, directory: int, name: str, handle: str, size: int, most: int) -> bytes | int:
        """The file of one process, opened now."""
        self._give_up(name, handle)
        while True:
            try:
                return self._opened(directory, name, handle, size, most)
            except OSError as error:
                if not self.give_back(error):
                    return error.errno or errno.EIO

    def _opened(self, directory: int, name: str, handle: str, size: int, most: int) -> bytes:
        descriptor = os.open(f"{handle}/{name}", _OPEN, dir_fd=directory)
        keep = False
        try:
            data = os.pread(descriptor, size, 0)
            if len(data) == size < most:
                data += _rest(descriptor, size, most)
            keep = self._may_keep(name, handle)
        finally:
            if keep:
                self._open[name][handle] = descriptor
            else:
                os.close(descriptor)
        return data

    def links(self, directory: int, name: str, handles: Sequence[str]) -> list[str | None]:
        """The target of that link of each process, None where there is none or it may not be read."""
        kept, readlink = self._open.get(name, {}), os.readlink
        found: list[str | None] = []
        add = found.append
        for handle in handles:
            try:
                add(readlink("", dir_fd=kept[handle]))
            except (KeyError, OSError):  # as above
                add(self._link_anew(directory, name, handle))
        return found

    def _link_anew(self, directory: int, name: str, handle: str) -> str | None:
        """The target of the link of one process, looked for now."""
        self._give_up(name, handle)
        path = f"{handle}/{name}"
        try:
            target = os.readlink(path, dir_fd=directory)
        except OSError:
            return None
        if self._may_keep(name, handle):
            try:
                self._open[name][handle] = os.open(path, _OPEN_LINK, dir_fd=directory)
            except OSError as error:  # it is opened the next time, if there is room then
                self.give_back(error)
        return target

    def _give_up(self, name: str, handle: str) -> None:
        stale = self._open.get(name, {}).pop(handle, None)
        if stale is not None:
            os.close(stale)

    def _may_keep(self, name: str, handle: str) -> bool:
        """Whether a descriptor for the file is to be kept; if not now, then the next time."""
        met = self._met.get(name)
        if met is None:
            return False
        if handle not in met or self._count() >= self._limit:
            met.add(handle)
            return False
        met.remove(handle)
        return True

    def _count(self) -> int:
        return sum(map(len, self._open.values()))

    def give_back(self, error: OSError) -> bool:
        """Whether what failed is worth another try: descriptors had run out, and some are free now."""
        count = self._count()
        if error.errno not in _FULL or not count:
            return False
        self._limit = count // 2
        for name in reversed(NAMES):
            while self._open[name] and self._count() > self._limit:
                os.close(self._open[name].popitem()[1])
        return True

    def only(self, handles: Collection[str]) -> None:
        """Give up what belongs to processes other than these."""
        there = frozenset(handles)
        for kept in self._open.values():
            for handle in kept.keys() - there:
                os.close(kept.pop(handle))
        for met in self._met.values():
            met &= there

    def close(self) -> None:
        """Give up all descriptors."""
        self.only(())


def _rest(descriptor: int, size: int, most: int) -> bytes:
    """What follows the first ``size`` bytes, as far as ``most`` bytes in all."""
    parts: list[bytes] = []
    while size < most and (data := os.pread(descriptor, most - size, size)):
        parts.append(data)
        size += len(data)
    return b"".join(parts)
