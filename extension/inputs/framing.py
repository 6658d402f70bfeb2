"""Bytes of a connection cut into messages, and a message's bytes read as JSON (spec/mdsd.md 6.1, 6.2).

Cutting is linear in the bytes, however they are split over reads.
"""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

MAX_STATIC = 4 << 20
"""Bytes of an incomplete static message: more than that is a client out of step."""
MAX_DYNAMIC = 131_071
MAX_LENGTH_TEXT = 7
MAX_DEPTH = 64
"""Of nested arrays and objects; an event needs 2."""
MAX_SCALAR = 400
_MAX_DIGITS = 400

_SPACE = re.compile(rb"[ \t-\r]*")
_BRACKET = re.compile(rb'["{}\[\]]')
_NO_OBJECT = re.compile(rb'\{[ \t-\r]*[^ \t-\r"}]')
_STRING = re.compile(rb'["\\]')
_TOKEN = re.compile(rb'[^ \t-\r"{}\[\],:]*')
_LENGTH = re.compile(rb"[ \t-\r]*\+?(\d+)[ \t-\r]*")


class FrameError(Exception):
    """The bytes are no messages; a reason without the bytes themselves. Nothing after them can be understood."""


class Framer(Protocol):
    """The bytes of one connection that are not yet messages."""

    def feed(self, data: bytes) -> None:
        """Append what was read."""

    def next(self) -> bytes | None:
        """The next complete message, None until more is fed. Raises FrameError."""

    def __len__(self) -> int:
        """Bytes held."""


class StaticFramer:
    """JSON values one after the other, with nothing or white space between them."""

    def __init__(self, limit: int = MAX_STATIC) -> None:
        self._limit = limit
        self._data = bytearray()
        self._restart()

    def _restart(self) -> None:
        self._at = 0
        self._depth = 0
        self._in_string = False

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Append what was read."""
        self._data += data

    def next(self) -> bytes | None:
        """The bytes of the next JSON value. FrameError for what cannot begin or nest as one, or is too long."""
        if not self._at:
            space = _SPACE.match(self._data)
            if space is not None and space.end():
                del self._data[: space.end()]
            if not self._data:
                return None
            if self._data[0] not in b'{["':
                return self._scalar()
        end = self._end()
        if end is None:
            if _NO_OBJECT.match(self._data):
                raise FrameError("not JSON: an object begins with neither a name nor its end")
            if len(self._data) > self._limit:
                raise FrameError(f"a message is incomplete after {self._limit} bytes")
            return None
        message = bytes(self._data[:end])
        del self._data[:end]
        self._restart()
        return message

    def _end(self) -> int | None:
        """Where the value that begins the buffer ends; scanning goes on where it stopped the last time."""
        data = self._data
        while True:
            found = (_STRING if self._in_string else _BRACKET).search(data, self._at)
            if found is None:
                self._at = max(self._at, len(data))
                return None
            byte = data[found.start()]
            self._at = found.end()
            if byte == 0x5C:  # backslash: whatever follows belongs to it
                self._at += 1
            elif byte == 0x22:
                self._in_string = not self._in_string
                if not self._in_string and not self._depth:
                    return self._at
            elif byte in b"{[":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise FrameError(f"a message is nested deeper than {MAX_DEPTH}")
            else:
                self._depth -= 1
                if not self._depth:
                    return self._at

    def _scalar(self) -> bytes | None:
        """A number or word at the beginning; it is complete when something follows it."""
        if self._data[0] not in b"-0123456789tfn":
            raise FrameError("what was sent is not JSON")
        token = _TOKEN.match(self._data)
        end = token.end() if token is not None else 0
        if end > MAX_SCALAR:
            raise FrameError("what was sent is not JSON")
        if end == len(self._data):
            return None
        message = bytes(self._data[:end])
        del self._data[:end]
        return message


class DynamicFramer:
    """Decimal byte count, newline, that many bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._size: int | None = None

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Append what was read."""
        self._data += data

    def next(self) -> bytes | None:
        """The bytes of the next frame. FrameError for a length that is no number from 1 to 131,071."""
        if self._size is None:
            end = self._data.find(b"\n", 0, MAX_LENGTH_TEXT + 1)
            if end < 0:
                if len(self._data) > MAX_LENGTH_TEXT:
                    raise FrameError(f"a frame's length has more than {MAX_LENGTH_TEXT} characters")
                return None
            length = _LENGTH.fullmatch(self._data, 0, end)
            size = int(length[1]) if length is not None else 0
            if not 0 < size <= MAX_DYNAMIC:
                raise FrameError(f"a frame's length is not a number from 1 to {MAX_DYNAMIC}")
            del self._data[: end + 1]
            self._size = size
        if len(self._data) < self._size:
            return None
        message = bytes(self._data[: self._size])
        del self._data[: self._size]
        self._size = None
        return message


def _integer(digits: str) -> int | float:
    """Too many digits are read as a double: turning them into an integer takes time that grows with their square."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_LENIENT = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=_constant)
_STRICT = json.JSONDecoder(strict=True, parse_int=_integer, parse_constant=_constant)


def parse(message: bytes, *, strict: bool) -> tuple[object, bool]:
    """The JSON value of a message, and whether bytes that are not UTF-8 had to be replaced (U+FFFD).

    ``strict`` refuses raw control characters in strings. Raises ValueError, without the message's content.
    """
    try:
        decoded, replaced = message.decode(), False
    except UnicodeDecodeError:
        decoded, replaced = message.decode("utf-8", "replace"), True
    try:
        return (_STRICT if strict else _LENIENT).decode(decoded), replaced
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
