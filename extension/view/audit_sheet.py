"""What was found of one event, window by window: small arrays, so that a month of rows need not be kept. Pure."""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone

from extension.rows import keys, ticks
from extension.rows.edm import EdmValue
from extension.view.audit_expected import Expected

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BY_TIME = re.compile(r"(\d{19})__(.*)", re.ASCII | re.DOTALL)
_BY_NAME = re.compile(r"(.*?)__(\d{19})(__.*)?", re.ASCII | re.DOTALL)
_MOST = 255


class Sheet:
    """Rows of ``expected`` in windows [since, until) (Unix s, multiples of its window).

    ``partition``: the number in the PartitionKey, ``identity`` the beginning of the RowKey of this machine's rows that
    are not metrics.
    """

    def __init__(self, expected: Expected, since: int, until: int, partition: str = "", identity: str = "") -> None:
        self.expected = expected
        self.since = since
        self.windows = max(0, (until - since) // expected.window_s)
        self.counters = list(expected.series)
        self.copies = 2 if expected.kind == "metric" else 1
        self._most = 1 if expected.kind == "metric" else expected.most
        self._partition, self._identity = partition, identity
        self._index = {name: i for i, name in enumerate(self.counters)}
        self._encoded = {keys.encode_metric(name): i for name, i in self._index.items()}
        cells = len(self.counters) * self.windows
        self._found = [bytearray(cells) for _ in range(self.copies)]
        self._queued = [bytearray(cells) for _ in range(self.copies)]
        self._sums = array("I", bytes(4 * cells if self.copies > 1 else 0))
        self._times: dict[int, set[str]] = {}

    def put(self, pk: str, rk: str, columns: Mapping[str, EdmValue], *, queued: bool = False) -> bool:
        """Take a row; False if it is not of this event, of this machine or of these windows."""
        place = (self._metric if self.expected.kind == "metric" else self._row)(pk, rk, columns)
        if place is None:
            return False
        copy, counter, window = place
        if counter < 0:
            return False
        cell = counter * self.windows + window
        if queued:
            self._queued[copy][cell] = 1
            return True
        self._found[copy][cell] = min(_MOST, self._found[copy][cell] + 1)
        if self.copies > 1:
            self._sums[cell] ^= _sum(columns)
        return True

    def claims(self, pk: str, rk: str, columns: Mapping[str, EdmValue]) -> float | None:
        """The time (Unix s) of a row that was not taken if it is of this machine and of this time all the same."""
        start: float | None
        if self.expected.kind == "metric":
            read = self._key(pk, rk)
            start = None if read is None or "__" in read[1] else read[2]
        elif pk.startswith(self._partition) and rk.startswith(self._identity):
            start = unix(str(columns.get("TIMESTAMP", ("", ""))[1]))
        else:
            start = None
        end = self.since + self.windows * self.expected.window_s
        return start if start is not None and self.since <= start < end else None

    def _metric(self, pk: str, rk: str, _columns: Mapping[str, EdmValue]) -> tuple[int, int, int] | None:
        read = self._key(pk, rk)
        if read is None:
            return None
        copy, name, start = read
        window = self._window(start)
        return None if window is None else (copy, self._encoded.get(name, -1), window)

    def _key(self, pk: str, rk: str) -> tuple[int, str, int] | None:
        """(copy, encoded counter, start in Unix s) of a metric row of this machine."""
        if pk != self.expected.partition_key:
            return None
        end = f"__{self.expected.instance_id}" if self.expected.instance_id else ""
        by_time = _BY_TIME.fullmatch(rk)
        by_name = None if by_time else _BY_NAME.fullmatch(rk)
        if by_time:
            when, name, copy = by_time[1], by_time[2], 0
            if not name.endswith(end):
                return None
            name = name[: len(name) - len(end)] if end else name
        elif by_name and (by_name[3] or "") == end:
            when, name, copy = by_name[2], by_name[1], 1
        else:
            return None
        return copy, name, (ticks.MAX_TICKS - int(when) - ticks.UNIX_TICKS) // 10**7

    def _row(self, pk: str, rk: str, columns: Mapping[str, EdmValue]) -> tuple[int, int, int] | None:
        if not pk.startswith(self._partition) or not rk.startswith(self._identity):
            return None
        start = unix(str(columns.get("TIMESTAMP", ("", ""))[1]))
        window = None if start is None else self._window(start)
        if window is None:
            return None
        if self.expected.samples:
            at = self._times.setdefault(window, set())
            if len(at) <= self.expected.samples:
                at.add(str(columns.get("PreciseTimeStamp", ("", ""))[1]))
        name = "" if "" in self._index else str(columns.get(self.expected.column, ("", ""))[1])
        return 0, self._index.get(name, -1), window

    def _window(self, start: int) -> int | None:
        number, rest = divmod(start - self.since, self.expected.window_s)
        return number if rest == 0 and 0 <= number < self.windows else None

    def start_of(self, window: int) -> int:
        """Unix time at which a window begins."""
        return self.since + window * self.expected.window_s

    def absent(self, counter: int, window: int) -> list[bool]:
        """For each copy that is not in the table: whether it waits in the queue."""
        cell = counter * self.windows + window
        return [bool(self._queued[c][cell]) for c in range(self.copies) if not self._found[c][cell]]

    def whole(self) -> bool:
        """Whether every cell is filled: a quick look for the usual case."""
        return all(0 not in found for found in self._found)

    def present(self) -> int:
        """How many rows were found, each once."""
        return sum(len(found) - found.count(0) for found in self._found)

    def twice(self) -> list[tuple[str, int]]:
        """(counter, window start) of rows that are there more than once."""
        found = []
        for copy in self._found:
            if self._most and max(copy, default=0) > self._most:
                many = (cell for cell, rows in enumerate(copy) if rows > self._most)
                found += [(self.counters[cell // self.windows], self.start_of(cell % self.windows)) for cell in many]
        if self.expected.samples:
            found += [("", self.start_of(w)) for w, at in self._times.items() if len(at) > self.expected.samples]
        return sorted(set(found), key=lambda pair: (pair[1], pair[0]))

    def differing(self) -> list[tuple[str, int]]:
        """(counter, window start) of metric rows whose two copies are there once each and are not alike."""
        if self.copies == 1:
            return []
        first, second = self._found
        return [
            (self.counters[cell // self.windows], self.start_of(cell % self.windows))
            for cell, left in enumerate(self._sums)
            if left and first[cell] == second[cell] == 1
        ]


def _sum(columns: Mapping[str, EdmValue]) -> int:
    return zlib.crc32(repr(sorted((name, str(value[1])) for name, value in columns.items())).encode())


def unix(text: str) -> int | None:
    """Unix seconds of an ISO 8601 time (UTC, any fraction, which is cut off); None if it is none."""
    try:
        moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int((moment - _EPOCH) / timedelta(seconds=1))


def put_all(sheets: Iterable[Sheet], pk: str, rk: str, columns: Mapping[str, EdmValue], *, queued: bool) -> bool:
    """Offer a row to every event that writes to its table; whether one took it."""
    taken = [sheet.put(pk, rk, columns, queued=queued) for sheet in sheets]
    return any(taken)
