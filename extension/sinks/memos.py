"""What sinks of text rows remember between attempts and over restarts, so that nothing is written twice."""

from __future__ import annotations

from typing import Protocol


class Memos(Protocol):
    """Small durable values by name; the oldest of hundreds may be forgotten."""

    def recall(self, key: str) -> str | None:
        """The value that was remembered last, None if there is none."""

    def remember(self, key: str, value: str) -> None:
        """Keep a value over a kill of the process."""


class Forgetful:
    """Remembers only as long as it lives: for commands that end."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        """See :class:`Memos`."""
        return self._values.get(key)

    def remember(self, key: str, value: str) -> None:
        """See :class:`Memos`."""
        self._values[key] = value


def split(text: str | None) -> tuple[str, int] | None:
    """(key of the batch, number) of a memo as :func:`joined` writes it; None for anything else."""
    key, _, number = (text or "").rpartition(" ")
    return (key, int(number)) if key and number.isascii() and number.isdigit() else None


def joined(key: str, number: int) -> str:
    """The way back from :func:`split`."""
    return f"{key} {number}"
