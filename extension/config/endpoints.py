"""``storageAccountEndPoint`` -> table endpoint (spec/lad-handler.md 4.2; design: endpoints pick the sink)."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from extension.config.problems import Problems

DEFAULT_SUFFIX = "core.windows.net"
_CURE = "give a cloud suffix such as https://core.windows.net, a URL such as http://127.0.0.1:10002, or file:///path/tables.db"


def _path_style(host: str) -> bool:
    """Emulators are reached by address or by a name without a domain; a cloud suffix always has one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host
    return True


def _file_endpoint(text: str, path: str, problems: Problems) -> str:
    file_path = text[len("file://") :]
    if not text.startswith("file:///") or not os.path.basename(file_path):
        problems.error(path, "a file: endpoint needs an absolute path of a file", "write file:///path/tables.db", text)
    return text


def table_endpoint(account: str, given: str, path: str, exact: bool, problems: Problems) -> str:
    """The table endpoint of ``account``.

    ``given`` is "" (public Azure), a cloud suffix with or without scheme, ``file:///path``, or a URL whose host is an
    address (path-style, the account is appended to an empty path). ``exact``: LAD's reading where it had one.
    """
    if not given.strip():
        return f"https://{account}.table.{DEFAULT_SUFFIX}"
    text = given.strip()
    if text != given:
        problems.warning(path, "blanks around the endpoint are ignored", "remove them")
    if any(c in text for c in "?#@") or any(c.isspace() for c in text):
        problems.error(path, "the endpoint must not carry a query, a fragment, credentials or blanks", _CURE)
        return f"https://{account}.table.{DEFAULT_SUFFIX}"
    if text.lower().startswith("file:"):
        return _file_endpoint(text, path, problems)
    scheme, separator, rest = text.partition("//")
    if not separator:
        scheme, rest = "https:", text
    try:
        parts = urlsplit(f"{scheme}//{rest}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        problems.error(path, "the endpoint is not a URL", _CURE, text)
        return f"{scheme}//{account}.table.{rest}"
    if scheme.lower() not in ("http:", "https:") or not host:
        problems.error(path, "the endpoint has no scheme that tables are served by", _CURE, text)
    elif _path_style(host):
        return f"{scheme}//{rest.rstrip('/')}" if parts.path.strip("/") else f"{scheme}//{parts.netloc}/{account}"
    elif not exact and host.lower().startswith(f"{account.lower()}.table."):
        problems.note(path, "this is a full table endpoint and is used as it is")
        return f"{scheme}//{rest.rstrip('/')}"
    return f"{scheme}//{account}.table.{rest if exact else rest.rstrip('/')}"
