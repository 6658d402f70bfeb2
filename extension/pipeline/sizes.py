"""How large a row is on the wire, by mdsd's own estimate, and what is too large to be sent (spec/mdsd.md 3.6, 12)."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from extension.rows.edm import EdmValue, Row

MAX_COLUMN = 65536
MAX_ROW = 1 << 20
_FIXED = {"Boolean": 1, "Int32": 4}


def text_bytes(text: str) -> int:
    """Length in UTF-8 bytes: what mdsd counts where the service counts characters."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimated(row: Row) -> tuple[int, str]:
    """(size in bytes, why the row is too large or "").

    Two per byte of keys, column names and strings, 4 for the keys, 2 per string, 8, 4 or 1 per other value.
    """
    return with_keys(row.partition_key, row.row_key, of_columns(row.columns))


def of_columns(columns: Mapping[str, EdmValue]) -> tuple[int, str]:
    """The part of the columns in :func:`estimated`: rows with the same columns need it once."""
    size = _names_bytes(tuple(columns))
    for kind, value in columns.values():
        size += _value_bytes(kind, value)
    if size <= MAX_COLUMN:
        return size, ""
    sizes = (2 * text_bytes(name) + _value_bytes(kind, value) for name, (kind, value) in columns.items())
    return size, "column over 64 KiB" if any(here > MAX_COLUMN for here in sizes) else ""


def with_keys(partition_key: str, row_key: str, columns: tuple[int, str]) -> tuple[int, str]:
    """:func:`estimated` of a row, given what :func:`of_columns` says of its columns."""
    size = columns[0] + 2 * (text_bytes(partition_key) + text_bytes(row_key)) + 4
    return size, columns[1] or ("row over 1 MiB" if size > MAX_ROW else "")


def _value_bytes(kind: str, value: object) -> int:
    return 2 * text_bytes(value) + 2 if kind == "String" and isinstance(value, str) else _FIXED.get(kind, 8)


@functools.lru_cache(maxsize=256)
def _names_bytes(names: tuple[str, ...]) -> int:
    return sum(2 * text_bytes(name) for name in names)
