"""statvfs of mounted file systems, asked once per tick for all classes that need it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from omi_queries.mounts import FileSystem
from omi_queries.scx.family import Ask
from omi_queries.scx.patience import LOCAL, Patience

Statvfs = Callable[[str], os.statvfs_result]


class Space:
    """``statvfs`` is called with the path below the root."""

    def __init__(self, statvfs: Statvfs) -> None:
        self._statvfs = statvfs
        self._patience = Patience(statvfs)
        self._tick: float | None = None
        self._known: dict[str, os.statvfs_result] = {}
        self._failed: dict[str, str] = {}
        self._sorted: tuple[Sequence[FileSystem], list[str], list[FileSystem]] = ((), [], [])

    def get(self, ask: Ask, file_systems: Sequence[FileSystem]) -> dict[str, os.statvfs_result]:
        """Answers by path for those that are mounted, and for what else was asked at this tick.

        Failures are counted and left out.
        """
        if ask.tick is None or ask.tick != self._tick:
            self._tick, self._known, self._failed = ask.tick, {}, {}
        known, statvfs = self._known, self._statvfs
        local, others = self._by_kind(file_systems)
        asked = [path for path in local if path not in known] if known or self._failed else local
        try:
            for path in asked:
                known[path] = statvfs(path)
        except (OSError, ValueError):
            others = [one for one in file_systems if one.online]  # asked one by one from there on
        for one in others:
            if one.path not in known and not self._ask(one):
                ask.skip(self._failed[one.path])
        return known

    def _by_kind(self, file_systems: Sequence[FileSystem]) -> tuple[list[str], list[FileSystem]]:
        """Paths of the local ones, and the others; of those that are mounted."""
        if self._sorted[0] is not file_systems:  # else the same as last time
            mounted = [one for one in file_systems if one.online]
            local = [one.path for one in mounted if one.fstype in LOCAL]
            self._sorted = (file_systems, local, [one for one in mounted if one.fstype not in LOCAL])
        return self._sorted[1:]

    def _ask(self, one: FileSystem) -> bool:
        """Whether there is an answer now; a failure is not tried again at the same tick."""
        if one.path in self._failed:
            return False
        try:
            self._known[one.path] = self._statvfs(one.path) if one.fstype in LOCAL else self._patience.ask(one.path)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            self._failed[one.path] = f"file system {one.name[:200]}: statvfs: {text or error}"
            return False
        return True
