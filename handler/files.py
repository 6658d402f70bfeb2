"""Private files written in one step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping


def replace_all(contents: Mapping[str, bytes], mode: int = 0o600) -> None:
    """Put every content at its path or, if one cannot be written, none of them (OSError).

    All temporary files are complete before the first rename, so a full disk leaves the old set untouched.
    """
    written: list[tuple[str, str]] = []
    try:
        for path, data in contents.items():
            temporary = f"{path}.{os.getpid()}.tmp"
            written.append((temporary, path))
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            try:
                with os.fdopen(fd, "wb") as out:
                    out.write(data)
            except OSError as error:  # of a full disk: it does not say which file
                raise OSError(error.errno, error.strerror, path) from None
        for temporary, path in written:
            os.replace(temporary, path)
    finally:
        for temporary, _ in written:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def replace(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` at ``path`` in one step; OSError if it cannot be written."""
    replace_all({path: data}, mode)


def read_text(path: str, limit: int = 64 * 1024) -> str | None:
    """At most ``limit`` bytes of a small text file, or None if it is not there or not readable."""
    try:
        with open(path, "rb") as source:
            return source.read(limit).decode("utf-8", "replace")
    except OSError:
        return None


def remove(path: str) -> bool:
    """Delete a file; whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
