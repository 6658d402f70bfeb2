"""Times as the tables carry them (spec/mdsd.md 3.1, 3.2, 3.5). All times are UTC; ``us`` means Unix microseconds."""

from __future__ import annotations

import time

UNIX_TICKS = 62135596800 * 10**7
"""The Unix epoch in .NET ticks (100 ns since 0001-01-01)."""
MAX_TICKS = 3155378975999999999
_DAYS_1601_TO_1970 = 134774
SECOND_US = 10**6


def ticks(seconds: int) -> int:
    """.NET ticks of a Unix time in whole seconds."""
    return UNIX_TICKS + seconds * 10**7


def ascending(seconds: int) -> str:
    """19-digit tick text of default PartitionKeys."""
    return f"{ticks(seconds):019d}"


def descending(seconds: int) -> str:
    """19-digit tick text of metric RowKeys: the newest sorts first."""
    return f"{MAX_TICKS - ticks(seconds):019d}"


def ten_day_suffix(seconds: float) -> str:
    """YYYYMMDD of the start of the ten-day block, counted from 1601-01-01, that holds the Unix time."""
    days = int(seconds // 86400)
    block = days - (days + _DAYS_1601_TO_1970) % 10
    return time.strftime("%Y%m%d", time.gmtime(block * 86400))


def floor_to(us: int, period: int) -> int:
    """Start, in Unix seconds, of the window of ``period`` seconds (counted from the epoch) that holds ``us``."""
    return us // SECOND_US // period * period


def iso(us: int) -> str:
    """ISO 8601 with Z and only as many fraction digits as needed."""
    whole, fraction = divmod(us, SECOND_US)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{fraction:06d}Z" if fraction else f"{text}Z"


def trimmed(text: str) -> str:
    """The time as :func:`iso` writes it, without trailing zeros of its fraction: how mdsd writes times in columns."""
    return text[:-1].rstrip("0").rstrip(".") + "Z" if "." in text and text.endswith("Z") else text
