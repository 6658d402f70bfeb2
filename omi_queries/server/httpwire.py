"""HTTP/1.0 and 1.1 as far as CIM-XML needs it: an incremental request reader and reply bytes. Pure, no sockets.

Rules: RFC 9112 3-7, DSP0200 6, limits of :mod:`omi_queries.server.limits`. What could be read in two ways (two lengths,
a length beside chunks, a bare line feed in a header, blanks before a colon) is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from omi_queries.server.limits import Limits
from omi_queries.server.product import SERVER

REASONS = {
    100: "Continue", 200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 411: "Length Required", 413: "Payload Too Large", 414: "URI Too Long",
    417: "Expectation Failed", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_MAX_CHUNK_LINE = 256


class HttpError(Exception):
    """A request that cannot be served as HTTP: the status to send; the connection is closed after it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Head(NamedTuple):
    """Request line and header fields, names in lower case, each with all its values in order.

    ``length`` is the body's, None when it comes in chunks; ``keep`` tells that the client wants the connection kept.
    """

    method: str
    target: str
    version: tuple[int, int]
    fields: Mapping[str, tuple[str, ...]]
    length: int | None
    keep: bool
    expects: bool

    def get(self, name: str) -> str | None:
        """The value of a field that may be there once; None if it is absent (or there several times, unlike)."""
        values = self.fields.get(name, ())
        return values[0] if values and all(value == values[0] for value in values) else None


