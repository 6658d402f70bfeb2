"""Programs that a component was running when it was killed: nobody else would end them.

Each carries the pid of who started it in its environment (:mod:`omi_queries.backends.child`), and so does whatever it
started itself.
"""

from __future__ import annotations

import contextlib
import os
import signal

MARK = b"LAD_CHILD_OF="
ROUNDS = 5
"""A program may start another one while it is looked for: it is looked again until nothing is found."""


def end(parent: int) -> None:
    """SIGKILL to all that the dead process ``parent`` has left."""
    for _ in range(ROUNDS):
        found = _left(b"%b%d" % (MARK, parent)) if parent > 0 else []
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):  # gone meanwhile
                os.kill(pid, signal.SIGKILL)


def _left(mark: bytes) -> list[int]:
    """Pids of the processes that carry the mark; one that has ended has no environment any more."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.append(int(entry))
            except OSError:
                continue
    return found
