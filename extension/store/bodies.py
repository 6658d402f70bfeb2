"""How the records of one query run stand in ``collector.db``: column by column where they are alike, which is short
and quickly made, one by one otherwise. Pure.

``{"c": [[name, type or types, [values]], ...]}`` for records with the same columns and no keys of their own;
``[[partition key, row key, {column: [type, value]}, 1 for a twin], ...]`` for all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from extension.pipeline.metrics import Pair, pairs_of
from extension.pipeline.records import Record

to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Made once: dumps() with options makes an encoder per call."""


def encode(found: Sequence[Record]) -> str:
    """The text for some records of one time."""
    names = tuple(found[0].columns) if found else ()
    for record in found:
        if record.partition_key or record.row_key or record.twin or tuple(record.columns) != names:
            return to_json([[r.partition_key, r.row_key, r.columns, *([1] if r.twin else [])] for r in found])
    return to_json({"c": [_column(name, [r.columns[name] for r in found]) for name in names]} if names else [])


def _column(name: str, found: list[tuple[str, Any]]) -> list[Any]:
    kinds = [kind for kind, _ in found]
    alike = kinds.count(kinds[0]) == len(kinds)
    return [name, kinds[0] if alike else kinds, [value for _, value in found]]


def decode(text: str) -> Iterator[Record]:
    """The records, in order."""
    body = json.loads(text)
    if isinstance(body, dict):
        names = [name for name, _, _ in body["c"]]
        for values in zip(*(zip(_kinds(kind), given, strict=False) for _, kind, given in body["c"]), strict=True):
            yield Record(dict(zip(names, values, strict=True)))
        return
    for partition_key, row_key, columns, *twin in body:
        yield Record({k: (v[0], v[1]) for k, v in columns.items()}, partition_key, row_key, bool(twin))


def pairs(text: str, by: str, of: str) -> Iterable[Pair]:
    """What :func:`extension.pipeline.metrics.aggregate` needs of the records, without making them."""
    body = json.loads(text)
    if not isinstance(body, dict):
        return list(pairs_of((part[2] for part in body), by, of))
    columns = {name: (kind, given) for name, kind, given in body["c"]}
    if by not in columns or of not in columns:
        return ()
    (name_kind, names), (value_kind, values) = columns[by], columns[of]
    return zip(_kinds(name_kind), names, _kinds(value_kind), values, strict=False)


def _kinds(kind: str | list[str]) -> Iterable[str]:
    return repeat(kind) if isinstance(kind, str) else kind
