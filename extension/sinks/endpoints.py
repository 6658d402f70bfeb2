"""Table endpoints: which form an address has and what it means (spec/storage.md 1 and 4).

``file:///path/tables.db`` is the embedded store; ``http(s)://account.table.<suffix>`` a cloud; a host that is an IP
address or a name without a domain is served path-style as emulators do: ``http://127.0.0.1:10002/account``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_SUFFIX = "core.windows.net"
_ACCEPTED = "write https://NAME.table.core.windows.net, http://127.0.0.1:10002/NAME or file:///path/tables.db"


@dataclass(frozen=True)
class Endpoint:
    """A parsed address. ``path``: the database file of a ``file:`` endpoint, else ""; ``url`` without trailing slash,
    query or credentials; ``account`` as the address or the caller gives it; ``loopback``: this very machine."""

    url: str
    account: str = ""
    path: str = ""
    loopback: bool = False


def parse(text: str, account: str = "") -> Endpoint:
    """Read an endpoint; an empty one means the account in the public cloud. Raises ValueError with what to write."""
    text = text.strip()
    if not text:
        if not account:
            raise ValueError(
                "no table endpoint and no account name: give one, such as https://NAME.table.core.windows.net"
            )
        text = f"https://{account}.table.{DEFAULT_SUFFIX}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"the table endpoint {_shown(text)} is not an address: check host and port; {_ACCEPTED}"
        ) from None
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _file(text, parts, account)
    if scheme not in ("http", "https"):
        raise ValueError(f"the table endpoint {_shown(text)} has no known scheme: {_ACCEPTED}")
    if not parts.hostname:
        raise ValueError(f"the table endpoint {_shown(text)} names no host: {_ACCEPTED}")
    if parts.query or parts.username is not None:
        raise ValueError(
            "the table endpoint carries a query or a user name: give the SAS or key as credential, not in the address"
        )
    # The SDK takes a host `localhost` for Cosmos DB (unless the port is 10002) and would send other verbs.
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    loopback = host == "::1" or (_is_ip(host) and host.startswith("127."))
    path = parts.path.rstrip("/")
    if _path_style(host):
        named = path.rpartition("/")[2]
        if not path and account:
            path = "/" + account
        account = account or named
    elif not path and not account:
        account = host.split(".", 1)[0]
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port is None else f"{shown}:{port}"
    return Endpoint(f"{scheme}://{netloc}{path}", account, "", loopback)


def _file(text: str, parts: SplitResult, account: str) -> Endpoint:
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"the table endpoint {_shown(text)} names no file: write file:///absolute/path/tables.db")
    return Endpoint("file://" + path, account, path, True)


def _is_ip(host: str) -> bool:
    return ":" in host or (host.count(".") == 3 and host.replace(".", "").isdigit())


def _path_style(host: str) -> bool:
    """Emulators are reached by an address or by a name without a domain; a cloud's host always has one."""
    return _is_ip(host) or "." not in host


def _shown(text: str) -> str:
    """The address for a message: without a query, which may be a SAS, and without user information."""
    head = text.partition("?")[0]
    before, found, after = head.partition("://")
    return repr(before + found + after.rpartition("@")[2])
