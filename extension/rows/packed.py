"""Rows as they stand in the outbox, JSON-able: column by column where they are alike, row by row otherwise. Pure.

``{"p": partition key, "k": [row keys], "n": [rows with the same columns, in turn], "c": [[name, type or types, text or
[values]], ...]}`` for rows of one partition with the same column names; a text stands for all where it is the same.
``[[partition key, row key, {column: [type, value]}], ...]`` for all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from extension.rows.edm import EdmValue, Row


def pack(rows: Sequence[Row]) -> Any:
    """Something that ``json`` writes and :func:`unpack` takes back."""
    distinct: list[dict[str, EdmValue]] = []
    counts: list[int] = []
    for row in rows:
        if distinct and row.columns is distinct[-1]:  # the two rows of a metric share theirs
            counts[-1] += 1
        else:
            distinct.append(row.columns)
            counts.append(1)
    names = tuple(rows[0].columns) if rows else ()
    partition_key = rows[0].partition_key if rows else ""
    if any(tuple(c) != names for c in distinct) or any(r.partition_key != partition_key for r in rows) or not names:
        return [[r.partition_key, r.row_key, r.columns] for r in rows]
    columns = [_column(name, [c[name] for c in distinct]) for name in names]
    return {"p": partition_key, "k": [r.row_key for r in rows], "n": counts, "c": columns}


def _column(name: str, found: list[EdmValue]) -> list[Any]:
    kinds = [kind for kind, _ in found]
    values = [value for _, value in found]
    same = isinstance(values[0], str) and values.count(values[0]) == len(values)
    return [name, kinds[0] if kinds.count(kinds[0]) == len(kinds) else kinds, values[0] if same else values]


def unpack(packed: Any) -> list[Row]:
    """The way back from :func:`pack`; rows that shared their columns do so again. ValueError if something is missing;
    TypeError, KeyError, AttributeError and IndexError are possible as well when it is damaged."""
    if not isinstance(packed, dict):
        return [Row(pk, rk, {k: (v[0], v[1]) for k, v in cols.items()}) for pk, rk, cols in packed]
    partition_key, row_keys, counts = packed["p"], packed["k"], packed["n"]
    if sum(counts) != len(row_keys):
        raise ValueError(f"{len(row_keys)} row keys for {sum(counts)} rows")
    names = [name for name, _, _ in packed["c"]]
    keys = iter(row_keys)
    out: list[Row] = []
    for count, *pairs in zip(counts, *(_pairs(kind, given) for _, kind, given in packed["c"]), strict=False):
        columns = dict(zip(names, pairs, strict=True))
        out += [Row(partition_key, next(keys), columns) for _ in range(count)]
    if len(out) != len(row_keys):
        raise ValueError(f"{len(out)} rows for {len(row_keys)} row keys")
    return out


def _pairs(kind: str | list[str], given: Any) -> Iterator[EdmValue]:
    return zip(_each(kind), _each(given), strict=False)


def _each(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else repeat(given)
