"""How the records of one query run stand in ``collector.db``: column by column where they are alike, which is short
and quickly made, one by one otherwise.

``{"c": [[name, type or types, [values]], ...]}`` for records with the same columns and no keys of their own;
``[[partition key, row key, {column: [type, value]}, 1 for a twin], ...]`` for all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from extension.pipeline.metrics import Pair, pairs_of
from extension.pipeline.named import Named
from extension.pipeline.records import Record

to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Made once: dumps() with options makes an encoder per call."""
DAMAGED = (ValueError, LookupError, TypeError, AttributeError)
"""What is raised here of a text whose bytes were damaged on the disk."""

_KEPT, _KEPT_SIZE = 64, 4096


class Bodies:
    """Makes texts of records, and remembers of the newest that are not long what they say: the windows of a minute ask
    for it soon."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def encode(self, found: Sequence[Record] | Named) -> str:
        """As :func:`encode`."""
        body = _body(found)
        text = to_json(body)
        if isinstance(body, dict) and len(text) <= _KEPT_SIZE:
            self._made[text] = body
            if len(self._made) > _KEPT:
                del self._made[next(iter(self._made))]
        return text

    def pairs(self, text: str, by: str, of: str) -> Iterable[Pair]:
        """As :func:`pairs`."""
        return pairs_in(self._made.get(text) or json.loads(text), by, of)


def encode(found: Sequence[Record] | Named) -> str:
    """The text for some records of one time."""
    return to_json(_body(found))


def _body(found: Sequence[Record] | Named) -> Any:
    if isinstance(found, Named):
        return found.packed()
    names = tuple(found[0].columns) if found else ()
    for record in found:
        if record.partition_key or record.row_key or record.twin or tuple(record.columns) != names:
            return [[r.partition_key, r.row_key, r.columns, *([1] if r.twin else [])] for r in found]
    return {"c": [_column(name, [r.columns[name] for r in found]) for name in names]} if names else []


def _column(name: str, found: list[tuple[str, Any]]) -> list[Any]:
    kinds = [kind for kind, _ in found]
    alike = kinds.count(kinds[0]) == len(kinds)
    return [name, kinds[0] if alike else kinds, [value for _, value in found]]


def decode(text: str) -> Iterator[Record]:
    """The records, in order."""
    return records(json.loads(text))


def records(body: Any) -> Iterator[Record]:
    """As :func:`decode`, of what stands in the text."""
    if isinstance(body, dict):
        names = [name for name, _, _ in body["c"]]
        for values in zip(*(zip(_kinds(kind), given, strict=False) for _, kind, given in body["c"]), strict=True):
            yield Record(dict(zip(names, values, strict=True)))
        return
    for partition_key, row_key, columns, *twin in body:
        yield Record({k: (v[0], v[1]) for k, v in columns.items()}, partition_key, row_key, bool(twin))


def pairs(text: str, by: str, of: str) -> Iterable[Pair]:
    """What :func:`extension.pipeline.metrics.aggregate` needs of the records, without making them."""
    return pairs_in(json.loads(text), by, of)


def pairs_in(body: Any, by: str, of: str) -> Iterable[Pair]:
    """As :func:`pairs`, of what stands in the text."""
    if not isinstance(body, dict):
        return list(pairs_of((part[2] for part in body), by, of))
    columns = {name: (kind, given) for name, kind, given in body["c"]}
    if by not in columns or of not in columns:
        return ()
    (name_kind, names), (value_kind, values) = columns[by], columns[of]
    return zip(_kinds(name_kind), names, _kinds(value_kind), values, strict=False)


def _kinds(kind: str | list[str]) -> Iterable[str]:
    return repeat(kind) if isinstance(kind, str) else kind
