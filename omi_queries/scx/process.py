"""SCX_UnixProcess and SCX_UnixProcessStatisticalInformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from omi_queries import classes
from omi_queries.procfs import shown
from omi_queries.scx import processes as p
from omi_queries.scx.family import NO_EARLIER, NO_TIME, NOTHING, UINT64_MAX, Ask, Counters, rates_of, template
from omi_queries.scx.host import Host, cim_datetime
from omi_queries.scx.processes import Process, ProcessTable, Walk
from omi_queries.types import CimValue, Instance

PROCESS, STATISTICS = "SCX_UnixProcess", "SCX_UnixProcessStatisticalInformation"
OS_NAME = "Linux Distribution"
_UINT8_MAX, _UINT32_MAX = 255, (1 << 32) - 1
_YEAR_10000 = 253_402_300_800  # Unix seconds; later times have no CIM datetime
_STATES = {b"R": 3, b"S": 6, b"D": 5, b"Z": 7, b"T": 8, b"W": 9, b"X": 7}
_NEW = "processes without an earlier reading, rates are not known yet"
_BACKWARDS = "processes whose counters went backwards"


class Change(NamedTuple):
    """What a process used in ``milliseconds``: clock ticks in user and system mode, and major faults."""

    user: int
    system: int
    faults: int
    milliseconds: int


IDLE = Change(0, 0, 0, 1)
"""Nothing at all."""


class Units(NamedTuple):
    """What numbers are counted in. ``hz``: clock ticks per second; ``page_kib``: KiB per page.

    ``defects`` reproduces the original's mistakes: times off by hz*hz/1000, bytes said to be KiB, pages always taken
    for 4 KiB, percentages cut to eight bits (spec/scx-classes.tsv).
    """

    hz: int
    page_kib: int
    defects: bool

    def milliseconds(self, ticks: int) -> int:
        return min(ticks * self.hz if self.defects else ticks * 1000 // self.hz, UINT64_MAX)

    def pages(self, count: int) -> int:
        """KiB of ``count`` pages."""
        return min(max(0, count) * (4 if self.defects else self.page_kib), UINT64_MAX)

    def virtual(self, count: int) -> int:
        """KiB of ``count`` pages of text or data (bytes in the original)."""
        return min(count * 4096, UINT64_MAX) if self.defects else self.pages(count)

    def share(self, ticks: int, milliseconds: int) -> int:
        """Percent of one processor, truncated; may be above 100 for a process with threads."""
        return 100 * (1000 * ticks // self.hz) // milliseconds if milliseconds > 0 else 0

    def byte(self, percent: int) -> int:
        return percent & _UINT8_MAX if self.defects else min(percent, _UINT8_MAX)


Column = Callable[[Process], CimValue]
RateColumn = Callable[[Change], CimValue]


def _uint64(value: int) -> int:
    return min(max(0, value), UINT64_MAX)


def priority(value: int) -> int | None:
    """The kernel's priority on the original's scale; None if it is none of the scheduler's."""
    if 0 <= value <= 39:
        return (39 - value) * 15 // 39
    return 16 + (-value - 2) * 15 // 98 if -100 <= value <= -2 else None


def arguments(raw: bytes) -> list[str] | None:
    """The NUL-separated /proc/PID/cmdline; None if there is nothing in it, as for kernel threads."""
    if not raw:
        return None
    return [part.decode("utf-8", "backslashreplace") for part in raw.removesuffix(b"\0").split(b"\0")]


def _wchan(raw: bytes) -> str | None:
    return shown(raw.strip()) or None


def _statm(index: int) -> Callable[[Process], int | None]:
    def get(process: Process) -> int | None:
        fields = process.file("statm").split()
        found = fields[index] if len(fields) > index else b""
        return int(found) if found.isdigit() and len(found) < 20 else None

    return get


