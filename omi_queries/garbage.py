"""Garbage in a process that runs one command and ends: it is not looked for, neither while modules are loaded nor when
all that is left goes with the process."""

from __future__ import annotations

import atexit
import gc

FEW_OBJECTS = 50_000
"""More than a command makes; some megabytes."""


def left() -> None:
    """Leave it, unless very many objects are made: the searches (30 while modules are loaded, three at the end) are a
    fifth of what a command takes."""
    gc.set_threshold(FEW_OBJECTS)
    atexit.register(gc.freeze)
