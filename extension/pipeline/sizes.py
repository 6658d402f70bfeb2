"""How large a row is on the wire, by mdsd's own estimate, and what is too large to be sent (spec/mdsd.md 3.6, 12)."""

from __future__ import annotations

from extension.rows.edm import Row

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
    size = 2 * (text_bytes(row.partition_key) + text_bytes(row.row_key)) + 4
    why = ""
    for name, (kind, value) in row.columns.items():
        of_name = 2 * text_bytes(name)
        of_value = 2 * text_bytes(value) + 2 if kind == "String" and isinstance(value, str) else _FIXED.get(kind, 8)
        size += of_name + of_value
        if of_name + of_value > MAX_COLUMN:
            why = why or "column over 64 KiB"
    return size, why or ("row over 1 MiB" if size > MAX_ROW else "")
