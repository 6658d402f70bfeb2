"""Physical table names (spec/mdsd.md 3.1)."""

from __future__ import annotations

from extension import hashes
from extension.rows.ticks import ten_day_suffix

_LIMIT = 63
_SUFFIX = 8


def base_name(event: str, *, namespace: str, version: int, full_name: bool) -> str:
    """The name before hashing and suffix: the eventName itself, or ``<namespace><eventName>Ver<version>v0``."""
    return event if full_name else f"{namespace}{event}Ver{version}v0"


def table_name(event: str, *, namespace: str, version: int, full_name: bool, per_nday: bool, now: float) -> str:
    """The physical table of an event for rows queued at Unix time ``now``.

    A base over 63 bytes (55 with suffix) becomes ``T`` and the lower-case hex MD5 of the base;
    isFullName together with dontUsePerNDayTable gives exactly the eventName.
    """
    base = base_name(event, namespace=namespace, version=version, full_name=full_name)
    if full_name and not per_nday:
        return base
    if len(base.encode()) > (_LIMIT - _SUFFIX if per_nday else _LIMIT):
        base = "T" + hashes.digest("md5", base.encode()).hex()
    return base + ten_day_suffix(now) if per_nday else base
