"""What a document promises: which counters have to stand in each window of which table. Pure.

What cannot be told from the document (rows of clients, blobs, messages) is named in notes instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from extension import steps
from extension.pipeline import windows
from extension.plan import Derived, Plan, Query, Target
from extension.store.gaps import query_key

_ONE = re.compile(
    r"""(?ix)\bFROM\s+(?: SCX_(?:MemoryStatisticalInformation|OperatingSystem)\b
    | \w+\s+WHERE\s+(?: Name\s*=\s*(?:'[^']*'|"[^"]*") | IsAggregate\s*=\s*TRUE )\s*;?\s*$ )"""
)


@dataclass(frozen=True)
class Feed:
    """A query (its key in the store's record) that gives a counter every ``rate`` seconds."""

    query: str
    rate: int


@dataclass(frozen=True)
class Expected:
    """One event that goes to a table.

    ``kind``: ``metric`` rows have keys of window and counter, in two mirrored copies; ``rows`` are found by the window
    in their TIMESTAMP. ``series``: counter -> the queries that give it ("" stands for any row). The row of the window
    that begins at w is made of samples of [w - lead_s, w + window_s - lead_s) and is queued delay_s after its end at
    the latest; ``consumer``: its id among the store's windows, "" where nothing is waited for; ``dated_at_end``: that
    consumer takes the row at its window's end. ``samples``: how many different sample times a window may hold;
    ``most``: how many rows of a counter; 0 for any number.
    """

    event: str
    target: Target
    kind: Literal["metric", "rows"]
    window_s: int
    series: dict[str, tuple[Feed, ...]]
    column: str = ""
    partition_key: str = ""
    instance_id: str = ""
    lead_s: int = 0
    delay_s: int = 0
    consumer: str = ""
    samples: int = 0
    most: int = 0
    dated_at_end: bool = False


@dataclass
class _Origin:
    """Where the records of an in-memory table come from. ``stage``: the metric stage before it, if there is one."""

    feeds: dict[str, list[Feed]] = field(default_factory=dict)
    columns: set[tuple[str, str]] = field(default_factory=set)
    stage: Derived | None = None
    lead_s: int = 0
    clients: bool = False


def expectations(plan: Plan) -> tuple[list[Expected], list[str]]:
    """The events of ``plan`` that can be audited, and why others cannot."""
    found: list[Expected] = []
    notes: list[str] = []
    for expected in (*_raw(plan, notes), *_consumed(plan, notes)):
        if isinstance(expected, str):
            notes.append(expected)
        else:
            found.append(expected)
    return found, list(dict.fromkeys(notes))


def _elsewhere(target: Target) -> str | None:
    if target.store in ("jsonblob", "file"):
        return f"{target.event}: {target.store} rows are not read back"
    return None


def _raw(plan: Plan, notes: list[str]) -> Iterator[Expected]:
    """Queries whose rows go straight to a table: a row for every instance or counter at every multiple of the rate."""
    same = {(q.target, q.rate): 0 for q in plan.queries}
    for query in plan.queries:
        same[query.target, query.rate] += 1
    for (target, rate), count in same.items():
        note = _elsewhere(target)
        if note is not None:
            notes.append(note)
        if target.store != "table":
            continue
        feeds: dict[str, list[Feed]] = {}
        column = ""
        for query in plan.queries:
            if (query.target, query.rate) == (target, rate):
                column = query.unpivot.column_name if query.unpivot else column
                for counter in steps.counters(query) or [""]:
                    feeds.setdefault(counter, []).append(Feed(query_key(query), rate))
        others = sum(1 for q in plan.queries if q.target == target) > count
        known = [q for q in plan.queries if (q.target, q.rate) == (target, rate)]
        most = count if not others and all(_gives_one(q) for q in known) else 0
        yield Expected(
            target.event, target, "rows", rate, _frozen(feeds), column, delay_s=2,
            samples=0 if others else count, most=most,
        )  # fmt: skip


def _gives_one(query: Query) -> bool:
    """Whether a query gives one instance at most: its class has no more, or its condition names one."""
    return bool(_ONE.search(query.text))


def _consumed(plan: Plan, notes: list[str]) -> Iterator[Expected | str]:
    for consumer in windows.consumers(plan):
        event = consumer.event
        note = _elsewhere(event.target)
        if note is not None:
            notes.append(note)
        if event.target.store != "table":
            continue
        origin = _origin(plan, event.source, frozenset())
        if origin.clients:
            yield f"{event.target.event}: made of what clients send to {event.source}, which no document tells"
        elif event.lad is not None:
            yield _metric(event, origin, consumer.id)
        elif origin.stage is not None and origin.stage.lad is not None:
            lad, first = origin.stage.lad, origin.stage.duration
            yield Expected(
                event.target.event, event.target, "metric", first, _frozen(origin.feeds), lad.column_name,
                lad.partition_key, lad.instance_id, origin.lead_s - first, first + event.duration, consumer.id,
                dated_at_end=True,
            )  # fmt: skip
        else:
            column = next(iter(sorted(origin.columns)), ("", ""))[0]
            yield Expected(
                event.target.event, event.target, "rows", event.duration, _frozen(origin.feeds), column,
                delay_s=windows.GRACE_S, consumer=consumer.id,
            )  # fmt: skip


def _metric(event: Derived, origin: _Origin, consumer: str) -> Expected | str:
    lad = event.lad
    assert lad is not None  # the caller has seen it
    name = event.target.event
    if not origin.feeds or "" in origin.feeds:
        return f"{name}: the counters of {event.source} are known only when it is asked"
    if origin.stage is None and origin.columns != {(lad.column_name, lad.column_value)}:
        return f"{name}: its LADQuery reads other columns than the Unpivot of {event.source} makes"
    if origin.stage is not None and (origin.stage.lad is None or origin.stage.lad.column_name != lad.column_name):
        return f"{name}: its LADQuery groups by another column than the stage before it"
    return Expected(
        name, event.target, "metric", event.duration, _frozen(origin.feeds), lad.column_name, lad.partition_key,
        lad.instance_id, origin.lead_s, windows.GRACE_S + (event.duration if origin.stage else 0), consumer,
    )  # fmt: skip


def _origin(plan: Plan, source: str, seen: frozenset[str]) -> _Origin:
    """Follow an in-memory table back to the queries that fill it."""
    origin = _Origin(clients=any(s.name == source for s in plan.sources))
    for query in plan.queries:
        if query.target.store == "local" and query.target.event == source:
            if query.unpivot is not None:
                origin.columns.add((query.unpivot.column_name, query.unpivot.column_value))
            for counter in steps.counters(query) or [""]:
                origin.feeds.setdefault(counter, []).append(Feed(query_key(query), query.rate))
    for event in plan.derived:
        if event.target.store == "local" and event.target.event == source and event.source not in seen | {source}:
            before = _origin(plan, event.source, seen | {source})
            origin.clients = origin.clients or before.clients
            origin.lead_s = before.lead_s + (event.duration if event.lad is not None else 0)
            origin.stage = event if event.lad is not None else before.stage
            origin.columns |= before.columns
            for counter, feeds in before.feeds.items():
                origin.feeds.setdefault(counter, []).extend(feeds)
    return origin


def _frozen(feeds: dict[str, list[Feed]]) -> dict[str, tuple[Feed, ...]]:
    return {counter: tuple(dict.fromkeys(found)) for counter, found in feeds.items()}
