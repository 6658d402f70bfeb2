"""What a plan makes of its inputs, one stream per table and value: two plans are alike when their streams are.

Names of in-memory tables do not count, nor does how counters are grouped into queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from extension.plan import Derived, Plan, Query, Target

_QUERY = re.compile(r"\s*select\s+(.+?)\s+from\s+(\S+?)\s*(?:\s+where\s+(.*))?$", re.IGNORECASE | re.DOTALL)


class Asked(NamedTuple):
    """A query's parts; ``where`` is "" without a condition."""

    columns: tuple[str, ...]
    class_name: str
    where: str


class Stream(NamedTuple):
    """One of them: ``what`` comes in, ``how`` it is changed, ``where`` it goes. Texts for people, equal when alike."""

    what: str
    how: str
    where: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.how, f"-> {self.where}") if part)


def asked(text: str) -> Asked | None:
    """The parts of a query; None if it has not that form."""
    found = _QUERY.match(text)
    if found is None:
        return None
    columns = tuple(column.strip() for column in found.group(1).split(","))
    return Asked(columns, found.group(2), " ".join((found.group(3) or "").split()))


def streams(plan: Plan) -> set[Stream]:
    """Everything that the plan writes somewhere."""
    found: set[Stream] = set()
    for query in plan.queries:
        if query.target.store != "local":
            text = " ".join(query.text.split())
            found.add(Stream(f"{query.namespace}: {text}", f"every {query.rate} s", _place(query.target)))
            continue
        for steps, where in _ways(plan, query.target.event):
            for what in _values(query):
                found.add(Stream(what, ", ".join((f"every {query.rate} s", *steps)), where))
    targets = [*(q.target for q in plan.queries), *(d.target for d in plan.derived)]
    filled = {target.event for target in targets if target.store == "local"}
    for source in plan.sources:
        if source.name not in filled:
            for steps, where in _ways(plan, source.name):
                found.add(Stream("log", ", ".join(steps), where))
    return found


def _values(query: Query) -> Iterator[str]:
    parts = asked(query.text)
    if parts is None or query.unpivot is None:
        yield f"{query.namespace}: {' '.join(query.text.split())}"
        return
    where = f" where {parts.where}" if parts.where else ""
    for column in query.unpivot.columns:
        if column not in parts.columns and "*" not in parts.columns:
            continue  # never in an answer
        name, factor = query.unpivot.maps.get(column, (column, 1.0))
        scaled = f" x {factor:g}" if factor != 1 else ""
        yield f"{query.namespace}: {parts.class_name}.{column}{scaled}{where} as {name}"


def _ways(plan: Plan, event: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(steps, place) of everything that is made of an in-memory table."""
    for derived in plan.derived:
        if derived.source != event or event in seen:
            continue
        step = _step(derived, first=not seen)
        if derived.target.store == "local":
            for steps, where in _ways(plan, derived.target.event, (*seen, event)):
                yield (*step, *steps), where
        else:
            yield step, _place(derived.target)
    for route in plan.routes:
        if route.source == event and route.target.store == "local" and event not in seen:
            yield from _ways(plan, route.target.event, (*seen, event))
        elif route.source == event and route.target.store != "local":
            yield (), _place(route.target)
    for publisher in plan.publishers:
        if publisher.event == event:
            yield (), _hub(publisher.url)


def _step(derived: Derived, first: bool) -> tuple[str, ...]:
    if derived.lad is None:  # a second stage of the same period only moves rows
        return (f"copied every {derived.duration} s",) if first else ()
    suffix = f" of instance {derived.lad.instance_id}" if derived.lad.instance_id else ""
    return (f"aggregated over {derived.duration} s{suffix} under {derived.lad.partition_key or 'no key'}",)


def _hub(url: str) -> str:
    """The hub's address without its SAS; a URL of another form is not shown."""
    plain = re.match(r"https://([\w.:-]{1,200}/[\w./-]{1,200})(?:\?|$)", url, re.ASCII)
    return f"Event Hub {plain.group(1)}" if plain else "an Event Hub"


def _place(target: Target) -> str:
    kind = {"table": "table", "jsonblob": "JSON blobs", "file": "file"}[target.store]
    notes = [note for note, on in (("full name", target.full_name), ("one table for ever", not target.per_nday)) if on]
    dated = f" ({', '.join(notes)})" if notes and target.store == "table" else ""
    return f"{kind} {target.event}{dated}"
