"""``lad rows``: the rows of one table, newest last.

How keys carry time: spec/mdsd.md 3.2 and 3.5.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from extension.rows import ticks
from extension.sinks.entity import Entity, Reader
from extension.view.layout import aligned, fitting
from extension.view.values import as_json, event_time, shown

_SPAN = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_METRIC_TABLE = re.compile(r"WADMetricsP(?:T(\d{1,5})([SMH])|(\d{1,3})D)P10DV2S", re.ASCII | re.IGNORECASE)
_BY_TIME = re.compile(r"\d{19}__", re.ASCII)
_BY_NAME = re.compile(r"__\d{19}(__.*)?$", re.ASCII | re.DOTALL)
_METRIC_COLUMNS = ("CounterName", "Average", "Minimum", "Maximum", "Last", "Total", "Count")
_HIDDEN = frozenset({"TIMESTAMP", "PreciseTimeStamp", "N", "RowIndex", "DeploymentId"})


def span_seconds(text: str) -> int:
    """Seconds of ``90s``, ``10m``, ``2h`` or ``1d``. Raises ValueError."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a span of time: write 90s, 10m, 2h or 1d")
    return int(match.group(1)) * _UNITS[match.group(2)]


@dataclass(frozen=True)
class Selection:
    """What to show. ``since``: Unix time; ``counter``: end of a CounterName; ``once``: without the second copy of a
    metric row, which is keyed by name; ``limit``: the newest so many."""

    since: float | None = None
    counter: str | None = None
    partition_key: str | None = None
    once: bool = True
    limit: int | None = None


@dataclass
class Found:
    """The chosen rows, oldest first. ``matched``: before the limit; ``counters``: names met that did not match."""

    rows: list[Entity] = field(default_factory=list)
    matched: int = 0
    counters: set[str] = field(default_factory=set)


def collect(reader: Reader, table: str, selection: Selection) -> Found:
    """Read and choose. Raises :class:`extension.sinks.base.SinkError`."""
    found = Found()
    chosen: list[tuple[str, str, str, Entity]] = []
    for entity in _candidates(reader, table, selection):
        if selection.once and is_mirror(entity):
            continue
        if selection.counter is not None and not _is_counter(entity, selection.counter):
            name = entity.columns.get("CounterName")
            if name is not None and len(found.counters) < 1000:
                found.counters.add(str(name[1]))
            continue
        moment = event_time(entity)[:-1]
        if selection.since is not None and moment < ticks.iso(int(selection.since) * ticks.SECOND_US)[:-1]:
            continue
        found.matched += 1
        item = (moment, entity.row_key, entity.partition_key, entity)
        if selection.limit is None or len(chosen) < selection.limit:
            heapq.heappush(chosen, item) if selection.limit is not None else chosen.append(item)
        elif selection.limit:
            heapq.heappushpop(chosen, item)
    found.rows = [entity for *_, entity in sorted(chosen, key=lambda item: item[:3])]
    return found


def _candidates(reader: Reader, table: str, selection: Selection) -> Iterator[Entity]:
    """Let the store filter as much as it can: metric rows by their descending ticks, others by the column TIMESTAMP."""
    metric = _METRIC_TABLE.match(table)
    if selection.since is None:
        return reader.query(table, partition_key=selection.partition_key)
    since = int(selection.since)
    if metric and selection.once:
        # rows that are aggregated in two stages have TIMESTAMP up to one period after the window of their key
        oldest = since - _period(metric)
        return reader.query(
            table, partition_key=selection.partition_key, row_key_ge="0", row_key_le=ticks.descending(oldest) + "`"
        )
    return reader.query(table, partition_key=selection.partition_key, time_ge=ticks.iso(since * ticks.SECOND_US))


def _period(metric: re.Match[str]) -> int:
    amount, unit, days = metric.groups()
    return int(days) * 86400 if days else int(amount) * _UNITS[unit.lower()]


def is_mirror(entity: Entity) -> bool:
    """Whether it is the second copy of a metric row: keyed by name and time, where the first has time and name."""
    return (
        "CounterName" in entity.columns
        and not _BY_TIME.match(entity.row_key)
        and _BY_NAME.search(entity.row_key) is not None
    )


def _is_counter(entity: Entity, wanted: str) -> bool:
    name = entity.columns.get("CounterName")
    return name is not None and str(name[1]).lower().endswith(wanted.lower())


def render_json(rows: Sequence[Entity]) -> str:
    """A list of objects, one row to a line."""
    if not rows:
        return "[]"
    return "[\n" + ",\n".join(json.dumps(as_json(entity)) for entity in rows) + "\n]"


def render_text(rows: Sequence[Entity], width: int | None) -> list[str]:
    """An aligned table, with what did not fit into ``width`` named below it."""
    if not rows:
        return ["no rows"]
    metric = all("CounterName" in e.columns for e in rows)
    names = list(_METRIC_COLUMNS) if metric else _data_columns(rows)
    header = ["TIMESTAMP (UTC)", *names]
    cells = [[event_time(e), *(shown(e.columns[n]) if n in e.columns else "" for n in names)] for e in rows]
    count = fitting(header, cells, width)
    numeric = frozenset(i for i, name in enumerate(names, 1) if _is_number(rows, name))
    lines = aligned(header[:count], [row[:count] for row in cells], numeric)
    if count < len(header):
        lines.append(f"({len(header) - count} more columns: {', '.join(header[count:])}; see --json)")
    return lines


def _data_columns(rows: Sequence[Entity]) -> list[str]:
    names: dict[str, None] = {}
    for entity in rows:
        names.update(dict.fromkeys(name for name in entity.columns if name not in _HIDDEN))
    return list(names)


def _is_number(rows: Sequence[Entity], name: str) -> bool:
    kinds = {e.columns[name][0] for e in rows if name in e.columns}
    return bool(kinds) and kinds <= {"Int32", "Int64", "Double"}
