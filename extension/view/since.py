"""From when: a span before now, or a time. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from extension.view.rows import span_seconds

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,]\d{1,9})?)? ?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def unix_since(text: str, now: float) -> float:
    """Unix seconds of ``90s``, ``10m``, ``2h`` or ``1d`` before ``now``, or of an ISO 8601 date or time, which is UTC
    unless it says otherwise. Raises ValueError, one line that says what to write."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        try:
            return now - span_seconds(text)
        except ValueError as error:
            raise ValueError(f"{error}, or a time like 2026-11-21T09:00:00Z") from None
    day, minute, second, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}{_offset(zone)}")
        at = (moment - _EPOCH) / timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time that there is: {error}") from None
    if at > now:
        raise ValueError(f"{text!r} has not come yet: give a time before now")
    return at


def _offset(zone: str | None) -> str:
    """An offset as Python's own parser takes it."""
    if zone is None or zone in "Zz":
        return "+00:00"
    return f"{zone[:3]}:{zone[-2:] if len(zone) > 3 else '00'}"
