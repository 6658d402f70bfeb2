"""One HTTP request to one reply: authentication, header rules, agreement of header and body (DSP0200 6, 7.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from omi_queries.server.auth import Credentials, Verdict
from omi_queries.server.httpwire import Head, Reply, has_length
from omi_queries.server.limits import Limits
from omi_queries.server.request import (
    MISMATCH,
    NO_BATCH,
    Call,
    ClassName,
    MessageError,
    parse,
)

PATH = "/cimom"
_CONTENT = (("Content-Type", "application/xml; charset=utf-8"),)
_MAN = re.compile(r'\s*"?https?://www\.dmtf\.org/cim/mapping/http/v1\.\d"?\s*;\s*ns\s*=\s*"?(\d\d)"?\s*', re.I)
_MAN_VALUE = "http://www.dmtf.org/cim/mapping/http/v1.0"
_KEY = re.compile(r'\s*([^=,\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,]*)\s*(?:,|$)')
_UTF8 = ("utf-8", "utf8")


class Refusal(NamedTuple):
    """A reply that needs no body to be read. ``delayed`` for a guess at a password."""

    reply: Reply
    delayed: bool = False


class Target(NamedTuple):
    """What CIMObject names, spelt so that equal objects compare equal."""

    namespace: str
    class_name: str
    keys: frozenset[tuple[str, str]]


class Exchange:
    """The rules of the service for one request at a time; keeps nothing between requests."""

    def __init__(self, credentials: Credentials, answer: Callable[[Call], bytes], limits: Limits, realm: str) -> None:
        self.credentials = credentials
        self._answer = answer
        self._limits = limits
        self._challenge = (("WWW-Authenticate", f'Basic realm="{realm}"'),)

    def judge(self, head: Head) -> Refusal | None:
        """Why this request is refused before its body is looked at; None if it may go on."""
        if head.method not in ("POST", "M-POST"):
            return Refusal(Reply(405, (("Allow", "POST, M-POST"),), close=not _empty(head)))
        verdict = self.credentials.check(head)
        if verdict is not Verdict.GOOD:
            return Refusal(Reply(401, self._challenge, close=head.expects), verdict is Verdict.WRONG)
        if not has_length(head):
            return Refusal(Reply(411, close=True))
        if _path(head.target) != PATH:
            return Refusal(Reply(404, close=head.expects))
        try:
            self._check_head(head)
        except MessageError as error:
            return Refusal(_failure(error, close=head.expects))
        return None

    def serve(self, head: Head, body: bytes) -> Reply:
        """The reply to a request that :meth:`judge` let pass."""
        try:
            prefix = _prefix(head)
            call = self._parse(head, body, prefix)
            _agree(head, call, prefix)
            document = self._answer(call)
        except MessageError as error:
            return _failure(error)
        if prefix:
            number = prefix[:2]
            extension = (("Ext", ""), ("Cache-Control", "no-cache"), ("Man", f"{_MAN_VALUE};ns={number}"))
            return Reply(200, (*_CONTENT, *extension, (f"{number}-CIMOperation", "MethodResponse")), document)
        return Reply(200, (*_CONTENT, ("CIMOperation", "MethodResponse")), document)

    def _parse(self, head: Head, body: bytes, prefix: str) -> Call:
        try:
            return parse(body, self._limits)
        except MessageError as error:
            if error.cim_error == NO_BATCH and f"{prefix}cimbatch" not in head.fields:
                raise MessageError(400, MISMATCH, "a batch without CIMBatch header") from None
            raise

    def _check_head(self, head: Head) -> None:
        """Content-Type and CIMOperation."""
        prefix = _prefix(head)
        kind, charset = _content_type(head.get("content-type") or "")
        if kind not in ("application/xml", "text/xml") or charset not in ("", *_UTF8):
            raise MessageError(400, "", "Content-Type must be application/xml or text/xml in UTF-8")
        if head.get("content-encoding") not in (None, "identity"):
            raise MessageError(400, "", "Content-Encoding is not supported")
        operation = head.get(f"{prefix}cimoperation")
        if operation is None:
            raise MessageError(400, "", "CIMOperation is missing")
        if operation.lower() != "methodcall":
            raise MessageError(400, "unsupported-operation", "CIMOperation is not MethodCall")


def _empty(head: Head) -> bool:
    return head.length == 0


def _path(target: str) -> str:
    """The path of a request target in origin or absolute form, without query."""
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    return target.partition("?")[0]


def _failure(error: MessageError, close: bool = False) -> Reply:
    headers = (("CIMError", error.cim_error),) if error.cim_error else ()
    return Reply(error.status, (*headers, ("PGErrorDetail", quote(error.detail, safe=" "))), close=close)


def _prefix(head: Head) -> str:
    """The prefix of the CIM header fields of an M-POST (RFC 2774), "" for POST."""
    if head.method == "POST":
        return ""
    found = _MAN.fullmatch(head.get("man") or "")
    if found is None:
        raise MessageError(400, "", "M-POST without the Man header of CIM over HTTP")
    return f"{found.group(1)}-"


def _content_type(value: str) -> tuple[str, str]:
    """(media type, charset) in lower case, charset "" if it is not said."""
    kind, _, rest = value.partition(";")
    charset = ""
    for part in rest.split(";"):
        name, _, text = part.partition("=")
        if name.strip().lower() == "charset":
            charset = text.strip().strip("\"'").lower() or "-"
    return kind.strip().lower(), charset


def _agree(head: Head, call: Call, prefix: str) -> None:
    """Whether the header says what the body says. MessageError otherwise."""
    protocol = head.get(f"{prefix}cimprotocolversion")
    if f"{prefix}cimprotocolversion" in head.fields and protocol != call.protocol:
        raise MessageError(400, MISMATCH, "CIMProtocolVersion differs from PROTOCOLVERSION")
    method, target = head.get(f"{prefix}cimmethod"), head.get(f"{prefix}cimobject")
    if method is None or _decoded(method).lower() != call.method.lower():
        raise MessageError(400, MISMATCH, "CIMMethod is missing or differs from the body")
    if target is None or _parse_target(_decoded(target)) != _target(call):
        raise MessageError(400, MISMATCH, "CIMObject is missing or differs from the body")


def _decoded(value: str) -> str:
    """Percent-encoded UTF-8 as text."""
    try:
        return unquote_to_bytes(value).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise MessageError(400, MISMATCH, "a CIM header is not UTF-8") from None


def _space(name: str) -> str:
    return name.strip("/").lower()


def _target(call: Call) -> Target:
    named = call.target
    if named is None:
        return Target(_space(call.namespace), "", frozenset())
    if isinstance(named, ClassName):
        return Target(_space(call.namespace), named.name.lower(), frozenset())
    return Target(_space(call.namespace), named.class_name.lower(), _keys(named.keys))


def _keys(keys: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name.lower(), value) for name, value in keys.items())


def _parse_target(text: str) -> Target:
    """``namespace[:Class[.Key="value",...]]`` (DSP0200 7.1.2)."""
    namespace, _, path = text.partition(":")
    class_name, _, bindings = path.partition(".")
    keys: dict[str, str] = {}
    at = 0
    while at < len(bindings):
        found = _KEY.match(bindings, at)
        if found is None:
            raise MessageError(400, MISMATCH, "CIMObject has a malformed key")
        value = found.group(2).strip()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        keys[found.group(1).lower()] = value
        at = found.end()
    return Target(_space(namespace), class_name.strip().lower(), _keys(keys))
