"""From the exceptions that the SDK and its transport raise to an :class:`extension.sinks.errors.Outcome`.

The SDK lets several through that are none of its own (spec/storage.md 4: requests' ChunkedEncodingError, http.client's
BadStatusLine, ValueError), so any exception can be given; what is not known is the kind ``unknown``.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.errors import MessageError

from azure.core import exceptions as core
from azure.data.tables import RequestTooLargeError
from requests import exceptions as web
from urllib3 import exceptions as lib

from extension.sinks import sas
from extension.sinks.azure_batch_answer import first_line
from extension.sinks.errors import Outcome

# First match wins; each exception is looked at with everything that it was made from.
_KINDS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    # Whatever befalls the way to a proxy is the proxy's; and of addresses, only those of proxies are not yet checked.
    ("proxy", (web.ProxyError, web.InvalidURL, web.InvalidSchema, lib.ProxyError, lib.LocationValueError)),
    ("dns", (socket.gaierror,)),
    ("tls", (ssl.SSLError, web.SSLError, lib.SSLError)),
    ("refused", (ConnectionRefusedError,)),
    ("connect-timeout", (web.ConnectTimeout, lib.ConnectTimeoutError, core.ServiceRequestTimeoutError)),
    ("read-timeout", (web.ReadTimeout, lib.ReadTimeoutError, core.ServiceResponseTimeoutError, TimeoutError)),
    ("truncated", (web.ChunkedEncodingError, core.IncompleteReadError, lib.IncompleteRead, http.client.IncompleteRead)),
    ("reset", (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.RemoteDisconnected)),
    ("bad-answer", (http.client.HTTPException, MessageError, core.DecodeError, web.ContentDecodingError)),
    ("reset", (lib.ProtocolError, core.ServiceResponseError)),
    ("unreachable", (OSError, core.ServiceRequestError)),
    ("bad-answer", (ValueError, KeyError, IndexError, AttributeError)),
)


def outcome_of(error: BaseException, operation: sas.Operation, rows: int = 1) -> Outcome:
    """Describe ``error``; ``rows`` is the size of the batch that was sent."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None)
    if isinstance(error, RequestTooLargeError):  # inside a batch it carries the 202 of the answer around it
        return Outcome(status=413, code="RequestBodyTooLarge", rows=rows, operation=operation)
    if isinstance(error, core.HttpResponseError) and status is not None:
        headers: Mapping[str, str] = getattr(response, "headers", None) or {}
        detail, row = first_line(str(getattr(error, "message", None) or error))
        return Outcome(
            status=status,
            code=_code(error, headers),
            detail=detail,
            row=row,
            rows=rows,
            retry_after=headers.get("Retry-After") or "",
            date=headers.get("Date") or "",
            operation=operation,
        )
    return Outcome(kind=_kind(error), detail=_stable_detail(error), rows=rows, operation=operation)


def _kind(error: BaseException) -> str:
    if type(error).__name__ == "AzureSigningError":
        return "bad-key"
    chain = list(_chain(error))
    for kind, types in _KINDS:
        # OSError and the SDK's own wrappers are last resorts: requests' exceptions are OSErrors too.
        if any(isinstance(e, types) and not _too_general(e, types) for e in chain):
            return kind
    return "unknown"


def _too_general(error: BaseException, types: tuple[type[BaseException], ...]) -> bool:
    return OSError in types and isinstance(error, web.RequestException) and not isinstance(error, web.ConnectionError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, its arguments that are exceptions, ``reason``, ``inner_exception``, causes; each once."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting and len(seen) < 50:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        waiting += [*item.args, getattr(item, "reason", None), getattr(item, "inner_exception", None)]
        waiting += [item.__cause__, item.__context__]


def _code(error: core.HttpResponseError, headers: Mapping[str, str]) -> str:
    """The service's error code: of the decoded body, else of the header (a plain string or an enum; maybe none)."""
    code = getattr(error, "error_code", None)
    text = str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")
    return text if text.isalnum() and len(text) <= 64 else ""


def _stable_detail(error: BaseException) -> str:
    """The innermost reason in words that stay the same from attempt to attempt: no addresses of Python objects."""
    words = "" if isinstance(error, (core.AzureError, OSError)) else type(error).__name__
    for item in _chain(error):
        if isinstance(item, ssl.SSLCertVerificationError):
            return item.verify_message
        if isinstance(item, OSError) and item.strerror and not isinstance(item, web.RequestException):
            words = item.strerror
    return words
