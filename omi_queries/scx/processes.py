"""All processes from one walk over /proc, shared by the classes that describe them.

The walk reads /proc/PID/stat only (proc(5)); other files of a process are read when a property needs them.
"""

from __future__ import annotations

import os
from operator import itemgetter
from typing import NamedTuple

from omi_queries.procfs import shown
from omi_queries.scx.family import Counters
from omi_queries.sources import Sources

_FIELDS = 22  # of /proc/PID/stat from the state on, up to rss (proc(5): its fields 3 to 24)
_pick = itemgetter(1, 2, 3, 9, 11, 12, 13, 14, 15, 16, 19, 20, 21)
PPID, PGRP, SESSION, MAJFLT, UTIME, STIME, CUTIME, CSTIME, PRIORITY, NICE, STARTTIME, VSIZE, RSS = range(13)
_STAT_SIZE = 1500  # 52 numbers of at most 20 digits and a name
_CHUNK = 4096
_FILE_LIMIT = 128 * 1024
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


Stat = tuple[bytes, bytes, tuple[int, ...]]
"""What /proc/PID/stat says: the command raw, the state as one letter, and the numbers that are used."""


class Process:
    """One process: ``handle`` is its pid as text, ``raw`` its stat as read, the rest as in :class:`Stat`."""

    __slots__ = ("_files", "_uid", "command", "handle", "numbers", "raw", "state")

    def __init__(self, handle: str, raw: bytes, stat: Stat, files: Files) -> None:
        self.handle = handle
        self.raw = raw
        self.command, self.state, self.numbers = stat
        self._files = files
        self._uid: int | None = None

    def name(self) -> str:
        """The command's name; of one that has ended and is not waited for, as ps(1) shows it."""
        name = shown(self.command)
        return f"[{name}] <defunct>" if self.state == b"Z" else name

    def file(self, name: str) -> bytes:
        """Another file of the process, b"" if it has gone or may not be read."""
        return self._files.read(self.handle, name)

    def real_uid(self) -> int | None:
        """The user it runs for. Read once: one that changes its user does so with a change of its stat."""
        if self._uid is None:
            self._uid = real_uid(self.file("status"))
        return self._uid

    def link(self, name: str) -> str | None:
        """The target of one of the process's links, None if it has gone or may not be read."""
        return self._files.link(self.handle, name)


class Walk(NamedTuple):
    """The processes by handle, in the order of their numbers, and why some are missing."""

    at: float
    processes: dict[str, Process]
    notes: tuple[str, ...]

    def counters(self) -> Counters:
        """The numbers of each process's stat by handle."""
        return Counters(self.at, {handle: one.numbers for handle, one in self.processes.items()})


def parse_stat(data: bytes) -> Stat | None:
    """A /proc/PID/stat; None if it is cut short or has no numbers.

    The command may hold anything, parentheses and line ends too: it ends at the last parenthesis.
    """
    head, found, tail = data.rpartition(b") ")
    at = head.find(b"(")
    if not found or at < 0 or b"_" in tail:  # int() takes 1_0 for a number
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


class Files:
    """Files of processes, each read at most once until it is told to forget."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._directory = -1
        self._read: dict[tuple[str, str], bytes] = {}

    def begin(self) -> int:
        """Forget what was read; a descriptor of the folder, valid until the next time."""
        self.close()
        self._directory = os.open(self._proc, _DIRECTORY)
        return self._directory

    def close(self) -> None:
        self._read = {}
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def read(self, handle: str, name: str) -> bytes:
        known = self._read.get((handle, name))
        if known is None:
            known = b""
            if self._directory >= 0:
                try:
                    descriptor = os.open(f"{handle}/{name}", _OPEN, dir_fd=self._directory)
                except OSError:
                    pass
                else:
                    known = _read(descriptor)
            self._read[handle, name] = known
        return known

    def link(self, handle: str, name: str) -> str | None:
        if self._directory < 0:
            return None
        try:
            raw = os.readlink(f"{handle}/{name}".encode(), dir_fd=self._directory)
        except OSError:
            return None
        return raw.decode("utf-8", "backslashreplace")


def _read(descriptor: int) -> bytes:
    """The content up to 128 KiB (an argument list may be megabytes long), b"" if the process ended meanwhile."""
    try:
        data = os.read(descriptor, _CHUNK)
        if len(data) < _CHUNK:
            return data
        parts = [data]
        while data and sum(map(len, parts)) < _FILE_LIMIT:
            data = os.read(descriptor, _FILE_LIMIT)
            parts.append(data)
        return b"".join(parts)[:_FILE_LIMIT]
    except OSError:
        return b""
    finally:
        os.close(descriptor)


class ProcessTable:
    """The processes below a root, walked at most once per tick."""

    def __init__(self, sources: Sources) -> None:
        self._clock = sources.clock
        self._files = Files(sources.path("/proc"))
        self._tick: float | None = None
        self._last = Walk(0.0, {}, ())

    def get(self, tick: float | None) -> Walk:
        """The processes at ``tick``; None walks anew."""
        if tick is None or tick != self._tick:
            self._tick = tick
            at = self._clock()
            try:
                self._last = self._walk(at)
            except OSError as error:
                self._last = Walk(at, {}, (f"/proc: {error.strerror or error}",))
        return self._last

    def _walk(self, at: float) -> Walk:
        files = self._files
        directory = files.begin()
        found: dict[str, Process] = {}
        earlier = self._last.processes
        unreadable = refused = 0
        for handle in sorted(filter(str.isdecimal, os.listdir(directory)), key=int):
            try:
                descriptor = os.open(handle + "/stat", _OPEN, dir_fd=directory)
                try:
                    data = os.read(descriptor, _STAT_SIZE)
                finally:
                    os.close(descriptor)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended since the folder was listed
            except OSError:  # another user's where /proc is mounted with hidepid
                refused += 1
                continue
            known = earlier.get(handle)
            if known is not None and known.raw == data:  # most processes do nothing, most of the time
                found[handle] = known
                continue
            parsed = parse_stat(data)
            if parsed is None:
                unreadable += 1
            else:
                found[handle] = Process(handle, data, parsed, files)
        notes = (
            f"/proc: stat of {unreadable} processes is unreadable" if unreadable else "",
            f"/proc: stat of {refused} processes may not be read" if refused else "",
        )
        return Walk(at, found, tuple(filter(None, notes)))

    def close(self) -> None:
        self._files.close()
