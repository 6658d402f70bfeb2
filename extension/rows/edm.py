"""EDM typed values and rows, and how CIM values become them (spec/mdsd.md 3.3)."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from extension.rows import ticks

EdmValue = tuple[str, Any]
"""(type, value): String str, Int32 and Int64 int, Double float, Boolean bool, DateTime ISO 8601 str with Z."""

_INT32 = frozenset({"sint8", "uint8", "sint16", "uint16", "sint32", "char16"})
_INT64 = frozenset({"uint32", "sint64", "uint64"})
_REAL = frozenset({"real32", "real64"})
_DATETIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{6})([+-]\d{3})\Z", re.ASCII)
_FIRST_YEAR = 1601
"""No DateTime column holds an earlier time."""
NULL: EdmValue = ("String", "[NULL]")


@dataclass(frozen=True)
class Row:
    """One table entity: keys and columns (without PartitionKey, RowKey and the service's Timestamp)."""

    partition_key: str
    row_key: str
    columns: dict[str, EdmValue]


def wrap_int64(value: int) -> int:
    """The value as a signed 64-bit integer; mdsd lets uint64 wrap above 2**63 (spec/mdsd.md 3.3)."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def from_cim(cim_type: str, value: object) -> EdmValue:
    """The EDM form of one CIM value; NULL becomes the string ``[NULL]``, arrays one string joined by ``, ``.

    ``cim_type`` is a CIM type name ("uint8" ...); for arrays it may carry ``[]``. Raises ValueError when value and
    type do not fit.
    """
    if value is None:
        return NULL
    if isinstance(value, (list, tuple)):
        scalar = cim_type.removesuffix("[]")
        return ("String", ", ".join("[NULL]" if v is None else _text(scalar, v) for v in value))
    if cim_type == "boolean":
        return ("Boolean", bool(value))
    if cim_type in _INT32:
        return ("Int32", int(value))  # type: ignore[call-overload]
    if cim_type in _INT64:
        return ("Int64", wrap_int64(int(value)))  # type: ignore[call-overload]
    if cim_type in _REAL:
        number = float(value)  # type: ignore[arg-type]
        return ("Double", _single(number) if cim_type == "real32" else number)
    if cim_type == "datetime":
        return _moment(str(value))
    return ("String", str(value))


def plain_kind(cim_type: str) -> str:
    """The EDM type of values that :func:`from_cim` leaves as they are: of ints from 0 to 2**63 - 1 (``Int32``,
    ``Int64``) or of floats (``Double``); "" for all other CIM types."""
    if cim_type in _INT32:
        return "Int32"
    if cim_type in _INT64:
        return "Int64"
    return "Double" if cim_type == "real64" else ""


def _text(scalar: str, value: object) -> str:
    """One item of an array: reals with six significant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{_single(value) if scalar == 'real32' else value:g}"
    return _moment(str(value))[1] if scalar == "datetime" else str(value)


def _single(number: float) -> float:
    """The value as 32 bits hold it."""
    try:
        single: float = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return single


def _moment(text: str) -> EdmValue:
    """A CIM datetime (``20261121091618.747502+060``: local time and its minutes east of UTC). What no DateTime column
    can hold, such as an interval, stays a text."""
    found = _DATETIME.match(text)
    if not found:
        return ("String", text)
    year, month, day, hour, minute, second, fraction, offset = (int(part) for part in found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, fraction) - timedelta(minutes=offset)
    except (ValueError, OverflowError):
        return ("String", text)
    if moment.year < _FIRST_YEAR:
        return ("String", text)
    return ("DateTime", ticks.trimmed(f"{moment.isoformat(timespec='microseconds')}Z"))
