"""Programs that a component was running when it was killed: nobody else would end them.

Each carries the pid of who started it and when that began in its environment (:mod:`omi_queries.backends.child`), and
so does whatever it started itself. A pid may be another process's by now, with children of its own: those stay.
"""

from __future__ import annotations

import contextlib
import os
import signal

MARK, BEGUN = b"LAD_CHILD_OF=", b"LAD_CHILD_OF_BEGUN="
ROUNDS = 5
"""A program may start another one while it is looked for: it is looked again until nothing is found."""


def end(parent: int) -> None:
    """SIGKILL to all that the dead process ``parent`` has left."""
    for _ in range(ROUNDS):
        found = _left(parent) if parent > 0 else []
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):  # gone meanwhile
                os.kill(pid, signal.SIGKILL)


def _left(parent: int) -> list[int]:
    """Pids of the processes that carry the mark; one that has ended has no environment any more."""
    mark, namesake = b"%b%d" % (MARK, parent), _begun(parent)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    carried = file.read().split(b"\0")
            except OSError:
                continue
            if mark in carried and not (namesake and BEGUN + namesake in carried):
                found.append(int(entry))
    return found


def _begun(pid: int) -> bytes:
    """When a living process began (proc(5): starttime), b"" if there is none: one that nobody has reaped is dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return b"" if fields[0] in b"ZXx" else fields[19]
    except (OSError, IndexError):
        return b""
