"""Files that the ``lad config`` commands are given: bounded bytes, and JSON with its faults located."""

from __future__ import annotations

import sys

from extension.config.problems import Problems

MAX_BYTES = 16 << 20


class InputError(Exception):
    """A file that cannot be used; one line that names it."""


def name(path: str) -> str:
    """What messages call it."""
    return "standard input" if path == "-" else path


def read(path: str) -> bytes:
    """The file's bytes; ``-`` is standard input. InputError if it cannot be read or is over 16 MiB."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(f"{name(path)}: cannot be read: {problem.strerror}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{name(path)}: is larger than {MAX_BYTES} bytes")
    return data


def json_value(data: bytes, path: str, root: str, problems: Problems) -> object:
    """The JSON value in ``data``; ``problems`` names keys that stand twice below ``root``. InputError if none."""
    from extension.config import jsontext

    try:
        return jsontext.parse(data, root, problems)
    except jsontext.JsonError as problem:
        raise InputError(f"{name(path)}{problem.where}: {problem}. Cure: {problem.cure}") from None
