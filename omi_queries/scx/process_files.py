"""The files of processes below one /proc, a file of all processes at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

_CHUNK = 4096
_FILE_LIMIT = 128 * 1024
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


class Files:
    """Each file of a process is read at most once until it is told to forget."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._directory = -1
        self._read: dict[str, dict[str, bytes]] = {}
        self._listed: list[str] = []
        self._handles: list[str] = []

    def begin(self) -> list[str]:
        """Forget what was read; the handles of the processes that there are now, in the order of their numbers."""
        self.close()
        self._directory = os.open(self._proc, _DIRECTORY)
        listed = os.listdir(self._directory)
        if listed != self._listed:  # else sorted already
            self._listed, self._handles = listed, sorted(filter(str.isdecimal, listed), key=int)
        return self._handles

    def close(self) -> None:
        self._read = {}
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def first(self, name: str, handles: Sequence[str], size: int) -> list[bytes | int]:
        """The first ``size`` bytes of that file of each, read anew, or the number of the error."""
        ending, directory = "/" + name, self._directory
        opened, read, close = os.open, os.read, os.close
        found: list[bytes | int] = []
        for handle in handles:
            try:
                descriptor = opened(handle + ending, _OPEN, dir_fd=directory)
                try:
                    found.append(read(descriptor, size))
                finally:
                    close(descriptor)
            except OSError as error:
                found.append(error.errno or errno.EIO)
        return found

    def read(self, name: str, handles: Sequence[str]) -> list[bytes]:
        """That file of each, up to 128 KiB (an argument list may be megabytes long).

        b"" of a process that has gone or whose file may not be read.
        """
        known = self._read.setdefault(name, {})
        ending, directory = "/" + name, self._directory
        opened, read, close = os.open, os.read, os.close
        found: list[bytes] = []
        for handle in handles:
            data = known.get(handle)
            if data is None:
                try:
                    descriptor = opened(handle + ending, _OPEN, dir_fd=directory)
                    try:
                        data = read(descriptor, _CHUNK)
                        if len(data) == _CHUNK:
                            data += _rest(descriptor)
                    finally:
                        close(descriptor)
                except OSError:
                    data = b""
                known[handle] = data
            found.append(data)
        return found

    def links(self, name: str, handles: Sequence[str]) -> list[str | None]:
        """The target of that link of each, None of a process that has gone or whose link may not be read."""
        ending, directory = "/" + name, self._directory
        found: list[str | None] = []
        for handle in handles:
            try:
                raw = os.readlink((handle + ending).encode(), dir_fd=directory)
            except OSError:
                found.append(None)
            else:
                found.append(raw.decode("utf-8", "backslashreplace"))
        return found


def _rest(descriptor: int) -> bytes:
    """What follows the first chunk, as far as the limit."""
    parts: list[bytes] = []
    left = _FILE_LIMIT - _CHUNK
    while left > 0 and (data := os.read(descriptor, left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
