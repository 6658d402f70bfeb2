"""How much CPU clients may cost: a flood slows its senders down, not the machine."""

from __future__ import annotations

from collections.abc import Callable

SHARE = 0.2
"""Of one CPU over minutes; the watchdog restarts a collector that uses a quarter for long."""
BURST_S = 5.0
"""CPU seconds that may be spent at once after a quiet time."""
LATER_S = 75e-6
"""What an event is charged for the time when its window becomes rows.

That takes less, but in one piece: at this price the events of a minute take about a second of it.
"""
_RESUME_S = 0.05


class Throttle:
    """A bucket of CPU seconds, refilled with the time that ``monotonic`` gives."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._at = monotonic()
        self._credit = BURST_S
        self.closed = False

    def spend(self, cpu_s: float, events: int) -> None:
        """A turn used ``cpu_s`` and stored ``events``; ``closed`` says whether clients have to wait now."""
        at = self._monotonic()
        earned = SHARE * max(0.0, at - self._at) - max(0.0, cpu_s) - events * LATER_S
        self._at = at
        self._credit = max(-BURST_S, min(BURST_S, self._credit + earned))
        self.closed = self._credit < (_RESUME_S if self.closed else 0.0)

    def resumes_in(self) -> float:
        """Seconds from the last :meth:`spend` until clients are served again, 0 while they are."""
        return max(0.0, _RESUME_S - self._credit) / SHARE if self.closed else 0.0
