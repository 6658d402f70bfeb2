"""What takes nothing for now though its service is well: a table, or one place (a blob) of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from extension.sinks.base import SinkError


class Aside(NamedTuple):
    """``until`` (monotonic s) it is not tried; failures in a row; the batches that are known to wait for it."""

    until: float
    failures: int
    error: SinkError
    batches: set[int]


class Asides:
    """Those of one lane. ``monotonic`` gives seconds; ``delay(error, failures)`` the wait until the next attempt.

    What is put aside in a round, or rests when it begins, stays so until its end: rows of one place keep their order.
    """

    def __init__(self, monotonic: Callable[[], float], delay: Callable[[SinkError, int], float]) -> None:
        self._monotonic, self._delay = monotonic, delay
        self._known: dict[tuple[str, str], Aside] = {}
        self._resting: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        """Whether anything is put aside."""
        return bool(self._known)

    def begin(self) -> set[str | int]:
        """Begin a round: the tables and the batches that are not tried in it."""
        self._resting.clear()
        if not self._known:
            return set()
        now = self._monotonic()
        without: set[str | int] = set()
        for key, aside in self._known.items():
            if aside.until > now:
                self._resting.add(key)
                without.update(aside.batches if key[1] else {key[0]})
        return without

    def hold(self, batch: int, table: str, place: str = "") -> bool:
        """Whether a batch waits in this round."""
        if (table, "") in self._resting:
            return True
        if place and (table, place) in self._resting:
            self._known[table, place].batches.add(batch)
            return True
        return False

    def add(self, batch: int, table: str, error: SinkError) -> None:
        """A batch has to wait, and with it what goes where it goes."""
        key = (table, error.place)
        before = self._known.get(key)
        failures, batches = (before.failures + 1, before.batches) if before else (1, set[int]())
        batches.add(batch)
        self._known[key] = Aside(self._monotonic() + self._delay(error, failures), failures, error, batches)
        self._resting.add(key)

    def remove(self, table: str, place: str) -> None:
        """Rows are taken there again."""
        for key in ((table, ""), (table, place)):
            self._known.pop(key, None)
            self._resting.discard(key)

    def forget_emptied(self) -> bool:
        """After a round that saw all that is queued: forget what nothing waits for any more. True if that was all."""
        before = len(self._known)
        self._known = {key: aside for key, aside in self._known.items() if key in self._resting}
        return bool(before) and not self._known

    def wait_s(self) -> float:
        """Seconds until the next of those that rest is tried."""
        now = self._monotonic()
        return max(0.0, min((self._known[key].until for key in self._resting), default=now) - now)

    def first(self) -> tuple[SinkError, str] | None:
        """Of what is put aside, one with its table; None if there is none."""
        for (table, _), aside in self._known.items():
            return aside.error, table
        return None
