"""What a value with a secret shows of itself, in a traceback or a log."""

from __future__ import annotations

from typing import NamedTuple


def without(value: NamedTuple, *hidden: str) -> str:
    """``value`` as a named tuple shows itself, but for the fields ``hidden``."""
    shown = (f"{name}={field!r}" for name, field in value._asdict().items() if name not in hidden)
    return f"{type(value).__qualname__}({', '.join(shown)})"