class Reply(NamedTuple):
    """Status, extra header lines and body of an answer. ``close`` ends the connection after it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    close: bool = False

    def encode(self, keep: bool, version: tuple[int, int] = (1, 1)) -> bytes:
        """Header and body in one piece, so that they leave in one send."""
        connection = "keep-alive" if keep and not self.close else "close"
        lines = [
            f"HTTP/1.{version[1]} {self.status} {REASONS[self.status]}",
            f"Server: {SERVER}",
            *(f"{name}: {value}" for name, value in self.headers),
            f"Content-Length: {len(self.body)}",
            f"Connection: {connection}",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


class RequestReader:
    """Takes bytes as they come and gives a head and then its body.

    Each byte is looked at a bounded number of times. ``head`` is set as soon as it is complete, so that a request can
    be refused before its body.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._seen = 0
        self._body = bytearray()
        self._chunk = -1
        self._trailer = False
        self.head: Head | None = None

    @property
    def started(self) -> bool:
        """Whether any byte of a request is there."""
        return self.head is not None or bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes taken and not used yet."""
        return len(self._buffer)

    def read_head(self) -> Head | None:
        """The head once it is complete. Raises HttpError."""
        if self.head is not None:
            return self.head
        if not self._seen:  # empty lines before a request are no error (RFC 9112 2.2)
            while self._buffer[:2] == b"\r\n":
                del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", max(0, self._seen - 3))
        if (end if end >= 0 else len(self._buffer)) > self._limits.head:
            raise HttpError(431, f"the header is longer than {self._limits.head} bytes")
        if end < 0:
            if self._buffer.find(b"\n\n", max(0, self._seen - 1)) >= 0:
                raise HttpError(400, "lines end with a bare line feed")  # no need to wait for what will not come
            if self._buffer and self._buffer[0] not in _TOKEN and self._buffer[:1] != b"\r":
                raise HttpError(400, "no HTTP request; TLS perhaps, which has a port of its own")
            self._seen = len(self._buffer) if len(self._buffer) > 1 else 0
            return None
        head = parse_head(bytes(self._buffer[:end]), self._limits)
        del self._buffer[: end + 4]
        self._seen = 0
        self.head = head
        return head

    def read_body(self) -> bytes | None:
        """The body once it is complete; the reader is then ready for the next request. Raises HttpError."""
        if self.head is None:
            return None
        if self.head.length is not None:
            if len(self._buffer) < self.head.length:
                return None
            body = bytes(self._buffer[: self.head.length])
            del self._buffer[: self.head.length]
        else:
            if not self._chunks():
                return None
            body = bytes(self._body)
            self._body.clear()
            self._chunk, self._trailer = -1, False
        self.head, self._seen = None, 0
        return body

    def _chunks(self) -> bool:
        """Move complete chunks to the body; True when the last one and the trailer are in."""
        while True:
            if self._chunk > 0:
                if len(self._buffer) < self._chunk + 2:
                    return False
                if self._buffer[self._chunk : self._chunk + 2] != b"\r\n":
                    raise HttpError(400, "a chunk is not as long as it says")
                self._body += self._buffer[: self._chunk]
                del self._buffer[: self._chunk + 2]
                self._chunk = -1
            line = self._line()
            if line is None:
                return False
            if self._trailer:
                if not line:
                    return True
                continue
            size = line.split(b";", 1)[0].strip(b" \t")
            if not size or len(size) > 8 or not _HEX.issuperset(size):
                raise HttpError(400, "a chunk's length is not a number")
            self._chunk = int(size, 16)
            self._trailer = self._chunk == 0
            if len(self._body) + self._chunk > self._limits.body:
                raise HttpError(413, f"the body is longer than {self._limits.body} bytes")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _MAX_CHUNK_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_CHUNK_LINE:
                raise HttpError(400, "a chunk's length line is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._trailer_size(len(line))
        return line

    def _trailer_size(self, size: int) -> None:
        if self._trailer:
            self._seen += size + 2
            if self._seen > self._limits.head:
                raise HttpError(431, "the trailer is too long")


def parse_head(data: bytes, limits: Limits) -> Head:
    """Request line and fields (without the empty line at the end). Raises HttpError."""
    first, *lines = data.split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or not parts[0] or not _TOKEN.issuperset(parts[0]) or not _plain(parts[1]):
        raise HttpError(400, "malformed request line")
    version = _version(parts[2])
    if len(lines) > limits.headers:
        raise HttpError(431, f"more than {limits.headers} header fields")
    fields: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not name or not _TOKEN.issuperset(name) or _control(value):
            raise HttpError(400, "malformed header field")
        key = name.decode("ascii").lower()
        fields[key] = (*fields.get(key, ()), _text(value))
    if len(fields.get("host", ())) > 1:
        raise HttpError(400, "more than one Host")
    length = _length(fields, limits)
    expects = [value.lower() for value in fields.get("expect", ())]
    if expects and expects != ["100-continue"]:
        raise HttpError(417, "unknown expectation")
    options = {option.strip().lower() for value in fields.get("connection", ()) for option in value.split(",")}
    keep = "close" not in options and (version >= (1, 1) or "keep-alive" in options)
    method, target = parts[0].decode("ascii"), parts[1].decode("ascii")
    return Head(method, target, version, fields, length, keep, bool(expects) and version >= (1, 1))


def _control(value: bytes) -> bool:
    return any((c < 32 and c != 9) or c == 127 for c in value)


def _plain(target: bytes) -> bool:
    return bool(target) and all(32 < c < 127 for c in target)


def _text(value: bytes) -> str:
    """Header bytes as text: UTF-8 where they are that (CIMObject of some clients), else one character per byte."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _version(text: bytes) -> tuple[int, int]:
    if len(text) != 8 or not text.startswith(b"HTTP/") or text[6:7] != b"." or not (text[5:6] + text[7:8]).isdigit():
        raise HttpError(400, "malformed HTTP version")
    major, minor = text[5] - 48, text[7] - 48
    if major != 1:
        raise HttpError(505, "only HTTP/1.0 and 1.1 are spoken here")
    return major, min(minor, 1)


def _length(fields: Mapping[str, tuple[str, ...]], limits: Limits) -> int | None:
    """The body's length: None for chunks, 0 if nothing is said. Zero-padded lengths are fine."""
    lengths, codings = fields.get("content-length", ()), fields.get("transfer-encoding", ())
    if codings:
        if lengths:
            raise HttpError(400, "both Content-Length and Transfer-Encoding")
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise HttpError(501, "no transfer coding but chunked is spoken here")
        return None
    if not lengths:
        return 0
    values = {text.strip() for value in lengths for text in value.split(",")}
    if len(values) != 1:
        raise HttpError(400, "unlike Content-Length fields")
    text = values.pop()
    if not text.isascii() or not text.isdigit():
        raise HttpError(400, "Content-Length is not a number")
    significant = text.lstrip("0") or "0"
    if len(significant) > 12 or int(significant) > limits.body:
        raise HttpError(413, f"the body is longer than {limits.body} bytes")
    return int(significant)


def has_length(head: Head) -> bool:
    """Whether the request says where its body ends."""
    return head.length is None or "content-length" in head.fields
