"""Files below one root, each read at most once per tick however many queries ask for it."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Callable
from typing import NamedTuple

from omi_queries.procfs import (
    EMPTY,
    Memo,
    ProcFile,
    Table,
    parse_diskstats,
    parse_net_dev,
    parse_stat,
    why,
)

Clock = Callable[[], float]
"""Seconds since boot, suspend included (CLOCK_BOOTTIME)."""


class Snapshot(NamedTuple):
    """A file's rows and when they were read."""

    at: float
    table: Table


class Text(NamedTuple):
    """A file's bytes, when they were read, and why there are none."""

    at: float
    data: bytes
    notes: tuple[str, ...]


class TextSource:
    """A file whose fields are picked out by those who need them (/proc/meminfo, /proc/vmstat)."""

    def __init__(self, file: ProcFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._tick: float | None = None
        self._last = Text(0.0, b"", ())

    def get(self, tick: float | None) -> Text:
        """The content at ``tick``; None reads it anew."""
        if tick is None or tick != self._tick:
            at = self._clock()
            try:
                data, notes = self._file.read(), ()
            except OSError as error:
                self._last = Text(at, b"", (why(self._file.name, error),))
            else:
                self._last = Text(at, data, notes if data else (f"{self._file.name}: empty",))
            self._tick = tick
        return self._last

    def close(self) -> None:
        self._file.close()


class TableSource:
    """A file of rows, parsed with the memo of the previous time."""

    def __init__(self, file: ProcFile, clock: Clock, parse: Callable[[bytes, Memo], Table]) -> None:
        self._text = TextSource(file, clock)
        self._parse = parse
        self._name = file.name
        self._data = b""
        self._table = EMPTY
        self._last: tuple[Text, Snapshot] | None = None

    def get(self, tick: float | None) -> Snapshot:
        """The rows at ``tick``; None reads them anew."""
        text = self._text.get(tick)
        if self._last is None or self._last[0] is not text:
            self._last = (text, Snapshot(text.at, self._rows(text)))
        return self._last[1]

    def _rows(self, text: Text) -> Table:
        if text.notes:
            self._data, self._table = b"", EMPTY
            return Table({}, text.notes, {})
        if text.data != self._data:
            table = self._parse(text.data, self._table.memo)
            if not table.rows and not table.notes:
                table = Table({}, (f"{self._name}: no rows",), {})
            self._data, self._table = text.data, table
        return self._table

    def close(self) -> None:
        self._text.close()


class Sources:
    """All files of one root that several classes read."""

    def __init__(self, root: str, clock: Clock) -> None:
        self.root = root
        self.live = os.path.abspath(root) == "/"
        self.clock = clock
        self.stat = TableSource(self._file("proc/stat"), clock, parse_stat)
        self.diskstats = TableSource(self._file("proc/diskstats"), clock, parse_diskstats)
        self.net_dev = TableSource(self._file("proc/net/dev", "proc/1/net/dev"), clock, parse_net_dev)
        self.meminfo = TextSource(self._file("proc/meminfo"), clock)
        self.vmstat = TextSource(self._file("proc/vmstat"), clock)

    def _file(self, *paths: str) -> ProcFile:
        return ProcFile(self.root, paths, self.live)

    def path(self, inside: str) -> str:
        """Where the absolute path ``inside`` is below the root."""
        return inside if self.live else os.path.join(self.root, inside.lstrip("/"))

    def close(self) -> None:
        for source in (self.stat, self.diskstats, self.net_dev, self.meminfo, self.vmstat):
            source.close()
