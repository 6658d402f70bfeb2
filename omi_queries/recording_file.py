"""Recordings as files: an index over a recording on disk, and the writer of one."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO

from omi_queries import classes
from omi_queries.recording import InputEvent, Sample, class_key, declared_class, parse_line, time_text

MAX_LINE = 32 << 20
"""Bytes of one line."""
MAX_NOTES = 10


class RecordingError(Exception):
    """A recording that cannot be read; ``str()`` is one line that names the file or the line, and what is wrong."""


class Recording:
    """A recording on disk: every line is checked when it is opened, and read again when it is needed, so that a long
    one does not have to fit into memory. ``notes`` tell what was passed over.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.notes: list[str] = []
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.types: dict[tuple[str, str], dict[str, str]] = {}
        self.names: dict[tuple[str, str], str] = {}
        self._times: dict[tuple[str, str], list[int]] = {}
        self._places: dict[tuple[str, str], list[int]] = {}
        self._events: list[int] = []
        self._read_last: tuple[int, Sample | InputEvent | None] = (-1, None)
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - kept until close
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror}") from None
        try:
            for at, entry in self._entries():
                self._index(at, entry)
        except BaseException:
            self._file.close()
            raise
        if self.first_us is None:
            self.close()
            raise RecordingError(f"{path}: there is nothing in it")

    def _entries(self) -> Iterator[tuple[int, Sample | InputEvent]]:
        """All entries with the offsets of their lines."""
        self._file.seek(0)
        number = place = 0
        while True:
            try:
                line = self._file.readline(MAX_LINE + 1)
            except OSError as error:
                raise RecordingError(f"{self.path}: {error.strerror}") from None
            if not line:
                return
            number += 1
            if len(line) > MAX_LINE:
                raise RecordingError(f"{self.path}: line {number}: longer than {MAX_LINE >> 20} MiB")
            if line.strip():
                try:
                    yield place, parse_line(line)
                except ValueError as error:
                    if line.endswith(b"\n"):
                        raise RecordingError(f"{self.path}: line {number}: {error}") from None
                    self.notes.append(f"{self.path}: line {number}, the last one, is incomplete and is left out")
            place += len(line)

    def _index(self, place: int, entry: Sample | InputEvent) -> None:
        if self.last_us is not None and entry.at_us < self.last_us:
            at = time_text(entry.at_us)
            number = self._line_number(place)
            raise RecordingError(f"{self.path}: line {number}: {at} is before the line above; lines are in order of t")
        self.first_us = entry.at_us if self.first_us is None else self.first_us
        self.last_us = entry.at_us
        if isinstance(entry, Sample):
            key = class_key(entry.namespace, entry.class_name)
            if key not in self.names:
                self.names[key] = entry.class_name
                self._note_unknown(place, entry)
            self.types.setdefault(key, {}).update(entry.types)
            self._times.setdefault(key, []).append(entry.at_us)
            self._places.setdefault(key, []).append(place)
        else:
            self._events.append(place)

    def _note_unknown(self, place: int, entry: Sample) -> None:
        """Note a class that is not known here: it may be another program's, or misspelt."""
        if declared_class(entry.namespace, entry.class_name) is not None or len(self.notes) >= MAX_NOTES:
            return
        within = classes.namespace(entry.namespace)
        near = classes.nearest(entry.class_name, classes.names(within)) if within is not None else ""
        hint = f"; did you mean {near}?" if near else ""
        self.notes.append(
            f"{self.path}: line {self._line_number(place)}: {entry.namespace[:80]} has no class "
            f"{entry.class_name[:80]}{hint or '.'} Its properties have the types of their values."
        )

    def _line_number(self, place: int) -> int:
        here = self._file.tell()
        self._file.seek(0)
        number, left = 1, place
        while left > 0:
            block = self._file.read(min(left, 1 << 20))
            number += block.count(b"\n")
            left -= len(block)
        self._file.seek(here)
        return number

    def newest(self, namespace: str, class_name: str, at_us: int) -> Sample | None:
        """The newest sample of a class (any case) at or before that time, None if there is none."""
        key = class_key(namespace, class_name)
        found = bisect_right(self._times.get(key, ()), at_us)
        if not found:
            return None
        place = self._places[key][found - 1]
        if place != self._read_last[0]:  # several queries ask a class at the same time
            self._read_last = place, self._again(place)
        entry = self._read_last[1]
        if not isinstance(entry, Sample) or class_key(entry.namespace, entry.class_name) != key:
            raise RecordingError(f"{self.path} has changed while it was read")
        return entry

    def _again(self, place: int) -> Sample | InputEvent:
        """The entry at that offset, which was good when the recording was opened."""
        self._file.seek(place)
        try:
            return parse_line(self._file.readline(MAX_LINE + 1))
        except (OSError, ValueError) as error:
            raise RecordingError(f"{self.path} has changed while it was read: {error}") from None

    def events(self) -> Iterator[InputEvent]:
        """The input events in order."""
        for place in self._events:
            entry = self._again(place)
            if not isinstance(entry, InputEvent):
                raise RecordingError(f"{self.path} has changed while it was read")
            yield entry

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Writer:
    """Writes a recording line by line, each in one piece, readable for its owner only."""

    def __init__(self, path: str, replace: bool = False) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_TRUNC if replace else os.O_EXCL)
        self._descriptor = os.open(path, flags, 0o600)
        try:
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):  # never a device
                os.fchmod(self._descriptor, 0o600)
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, line: str) -> None:
        """Append one line; OSError if it cannot be written."""
        data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
