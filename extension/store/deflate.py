"""Compression of what waits in the outbox: zlib streams, as :func:`zlib.decompress` takes them. Pure."""

from __future__ import annotations

import zlib

LEVEL = 1
SHORT = 16384
"""Bytes up to which a text loses nothing by a window of 8 KiB."""
_WINDOW_BITS, _MEMORY = 13, 6


def compressed(data: bytes) -> bytes:
    """``data`` as a zlib stream. For a short text most of the work is to clear zlib's tables of 200 KiB, once a minute
    in caches that have forgotten them: it gets smaller ones."""
    if len(data) > SHORT:
        return zlib.compress(data, LEVEL)
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return stream.compress(data) + stream.flush()
