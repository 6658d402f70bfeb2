"""Lock files: an exclusive flock for the life of a process, whose pid is the file's content."""

from __future__ import annotations

import fcntl
import os
import time


class HeldError(Exception):
    """Another process holds the lock; ``pid`` is what the file says of it (0 if it says nothing)."""

    def __init__(self, path: str, pid: int) -> None:
        super().__init__(f"{path} is held by process {pid or 'unknown'}")
        self.pid = pid


def take(path: str, patience_s: float = 0.5) -> int:
    """Hold the lock and write our pid into it; returns the descriptor that keeps it. Raises HeldError, OSError.

    ``patience_s``: those who only look whether somebody holds it (:func:`holder`) do so for an instant.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= end:
                pid = _pid(fd)
                os.close(fd)
                raise HeldError(path, pid) from None
            time.sleep(0.05)
    os.pwrite(fd, f"{os.getpid():<19}\n".encode(), 0)  # in place: on a full disk there may be no room for it anew
    return fd


def is_there(fd: int, path: str) -> bool:
    """Whether the lock that ``fd`` keeps is still the one at ``path``: not if somebody removed the folder."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def holder(path: str) -> int | None:
    """The pid in the file if some process holds the lock (0 if it has none yet), None if nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(fd)
    finally:
        os.close(fd)  # and with it the shared lock
    return None


def last(path: str) -> int:
    """The pid of the process that holds the lock, or held it last; 0 if there was none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return _pid(fd)
    finally:
        os.close(fd)


def _pid(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0
