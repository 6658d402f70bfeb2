"""LADQuery: the statistics of one window per counter name (spec/mdsd.md 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extension.pipeline.records import NUMERIC, Record
from extension.plan import LadQuery
from extension.rows import keys
from extension.rows.edm import EdmValue

Pair = tuple[str, Any, str, Any]
"""Type and value of the name column, type and value of the value column of one record."""


@dataclass(slots=True)
class Statistics:
    """Running statistics of one counter over one window."""

    total: float
    minimum: float
    maximum: float
    last: float
    count: int = 1


@dataclass(frozen=True)
class Aggregation:
    """Statistics by counter name in order of first appearance, and why records were not counted."""

    counters: dict[str, Statistics]
    skipped: dict[str, int]


def pairs_of(found: Iterable[Mapping[str, Sequence[Any]]], by: str, of: str) -> Iterator[Pair]:
    """Of each record's columns (name -> type, value) the two that count; a record without either is left out, as mdsd
    does."""
    for columns in found:
        name, value = columns.get(by), columns.get(of)
        if name is not None and value is not None:
            yield name[0], name[1], value[0], value[1]


def aggregate(found: Iterable[Pair]) -> Aggregation:
    """Group the records of one window, which come in time order, by name.

    A name that is not a string or a value that is not a number (NULL, strings, booleans, times) is skipped and
    counted.
    """
    counters: dict[str, Statistics] = {}
    skipped: dict[str, int] = {}
    for name_kind, name, kind, value in found:
        if name_kind != "String" or kind not in NUMERIC:
            reason = "Name column is not a string" if name_kind != "String" else "Value column is not numeric"
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        number = float(value)
        known = counters.get(name)
        if known is None:
            counters[name] = Statistics(number, number, number, number)
            continue
        known.total += number  # written out: a call per sample would cost more than the rest
        if number < known.minimum:
            known.minimum = number
        if number > known.maximum:
            known.maximum = number
        known.last = number
        known.count += 1
    return Aggregation(counters, skipped)


def metric_columns(name: str, s: Statistics, spec: LadQuery) -> dict[str, EdmValue]:
    """What a row says of a counter's window, in LAD's order."""
    return {
        spec.column_name: ("String", name),
        "Total": ("Double", s.total),
        "Minimum": ("Double", s.minimum),
        "Maximum": ("Double", s.maximum),
        "Average": ("Double", s.total / s.count),
        "Count": ("Int32", s.count),
        "Last": ("Double", s.last),
    }


def metric_series(counters: Mapping[str, Statistics], spec: LadQuery) -> dict[str, tuple[str, list[Any]]]:
    """:func:`metric_columns` of several counters at once: the type of each column, and its values."""
    found = counters.values()
    return {
        spec.column_name: ("String", list(counters)),
        "Total": ("Double", [s.total for s in found]),
        "Minimum": ("Double", [s.minimum for s in found]),
        "Maximum": ("Double", [s.maximum for s in found]),
        "Average": ("Double", [s.total / s.count for s in found]),
        "Count": ("Int32", [s.count for s in found]),
        "Last": ("Double", [s.last for s in found]),
    }


def metric_records(counters: dict[str, Statistics], spec: LadQuery, window_start: int) -> list[Record]:
    """Two records per counter, same columns and PartitionKey, mirrored RowKeys; ``window_start`` in Unix seconds."""
    out = []
    for name, s in counters.items():
        columns = metric_columns(name, s, spec)
        first, second = keys.metric_row_keys(name, window_start, spec.instance_id)
        out.append(Record(columns, spec.partition_key, first))
        out.append(Record(columns, spec.partition_key, second, twin=True))
    return out
