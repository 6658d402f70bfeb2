"""``collector.ticks``: the newest samples, which ``collector.db`` does not hold yet.

A tick is one record at the end of this file: that takes a fraction of what a transaction does. The next transaction, as
where a window ends, takes the samples over. The file lives as long as it takes from one of them to the next, and is
read by the program that wrote it, so it is in Python's own ``marshal``, the cheapest form of numbers that there is. In
front of each record stand its length, a checksum of it, into which the name of the interpreter and the number of this
form go, and a checksum of both: what another one wrote, or a bad disk changed, is never interpreted.
"""

from __future__ import annotations

import errno
import marshal
import os
import struct
import sys
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

from extension.store.database import inode

NAME = "collector.ticks"
MAX_BYTES = 256 << 10
MAX_WAITING = 64
"""More records than that are given to ``collector.db`` although there is nothing else to be written."""
STALE_BYTES = 32 << 10
"""So many bytes of records that ``collector.db`` has are kept before the file begins anew."""
_FORMAT = 2  # of marshal: without references, which take time to look for
_HEAD, _CHECK = struct.Struct("<II"), struct.Struct("<I")
_HEAD_SIZE = _HEAD.size + _CHECK.size
_SEED = zlib.crc32(f"{sys.implementation.cache_tag} 1".encode())
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

Sample = tuple[int, int, list[Any]]
"""As :class:`extension.store.runs.Run`: layout, Unix microseconds, values."""


class Tick(NamedTuple):
    """What one tick left. ``base``: the time (Unix s) of the newest tick in ``collector.db`` once the transaction is
    committed with which this one was written; if there is another one, the store has these samples already, or goes on
    without them. ``last``: its own time; ``states``: raw counters by query, those of all earlier ticks too where these
    have another base."""

    base: float
    last: float
    samples: list[Sample]
    states: dict[str, Any]


class Journal:
    """The file in ``folder``, for its one writer. Where it cannot be opened or read, it takes nothing."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self.problem = ""
        self._size = self._before = self._inode = 0
        self._ends: list[int] = []
        self._fd = -1
        self._open()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, _OPEN, 0o600)
            self._inode = os.fstat(self._fd).st_ino
        except OSError as error:
            self.problem = error.strerror or str(error)

    def read(self) -> tuple[list[Tick], bool]:
        """What is there, in order, and whether something was left out because it is damaged. A record without an end
        was never finished: it is nothing."""
        if self._fd < 0:
            return [], False
        try:
            data = os.pread(self._fd, 2 * MAX_BYTES, 0)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self.close()  # what is written over records that were not read could be taken for one of them
            return [], False
        found, damaged = _ticks(data)
        self._ends = [record.end for record in found]
        self._size = self._ends[-1] if found else 0
        return [record.tick for record in found], damaged

    def forget_after(self, ticks: int) -> None:
        """Remove all but the first ``ticks`` records that :meth:`read` gave, and what it left out."""
        self._size = self._before = self._ends[ticks - 1] if ticks else 0
        self._cut()

    def append(self, tick: Tick) -> None:
        """Add a record; OSError if there is no room for it. :meth:`take_back` undoes it."""
        try:
            data = marshal.dumps(tuple(tick), _FORMAT)
        except ValueError as error:  # there are values that it does not know
            raise OSError(errno.EINVAL, str(error)) from error
        record = _head(data) + data
        if self._fd < 0 or self._size + len(record) > MAX_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if os.pwrite(self._fd, record, self._size) < len(record):
            self._cut()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._before, self._size = self._size, self._size + len(record)

    def take_back(self) -> None:
        """Remove the newest record."""
        self._size = self._before
        self._cut()

    def pass_by(self) -> None:
        """All records but the newest are in ``collector.db``."""
        if self._before > STALE_BYTES or inode(self.path) != self._inode:
            with suppress(OSError):
                self._begin_anew(os.pread(self._fd, self._size - self._before, self._before))

    def _begin_anew(self, record: bytes) -> None:
        """Put a file in the place of this one that has nothing but ``record``."""
        path = self.path + ".new"
        fd = os.open(path, _OPEN | os.O_TRUNC, 0o600)
        try:
            if os.pwrite(fd, record, 0) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(path, self.path)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd, self._before, self._size = fd, 0, len(record)
        self._inode = inode(self.path)

    def clear(self) -> None:
        """All records are in ``collector.db``."""
        if self._size:
            self._size = self._before = 0
            self._cut()
            if inode(self.path) != self._inode:  # somebody has removed or replaced it
                self.close()
                self._open()

    def _cut(self) -> None:
        with suppress(OSError):  # what cannot be cut off is known by its base
            os.ftruncate(self._fd, self._size)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Record(NamedTuple):
    tick: Tick
    end: int


def _head(data: bytes) -> bytes:
    head = _HEAD.pack(len(data), zlib.crc32(data, _SEED))
    return head + _CHECK.pack(zlib.crc32(head))


def _ticks(data: bytes) -> tuple[list[_Record], bool]:
    """The records at the beginning of ``data``, and whether one follows that is damaged."""
    found: list[_Record] = []
    at = 0
    while len(data) - at >= _HEAD_SIZE:
        begin = at + _HEAD_SIZE
        head = data[at : at + _HEAD.size]
        length, checksum = _HEAD.unpack(head)
        if _CHECK.unpack_from(data, at + _HEAD.size) != (zlib.crc32(head),):
            return found, True
        at = begin + length
        if at > len(data):
            break
        body = data[begin:at]
        if zlib.crc32(body, _SEED) != checksum:
            return found, True
        found.append(_Record(Tick(*marshal.loads(body)), at))  # noqa: S302 - of this program's own, says the checksum
    return found, False


def following(ticks: list[Tick], base: float | None) -> list[Tick]:
    """Those that ``collector.db`` does not hold, if the newest that it holds is of ``base`` (Unix s)."""
    return [tick for tick in ticks if tick.base == base]


def peek(folder: str) -> list[Tick]:
    """What is there, for readers."""
    try:
        fd = os.open(os.path.join(folder, NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            data = os.pread(fd, 2 * MAX_BYTES, 0)
        finally:
            os.close(fd)
    except OSError:
        return []
    return [record.tick for record in _ticks(data)[0]]


def newest(ticks: list[Tick], base: float | None) -> float | None:
    """When the newest sample was taken (Unix s): at ``base``, as ``collector.db`` says, or later."""
    return max((tick.last for tick in following(ticks, base)), default=base)
