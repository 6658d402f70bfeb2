"""Which proxy a request goes through (spec/lad-handler.md 4.7, spec/mdsd.md 7.6)."""

from __future__ import annotations

from collections.abc import Mapping

from requests.utils import should_bypass_proxies

_OWN = "MDSD_http_proxy"
_GENERAL = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")


def chosen(configured: str, url: str, environ: Mapping[str, str], *, loopback: bool = False) -> dict[str, str] | None:
    """scheme -> proxy for requests to ``url``, None where the transport's own rules hold (none, or ``all_proxy``).

    ``configured`` counts first, then mdsd's own variable, then ``https_proxy`` and ``http_proxy``, each for every
    scheme; ``no_proxy`` is heeded for the last two. A ``loopback`` service is asked directly whatever is named.
    """
    proxy = "" if loopback else configured or environ.get(_OWN, "") or _general(url, environ)
    return {"http": proxy, "https": proxy} if proxy else None


def _general(url: str, environ: Mapping[str, str]) -> str:
    exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if should_bypass_proxies(url, no_proxy=exceptions):
        return ""
    return next((environ[name] for name in _GENERAL if environ.get(name)), "")
