"""statvfs with an end: asking a file system whose daemon or server hangs blocks, and must not block the sampling."""

from __future__ import annotations

import _thread  # threading would cost the collector memory, most machines never get here
import os
from collections.abc import Callable

PATIENCE_S = 1.0
MAX_HUNG = 8
"""Threads that wait for an answer; none can be ended from here."""
NO_ANSWER = "no answer: is what serves it hung?"
LOCAL = frozenset(
    [
        "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "jfs", "msdos", "nilfs2",
        "ntfs", "ntfs3", "overlay", "reiserfs", "squashfs", "vfat", "xfs",
    ]
)  # fmt: skip
"""Types that the kernel answers for itself; a thread for each of them would be a waste."""


class _Call:
    """One question in a thread of its own."""

    def __init__(self, ask: Callable[[str], os.statvfs_result], path: str) -> None:
        self._ask, self._path = ask, path
        self._answer: os.statvfs_result | OSError | ValueError | None = None
        self._running = _thread.allocate_lock()
        self._running.acquire()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        try:
            self._answer = self._ask(self._path)
        except (OSError, ValueError) as error:
            self._answer = error
        finally:
            self._running.release()

    def ended(self, patience_s: float) -> bool:
        """Whether there is an answer within so many seconds."""
        if not self._running.acquire(timeout=patience_s):
            return False
        self._running.release()
        return True

    def answer(self) -> os.statvfs_result:
        """The answer. Raises what the question did."""
        if isinstance(self._answer, (OSError, ValueError)):
            raise self._answer
        assert self._answer is not None
        return self._answer


class Patience:
    """Asks ``statvfs`` by path and waits ``patience_s``; one that did not answer is not asked again until it has."""

    def __init__(self, statvfs: Callable[[str], os.statvfs_result], patience_s: float = PATIENCE_S) -> None:
        self._statvfs = statvfs
        self._patience_s = patience_s
        self._hung: dict[str, _Call] = {}

    def ask(self, path: str) -> os.statvfs_result:
        """The answer. Raises OSError or ValueError as statvfs does, TimeoutError where there is none in time."""
        self._hung = {other: call for other, call in self._hung.items() if not call.ended(0.0)}
        if path in self._hung:
            raise TimeoutError(NO_ANSWER)
        if len(self._hung) >= MAX_HUNG:
            raise TimeoutError(f"not asked, {MAX_HUNG} others do not answer")
        try:
            call = _Call(self._statvfs, path)
        except RuntimeError as error:
            raise OSError(f"not asked, {error}") from None
        if not call.ended(self._patience_s):
            self._hung[path] = call
            raise TimeoutError(NO_ANSWER)
        return call.answer()
