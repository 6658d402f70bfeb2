"""Garbage in a process that runs one command and ends: it is not looked for, neither while modules are loaded nor when
all that is left goes with the process."""

from __future__ import annotations

import atexit
import gc


def left(objects: int) -> None:
    """Leave it, unless more than so many objects are made: the searches (30 while modules are loaded, three at the end)
    are a fifth of what a command takes."""
    gc.set_threshold(objects)
    atexit.register(gc.freeze)
