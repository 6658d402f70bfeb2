"""Files that the ``lad config`` commands are given: bounded bytes, and JSON with its faults located."""

from __future__ import annotations

import os
import sys

from extension.config.problems import Problem, Problems
from extension.config.redact import redacted

MAX_BYTES = 16 << 20


class InputError(Exception):
    """A file that cannot be used: one line that names it, the reason and the cure; ``problem`` has them apart."""

    def __init__(self, path: str, message: str, cure: str) -> None:
        self.problem = Problem("error", redacted(path), message, cure)
        super().__init__(self.problem.render().removeprefix("error: "))


def name(path: str) -> str:
    """What messages call it. Settings given in place of a file's name are not repeated: they hold secrets."""
    if path == "-":
        return "standard input"
    return "the argument" if _settings_themselves(path) else path


def _settings_themselves(path: str) -> bool:
    return path.lstrip().startswith(("{", "[", "<")) and not os.path.exists(path)


def read(path: str) -> bytes:
    """The file's bytes; ``-`` is standard input. InputError if it cannot be read or is over 16 MiB."""
    try:
        if _settings_themselves(path):
            raise InputError(name(path), "is not the name of a file but what a file should hold", "save it in a file")
        if path == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(name(path), f"cannot be read: {problem.strerror}", "give a file that is there") from None
    if len(data) > MAX_BYTES:
        raise InputError(name(path), f"is larger than {MAX_BYTES} bytes", "give a smaller file")
    return data


def json_value(data: bytes, path: str, root: str, problems: Problems) -> object:
    """The JSON value in ``data``; ``problems`` names keys that stand twice below ``root``. InputError if none."""
    from extension.config import jsontext

    try:
        return jsontext.parse(data, root, problems)
    except jsontext.JsonError as problem:
        raise InputError(f"{name(path)}{problem.where}", str(problem), problem.cure) from None
