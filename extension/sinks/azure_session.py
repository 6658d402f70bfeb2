"""The session under the SDK's transport: what is the same for every request of an account is worked out once."""

from __future__ import annotations

from typing import Any

import requests
from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity
from urllib3 import HTTPConnectionPool


class ReadySession(requests.Session):
    """Takes the place of ``like``. A request that is complete when it comes, as those of the SDK's transport are, is
    not searched for what might be merged into it, nor its answer for redirects that nobody follows: that takes longer
    than to send it."""

    def __init__(self, like: requests.Session) -> None:
        super().__init__()
        self.trust_env = like.trust_env
        self.auth = _as_signed  # without it, a matching line of ~/.netrc would replace the signature
        for prefix, adapter in like.adapters.items():
            self.mount(prefix, ReadyAdapter(adapter))
        self._address: tuple[str, str | None] = ("", None)
        self._surroundings: tuple[object, dict[str, Any]] = (None, {})
        self._valid: dict[str, str | bytes] = {}

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As requests does it: address, headers and body are checked alike."""
        url, data = request.url, request.data
        more = (request.files, request.json, request.params, request.auth, request.cookies, self.params)
        if not isinstance(url, str) or not isinstance(data, bytes) or any(more) or any(request.hooks.values()):
            return super().prepare_request(request)
        headers: CaseInsensitiveDict[str | bytes] = CaseInsensitiveDict(self.headers)
        valid = self._valid
        for item in request.headers.items():
            name, value = item
            if value is None:  # stands for "without it"
                return super().prepare_request(request)
            if valid.get(name) != value:
                check_header_validity(item)
                valid[name] = value
            headers[name] = value
        ready = PreparedRequest()
        ready.prepare_method(request.method)
        if url != self._address[0]:
            ready.prepare_url(url, None)
            self._address = url, ready.url
        ready.url = self._address[1]
        ready.headers = headers
        ready.prepare_cookies(self.cookies)
        ready.prepare_body(data, None)
        return ready

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
        """As requests does it, but once: a process's environment stays as it is."""
        asked = (url, dict(proxies or {}), stream, verify, cert)
        if asked != self._surroundings[0]:
            self._surroundings = asked, super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {**self._surroundings[1], "proxies": dict(self._surroundings[1]["proxies"])}

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As requests does it; the answer does not tell how long it took, nor to where it would redirect."""
        if kwargs.get("allow_redirects", True) or not kwargs.get("stream") or any(request.hooks.values()):
            return super().send(request, **kwargs)
        options = {name: value for name, value in kwargs.items() if name != "allow_redirects"}
        response = self.get_adapter(request.url or "").send(request, **options)
        if "Set-Cookie" in response.headers:
            extract_cookies_to_jar(self.cookies, request, response.raw)
        return response


class ReadyAdapter(HTTPAdapter):
    """Tries as often as ``like``. The pool of connections for an address is looked for, and given its certificates,
    once."""

    def __init__(self, like: Any) -> None:
        super().__init__(max_retries=like.max_retries)
        self._pool: tuple[object, HTTPConnectionPool | None] = (None, None)
        self._verified: object = None
        self._target: tuple[object, str] = (None, "")

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """As requests does it."""
        asked = (request.url, verify, dict(proxies or {}), cert)
        known, pool = self._pool
        if asked != known or pool is None or pool.pool is None:  # it has been closed
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._pool, self._verified = (asked, pool), None
        return pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """As requests does it."""
        asked = (id(conn), url, verify, cert)
        if asked != self._verified:
            super().cert_verify(conn, url, verify, cert)
            self._verified = asked

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """As requests does it."""
        asked = (request.url, dict(proxies or {}))
        if asked != self._target[0]:
            self._target = asked, super().request_url(request, proxies)
        return self._target[1]


def _as_signed(request: PreparedRequest) -> PreparedRequest:
    """Leave the request's own Authorization alone."""
    return request
