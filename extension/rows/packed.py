"""Rows as they stand in the outbox, JSON-able: column by column where they are alike, row by row otherwise. Pure.

``{"p": partition key, "k": [row keys], "n": [rows with the same columns, in turn], "c": [[name, type or types, text or
[values]], ...]}`` for rows of one partition with the same column names; a text stands for all where it is the same.
``[[partition key, row key, {column: [type, value]}], ...]`` for all others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from extension.rows.columnar import Column, Columnar, Reals, columnar
from extension.rows.edm import Row

_LONGEST_REAL = 32
"""Of a number with a fraction and without an exponent, a text of so many characters is finite."""


class _Number(str):
    """A number with a fraction or an exponent, as it stands in JSON."""

    __slots__ = ()


_read = json.JSONDecoder(parse_float=_Number).decode


def pack(rows: Sequence[Row]) -> Any:
    """Something that ``json`` writes and :func:`unpack` takes back."""
    alike = columnar(rows)
    if alike is None:
        return [[r.partition_key, r.row_key, r.columns] for r in rows]
    return {"p": alike.partition_key, "k": alike.row_keys, "n": alike.counts, "c": alike.columns}


def read(text: bytes) -> Sequence[Row]:
    """The rows of a JSON text of what :func:`pack` gave. Raises as :func:`unpack` does."""
    return unpack(_read(text.decode("utf-8", "surrogatepass")))


def unpack(packed: Any) -> Sequence[Row]:
    """The way back from :func:`pack`; rows that shared their columns do so again. ValueError if something is missing;
    TypeError, KeyError, AttributeError and IndexError are possible as well when it is damaged."""
    if not isinstance(packed, dict):
        return [Row(pk, rk, {k: (v[0], _value(v[1])) for k, v in cols.items()}) for pk, rk, cols in packed]
    columns = [Column(name, kinds, _values(kinds, values)) for name, kinds, values in packed["c"]]
    return Columnar(packed["p"], packed["k"], packed["n"], columns)


def _value(value: Any) -> Any:
    return float(value) if type(value) is _Number else value


def _values(kinds: Any, values: Any) -> Any:
    """Values of a column: texts of doubles stay as they are, other numbers become what they stand for."""
    if type(values) is str:
        return values
    types = set(map(type, values))
    if _Number not in types:
        return values
    return Reals(values) if types == {_Number} and kinds == "Double" and _finite(values) else list(map(_value, values))


def _finite(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    return max(map(len, texts)) <= _LONGEST_REAL and "e" not in joined and "E" not in joined
