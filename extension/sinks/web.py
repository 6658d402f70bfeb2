"""One HTTP exchange for the sinks that the Azure SDK in use has no client for: blobs and Event Hubs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from requests import PreparedRequest

from extension.sinks import sas
from extension.sinks.azure_client import silence_sdk_logging
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.errors import Outcome
from extension.sinks.proxies import chosen

MAX_ANSWER = 16 << 20
"""A list of 50,000 blocks has about 5 MB."""
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_MESSAGE = re.compile(r"<(?:Message|Detail)>([^<\n]{1,300})")


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def code(self) -> str:
        """The service's error code, "" without one."""
        found = _CODE.search(self.text)
        given = self.headers.get("x-ms-error-code", "") or (found.group(1) if found else "")
        return given if given.isalnum() and len(given) <= 64 else ""


class WebError(Exception):
    """No whole answer came; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.kind)
        self.outcome = outcome


class Web:
    """Connections to the service at ``url`` that are kept between requests. A ``loopback`` service is asked directly
    whatever proxy is named.

    ``proxy``: URL, before that of the environment; timeouts in seconds.
    """

    def __init__(self, url: str, *, loopback: bool, proxy: str, connect_timeout: float, read_timeout: float) -> None:
        silence_sdk_logging()
        self._session = requests.Session()
        self._session.auth = _as_signed  # without it, a matching line of ~/.netrc would replace the signature
        self._session.trust_env = not loopback
        # Given with each request: the session's own would stand behind those of the environment.
        self._proxies = chosen(proxy, url, os.environ, loopback=loopback)
        self._session.verify = _authorities()
        self._timeouts = (connect_timeout, read_timeout)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, operation: sas.Operation, rows: int = 1
    ) -> Answer:
        """One request; redirects are not followed. Raises WebError."""
        try:
            with self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=self._timeouts,
                allow_redirects=False,
                proxies=None if self._proxies is None else dict(self._proxies),
                stream=True,
            ) as response:
                raw = b""
                for chunk in response.iter_content(65536):
                    raw += chunk
                    if len(raw) > MAX_ANSWER:
                        raise ValueError("the answer is too large")
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, lower, raw.decode("utf-8", "replace"))
        except Exception as error:  # three libraries' exceptions come through; all are judged
            raise WebError(outcome_of(error, operation, rows)) from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def refused(answer: Answer, operation: sas.Operation, rows: int = 1) -> Outcome:
    """What an answer that is no success means."""
    found = _MESSAGE.search(answer.text)
    return Outcome(
        status=answer.status,
        code=answer.code,
        detail=found.group(1).strip() if found else "",
        rows=rows,
        retry_after=answer.headers.get("retry-after", ""),
        date=answer.headers.get("date", ""),
        operation=operation,
    )


def _as_signed(request: PreparedRequest) -> PreparedRequest:
    """Leave the request's own Authorization alone."""
    return request


def _authorities() -> bool | str:
    """The file of trusted authorities that the environment names, else the built-in ones."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(name, "")
        if path and os.path.exists(path):
            return path
    return True
