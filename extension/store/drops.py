"""When rows were dropped last, by table and reason, and of which times they were (:data:`Range`).

Kept among the small values of the file that counts them (``collector.db`` or ``uploader.db``), so that a store of an
earlier version needs no change; drops that such a version counted are dated when the file is first opened again: they
are no later than that. Times are Unix seconds.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import pairwise

from extension.rows.columnar import Columnar
from extension.rows.edm import Row
from extension.rows.packed import unpack

_PREFIX, _BEYOND = "dropped:", "dropped;"
_RANGES, _BEYOND_RANGES = "dropranges:", "dropranges;"
_TIME = "TIMESTAMP"
MAX_RANGES = 200
"""Of one table and reason; of more, the nearest are joined."""

Times = dict[tuple[str, str], float]
"""By (table, reason)."""
Span = tuple[float, float]
"""The TIMESTAMPs of some rows: the first and the last."""
Range = tuple[float, float, int]
"""Rows that were dropped, the last number, have TIMESTAMPs from the first time to the second."""
Ranges = dict[tuple[str, str], list[Range]]
"""By (table, reason), in order of time. Rows that are counted as dropped and in no range are of unknown times."""


def note(db: sqlite3.Connection, table: str, reason: str, at: float, rows: int = 0, span: Span | None = None) -> None:
    """Rows were dropped at ``at``: so many of ``span``, where that is known."""
    note_all(db, table, reason, at, [(*span, rows)] if span is not None and rows else [])


def note_all(db: sqlite3.Connection, table: str, reason: str, at: float, found: Iterable[Range]) -> None:
    """As :func:`note` for several batches at once."""
    db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (f"{_PREFIX}{table}:{reason}", repr(at)))
    new = list(found)
    if new:
        key = f"{_RANGES}{table}:{reason}"
        known = db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        ranges = _joined([*(_ranges(known[0]) if known else []), *new])
        db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, json.dumps(ranges, separators=(",", ":"))))


def _joined(found: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for begin, end, n in sorted(found):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end), joined[-1][2] + n)
        else:
            joined.append((begin, end, n))
    while len(joined) > MAX_RANGES:
        gaps = [after[0] - before[1] for before, after in pairwise(joined)]
        i = gaps.index(min(gaps))
        joined[i : i + 2] = [(joined[i][0], joined[i + 1][1], joined[i][2] + joined[i + 1][2])]
    return joined


def _ranges(text: str) -> list[Range]:
    """[] for what is damaged."""
    try:
        return [(float(begin), float(end), int(n)) for begin, end, n in json.loads(text)]
    except (ValueError, TypeError):
        return []


def ranges(db: sqlite3.Connection) -> Ranges:
    """What is known of the times of the rows that were dropped."""
    found: Ranges = {}
    sql = "SELECT key, value FROM meta WHERE key >= ? AND key < ?"
    for key, text in db.execute(sql, (_RANGES, _BEYOND_RANGES)):
        table, _, reason = key[len(_RANGES) :].partition(":")
        found[table, reason] = _ranges(text)
    return found


def span_of(rows: Sequence[Row]) -> Span | None:
    """The TIMESTAMPs of ``rows``; None unless all have one."""
    if isinstance(rows, Columnar):
        found = next((column.values for column in rows.columns if column.name == _TIME), [None])
        texts = {found} if isinstance(found, str) else set(map(str, found))
    else:
        texts = {str(row.columns[_TIME][1]) if _TIME in row.columns else "" for row in rows}
    try:
        times = [datetime.fromisoformat(t[:19]).replace(tzinfo=timezone.utc) for t in texts]
    except ValueError:
        return None
    return (min(times).timestamp(), max(times).timestamp()) if times else None


def span_in(body: bytes) -> Span | None:
    """As :func:`span_of` for a batch as it stands in the outbox; None if it is damaged."""
    with suppress(zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return span_of(unpack(json.loads(zlib.decompress(body))))
    return None


def read(db: sqlite3.Connection) -> Times:
    """What is known of the drops in a file."""
    found: Times = {}
    texts = db.execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_PREFIX, _BEYOND))
    for key, text in texts:
        table, _, reason = key[len(_PREFIX) :].partition(":")  # names of tables hold no colon
        try:
            at = float(text)
        except (TypeError, ValueError):
            continue
        if math.isfinite(at):
            found[table, reason] = at
    return found


def take_over(db: sqlite3.Connection, known: Mapping[tuple[str, str], float], now: float) -> None:
    """In the caller's transaction: what is counted as dropped here has the times ``known``, or else ``now``."""
    there = read(db)
    for table, reason in db.execute("SELECT tbl, reason FROM dropped").fetchall():
        at = max(there.get((table, reason), -math.inf), known.get((table, reason), -math.inf))
        if at == -math.inf:
            at = now
        if at != there.get((table, reason)):
            note(db, table, reason, at)
