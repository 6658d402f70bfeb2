"""ISO 8601 durations as mdsd reads them (spec/mdsd.md 1.1) and as settings files write them."""

from __future__ import annotations

import re

_MDSD = re.compile(r"P(?:(\d{1,9})D)?T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:.\d+)?S)?", re.ASCII)
_DAYS = r"(?a)P(\d{1,9})D"


def _seconds(days: str | None, hours: str | None, minutes: str | None, seconds: str | None) -> int:
    d, h, m, s = (int(part or 0) for part in (days, hours, minutes, seconds))
    return ((d * 24 + h) * 60 + m) * 60 + s


def mdsd_seconds(text: str) -> int | None:
    """Seconds of ``P[nD]T[nH][nM][n[.f]S]`` (the T is mandatory, a fraction is dropped), or None."""
    found = _MDSD.fullmatch(text)
    return _seconds(*found.groups()) if found else None


def settings_seconds(text: str) -> int | None:
    """As :func:`mdsd_seconds`, and ``P1D`` without a time part is understood too."""
    days = re.fullmatch(_DAYS, text)
    return _seconds(days.group(1), None, None, None) if days else mdsd_seconds(text)


def written(seconds: int) -> str:
    """A duration that mdsd reads, in its largest unit: 3600 -> ``PT1H``, 60 -> ``PT1M``, 15 -> ``PT15S``."""
    for unit, size in (("H", 3600), ("M", 60)):
        if seconds and seconds % size == 0:
            return f"PT{seconds // size}{unit}"
    return f"PT{seconds}S"
