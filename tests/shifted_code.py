"""A copy of the program whose collector and uploader read a clock that a test sets."""

from __future__ import annotations

import os
import shutil
import struct
import time
from pathlib import Path

from extension import spawn

_SOURCE = Path(spawn.__file__).resolve().parents[1]
_ENTRY = """
import os, struct, time
from extension import {name}_itself

_clock = os.open({path!r}, os.O_RDONLY | os.O_CLOEXEC)


def clock():
    return time.time() + struct.unpack("<d", os.pread(_clock, 8, 0))[0]


def main():
    return {name}_itself.main(clock)
"""


class Clock:
    """``shift`` seconds ahead of the real one, kept in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shift = 0.0
        self.set(0.0)

    def set(self, shift: float) -> None:
        """A step for all who read it."""
        self.shift = shift
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(fd, struct.pack("<d", shift), 0)
        finally:
            os.close(fd)

    def now(self) -> float:
        """Unix s."""
        return time.time() + self.shift


def install(folder: Path, clock: Clock) -> Path:
    """Put the program, as it is here, into ``folder`` with that clock."""
    for package in ("extension", "omi_queries"):
        shutil.copytree(_SOURCE / package, folder / package)
    for name in ("collector", "uploader"):
        entry = folder / "extension" / f"{name}.py"
        entry.rename(entry.with_name(f"{name}_itself.py"))
        entry.write_text(_ENTRY.format(name=name, path=str(clock.path)))
    return folder
