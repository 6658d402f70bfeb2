"""Partition and row keys of both families (spec/mdsd.md 3.2 and 3.5)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from extension.rows import ticks

_M64 = (1 << 64) - 1
_C1, _C2, _C3, _C4 = 0x239B961B, 0xAB0E9789, 0x561CCD1B, 0x0BCAA747
_C5, _C6 = 0x85EBCA6B, 0xC2B2AE35
_SEP = "___"
KEY_LIMIT = 256
"""Longest encoded metric name; longer ones are cut and closed with a hash."""


def easy_hash(text: str) -> int:
    """EasyHash: ``h = 37*h + byte`` in unsigned 64 bits; bytes from 0x80 are sign-extended to 32 bits first."""
    h = 0
    for byte in text.encode():
        h = (37 * h + (byte if byte < 128 else byte + 0xFFFFFF00)) & _M64
    return h


def identity_text(values: Iterable[str]) -> str:
    """The identity values joined as they stand in keys."""
    return _SEP.join(values)


def partition_number(identity: str, partitions: int) -> str:
    """``N``: which of the ``partitions`` partitions this identity writes to, 19 digits."""
    return f"{easy_hash(identity) % partitions:019d}"


def default_partition_key(n: str, base_seconds: int) -> str:
    """PartitionKey of rows that are not metrics; ``base_seconds`` is qibase or the window's start (Unix)."""
    return f"{n}{_SEP}{ticks.ascending(base_seconds)}"


def row_index(number: int) -> str:
    """RowIndex text, 19 digits."""
    return f"{number:019d}"


def first_row_index(unix_seconds: int, writer: int = 0) -> int:
    """First RowIndex of the ``writer``-th writer of a process that starts at ``unix_seconds``."""
    return (unix_seconds % (1 << 20)) * (1 << 32) + writer * (1 << 54)


def default_row_key(identity: str, index: str) -> str:
    """RowKey of rows that are not metrics."""
    return f"{identity}{_SEP}{index}"


def _rotl(x: int, r: int) -> int:
    return ((x << r) | (x >> (64 - r))) & _M64


def _word(data: bytes) -> int:
    """Up to four bytes, little-endian; each signed byte is or-ed in, and four of them are sign-extended to 64 bits."""
    value = 0
    for i, byte in enumerate(data):
        value |= (byte if byte < 128 else byte - 256) << (8 * i)
    if len(data) == 4:
        value &= 0xFFFFFFFF
        if value & 0x80000000:
            value |= 0xFFFFFFFF00000000
    return value & _M64


def name_hash(data: bytes) -> int:
    """The 64-bit two-lane Murmur variant that closes over-long metric names (seed 0)."""
    h1 = h2 = 0
    blocks = len(data) // 8 * 8
    for i in range(0, blocks, 8):
        h1 ^= _rotl(_word(data[i : i + 4]) * _C1 & _M64, 15) * _C2 & _M64
        h1 = (((_rotl(h1, 19) + h2) & _M64) * 5 + _C3) & _M64
        h2 ^= _rotl(_word(data[i + 4 : i + 8]) * _C2 & _M64, 17) * _C1 & _M64
        h2 = (((_rotl(h2, 13) + h1) & _M64) * 5 + _C4) & _M64
    tail = data[blocks:]
    if tail:
        h1 ^= _rotl(_word(tail[:4]) * _C1 & _M64, 15) * _C2 & _M64
    if len(tail) > 4:
        h2 ^= _rotl(_word(tail[4:]) * _C2 & _M64, 17) * _C1 & _M64
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = (h1 + h2) & _M64
    h2 = (h2 + h1) & _M64
    h1, h2 = _mix(h1), _mix(h2)
    h1 = (h1 + h2) & _M64
    h2 = (h2 + h1) & _M64
    return ((h2 << 32) & _M64) | h1


def _mix(h: int) -> int:
    h ^= h >> 16
    h = h * _C5 & _M64
    h ^= h >> 13
    h = h * _C6 & _M64
    return h ^ (h >> 16)


@lru_cache(maxsize=1024)
def encode_metric(name: str) -> str:
    """``M``: the metric name as it stands in row keys.

    ASCII letters and digits stay; every other byte of its UTF-8 form becomes ``:`` and four upper-case hex digits
    (bytes from 0x80 sign-extended, ``:FFxx``). Over 256 characters: the first 239, ``|`` and 16 hex digits of
    :func:`name_hash` over the whole encoded text.
    """
    out = "".join(
        chr(b) if b < 128 and chr(b).isalnum() else f":{b if b < 128 else b + 0xFF00:04X}" for b in name.encode()
    )
    if len(out) > KEY_LIMIT:
        out = f"{out[: KEY_LIMIT - 17]}|{name_hash(out.encode('ascii')):016x}"
    return out


_descending = lru_cache(maxsize=64)(ticks.descending)


def metric_row_keys(name: str, window_start: int, instance_id: str = "") -> tuple[str, str]:
    """The two mirrored RowKeys of a metric row whose window starts at ``window_start`` (Unix seconds)."""
    first, second = all_metric_row_keys([name], window_start, instance_id)
    return first, second


def all_metric_row_keys(names: Iterable[str], window_start: int, instance_id: str = "") -> list[str]:
    """:func:`metric_row_keys` of several names, one pair after the other."""
    when = _descending(window_start)
    end = f"__{instance_id}" if instance_id else ""
    return [key for m in map(encode_metric, names) for key in (f"{when}__{m}{end}", f"{m}__{when}{end}")]
