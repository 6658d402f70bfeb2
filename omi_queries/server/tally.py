"""Counts of what was refused or given up, by reason; each reason is told when it is new and then once a minute."""

from __future__ import annotations

from collections.abc import Callable

_EVERY_S = 60.0


class Tally:
    """``clock`` gives monotonic seconds, ``say`` takes one line."""

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock = clock
        self._say = say
        self._told: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def count(self, reason: str) -> None:
        """Count one; reasons are few and fixed texts, nothing of a request is in them."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        now = self._clock()
        if reason not in self._told or now - self._told[reason] >= _EVERY_S:
            self._told[reason] = now
            self._say(f"{reason} ({self.counts[reason]} since the start)")

    def summary(self) -> str:
        """All counts in one line, "" if there are none."""
        return ", ".join(f"{reason}: {count}" for reason, count in sorted(self.counts.items()))
