"""Judging the SAS URL of an Event Hub without using it (spec/lad-handler.md 5.2, spec/mdsd.md 5.2).

A URL that looks wrong is still tried, so every finding is a warning; no message repeats any part of it but its dates.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from extension.config.problems import Problems
from extension.config.sas import SOON_DAYS, parse_date, plain

_CURE = "write https://NAMESPACE.servicebus.windows.net/HUB?sr=...&sig=...&se=...&skn=... with send rights"


def judge(url: str, path: str, now: datetime, problems: Problems) -> None:
    """Scheme, hub and the parts of the SAS; ``now`` is aware."""
    if "SharedAccessKey" in url or url.lower().startswith("endpoint="):
        problems.warning(path, "is a connection string, not a URL with a SAS", _CURE)
        return
    from urllib.parse import parse_qsl, urlsplit  # here, because most settings have no Event Hub

    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        fields = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        problems.warning(path, "is not a URL", _CURE)
        return
    if url.strip() != url:
        problems.warning(path, "has blanks around it", "remove them")
    if parts.scheme.lower() != "https" or not host:
        problems.warning(path, "is not an https URL: nothing can be sent there", _CURE)
    elif not parts.path.strip("/"):
        problems.warning(path, "names no Event Hub after the host", _CURE)
    lacking = [name for name in ("sr", "sig", "se", "skn") if not fields.get(name)]
    if lacking:
        problems.warning(path, f"its SAS lacks {', '.join(lacking)}", "copy the whole URL")
    _expiry(fields.get("se", ""), path, now, problems)


def _moment(text: str) -> datetime | None:
    """``se`` is in seconds since 1970; an ISO date, as storage has it, is read too."""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        try:
            return datetime.fromtimestamp(int(text), timezone.utc)
        except (ValueError, OverflowError, OSError):
            return None
    return parse_date(text)


def _expiry(text: str, path: str, now: datetime, problems: Problems) -> None:
    if not text:
        return
    end = _moment(text)
    if end is None:
        problems.warning(
            path, "the expiry date (se) of its SAS cannot be read", "write seconds since 1970", plain(text)
        )
    elif end <= now:
        problems.warning(path, f"its SAS expired at {end:%Y-%m-%dT%H:%M:%SZ}", "create a new one")
    elif end - now < timedelta(days=max(SOON_DAYS)):
        problems.warning(path, f"its SAS expires soon, at {end:%Y-%m-%dT%H:%M:%SZ}", "create a new one")