def process_columns(units: Units) -> dict[str, Column]:
    """How the properties of SCX_UnixProcess are made that depend on nothing but the process."""
    return {
        "Name": Process.name,
        "Handle": lambda one: one.handle,
        "Priority": lambda one: priority(one.numbers[p.PRIORITY]),
        "ExecutionState": lambda one: _STATES.get(one.state, 0),
        "KernelModeTime": lambda one: units.milliseconds(max(0, one.numbers[p.STIME])),
        "UserModeTime": lambda one: units.milliseconds(max(0, one.numbers[p.UTIME])),
        "ParentProcessID": lambda one: str(one.numbers[p.PPID]),
        "RealUserID": Process.real_uid,
        "ProcessGroupID": lambda one: _uint64(one.numbers[p.PGRP]),
        "ProcessSessionID": lambda one: _uint64(one.numbers[p.SESSION]),
        "ModulePath": lambda one: one.link("exe"),
        "Parameters": lambda one: arguments(one.file("cmdline")),
        "ProcessNiceValue": lambda one: min(max(0, one.numbers[p.NICE] + 20), _UINT32_MAX),
        "ProcessWaitingForEvent": lambda one: _wchan(one.file("wchan")),
        "UsedMemory": lambda one: units.pages(one.numbers[p.RSS]),
    }


def process_rates(units: Units) -> dict[str, RateColumn]:
    """How the rates of SCX_UnixProcess are made."""

    share, byte = units.share, units.byte
    return {"PercentBusyTime": lambda c: byte(share(c.user, c.milliseconds) + share(c.system, c.milliseconds))}


