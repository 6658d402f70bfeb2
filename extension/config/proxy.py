"""The proxy for uploads: ``mdsdHttpProxy`` -> ``http_proxy`` of options.json (spec/lad-handler.md 4.7, mdsd.md 7.6).

A proxy may carry a password, so no message repeats any part of one.
"""

from __future__ import annotations

import re

from extension.config import values
from extension.config.problems import Problems
from extension.config.values import PROTECTED, PUBLIC, Object, member

KEY = "mdsdHttpProxy"
OPTION = "http_proxy"
_DEFAULT_PORT = 80
_CURE = 'write "http://host:port" or, in the protected settings, "http://user:password@host:port"'
_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.%]{2,60}\]"


class ProxyError(ValueError):
    """A proxy that is none; the text repeats nothing of it."""


def normalised(text: str) -> tuple[str, str]:
    """The proxy as a URL with scheme and port, and what was odd about it ("" if nothing).

    ``text`` is ``[[http[s]:]//][user[:password]@]host[:port][/]``; user and password are percent-encoded where they
    need it. :class:`ProxyError` for anything else.
    """
    from urllib.parse import quote, unquote  # here, because most machines have no proxy

    found = re.match(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//", text)
    scheme, rest = ((found.group(1) or "http").lower(), text[found.end() :]) if found else ("http", text)
    if scheme not in ("http", "https"):
        raise ProxyError("is not an http or https proxy")
    user_info, has_user, address = rest.rpartition("@")
    user, has_password, password = user_info.partition(":")
    if has_user and not user:
        raise ProxyError("has an @ without a user name before it")
    host, port = _address(address.rstrip("/"))
    told = f"{quote(unquote(user), safe='')}{':' if has_password else ''}{quote(unquote(password), safe='')}{has_user}"
    return f"{scheme}://{told}{host}:{port or _DEFAULT_PORT}", "" if port else f"names no port: {_DEFAULT_PORT} is used"


def _address(text: str) -> tuple[str, int]:
    """Host and port (0 where none is given)."""
    found = re.fullmatch(r"(.*?)(?::(\d*))?", text, re.ASCII | re.DOTALL)
    host, digits = (found.group(1), found.group(2)) if found else ("", None)
    if not re.fullmatch(_HOST, host):
        raise ProxyError("names no host" if not host else "has a host that cannot be one")
    if digits is None:
        return host, 0
    if not 1 <= len(digits) <= 5 or not 1 <= int(digits) <= 65535:
        raise ProxyError("has a port that is not between 1 and 65535")
    return host, int(digits)


def checked(text: str, path: str, problems: Problems) -> str:
    """The ``http_proxy`` of an options file as :func:`normalised` gives it; "" and an error naming ``path`` if none."""
    try:
        return normalised(text.strip())[0] if text.strip() else ""
    except ProxyError as reason:
        problems.error(path, str(reason), 'write "http://host:port"')
        return ""


def options(public: Object, protected: Object, agent: str, problems: Problems) -> dict[str, object]:
    """``{"http_proxy": URL}``, or nothing.

    The VM agent's proxy (``agent``) counts first, then the protected, then the public one, as in LAD.
    """
    chosen, chosen_from = _of_agent(agent, problems), "the proxy of the VM agent's configuration counts"
    for source, path in ((protected, PROTECTED), (public, PUBLIC)):
        at = member(path, KEY)
        given = _given(source, path, problems)
        if not given:
            continue
        try:
            url, odd = normalised(given)
        except ProxyError as reason:
            (problems.warning if chosen else problems.error)(at, str(reason), _CURE)
            continue
        if odd:
            problems.warning(at, odd, _CURE)
        if path == PUBLIC and "@" in url:
            problems.warning(
                at, "has a user name in the public settings, which are not secret", "move it to the protected settings"
            )
        if chosen and chosen != url:
            problems.warning(at, f"is not used: {chosen_from}", "remove it")
        elif not chosen:
            chosen, chosen_from = url, f"{at} counts"
    return {OPTION: chosen} if chosen else {}


def _of_agent(text: str, problems: Problems) -> str:
    try:
        return normalised(text)[0] if text else ""
    except ProxyError as reason:
        problems.warning("HttpProxy.Host of the VM agent", f"{reason}; it is ignored", "correct /etc/waagent.conf")
        return ""


def _given(source: Object, path: str, problems: Problems) -> str:
    value = source.get(KEY)
    if value is not None and not isinstance(value, str):
        at = member(path, KEY)
        problems.warning(at, f"must be a string, is {values.kind(value)}; it is ignored, as LAD did", _CURE)
        return ""
    return values.text(source, KEY, path, problems).strip()
