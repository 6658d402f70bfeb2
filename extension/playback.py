"""A recording run through the collector on a virtual clock: hours in seconds, the same rows each time.

Nothing here sleeps or looks at the real time: the clock stands at the next thing to do, be it a query's next time, a
message to an input socket, or the recording's end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from omi_queries.recording import InputEvent

US = 1_000_000
MAX_GROUP = 500
"""Messages that are fed at once when nothing else is due between them."""


@dataclass
class VirtualClock:
    """Unix seconds that only :func:`play` moves."""

    now: float

    def __call__(self) -> float:
        return self.now


class Player(Protocol):
    """What of a collector is needed here."""

    def start(self) -> None:
        """Open the queries."""

    def next_due(self) -> float:
        """Unix time of the next tick."""

    def tick(self) -> bool:
        """Ask what is due, close what has ended."""

    def settle(self) -> bool:
        """Close what has ended without waiting for late rows."""


@dataclass
class Played:
    """``ticks`` and ``messages`` that were run; ``rejected``: messages that their socket would refuse, by reason."""

    ticks: int = 0
    messages: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


Feed = Callable[[list[InputEvent]], dict[str, int]]
"""Puts messages into the pipelines; how many were rejected, by reason."""


def play(
    collector: Player,
    clock: VirtualClock,
    first_us: int,
    last_us: int,
    events: Iterable[InputEvent],
    feed: Feed,
    after: Callable[[], None] = lambda: None,
) -> Played:
    """Run from ``first_us`` to ``last_us`` (Unix microseconds), both included; ``after`` is called after each step.

    Queries are asked at the multiples of their rates. At equal times a tick comes before a message, and windows that
    end with the recording are closed; those that end later are not.
    """
    played = Played()
    end = last_us / US
    clock.now = (first_us - 1) / US  # so that a query that is due at the first instant is asked then
    collector.start()
    waiting = _Waiting(events)
    while True:
        due = max(collector.next_due(), clock.now)
        group = waiting.before(min(due, end), including=due > end)
        if group:
            clock.now = max(clock.now, group[-1].at_us / US)
            for reason, n in feed(group).items():
                played.rejected[reason] = played.rejected.get(reason, 0) + n
            played.messages += len(group)
            after()
            continue
        if due > end:
            break
        if due <= clock.now and played.ticks:
            due = clock.now = clock.now + 1.0  # a collector that is never done must not stop the clock
        clock.now = due
        collector.tick()
        played.ticks += 1
        after()
    clock.now = end
    collector.settle()
    after()
    return played


class _Waiting:
    """Messages in order of time, read ahead by one."""

    def __init__(self, events: Iterable[InputEvent]) -> None:
        self._events: Iterator[InputEvent] = iter(events)
        self._next = next(self._events, None)

    def before(self, moment: float, including: bool) -> list[InputEvent]:
        """The next messages, a group at most, of times before (or at) ``moment`` (Unix s)."""
        limit = round(moment * US) + including
        group: list[InputEvent] = []
        while self._next is not None and self._next.at_us < limit and len(group) < MAX_GROUP:
            group.append(self._next)
            self._next = next(self._events, None)
        return group
