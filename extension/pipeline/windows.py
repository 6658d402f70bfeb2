"""Who reads the in-memory tables, in windows aligned to the Unix epoch (spec/mdsd.md 2.3). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extension.plan import Derived, Plan

GRACE_S = 5
"""Windows of tables that clients feed are closed so many seconds after their end: rows that clients date themselves
arrive a little late (mdsd waits 2 to 7 s)."""


@dataclass(frozen=True)
class Producer:
    """A consumer that feeds another: ``copies`` keep the times of their rows, metrics carry their window's end."""

    id: str
    duration: int
    copies: bool


@dataclass(frozen=True)
class Consumer:
    """A RouteEvent or DerivedEvent. ``id`` names its windows over restarts; ``external``: clients feed its table;
    ``route``: it is a RouteEvent; ``producers``: the consumers before it in the document that feed its table."""

    id: str
    event: Derived
    external: bool = False
    route: bool = False
    producers: tuple[Producer, ...] = ()


def window_id(event: Derived) -> str:
    """What identifies an event's windows."""
    return f"{event.source}|{event.duration}|{event.target.event}|{event.target.store}"


def consumers(plan: Plan) -> tuple[Consumer, ...]:
    """All of a plan, those that feed others first (a document names a source before its use)."""
    declared = {source.name for source in plan.sources}
    routes = [Derived(route.source, route.period, route.target) for route in plan.routes]
    found: list[Consumer] = []
    seen: dict[str, int] = {}
    for number, event in enumerate([*routes, *plan.derived]):
        known = window_id(event)
        seen[known] = seen.get(known, 0) + 1
        producers = tuple(
            Producer(c.id, c.event.duration, c.event.lad is None)
            for c in found
            if c.event.target.store == "local" and c.event.target.event == event.source
        )
        found.append(
            Consumer(
                known if seen[known] == 1 else f"{known}|{seen[known]}",
                event,
                event.source in declared,
                number < len(routes),
                producers,
            )
        )
    return tuple(found)


def closable(consumer: Consumer, closed: Mapping[str, int], now: float, grace_s: float = GRACE_S) -> int:
    """The end (Unix s) up to which windows may be closed at ``now``: nothing can be added to them any more.

    ``closed``: up to where the windows of every consumer are closed. A metric row is dated at its window's end, so a
    second stage has it one interval later.
    """
    limit = now - grace_s if consumer.external else now
    for producer in consumer.producers:
        limit = min(limit, closed[producer.id] + (0 if producer.copies else producer.duration))
    return int(limit) // consumer.event.duration * consumer.event.duration


def next_close(found: Sequence[Consumer], closed: Mapping[str, int], grace_s: float = GRACE_S) -> float:
    """The earliest time (Unix s) at which a window of any consumer can be closed; inf without consumers.

    ``found`` as :func:`consumers` orders them: one that waits for another is not due before that one is.
    """
    due: dict[str, float] = {}
    for consumer in found:
        end = closed[consumer.id] + consumer.event.duration
        at = end + (grace_s if consumer.external else 0.0)
        for producer in consumer.producers:
            if closed[producer.id] + (0 if producer.copies else producer.duration) < end:
                at = max(at, due[producer.id])
        due[consumer.id] = at
    return min(due.values(), default=math.inf)
