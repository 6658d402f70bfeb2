"""Process 1: asks the queries on wall-clock multiples of their rates and stores samples, windows and rows.

Everything of one tick is one transaction in ``collector.db``. Reads nothing but ``xmlCfg.xml`` and ``options.json``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from extension import component
from extension.pipeline.engine import Engine, Output
from extension.plan import Derived, Plan, Query
from extension.rows import ticks
from extension.source import open_source
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from omi_queries.types import Backend, QueryError, QueryStream

IDLE_S = 60
HOUSEKEEPING_S = 60
MAX_REASONS = 200
RAW_AGE_S = 600
"""Raw counters older than this are not used: their rate would describe a long gap, not now."""


Window = tuple[Derived, int, list[Output]]
"""A derived event, the end (Unix s) up to which its windows are closed, and an output per window with samples."""


@dataclass
class Asked:
    """A query that is running: its stream, its next time (Unix s) and what it last complained of."""

    query: Query
    stream: QueryStream
    due: int
    complaints: frozenset[str] = frozenset()
    source: str = ""
    why: str = ""


@dataclass
class Collector:
    """Samples ``plan`` through ``backend`` into ``store``; ``clock`` gives Unix s, ``log(level, text)`` reports."""

    plan: Plan
    backend: Backend
    store: CollectorStore
    clock: Callable[[], float]
    log: Callable[[str, str], None]
    host: str
    asked: list[Asked] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._engine = Engine(self.plan, self.host, self.clock())
        self._engine.resume_row_index(int(self.store.get("row_index") or 0))
        self._closed: dict[str, int] = {}
        self._housekeeping = 0.0
        self._shown: list[tuple[str, str]] = []
        self._consumed = {d.source for d in self.plan.derived}

    def start(self) -> None:
        """Open the queries, take over raw counters (or prime new ones) and close the windows that are overdue."""
        now = self.clock()
        raw = self.store.raw()
        for query in self.plan.queries:
            try:
                stream = self.backend.open(query.namespace, query.text)
            except QueryError as error:
                self.refused[query.target.event] = str(error)
                self.log("error", f"query of {query.target.event} cannot be asked: {error}")
                continue
            kept = raw.get(_query_id(query))
            if kept is None or abs(now - kept["t"]) > RAW_AGE_S or not stream.restore(kept["state"]):
                stream.prime()
            self.asked.append(Asked(query, stream, int(now) // query.rate * query.rate + query.rate))
        self._begin_windows(now)
        self._run([], now)

    def _begin_windows(self, now: float) -> None:
        """Take over up to where windows are closed.

        A new event's beginning is stored before its first sample is, or the window of a process that died before
        it closed one would never be written.
        """
        fresh = {}
        for derived in self.plan.derived:
            key = window_id(derived)
            known = self.store.closed_until(key)
            if known is None:
                known = fresh[key] = int(now) // derived.duration * derived.duration
            self._closed[key] = known

        def change() -> None:
            for key, end in fresh.items():
                self.store.set_closed(key, end)

        if fresh:
            self.store.commit(change)

    def next_due(self) -> float:
        """Unix time of the next tick."""
        now = self.clock()
        for asked in self.asked:
            if asked.due > now + asked.query.rate:  # the clock went back
                asked.due = int(now) // asked.query.rate * asked.query.rate + asked.query.rate
        return min((a.due for a in self.asked), default=now + IDLE_S)

    def tick(self) -> bool:
        """Ask what is due, close what has ended, store both. True if rows were queued for upload."""
        now = self.clock()
        return self._run([a for a in self.asked if a.due <= now], now)

    def _run(self, due: list[Asked], now: float) -> bool:
        outputs: list[tuple[Asked, int, Output]] = []
        moment = float(max((a.due for a in due), default=0))
        for asked in due:
            at_us = int(self.clock() * ticks.SECOND_US)
            asked.due = int(at_us / ticks.SECOND_US) // asked.query.rate * asked.query.rate + asked.query.rate
            outputs.append((asked, at_us, self._ask(asked, moment, at_us, now)))
        windows = [w for d in self.plan.derived if (w := self._ended(d, now)) is not None]
        return self._store(outputs, windows, now)

    def finish(self) -> None:
        """Write the rows of windows that have not ended yet: nothing will come after this."""
        now = self.clock()
        for derived in self.plan.derived:  # one by one: a later stage reads what an earlier one stored
            window = self._ended(derived, now, partial=True)
            if window is not None:
                self._store([], [window], now)

    def _store(self, outputs: list[tuple[Asked, int, Output]], windows: list[Window], now: float) -> bool:
        """One transaction for all that a tick made; True if rows were queued."""
        if not outputs and not windows:
            return False
        queued = 0

        def change() -> None:
            nonlocal queued
            queued = 0
            for asked, at_us, output in outputs:
                queued += self._keep(asked.query.target.event, at_us, output, now)
                state = asked.stream.state()
                if state is not None:
                    self.store.put_raw(_query_id(asked.query), {"t": now, "state": state})
            for derived, end, found in windows:
                for output in found:
                    queued += self._keep(derived.target.event, int(now * ticks.SECOND_US), output, now)
                self.store.set_closed(window_id(derived), end)
            if windows:
                self._trim(windows)
            if queued:
                self.store.put("row_index", str(self._engine.resume_row_index(0)))
            if outputs:
                self.store.put("last_sample", repr(now))

        if not self.store.commit(change):
            self._engine.forget_schemas()
            self._count("sample lost: store full", len(outputs))
            return False
        for derived, end, _ in windows:
            self._closed[window_id(derived)] = end
        self._keep_house(now)
        return queued > 0

    def _keep(self, event: str, at_us: int, output: Output, now: float) -> int:
        if output.local and event in self._consumed:
            self.store.add_sample(event, at_us, output.local)
        return self.store.queue(output.batches, now)

    def _ask(self, asked: Asked, moment: float, at_us: int, now: float) -> Output:
        event = asked.query.target.event
        try:
            reading = asked.stream.read(moment)
        except QueryError as error:
            self._complain(asked, {f"query failed: {error}"})
            return Output([], [], {})
        asked.source, asked.why = reading.source, reading.why
        output = self._engine.on_instances(asked.query, reading.instances, reading.types, at_us, now)
        reasons = {**reading.skipped, **output.skipped}
        for reason, n in reasons.items():
            self._count(f"{event}: {reason}", n)
        self._complain(asked, {*reasons, *reading.warnings})
        return output

    def _complain(self, asked: Asked, found: set[str]) -> None:
        """Log what is new since the last sample, and that it is over: one line per state change."""
        for reason in sorted(found - asked.complaints):
            self.log("warning", f"{asked.query.target.event}: {reason}")
        if asked.complaints and not found:
            self.log("info", f"{asked.query.target.event}: complete again")
        asked.complaints = frozenset(found)

    def _count(self, reason: str, n: int) -> None:
        if reason in self.skipped or len(self.skipped) < MAX_REASONS:
            self.skipped[reason] = self.skipped.get(reason, 0) + n
        else:
            self.skipped["other"] = self.skipped.get("other", 0) + n

    def _ended(self, derived: Derived, now: float, partial: bool = False) -> Window | None:
        """(derived, new end, an output per ended window that has samples), None if no window has ended.

        ``partial`` counts the window in progress as ended.
        """
        closed = self._closed[window_id(derived)]
        current = ticks.floor_to(int(now * ticks.SECOND_US), derived.duration)
        if current < closed - derived.duration:
            self.log("warning", f"the clock went back by {closed - current} s; windows go on from the new time")
            self._count("clock went back", 1)
            return derived, current, []
        if partial:
            current += derived.duration
        if current <= closed:
            return None
        times = self.store.sample_times(derived.source, closed * ticks.SECOND_US, current * ticks.SECOND_US)
        found = []
        for start in dict.fromkeys(ticks.floor_to(t, derived.duration) for t in times):
            upto = (start + derived.duration) * ticks.SECOND_US
            samples = self.store.samples(derived.source, start * ticks.SECOND_US, upto)
            output = self._engine.on_window(derived, samples, start, now)
            for reason, n in output.skipped.items():
                self._count(reason, n)
            found.append(output)
        return derived, current, found

    def _trim(self, windows: list[Window]) -> None:
        """Forget the samples that every consumer of their table has had."""
        upto = {**self._closed, **{window_id(d): end for d, end, _ in windows}}
        for source in {d.source for d, _, _ in windows}:
            oldest = min(upto[window_id(d)] for d in self.plan.derived if d.source == source)
            self.store.trim_samples(source, oldest * ticks.SECOND_US)

    def _keep_house(self, now: float) -> None:
        answering = [(asked.source, asked.why) for asked in self.asked]
        if answering != self._shown:
            self._shown = answering
            self.store.put_report(self.report())
        if abs(now - self._housekeeping) < HOUSEKEEPING_S:
            return
        self._housekeeping = now
        self.store.forget_delivered()
        dropped = self.store.enforce_bounds()
        if dropped:
            self.log("error", f"{dropped} unsent rows were dropped, oldest first, to stay within the store's bounds")
        self.store.put_report(self.report())

    def report(self) -> dict[str, object]:
        """What status shows of this process: sources by event, refused queries, counted reasons."""
        sources = {
            a.query.target.event: {
                "source": a.source or self.backend.name,
                "why": a.why,
                "query": " ".join(a.query.text.split()),
                "rate": a.query.rate,
                "complaints": sorted(a.complaints),
            }
            for a in self.asked
        }
        return {"sources": sources, "refused": dict(self.refused), "skipped": dict(self.skipped)}


def _query_id(query: Query) -> str:
    return f"{query.target.event}|{query.rate}|{query.namespace}|{query.text}"


def window_id(derived: Derived) -> str:
    """What identifies a derived event's windows over restarts."""
    return f"{derived.source}|{derived.duration}|{derived.target.event}|{derived.target.store}"


