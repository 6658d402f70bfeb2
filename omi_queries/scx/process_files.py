"""The files of processes below one /proc, a file of all processes at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence

from omi_queries.scx.kept import Kept

_CHUNK = 4096
_FILE_LIMIT = 128 * 1024
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


class Files:
    """Each file of a process is read at most once until it is told to forget.

    ``descriptors``: how many may stay open from one walk to the next, for a real /proc only: elsewhere a file may be
    replaced.
    """

    def __init__(self, proc: str, descriptors: int = 0) -> None:
        self._proc = proc
        self._directory = -1
        self._read: dict[str, dict[str, bytes]] = {}
        self._listed: list[str] = []
        self._handles: list[str] = []
        self._kept = Kept(descriptors)

    def begin(self) -> list[str]:
        """Forget what was read; the handles of the processes that there are now, in the order of their numbers."""
        self._forget()
        listed = self._list()
        if listed != self._listed:  # else sorted already
            self._listed, self._handles = listed, sorted(filter(str.isdecimal, listed), key=int)
            self._kept.only(self._handles)
        return self._handles

    def _list(self) -> list[str]:
        while True:
            try:
                self._directory = os.open(self._proc, _DIRECTORY)
                return os.listdir(self._directory)  # takes a descriptor, too
            except OSError as error:
                self._forget()
                if not self._kept.give_back(error):
                    raise

    def _forget(self) -> None:
        self._read = {}
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def close(self) -> None:
        """Give up what was read, and descriptors."""
        self._forget()
        self._kept.close()

    def first(self, name: str, handles: Sequence[str], size: int) -> list[bytes | int]:
        """The first ``size`` bytes of that file of each, read anew, or the number of the error."""
        return self._kept.each(self._directory, name, handles, size, size)

    def read(self, name: str, handles: Sequence[str]) -> list[bytes]:
        """That file of each, up to 128 KiB (an argument list may be megabytes long).

        b"" of a process that has gone or whose file may not be read.
        """
        known = self._read.setdefault(name, {})
        missing = [handle for handle in handles if handle not in known]
        found = self._kept.each(self._directory, name, missing, _CHUNK, _FILE_LIMIT)
        known.update(zip(missing, [b"" if isinstance(data, int) else data for data in found], strict=True))
        return [known[handle] for handle in handles]

    def links(self, name: str, handles: Sequence[str]) -> list[str | None]:
        """The target of that link of each, None of a process that has gone or whose link may not be read."""
        found = self._kept.links(self._directory, name, handles)
        return [
            target if target is None or target.isascii() else os.fsencode(target).decode("utf-8", "backslashreplace")
            for target in found
        ]
