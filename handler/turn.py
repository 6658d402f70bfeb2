"""One command at a time in one extension folder.

The VM agent calls one after the other, but people call them by hand beside it, and a command that an agent gave up
may still be at work. The lock is a flock on the folder itself: nothing to leave behind, and gone with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from extension.extlog import ExtensionLog

PATIENCE = 60.0  # seconds; longer than any command but an uninstall without a network takes


@contextlib.contextmanager
def alone(
    home: str,
    log: ExtensionLog,
    *,
    patience: float = PATIENCE,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Wait for the end of another command in ``home``; after ``patience`` seconds go on beside it, with a warning."""
    try:
        fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # the folder is gone or closed to us: the command itself says so
        return
    try:
        deadline = monotonic() + patience
        while not _taken(fd):
            if monotonic() >= deadline:
                log.warning(f"another command is still at work in {home} after {patience:g} s: not waiting any longer")
                break
            sleep(0.1)
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    """Whether the lock is ours, or there is none to be had on this file system."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