def watch_deadline(plan: Plan) -> float:
    """Seconds without progress after which the watchdog takes this process for hung."""
    rate = min((q.rate for q in plan.queries), default=IDLE_S)
    return max(plan.options.hang_s, 3.0 * min(rate, IDLE_S))


def health(collector: Collector) -> tuple[str, str]:
    """(level, message) for status."""
    running, refused = len(collector.asked), len(collector.refused)
    if refused:
        named = "; ".join(f"{event}: {why}" for event, why in collector.refused.items())
        return ("error" if not running else "warning", f"{refused} of {running + refused} queries refused: {named}")
    failing = sorted({f"{a.query.target.event}: {c}" for a in collector.asked for c in a.complaints})
    if failing:
        return "warning", "; ".join(failing)[:900]
    if not running:
        return "warning", "the configuration has no queries: nothing is collected"
    troubles = sorted({a.why for a in collector.asked if a.why})
    if troubles:
        return "warning", f"values come from /proc instead: {'; '.join(troubles)}"[:900]
    sources = sorted({a.source for a in collector.asked if a.source}) or [collector.backend.name]
    return "ok", f"{running} queries answered by {', '.join(sources)}"


def main() -> int:
    """Run until SIGTERM or until the watchdog is gone; 0 then, 53 for a bad configuration, 1 for a bad store."""
    begun = component.start("extension.collector")
    if isinstance(begun, int):
        return begun
    where, plan, channel = begun
    channel.send("hello", deadline=watch_deadline(plan))
    try:
        opened = open_source(plan, channel.log)
    except QueryError as error:
        channel.state("error", f"configuration: {error}")
        return component.CONFIG_ERROR
    try:
        store = CollectorStore(
            where.state_dir,
            max_bytes=plan.options.store_max_mib << 20,
            min_free_bytes=plan.options.store_min_free_mib << 20,
            report=lambda message: channel.log("error", message),
        )
    except StoreError as error:
        channel.state("error", str(error))
        return 1
    collector = Collector(plan, opened.backend, store, time.time, channel.log, os.uname().nodename)
    collector.start()
    channel.send("wake")
    channel.progress("idle")
    while not channel.stopping:
        channel.state(*health(collector))
        opened.attend()
        pause = min(max(collector.next_due() - time.time(), 0), IDLE_S, opened.attention_in())
        if not channel.wait(time.monotonic() + pause):
            if channel.stopping:
                break
            if time.time() < collector.next_due():
                channel.progress("idle")
                continue
            if collector.tick():
                channel.send("wake")
            channel.progress("sample")
        if not os.path.isdir(where.home):
            break
    store.put_report(collector.report())
    store.close()
    opened.backend.close()
    if channel.orphaned:
        component.after_orphaned(where)
    return 0
