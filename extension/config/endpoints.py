"""``storageAccountEndPoint`` -> table and blob endpoint (spec/lad-handler.md 4.2; design: endpoints pick the sink)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
import re
from typing import NamedTuple

from extension.config.problems import Problems

DEFAULT_SUFFIX = "core.windows.net"
SUFFIXES = (DEFAULT_SUFFIX, "core.chinacloudapi.cn", "core.usgovcloudapi.net", "core.cloudapi.de")
_SERVICES = r"(?:table|blob|queue|file|dfs|web)"
_SUSPECT = r"(?i)AccountKey=|SharedAccess|(?:^|[?&;])sig="
_CURE = "give a cloud suffix such as https://core.windows.net, a URL such as http://127.0.0.1:10002, or file:///path/tables.db"
_ALIKE = 0.85  # so that the suffix of a private cloud is not taken for a misspelt one
_EMULATOR_STEP = 2  # emulators serve blobs two ports below tables: 10000 and 10002


class Endpoints(NamedTuple):
    """Where an account's tables and blobs are: URLs; a ``file:`` endpoint is the same for both."""

    table: str
    blob: str


def _path_style(host: str) -> bool:
    """Emulators are reached by address or by a name without a domain; a cloud suffix always has one."""
    import ipaddress  # here, because an account in public Azure needs none of it

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host
    return True


def _file_endpoint(text: str, path: str, problems: Problems) -> Endpoints:
    file_path = text[len("file://") :]
    if not text.startswith("file:///") or not os.path.basename(file_path):
        problems.error(path, "a file: endpoint needs an absolute path of a file", "write file:///path/tables.db", text)
    return Endpoints(text, text)


def _cloud(account: str, scheme: str, suffix: str) -> Endpoints:
    return Endpoints(f"{scheme}//{account}.table.{suffix}", f"{scheme}//{account}.blob.{suffix}")


def _emulator(account: str, scheme: str, rest: str, port: int | None, path: str) -> Endpoints:
    """Path-style: the account is the path. ``rest`` is what follows the scheme's ``//``."""
    address = rest.partition("/")[0]
    tail = rest.rstrip("/")[len(address) :] if path.strip("/") else f"/{account}"
    blob = address
    if port is not None and port > _EMULATOR_STEP:
        blob = f"{address.rpartition(':')[0]}:{port - _EMULATOR_STEP}"
    return Endpoints(f"{scheme}//{address}{tail}", f"{scheme}//{blob}{tail}")


def endpoints(account: str, given: str, path: str, exact: bool, problems: Problems) -> Endpoints:
    """The endpoints of ``account``; what is wrong with ``given`` is named by ``path``, no message shows credentials.

    ``given`` is "" (public Azure), a cloud suffix with or without scheme, ``file:///path``, or a URL whose host is an
    address (path-style, the account is appended to an empty path). ``exact``: LAD's reading where it had one.
    """
    fallback = _cloud(account, "https:", DEFAULT_SUFFIX)
    text = given.strip()
    if not text:
        return fallback
    from urllib.parse import urlsplit  # here, because an account in public Azure needs none of it

    if text != given:
        problems.warning(path, "blanks around the endpoint are ignored", "remove them")
    if re.search(_SUSPECT, text):
        problems.error(path, "looks like a connection string or carries a key or SAS; an endpoint has none", _CURE)
        return fallback
    if any(c in text for c in "?#@;") or any(c.isspace() for c in text):
        problems.error(path, "the endpoint must not carry a query, a fragment, credentials or blanks", _CURE)
        return fallback
    if text.lower().startswith("file:"):
        return _file_endpoint(text, path, problems)
    scheme, separator, rest = text.partition("//")
    if not separator:
        scheme, rest = "https:", text
    try:
        parts = urlsplit(f"{scheme}//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        problems.error(path, "the endpoint is not a URL", _CURE, text)
        return _cloud(account, scheme, rest)
    if scheme.lower() not in ("http:", "https:") or not host:
        problems.error(path, "the endpoint has no scheme that tables are served by", _CURE, text)
    elif _path_style(host):
        return _emulator(account, scheme, rest, port, parts.path)
    else:
        rest = _suffix(account, host, rest, path, exact, problems)
        _judge_cloud(scheme, urlsplit(f"//{rest}").hostname or "", path, text, problems)
    return _cloud(account, scheme, rest if exact else rest.rstrip("/"))


def _suffix(account: str, host: str, rest: str, path: str, exact: bool, problems: Problems) -> str:
    """``rest`` as a suffix: without the account and the service that a full endpoint begins with."""
    full = re.match(rf"(?i)(?:([a-z0-9]{{3,24}})\.)?{_SERVICES}\.", host)
    if full is None or ((full.group(1) or account).lower() != account.lower() and host[full.end() :] not in SUFFIXES):
        return rest
    if exact:
        problems.warning(path, "LAD puts the account and .table. before it a second time", "give the suffix only", rest)
        return rest
    if full.group(1) and full.group(1).lower() != account.lower():
        problems.warning(
            path, "is the endpoint of another account; only its suffix is used", "give the suffix only", rest
        )
    else:
        of = "a full table endpoint" if full.group().lower().endswith(".table.") else "more than a cloud suffix"
        problems.note(path, f"this is {of}; the account's own endpoints are made of its suffix")
    return rest[full.end() :]


def _judge_cloud(scheme: str, suffix: str, path: str, text: str, problems: Problems) -> None:
    """Warnings for what is probably not meant; a private cloud may have any suffix."""
    if scheme.lower() == "http:":
        problems.warning(path, "rows and, with a SAS, the secret itself cross the network in clear", "use https://")
    if suffix.lower() not in SUFFIXES:
        from difflib import get_close_matches  # here, because a known cloud needs none of it

        near = get_close_matches(suffix.lower()[:100], SUFFIXES, n=1, cutoff=_ALIKE)
        if near:
            problems.warning(path, "is not the suffix of a known cloud", f"did you mean {near[0]}?", text)


def table_endpoint(account: str, given: str, path: str, exact: bool, problems: Problems) -> str:
    """The table endpoint alone, as :func:`endpoints` finds it."""
    return endpoints(account, given, path, exact, problems).table
