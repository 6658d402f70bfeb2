"""How many descriptors may be kept open for the sake of speed, so that most of what a process may open stays free."""

from __future__ import annotations

import os

MOST = 16384
"""Four files of 4,096 processes."""
RESERVE = 512
"""For all else that a process opens: files, clients, pipes to children."""


def allowance(soft: int) -> int:
    """How many may be kept at a soft limit of open files (RLIMIT_NOFILE; -1: there is none)."""
    return MOST if soft < 0 else max(0, min(MOST, soft - RESERVE))


def soft_limit() -> int:
    """The soft limit of open files of this process, -1 if there is none."""
    return os.sysconf("SC_OPEN_MAX")


def own() -> int:
    """How many this process may keep as it is."""
    return allowance(soft_limit())


def none() -> int:
    """For what asks once or twice."""
    return 0
