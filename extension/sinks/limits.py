"""The table service's rules for names, keys, values and batches, checked before anything is sent (spec/storage.md 4).

Emulators do not enforce most of them (spec/storage.md 1), and one bad row fails the 99 around it; so both sinks check
here, with the service's own error codes. Pure functions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from extension.rows.columnar import Column, Columnar, Reals, columnar
from extension.rows.edm import EdmValue, Row

MAX_KEY = 512
MAX_STRING = 32768
MAX_PROPERTIES = 252
MAX_NAME = 255
MAX_ENTITY = 1 << 20
MAX_BATCH = 4 << 20

_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}", re.ASCII)
_GOOD_KEY_BYTES = bytes(byte for byte in range(0x20, 0x7F) if byte not in b"/\\#?")
"""What the usual keys are made of: ASCII and nothing of :data:`_BAD_KEY`."""
_BAD_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,7})?Z", re.ASCII)
_MAX_TIME = len("2026-11-21T09:17:55.6389981Z")
_FIXED_SIZE = {"Int32": 4, "Int64": 8, "Double": 8, "DateTime": 8, "Boolean": 1}
_INTEGERS = {"Int32": 1 << 31, "Int64": 1 << 63}


@dataclass(frozen=True)
class Refusal:
    """Why a batch would be refused. ``reaction`` as in :data:`extension.sinks.base.Reaction`; ``row``: which row."""

    code: str
    message: str
    reaction: Literal["drop-row", "drop-batch", "split"] = "drop-row"
    row: int | None = None


def check_table(name: str) -> Refusal | None:
    """Whether a table can have this name: a letter, then 2 to 62 letters and digits; ``tables`` is taken."""
    if not _TABLE.fullmatch(name) or name.lower() == "tables":
        rule = "table names are a letter followed by 2 to 62 letters and digits, and not 'tables'"
        return Refusal(
            "InvalidResourceName",
            f"table name {name[:80]!r} is not allowed: {rule}; correct the eventName",
            "drop-batch",
        )
    return None


def check_batch(table: str, rows: Sequence[Row], *, max_rows: int = 100) -> Refusal | None:
    """The first rule that sending ``rows`` to ``table`` in one transaction would break, or None."""
    refusal = check_table(table)
    if refusal is not None:
        return refusal
    if len(rows) > max_rows:
        return Refusal("InvalidInput", f"a batch has {len(rows)} rows and may have {max_rows}: split it", "split")
    alike = columnar(rows)
    if alike is not None and _nothing_wrong(alike):
        return None
    seen: set[str] = set()
    total = 0
    before: dict[str, EdmValue] | None = None
    examined: tuple[tuple[str, str] | None, int] = (None, 0)
    for index, row in enumerate(rows):
        if row.partition_key != rows[0].partition_key:
            return Refusal(
                "CommandsInBatchActOnDifferentPartitions", "a batch has rows of two PartitionKeys: split it", "split"
            )
        if row.columns is not before:  # the two rows of a metric share theirs
            before = row.columns
            examined = _examine_columns(before)
        found, size = _examine(row, examined)
        if found is None and row.row_key in seen:
            found = ("InvalidDuplicateRow", f"RowKey {row.row_key[:80]!r} occurs twice in a batch")
        if found is not None:
            return Refusal(found[0], f"row {index} of a batch for table {table}: {found[1]}", "drop-row", index)
        seen.add(row.row_key)
        total += size
    if total > MAX_BATCH:
        return Refusal("RequestBodyTooLarge", f"a batch has {total} bytes and may have {MAX_BATCH}: split it", "split")
    return None


def check_row(row: Row) -> tuple[str, str] | None:
    """(error code, what is wrong) of the first rule that this row breaks, or None."""
    return _examine(row, _examine_columns(row.columns))[0]


def _examine(row: Row, columns: tuple[tuple[str, str] | None, int]) -> tuple[tuple[str, str] | None, int]:
    """What is wrong with a row, and its size as :func:`entity_size` gives it (0 with a fault); ``columns``: what
    :func:`_examine_columns` says of its columns."""
    fault = _check_key("PartitionKey", row.partition_key) or _check_key("RowKey", row.row_key) or columns[0]
    if fault is not None:
        return fault, 0
    size = 4 + 2 * (utf16_units(row.partition_key) + utf16_units(row.row_key)) + columns[1]
    if size > MAX_ENTITY:
        return ("EntityTooLarge", f"the row has {size} bytes, at most {MAX_ENTITY} are allowed"), 0
    return None, size


def _examine_columns(columns: dict[str, EdmValue]) -> tuple[tuple[str, str] | None, int]:
    """What is wrong with the columns of a row, and their part of its size."""
    if len(columns) > MAX_PROPERTIES:
        return ("TooManyProperties", f"{len(columns)} columns, at most {MAX_PROPERTIES} are allowed"), 0
    good = _good_names(tuple(columns))
    size = 0
    for name, typed in columns.items():
        fault = (None if good else _name_fault(name)) or _check_value(name, typed)
        if fault is not None:
            return fault, 0
        size += _column_size(name, typed)
    return None, size


def _nothing_wrong(rows: Columnar) -> bool:
    """Whether the rows break no rule, looked at column by column; False if only a look at each row can tell.

    Every row that is uploaded comes through here, and hardly any has to be looked at again.
    """
    keys, names = rows.row_keys, tuple(column.name for column in rows.columns)
    if len(names) > MAX_PROPERTIES or not _good_names(names):
        return False
    if not _good_keys([rows.partition_key, *keys]) or len(set(keys)) != len(keys):
        return False
    widths = [_good_width(column, len(rows.counts)) for column in rows.columns]
    if None in widths:
        return False
    most = max(rows.counts) * sum(width or 0 for width in widths)
    return most + 4 * len(keys) + 2 * (len(keys) * len(rows.partition_key) + sum(map(len, keys))) <= MAX_ENTITY


def _good_keys(keys: Sequence[object]) -> bool:
    """Whether all of them are of the usual kind."""
    texts = [key for key in keys if isinstance(key, str)]
    joined = "".join(texts)
    if len(texts) < len(keys) or not joined.isascii() or max(map(len, texts)) > MAX_KEY:
        return False
    return not joined.encode().translate(None, _GOOD_KEY_BYTES)


def _good_width(column: Column, rows: int) -> int | None:
    """The bytes that a column adds to the size of so many rows; None if there is anything wrong with it."""
    name, kind, values = column
    fixed = rows * (8 + 2 * len(name))
    if isinstance(kind, str) and isinstance(values, str):
        return rows * _column_size(name, (kind, values)) if _check_value(name, (kind, values)) is None else None
    if isinstance(values, Reals):
        return fixed + rows * 8
    if isinstance(kind, str) and not isinstance(values, str):
        types = set(map(type, values))
        if kind == "Double" and types == {float}:
            return fixed + rows * 8
        if kind == "String" and types == {str} and max(map(len, values)) <= MAX_STRING:
            text = "".join(values)
            if text.isascii():
                return fixed + rows * 4 + 2 * len(text)
        if kind in _INTEGERS and types == {int}:
            low, high, limit = min(values), max(values), _INTEGERS[kind]
            return fixed + rows * _FIXED_SIZE[kind] if -limit <= low and high < limit else None
    size = 0
    for typed in islice(column.pairs(), rows):
        if _check_value(name, typed) is not None:
            return None
        size += _column_size(name, typed)
    return size


@functools.lru_cache(maxsize=256)
def _good_names(names: tuple[str, ...]) -> bool:
    """Whether none of these needs a closer look: the rows of a table have the same ones."""
    return all(_name_fault(name) is None for name in names)


def _name_fault(name: str) -> tuple[str, str] | None:
    return _check_name(name) if len(name) <= MAX_NAME else _check_long_name(name)


def _check_key(name: str, key: object) -> tuple[str, str] | None:
    if not isinstance(key, str):
        return "PropertiesNeedValue", f"{name} is not a string"
    if _good_keys([key]):
        return None
    if utf16_units(key) > MAX_KEY:
        return "KeyValueTooLarge", f"{name} has {utf16_units(key)} characters, at most {MAX_KEY} are allowed"
    bad = _BAD_KEY.search(key)
    if bad:
        where = f"U+{ord(bad.group()):04X} at position {bad.start()}"
        return "InvalidInput", f"{name} holds a forbidden character ({where}; not allowed: / \\ # ? and controls)"
    return None


@functools.lru_cache(maxsize=1024)
def _check_name(name: str) -> tuple[str, str] | None:
    if name in ("PartitionKey", "RowKey"):
        return "DuplicatePropertiesSpecified", f"the column {name} repeats a key"
    if not name.isidentifier():
        return (
            "PropertyNameInvalid",
            f"column name {name[:80]!r}: only letters, digits and _ are allowed, no digit first",
        )
    return None


def _check_long_name(name: str) -> tuple[str, str]:
    return "PropertyNameTooLong", f"column name {name[:40]!r}... has {len(name)} characters, at most {MAX_NAME}"


def _check_value(name: str, typed: EdmValue) -> tuple[str, str] | None:
    kind, value = typed
    if value is None:
        return None
    if kind == "String":
        if not isinstance(value, str):
            return _mistyped(name, kind, value)
        if utf16_units(value) > MAX_STRING:
            return "PropertyValueTooLarge", f"column {name} has {utf16_units(value)} characters, at most {MAX_STRING}"
        return None
    if kind in _INTEGERS:
        if not isinstance(value, int) or isinstance(value, bool):
            return _mistyped(name, kind, value)
        limit = _INTEGERS[kind]
        if not -limit <= value < limit:
            shown = value if value.bit_length() < 200 else f"an integer of {value.bit_length()} bits"
            return "OutOfRangeInput", f"column {name}: {shown} does not fit {kind}"
        return None
    if kind == "Double":
        return _check_double(name, value)
    if kind == "Boolean":
        return None if isinstance(value, bool) else _mistyped(name, kind, value)
    if kind == "DateTime":
        return _check_time(name, value)
    return "InvalidValueType", f"column {name} has the unknown type {kind!r}"


def _check_double(name: str, value: Any) -> tuple[str, str] | None:
    if isinstance(value, bool) or not isinstance(value, (float, int)):
        return _mistyped(name, "Double", value)
    try:
        float(value)
    except OverflowError:
        return "OutOfRangeInput", f"column {name}: an integer of {value.bit_length()} bits does not fit Double"  # type: ignore[union-attr]
    return None


def _check_time(name: str, value: Any) -> tuple[str, str] | None:
    if not isinstance(value, str) or len(value) > _MAX_TIME or not (found := _time(value)):
        return _mistyped(name, "DateTime", value)
    if found == "early":
        return "OutOfRangeInput", f"column {name}: {value} is before 1601-01-01"
    return None


@functools.lru_cache(maxsize=256)
def _time(text: str) -> Literal["", "early", "good"]:
    """Whether ``text`` is a time ("" if not) and one that can be stored. The rows of a batch share their times."""
    match = _TIME.fullmatch(text)
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(g) for g in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= _days(year, month) and hour < 24 and minute < 60 and second < 60):
        return ""
    return "early" if year < 1601 else "good"


def _days(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _mistyped(name: str, kind: str, value: Any) -> tuple[str, str]:
    shown = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a very long integer"
    return (
        "InvalidInput",
        f"column {name} is not of its type {kind}: {shown if len(shown) <= 60 else shown[:57] + '...'}",
    )


def entity_size(row: Row) -> int:
    """Bytes an entity counts for: 4, two per key character; per column 8, two per name character, its value."""
    size = 4 + 2 * (utf16_units(row.partition_key) + utf16_units(row.row_key))
    return size + sum(_column_size(name, typed) for name, typed in row.columns.items())


def _column_size(name: str, typed: EdmValue) -> int:
    kind, value = typed
    if kind == "String" and isinstance(value, str):
        return 12 + 2 * (len(name) + utf16_units(value))
    return 8 + 2 * len(name) + _FIXED_SIZE.get(kind, 8)


def utf16_units(text: str) -> int:
    """Length as the service counts it: characters outside the basic plane count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
