"""How the properties of the two classes of processes are made, a property of many processes at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from omi_queries.procfs import shown
from omi_queries.scx import processes as p
from omi_queries.scx.family import UINT64_MAX
from omi_queries.scx.host import cim_datetime
from omi_queries.scx.process_files import Files
from omi_queries.scx.process_history import Change
from omi_queries.scx.processes import Process
from omi_queries.types import CimValue

PROCESS, STATISTICS = "SCX_UnixProcess", "SCX_UnixProcessStatisticalInformation"
_UINT8_MAX, _UINT32_MAX = 255, (1 << 32) - 1
_YEAR_10000 = 253_402_300_800  # Unix seconds; later times have no CIM datetime
_STATES = {b"R": 3, b"S": 6, b"D": 5, b"Z": 7, b"T": 8, b"W": 9, b"X": 7}
_MEMO = 4096  # names, times and sizes that are remembered with what they are turned into


def uint64s(values: Sequence[int]) -> Sequence[int]:
    """``values``, each held to the range of uint64."""
    if not values or (min(values) >= 0 and max(values) <= UINT64_MAX):
        return values
    return [min(max(0, value), UINT64_MAX) for value in values]


class Units(NamedTuple):
    """What numbers are counted in. ``hz``: clock ticks per second; ``page_kib``: KiB per page.

    ``defects`` reproduces the original's mistakes: times off by hz*hz/1000, bytes said to be KiB, pages always taken
    for 4 KiB, percentages cut to eight bits (spec/scx-classes.tsv).
    """

    hz: int
    page_kib: int
    defects: bool

    def milliseconds(self, ticks: Sequence[int]) -> Sequence[int]:
        hz = self.hz
        return uint64s([each * hz for each in ticks] if self.defects else [each * 1000 // hz for each in ticks])

    def pages(self, counts: Sequence[int]) -> Sequence[int]:
        """KiB of each count of pages."""
        kib = 4 if self.defects else self.page_kib
        return uint64s([count * kib for count in counts])

    def virtual(self, counts: Sequence[int]) -> Sequence[int]:
        """KiB of each count of pages of text or data (bytes in the original)."""
        return uint64s([count * 4096 for count in counts]) if self.defects else self.pages(counts)

    def share(self, ticks: int, milliseconds: int) -> int:
        """Percent of one processor, truncated; may be above 100 for a process with threads."""
        return 100 * (1000 * ticks // self.hz) // milliseconds if milliseconds > 0 else 0

    def byte(self, percent: int) -> int:
        return percent & _UINT8_MAX if self.defects else min(percent, _UINT8_MAX)


StatColumn = Callable[[Sequence[Process]], Sequence[CimValue]]
"""A property of each of the processes, from nothing but its stat."""
FileColumn = Callable[[Files, Sequence[Process]], Sequence[CimValue]]
"""A property of each of the processes, from another of its files."""
RateColumn = Callable[[Change], CimValue]


class Columns(NamedTuple):
    """How the properties of a class are made that are not the same for all processes."""

    stat: dict[str, StatColumn]
    files: dict[str, FileColumn]
    rates: dict[str, RateColumn]


def priority(value: int) -> int | None:
    """The kernel's priority on the original's scale; None if it is none of the scheduler's."""
    if 0 <= value <= 39:
        return (39 - value) * 15 // 39
    return 16 + (-value - 2) * 15 // 98 if -100 <= value <= -2 else None


def arguments(raw: bytes) -> list[str] | None:
    """The NUL-separated /proc/PID/cmdline; None if there is nothing in it, as for kernel threads."""
    return raw.removesuffix(b"\0").decode("utf-8", "backslashreplace").split("\0") if raw else None


def sizes(statm: bytes) -> tuple[int | None, int | None, int | None]:
    """Pages shared, of text and of data from /proc/PID/statm; None where there is no number."""
    fields = statm.split(None, 6)
    shared, text, data = (fields[at] if len(fields) > at else b"" for at in (2, 3, 5))
    return _size(shared), _size(text), _size(data)


def _size(field: bytes) -> int | None:
    return int(field) if field.isdigit() and len(field) < 20 else None


def _wchan(raw: bytes) -> str | None:
    return shown(raw.strip()) or None


def _names() -> StatColumn:
    """The commands' names; of one that has ended and is not waited for, as ps(1) shows it."""

    @lru_cache(maxsize=_MEMO)
    def name(command: bytes, state: bytes) -> str:
        return f"[{shown(command)}] <defunct>" if state == b"Z" else shown(command)

    return lambda all_: [name(one.command, one.state) for one in all_]


def _number(field: int) -> Callable[[Sequence[Process]], list[int]]:
    return lambda all_: [one.numbers[field] for one in all_]


def _uint64(field: int) -> StatColumn:
    get = _number(field)
    return lambda all_: uint64s(get(all_))


