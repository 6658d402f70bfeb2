"""Text of other programs made fit for one log line: short, on one line, without secrets."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

_SECRETS = re.compile(r"(?i)\b(sig|signature|accountkey|sharedaccesssignature)=[^&\s;\"'<>]+")
_AUTHORIZATION = re.compile(r"(?i)\bSharedKey(Lite)? [^\s\"']+")
_USERINFO = re.compile(r"(?i)\b(https?://)[^/\s@\"']+@")


def one_line(text: str, secrets: tuple[str, ...] = (), limit: int = 300) -> str:
    """``text`` on one line of at most ``limit`` characters; the named ``secrets`` and anything that looks like a
    signature, a key or a proxy password is replaced by ``***``."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _SECRETS.sub(r"\1=***", text)
    text = _AUTHORIZATION.sub("SharedKey ***", text)
    text = _USERINFO.sub(r"\1***@", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def http_date(text: str) -> float | None:
    """Unix seconds of an HTTP date, or None."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, OverflowError):
        return None
