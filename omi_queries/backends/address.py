"""Addresses of CIM-XML servers."""

from __future__ import annotations

_EXAMPLE = "http://127.0.0.1:5988 or https://HOST:5989"


def check_url(url: str) -> str:
    """What is wrong with ``http(s)://host[:port]``, "" if nothing; it never repeats a password."""
    from urllib.parse import urlsplit  # here, because most machines ask no other

    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return f"is not an address; write {_EXAMPLE}"
    if "@" in parts.netloc:
        return "carries a user name or password; give those as omiUser and omiPassword"
    if parts.scheme not in ("http", "https"):
        return f"does not begin with http:// or https://; write {_EXAMPLE}"
    if not host or port == 0 or any(c.isspace() or not c.isprintable() for c in url):
        return f"names no host; write {_EXAMPLE}"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "has a path, which no CIM-XML client sends (it asks /cimom); write scheme, host and port only"
    return ""


def in_clear(url: str) -> bool:
    """Whether a password sent there crosses a network without encryption."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and not (host in ("localhost", "::1") or host.startswith("127."))
