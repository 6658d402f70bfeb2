"""The session under the SDK's transport: what is the same for every request of an account is worked out once."""

from __future__ import annotations

from typing import Any

import requests
from requests import PreparedRequest, Request
from requests.structures import CaseInsensitiveDict


class ReadySession(requests.Session):
    """Takes the place of ``like``, with its adapters. A request that is complete when it comes, as those of the SDK's
    transport are, is not searched for what might be merged into it: that takes longer than to send it."""

    def __init__(self, like: requests.Session) -> None:
        super().__init__()
        self.trust_env = like.trust_env
        self.auth = _as_signed  # without it, a matching line of ~/.netrc would replace the signature
        for prefix, adapter in like.adapters.items():
            self.mount(prefix, adapter)
        self._address: tuple[str, str | None] = ("", None)
        self._surroundings: tuple[object, dict[str, Any]] = (None, {})

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As requests does it: address, headers and body are checked alike."""
        url, data = request.url, request.data
        more = (request.files, request.json, request.params, request.auth, request.cookies, self.params)
        if not isinstance(url, str) or not isinstance(data, bytes) or any(more) or any(request.hooks.values()):
            return super().prepare_request(request)
        headers: CaseInsensitiveDict[str | bytes] = CaseInsensitiveDict(self.headers)
        headers.update(request.headers.items())
        ready = PreparedRequest()
        ready.prepare_method(request.method)
        if url != self._address[0]:
            ready.prepare_url(url, None)
            self._address = url, ready.url
        ready.url = self._address[1]
        ready.prepare_headers(headers)
        ready.prepare_cookies(self.cookies)
        ready.prepare_body(data, None)
        return ready

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
        """As requests does it, but once: a process's environment stays as it is."""
        asked = (url, dict(proxies or {}), stream, verify, cert)
        if asked != self._surroundings[0]:
            self._surroundings = asked, super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {**self._surroundings[1], "proxies": dict(self._surroundings[1]["proxies"])}


def _as_signed(request: PreparedRequest) -> PreparedRequest:
    """Leave the request's own Authorization alone."""
    return request
