"""Rows as they stand in the outbox, JSON-able: column by column where they are alike, row by row otherwise. Pure.

``{"p": partition key, "k": [row keys], "n": [rows with the same columns, in turn], "c": [[name, type or types, text or
[values]], ...]}`` for rows of one partition with the same column names; a text stands for all where it is the same.
``[[partition key, row key, {column: [type, value]}], ...]`` for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from extension.rows.columnar import Column, Columnar, columnar
from extension.rows.edm import Row


def pack(rows: Sequence[Row]) -> Any:
    """Something that ``json`` writes and :func:`unpack` takes back."""
    alike = columnar(rows)
    if alike is None:
        return [[r.partition_key, r.row_key, r.columns] for r in rows]
    return {"p": alike.partition_key, "k": alike.row_keys, "n": alike.counts, "c": alike.columns}


def unpack(packed: Any) -> Sequence[Row]:
    """The way back from :func:`pack`; rows that shared their columns do so again. ValueError if something is missing;
    TypeError, KeyError, AttributeError and IndexError are possible as well when it is damaged."""
    if not isinstance(packed, dict):
        return [Row(pk, rk, {k: (v[0], v[1]) for k, v in cols.items()}) for pk, rk, cols in packed]
    return Columnar(packed["p"], packed["k"], packed["n"], [Column(*column) for column in packed["c"]])
