"""Messages between a backend and its worker: four bytes of length (big-endian), then one JSON value."""

from __future__ import annotations

import json
import os
import struct

_LENGTH = struct.Struct(">I")
MAX_FRAME = 32 << 20


class FrameError(Exception):
    """Bytes that are no message."""


def encode(value: object) -> bytes:
    """One message; FrameError if it would be longer than :data:`MAX_FRAME`."""
    data = json.dumps(value, separators=(",", ":")).encode("ascii")
    if len(data) > MAX_FRAME:
        raise FrameError(f"longer than {MAX_FRAME >> 20} MiB")
    return _LENGTH.pack(len(data)) + data


def take(buffer: bytearray) -> object | None:
    """Take the first whole message off ``buffer``; None if it is not complete. FrameError if it can never be."""
    if len(buffer) < 4:
        return None
    (size,) = _LENGTH.unpack_from(buffer)
    if size > MAX_FRAME:
        raise FrameError(f"a message of {size} bytes")
    if len(buffer) < 4 + size:
        return None
    data = bytes(buffer[4 : 4 + size])
    del buffer[: 4 + size]
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        raise FrameError("a message that is not JSON") from None
    if value is None:
        raise FrameError("an empty message")
    return value


def receive(fd: int) -> object | None:
    """Wait for one message on ``fd``; None at the end of the stream."""
    buffer = bytearray()
    while True:
        found = take(buffer)
        if found is not None:
            return found
        # never more than this message: the next one stays in the pipe
        wanted = 4 - len(buffer) if len(buffer) < 4 else 4 + _LENGTH.unpack_from(buffer)[0] - len(buffer)
        data = os.read(fd, min(wanted, 65536))
        if not data:
            return None
        buffer += data


def send(fd: int, value: object) -> None:
    """Write one message whole (BrokenPipeError if nobody reads it)."""
    data = memoryview(encode(value))
    while data:
        data = data[os.write(fd, data) :]
