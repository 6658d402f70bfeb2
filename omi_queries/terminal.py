"""How wide the terminal is, as :mod:`shutil` tells it, without that module's five milliseconds of archives."""

from __future__ import annotations

import os
import sys


def size(fallback: tuple[int, int] = (80, 24)) -> os.terminal_size:
    """Columns and lines: COLUMNS and LINES where they are positive numbers, else what the terminal of standard output
    says, else ``fallback``."""
    told = [_number("COLUMNS"), _number("LINES")]
    if min(told) > 0:
        return os.terminal_size((told[0], told[1]))
    try:
        asked = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else -1)
    except (ValueError, OSError):
        asked = os.terminal_size(fallback)
    columns, lines = (
        given if given > 0 else found or usual for given, found, usual in zip(told, asked, fallback, strict=True)
    )
    return os.terminal_size((columns, lines))


def _number(variable: str) -> int:
    try:
        return int(os.environ.get(variable, ""))
    except ValueError:
        return 0