def statistics_columns(units: Units) -> dict[str, Column]:
    """How the properties of SCX_UnixProcessStatisticalInformation are made that depend on nothing but the process."""
    text, data, shared = _statm(3), _statm(5), _statm(2)

    def scaled(get: Callable[[Process], int | None], unit: Callable[[int], int]) -> Column:
        def column(one: Process) -> int | None:
            found = get(one)
            return None if found is None else unit(found)

        return column

    def resident(one: Process) -> int:
        size = one.numbers[p.VSIZE]
        return units.byte(100 * units.pages(one.numbers[p.RSS]) * 1024 // size) if size > 0 else 0

    return {
        "Name": Process.name,
        "Handle": lambda one: one.handle,
        "VirtualText": scaled(text, units.virtual),
        "VirtualData": scaled(data, units.virtual),
        "VirtualSharedMemory": scaled(shared, units.pages),
        "CpuTimeDeadChildren": lambda one: _uint64(one.numbers[p.CUTIME] + one.numbers[p.CSTIME]),
        "SystemTimeDeadChildren": lambda one: _uint64(one.numbers[p.CSTIME]),
        "UsedMemory": lambda one: units.pages(one.numbers[p.RSS]),
        "PercentUsedMemory": resident,
    }


def statistics_rates(units: Units) -> dict[str, RateColumn]:
    """How the rates of SCX_UnixProcessStatisticalInformation are made."""

    def faults(change: Change) -> int:
        return min(1000 * change.faults // change.milliseconds, UINT64_MAX) if change.milliseconds > 0 else 0

    return {
        "CPUTime": lambda c: min(units.share(c.user + c.system, c.milliseconds), _UINT32_MAX),
        "PercentUserTime": lambda c: units.byte(units.share(c.user, c.milliseconds)),
        "PercentPrivilegedTime": lambda c: units.byte(units.share(c.system, c.milliseconds)),
        "PagesReadPerSec": faults,
    }


class History(Protocol):
    """Where processes come from and what they did since an earlier time."""

    def walk(self, ask: Ask) -> Walk:
        """The processes to answer with."""

    def begin(self, ask: Ask, walk: Walk) -> tuple[Counters, Callable[[Process], Change | None]]:
        """The counters to keep, and what a process did since ``ask.old``: None, with the reason counted, if unknown."""


class TrueDelta:
    """The change since the stream's own earlier reading. A process that began since then began from nothing."""

    def __init__(self, table: ProcessTable, hz: int) -> None:
        self._table = table
        self._hz = hz

    def walk(self, ask: Ask) -> Walk:
        return self._table.get(ask.tick)

    def begin(self, ask: Ask, walk: Walk) -> tuple[Counters, Callable[[Process], Change | None]]:
        new, old = walk.counters(), ask.old
        if old is None:
            ask.skip(NO_EARLIER)
            return new, lambda _one: None
        milliseconds = int((new.at - old.at) * 1000)
        if milliseconds <= 0:
            ask.skip(NO_TIME)
            return new, lambda _one: None
        earliest = old.at * self._hz - self._hz
        before_of = old.raw.get

        def change(one: Process) -> Change | None:
            now, before = one.numbers, before_of(one.handle)
            if now is before:  # its stat did not change
                return IDLE
            user, system, faults = now[p.UTIME], now[p.STIME], now[p.MAJFLT]
            if before is not None and before[p.STARTTIME] == now[p.STARTTIME]:
                user, system, faults = user - before[p.UTIME], system - before[p.STIME], faults - before[p.MAJFLT]
            elif now[p.STARTTIME] < earliest:  # another process of the same number, or one that was hidden
                ask.skip(_NEW)
                return None
            if user < 0 or system < 0 or faults < 0:
                ask.skip(_BACKWARDS)
                return None
            return Change(user, system, faults, milliseconds)

        return new, change


class Endings:
    """When a process was first seen to have ended without being waited for, in Unix microseconds."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen: dict[tuple[str, int], int] = {}

    def look(self, walk: Walk) -> Callable[[Process], CimValue]:
        """Take note of the ended ones of ``walk``; the TerminationDate of a process."""
        now = int(self._host.wall() * 1_000_000)
        ended = ((one.handle, one.numbers[p.STARTTIME]) for one in walk.processes.values() if one.state == b"Z")
        self._seen = {key: self._seen.get(key, now) for key in ended}

        def date(one: Process) -> CimValue:
            at = self._seen.get((one.handle, one.numbers[p.STARTTIME]))
            return None if at is None else cim_datetime(at)

        return date


class ProcessFamily:
    """Instances of one of the two classes. Raw counters are not kept over a restart: there are too many."""

    width = 0
    exact = True  # instances carry nothing but the needed properties

    def __init__(
        self,
        class_name: str,
        history: History,
        host: Host,
        units: Units,
        columns: dict[str, Column],
        rates: dict[str, RateColumn],
    ) -> None:
        cim_class = classes.get(class_name)
        self._history = history
        self._host = host
        self._units = units
        self._columns = columns
        self._rate_columns = rates
        self._rates = rates_of(cim_class)
        self._template = template(cim_class)
        self._template["OSName"] = OS_NAME
        self._dated = "CreationDate" in self._template
        self._endings = Endings(host)

    def counters(self) -> Counters:
        """What the processes have used so far."""
        ask = Ask(None, None, self._rates, lambda _name, _aggregate: False, lambda _reason: None)
        return self._history.begin(ask, self._history.walk(ask))[0]

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        walk = self._history.walk(ask)
        for note in walk.notes:
            ask.skip(note)
        columns = [(name, make) for name, make in self._columns.items() if name in ask.needs]
        if self._dated:
            columns += self._dates(ask.needs, walk)
        rated = not ask.needs.isdisjoint(self._rates)
        new, change = self._history.begin(ask, walk) if rated else (NOTHING, None)
        base = {name: value for name, value in self._template.items() if name in ask.needs}  # the rest is not looked at
        if "CSName" in base:
            base["CSName"] = self._host.name()
        rates = [(name, make) for name, make in self._rate_columns.items() if name in base]
        idle = {name: make(IDLE) for name, make in rates}
        found: list[Instance] = []
        for one in walk.processes.values():
            if not ask.wants(one.handle, False):
                continue
            instance = dict(base)
            for name, make in columns:
                instance[name] = make(one)
            if change is not None:
                used = change(one)
                if used is IDLE:
                    instance.update(idle)
                elif used is not None:
                    for name, rate in rates:
                        instance[name] = rate(used)
                else:
                    for name, _ in rates:
                        del instance[name]
            found.append(instance)
        return new, found

    def _dates(self, needs: frozenset[str], walk: Walk) -> list[tuple[str, Column]]:
        found: list[tuple[str, Column]] = []
        if "CreationDate" in needs:
            boot = self._host.boot_time()
            if boot is not None:
                found.append(("CreationDate", _creation(boot, self._units.hz)))
        if "TerminationDate" in needs:
            found.append(("TerminationDate", self._endings.look(walk)))
        return found


def _creation(boot: int, hz: int) -> Column:
    def date(one: Process) -> str | None:
        started = boot + one.numbers[p.STARTTIME] // hz
        return cim_datetime(started * 1_000_000) if 0 <= started < _YEAR_10000 else None

    return date
