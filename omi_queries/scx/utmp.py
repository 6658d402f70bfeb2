"""utmp(5): when the machine booted and who is logged in."""

from __future__ import annotations

import struct
from typing import NamedTuple

_BOOT_TIME, _USER_PROCESS = 2, 7
# type, pid, line, id, user, host, exit status, session, seconds, microseconds, address, reserved
_COMPATIBLE = struct.Struct("<h2xi32s4s32s256s2hiii16s20x")  # 384 bytes: x86, and most others
_WIDE = struct.Struct("<h2xi32s4s32s256s2hqqq16s20x4x")  # 400 bytes: arm64 and others with 64-bit times only
_WIDE_MACHINES = ("aarch64", "riscv64", "loongarch64", "ia64")


class Logins(NamedTuple):
    """``booted`` is Unix microseconds of the boot record, None without one; ``users`` counts the logins."""

    booted: int | None
    users: int


def parse_utmp(data: bytes, machine: str) -> Logins:
    """The records of a utmp file as machines of kind ``machine`` write it; half a record at the end is left out."""
    record = _WIDE if machine in _WIDE_MACHINES else _COMPATIBLE
    booted: int | None = None
    users = 0
    for at in range(0, len(data) - record.size + 1, record.size):
        fields = record.unpack_from(data, at)
        if fields[0] == _BOOT_TIME:
            seconds = fields[9] & 0xFFFFFFFF if record is _COMPATIBLE else fields[9]
            if 0 < seconds < 1 << 37 and 0 <= fields[10] < 1_000_000:
                booted = seconds * 1_000_000 + fields[10]
        elif fields[0] == _USER_PROCESS:
            users += 1
    return Logins(booted, users)
