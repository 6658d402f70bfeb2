"""Digests that identify, and protect nothing."""

from __future__ import annotations

from importlib import import_module


def digest(algorithm: str, data: bytes) -> bytes:
    """The ``md5`` or ``sha1`` of ``data``, from the interpreter's own module where it has one: hashlib loads OpenSSL,
    4 MiB and some milliseconds."""
    try:
        module = import_module(f"_{algorithm}")
    except ImportError:
        module = import_module("hashlib")
    found: bytes = getattr(module, algorithm)(data, usedforsecurity=False).digest()
    return found
