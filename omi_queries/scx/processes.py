"""All processes from one walk over /proc, shared by the classes that describe them.

The walk reads /proc/PID/stat only (proc(5)); other files of a process are read when a property needs them.
"""

from __future__ import annotations

import errno
from operator import itemgetter
from typing import NamedTuple

from omi_queries.scx.family import Counters
from omi_queries.scx.process_files import Files
from omi_queries.sources import Sources

_FIELDS = 22  # of /proc/PID/stat from the state on, up to rss (proc(5): its fields 3 to 24)
_pick = itemgetter(1, 2, 3, 9, 11, 12, 13, 14, 15, 16, 19, 20, 21)
PPID, PGRP, SESSION, MAJFLT, UTIME, STIME, CUTIME, CSTIME, PRIORITY, NICE, STARTTIME, VSIZE, RSS = range(13)
_STAT_SIZE = 1500  # 52 numbers of at most 20 digits and a name
_UNDERSCORE = ord("_")
_ENDED = (errno.ENOENT, errno.ESRCH)  # since the folder was listed

Stat = tuple[bytes, bytes, tuple[int, ...]]
"""What /proc/PID/stat says: the command raw, the state as one letter, and the numbers that are used."""


class Process:
    """One process as it is until its stat changes: a change makes another one of it.

    ``handle`` is its pid as text, ``raw`` its stat as read, the rest as in :class:`Stat`. ``steady`` tells that the
    stat was the same when it was read again; ``uid`` is the user it runs for, None if not known (yet).
    """

    __slots__ = ("command", "handle", "numbers", "raw", "state", "steady", "uid")

    def __init__(self, handle: str, raw: bytes, stat: Stat) -> None:
        self.handle = handle
        self.raw = raw
        self.command, self.state, self.numbers = stat
        self.steady = False
        self.uid: int | None = None


class Walk(NamedTuple):
    """The processes by handle, in the order of their numbers, why some are missing, and their other files."""

    at: float
    processes: dict[str, Process]
    notes: tuple[str, ...]
    files: Files

    def counters(self) -> Counters:
        """The numbers of each process's stat by handle."""
        return Counters(self.at, {handle: one.numbers for handle, one in self.processes.items()})


def parse_stat(data: bytes) -> Stat | None:
    """A /proc/PID/stat; None if it is cut short or has no numbers.

    The command may hold anything, parentheses and line ends too: it ends at the last parenthesis.
    """
    head, found, tail = data.rpartition(b") ")
    at = head.find(b"(")
    if not found or at < 0 or _UNDERSCORE in tail:  # int() takes 1_0 for a number
        return None
    fields = tail.split(None, _FIELDS)
    if len(fields) < _FIELDS or len(fields[0]) != 1 or not fields[0].isalpha():
        return None
    try:
        return head[at + 1 :], fields[0], tuple(map(int, _pick(fields)))
    except ValueError:
        return None


def real_uid(status: bytes) -> int | None:
    """The first number of the Uid line of /proc/PID/status."""
    at = status.find(b"\nUid:")
    fields = status[at + 5 : at + 80].split(None, 1) if at >= 0 else []
    return int(fields[0]) if fields and fields[0].isdigit() and len(fields[0]) < 20 else None


class ProcessTable:
    """The processes below a root, walked at most once per tick.

    Up to ``descriptors`` of their files stay open from one walk to the next, which only the live system allows.
    """

    def __init__(self, sources: Sources, descriptors: int = 0) -> None:
        self._clock = sources.clock
        self._files = Files(sources.path("/proc"), descriptors)
        self._tick: float | None = None
        self.nothing = Walk(0.0, {}, (), self._files)
        self._last = self.nothing

    def get(self, tick: float | None) -> Walk:
        """The processes at ``tick``; None walks anew."""
        if tick is None or tick != self._tick:
            self._tick = tick
            at = self._clock()
            try:
                self._last = self._walk(at)
            except OSError as error:
                self._last = Walk(at, {}, (f"/proc: {error.strerror or error}",), self._files)
        return self._last

    def _walk(self, at: float) -> Walk:
        handles = self._files.begin()
        found: dict[str, Process] = {}
        earlier = self._last.processes.get
        unreadable = refused = 0
        for handle, data in zip(handles, self._files.first("stat", handles, _STAT_SIZE), strict=True):
            known = earlier(handle)
            if known is not None and known.raw == data:  # most processes do nothing, most of the time
                known.steady = True
                found[handle] = known
            elif isinstance(data, int):
                refused += data not in _ENDED  # another user's where /proc is mounted with hidepid
            elif (parsed := parse_stat(data)) is None:
                unreadable += 1
            else:
                found[handle] = Process(handle, data, parsed)
        notes = (
            f"/proc: stat of {unreadable} processes is unreadable" if unreadable else "",
            f"/proc: stat of {refused} processes may not be read" if refused else "",
        )
        return Walk(at, found, tuple(filter(None, notes)), self._files)

    def close(self) -> None:
        """Give up descriptors."""
        self._files.close()
