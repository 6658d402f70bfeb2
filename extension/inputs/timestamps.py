"""Time values of JSON messages as Unix microseconds (spec/mdsd.md 6.1, 12)."""

from __future__ import annotations

import re
import time

from extension.inputs.answer import MAX_TIME_US, MIN_TIME_US
from extension.rows import ticks

MIN_LENGTH = 19
_FORM = re.compile(
    r"\s*(?:(\d{1,9})-(\d{1,9})-(\d{1,9})|(\d{1,12}))"
    r"(?:T(?:(\d{1,9}):(\d{1,9}):(\d{1,9})|(\d{1,12}))(?:[.,](\d*))?)?"
    r"(?:(Z)|([+-])(?:(\d{1,9}):(\d{1,9})|(\d{1,9})))?\s*",
    re.ASCII,
)


def in_range(us: int) -> int | None:
    """``us`` if a table can hold that time."""
    return us if MIN_TIME_US <= us <= MAX_TIME_US else None


def rfc3339(value: str) -> int | None:
    """Unix microseconds of a delimited (``2017-03-27T19:45:00.5+02:00``) or compact (``20170327T194500,5+0200``) time.

    At least 19 characters. Without ``Z`` or offset it is local time. Date and offset are both delimited or both
    compact. Days, hours, minutes and seconds beyond their range carry over. None for anything else.
    """
    if len(value) < MIN_LENGTH:
        return None
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    year, month, day, date, hour, minute, second, clock, fraction, zulu, sign, zone_h, zone_m, zone = found.groups()
    delimited = date is None
    y, m, d = (int(year), int(month), int(day)) if delimited else _split(date)
    at = (0, 0, 0)
    if hour is not None:
        at = int(hour), int(minute), int(second)
    elif clock is not None:
        at = _split(clock)
    offset = 0
    if sign is not None:
        if (zone is None) != delimited:
            return None
        hours, minutes = (int(zone_h), int(zone_m)) if zone is None else divmod(int(zone), 100)
        offset = (hours * 60 + minutes) * (60 if sign == "-" else -60)
    y, m = y + (m - 1) // 12, (m - 1) % 12 + 1
    if not 1600 <= y <= 10000:
        return None
    try:
        whole = _utc((y, m, d, *at)) if zulu or sign else int(time.mktime((y, m, d, *at, 0, 0, -1)))
    except (OverflowError, ValueError):
        return None
    us = int((fraction or "")[:6].ljust(6, "0"))
    return in_range((whole + offset) * ticks.SECOND_US + us)


def _utc(parts: tuple[int, int, int, int, int, int]) -> int:
    from calendar import timegm  # brings locale along: 280 KiB that a collector without such a message does without

    return timegm(parts)


def _split(digits: str) -> tuple[int, int, int]:
    """``20170327`` as (2017, 3, 27), ``194500`` as (19, 45, 0)."""
    value = int(digits)
    return value // 10000, value // 100 % 100, value % 100


def seconds(value: float) -> int | None:
    """Unix microseconds of Unix seconds; None if negative, not finite, or too far away."""
    if not 0 <= value <= MAX_TIME_US // ticks.SECOND_US:
        return None
    whole = int(value)
    return in_range(whole * ticks.SECOND_US + int(ticks.SECOND_US * (value - whole)))