def _scaled(field: int, unit: Callable[[Sequence[int]], Sequence[int]]) -> StatColumn:
    get = _number(field)
    return lambda all_: unit(get(all_))


def _handles(all_: Sequence[Process]) -> list[str]:
    return [one.handle for one in all_]


def _users(files: Files, all_: Sequence[Process]) -> list[int | None]:
    """Each one's user, read once: one that changes its user does so with a change of its stat."""
    unknown = [one for one in all_ if one.uid is None]
    for one, status in zip(unknown, files.read("status", _handles(unknown)), strict=True):
        one.uid = p.real_uid(status)
    return [one.uid for one in all_]


def creation(boot: int, hz: int) -> StatColumn:
    """CreationDate on a machine that was booted at ``boot``."""

    @lru_cache(maxsize=_MEMO)
    def date(started: int) -> str | None:
        return cim_datetime(started * 1_000_000) if 0 <= started < _YEAR_10000 else None

    return lambda all_: [date(boot + one.numbers[p.STARTTIME] // hz) for one in all_]


def process_columns(units: Units) -> Columns:
    """Those of SCX_UnixProcess."""
    waits, share, byte = lru_cache(maxsize=_MEMO)(_wchan), units.share, units.byte
    stat: dict[str, StatColumn] = {
        "Name": _names(),
        "Handle": _handles,
        "Priority": lambda all_: [priority(one.numbers[p.PRIORITY]) for one in all_],
        "ExecutionState": lambda all_: [_STATES.get(one.state, 0) for one in all_],
        "KernelModeTime": _scaled(p.STIME, units.milliseconds),
        "UserModeTime": _scaled(p.UTIME, units.milliseconds),
        "ParentProcessID": lambda all_: [str(one.numbers[p.PPID]) for one in all_],
        "ProcessGroupID": _uint64(p.PGRP),
        "ProcessSessionID": _uint64(p.SESSION),
        "ProcessNiceValue": lambda all_: [min(max(0, one.numbers[p.NICE] + 20), _UINT32_MAX) for one in all_],
        "UsedMemory": _scaled(p.RSS, units.pages),
    }
    files: dict[str, FileColumn] = {
        "RealUserID": _users,
        "ModulePath": lambda files, all_: files.links("exe", _handles(all_)),
        "Parameters": lambda files, all_: [arguments(raw) for raw in files.read("cmdline", _handles(all_))],
        "ProcessWaitingForEvent": lambda files, all_: [waits(raw) for raw in files.read("wchan", _handles(all_))],
    }
    rates: dict[str, RateColumn] = {
        "PercentBusyTime": lambda c: byte(share(c.user, c.milliseconds) + share(c.system, c.milliseconds)),
    }
    return Columns(stat, files, rates)


def statistics_columns(units: Units) -> Columns:
    """Those of SCX_UnixProcessStatisticalInformation."""
    known = lru_cache(maxsize=_MEMO)(sizes)

    def size(at: int, unit: Callable[[Sequence[int]], Sequence[int]]) -> FileColumn:
        def column(files: Files, all_: Sequence[Process]) -> list[int | None]:
            found = [known(raw)[at] for raw in files.read("statm", _handles(all_))]
            scaled = iter(unit([pages for pages in found if pages is not None]))
            return [None if pages is None else next(scaled) for pages in found]

        return column

    def resident(all_: Sequence[Process]) -> list[int]:
        kib = units.pages([one.numbers[p.RSS] for one in all_])
        whole = [one.numbers[p.VSIZE] for one in all_]
        return [units.byte(100 * used * 1024 // size) if size > 0 else 0 for used, size in zip(kib, whole, strict=True)]

    def faults(change: Change) -> int:
        return min(1000 * change.faults // change.milliseconds, UINT64_MAX) if change.milliseconds > 0 else 0

    stat: dict[str, StatColumn] = {
        "Name": _names(),
        "Handle": _handles,
        "CpuTimeDeadChildren": lambda all_: uint64s([one.numbers[p.CUTIME] + one.numbers[p.CSTIME] for one in all_]),
        "SystemTimeDeadChildren": _uint64(p.CSTIME),
        "UsedMemory": _scaled(p.RSS, units.pages),
        "PercentUsedMemory": resident,
    }
    files: dict[str, FileColumn] = {
        "VirtualText": size(1, units.virtual),
        "VirtualData": size(2, units.virtual),
        "VirtualSharedMemory": size(0, units.pages),
    }
    rates: dict[str, RateColumn] = {
        "CPUTime": lambda c: min(units.share(c.user + c.system, c.milliseconds), _UINT32_MAX),
        "PercentUserTime": lambda c: units.byte(units.share(c.user, c.milliseconds)),
        "PercentPrivilegedTime": lambda c: units.byte(units.share(c.system, c.milliseconds)),
        "PagesReadPerSec": faults,
    }
    return Columns(stat, files, rates)
