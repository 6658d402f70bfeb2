"""statvfs of mounted file systems, asked once per tick for all classes that need it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

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
        self._known: dict[str, os.statvfs_result | str] = {}

    def get(self, ask: Ask, file_systems: Iterable[FileSystem]) -> dict[str, os.statvfs_result]:
        """Answers by path for those that are mounted; failures are counted and left out."""
        if ask.tick is None or ask.tick != self._tick:
            self._tick, self._known = ask.tick, {}
        good: dict[str, os.statvfs_result] = {}
        for one in file_systems:
            if not one.online:
                continue
            answer = self._known.get(one.path)
            if answer is None:
                answer = self._known[one.path] = self._ask(one)
            if isinstance(answer, str):
                ask.skip(answer)
            else:
                good[one.path] = answer
        return good

    def _ask(self, one: FileSystem) -> os.statvfs_result | str:
        try:
            return self._statvfs(one.path) if one.fstype in LOCAL else self._patience.ask(one.path)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            return f"file system {one.name[:200]}: statvfs: {text or error}"
