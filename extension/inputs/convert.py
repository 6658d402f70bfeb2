"""The conversions between the types of a static schema's columns (spec/mdsd.md 1.2 Schemas, 6.1, 12).

A converter takes a JSON value and gives an EDM value, or None when the value does not fit. Where the C library's
number parsing shows in mdsd's rows (leading digits count, garbage is 0, int32 wraps) it shows here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from extension.inputs import timestamps
from extension.inputs.answer import text
from extension.rows import ticks
from extension.rows.edm import EdmValue

Converter = Callable[[object], "EdmValue | None"]

_INT = re.compile(r"[ \t-\r]*([+-]?\d+)", re.ASCII)
_FLOAT = re.compile(
    r"[ \t-\r]*([+-]?(?:0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]+(?:[pP][+-]?\d+)?"
    r"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:inf(?:inity)?|nan)))",
    re.ASCII | re.IGNORECASE,
)
INT64 = 1 << 63
_DIGITS = 25
"""More digits than any 64-bit number has."""


def wrap_int32(value: int) -> int:
    """The low 32 bits, signed."""
    value &= (1 << 32) - 1
    return value - (1 << 32) if value >> 31 else value


def leading_int(value: str) -> int:
    """C's ``strtoll``: the number that the text begins with, 0 without one, at most a signed 64-bit one."""
    found = _INT.match(value)
    if found is None:
        return 0
    sign, digits = ("-", found[1][1:]) if found[1][0] == "-" else ("", found[1].lstrip("+"))
    number = int(sign + (digits.lstrip("0") or "0")[:_DIGITS])
    return max(-INT64, min(INT64 - 1, number))


def leading_float(value: str) -> float:
    """C's ``atof``: the number that the text begins with, 0.0 without one."""
    found = _FLOAT.match(value)
    if found is None:
        return 0.0
    try:
        return float.fromhex(found[1]) if "x" in found[1].lower() else float(found[1])
    except OverflowError:
        return -math.inf if found[1].startswith("-") else math.inf


def _number(value: object) -> int | float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    """A JSON number as a signed 64-bit integer, its fraction cut off."""
    number = _number(value)
    if number is None or not -INT64 <= number < INT64:  # also for not a number
        return None
    return int(number)


def _time(us: int | None) -> EdmValue | None:
    return None if us is None else ("DateTime", ticks.iso(us))


def _bool(value: object) -> EdmValue | None:
    return ("Boolean", value) if isinstance(value, bool) else None


def _str_bool(value: object) -> EdmValue | None:
    return ("Boolean", value == "1" or value.lower() == "true") if isinstance(value, str) else None


def _str(value: object) -> EdmValue | None:
    return ("String", text(value)) if isinstance(value, str) else None


def _double(value: object) -> EdmValue | None:
    number = _number(value)
    try:
        return None if number is None else ("Double", float(number))
    except OverflowError:
        return None


def _str_double(value: object) -> EdmValue | None:
    return ("Double", leading_float(value)) if isinstance(value, str) else None


def _int32(value: object) -> EdmValue | None:
    number = _integer(value)
    return None if number is None else ("Int32", wrap_int32(number))


def _str_int32(value: object) -> EdmValue | None:
    return ("Int32", wrap_int32(leading_int(value))) if isinstance(value, str) else None


def _int64(value: object) -> EdmValue | None:
    number = _integer(value)
    return None if number is None else ("Int64", number)


def _str_int64(value: object) -> EdmValue | None:
    return ("Int64", leading_int(value)) if isinstance(value, str) else None


def _int_time(value: object) -> EdmValue | None:
    number = _integer(value)
    return None if number is None else _time(timestamps.in_range(number * ticks.SECOND_US))


def _double_time(value: object) -> EdmValue | None:
    number = _number(value)
    return None if number is None else _time(timestamps.seconds(number))


def _str_time(value: object) -> EdmValue | None:
    return _time(timestamps.rfc3339(value)) if isinstance(value, str) else None


CONVERTERS: dict[tuple[str, str], Converter] = {
    ("bool", "mt:bool"): _bool,
    ("str", "mt:bool"): _str_bool,
    ("str", "mt:wstr"): _str,
    ("double", "mt:float64"): _double,
    ("str", "mt:float64"): _str_double,
    ("int", "mt:int32"): _int32,
    ("str", "mt:int32"): _str_int32,
    ("int", "mt:int64"): _int64,
    ("str", "mt:int64"): _str_int64,
    ("int-timet", "mt:utc"): _int_time,
    ("double-timet", "mt:utc"): _double_time,
    ("str-rfc3339", "mt:utc"): _str_time,
}
"""(type, mdstype) of a column -> its converter: the pairs that a document may use."""
