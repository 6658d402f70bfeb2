"""Samples, events and windows of one document, each step one atomic change of the store.

Nothing here looks at the real time: the clock is passed in, so that a recording runs through it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extension import steps
from extension.pipeline import records
from extension.pipeline.engine import Engine
from extension.pipeline.outputs import Dated, Output
from extension.pipeline.records import Record
from extension.pipeline.windows import GRACE_S
from extension.pipelines import Pipelines, Tally, report_late
from extension.plan import Plan, Query
from extension.rows import ticks
from extension.rows.edm import EdmValue
from extension.store.collector_db import CollectorStore
from extension.store.gaps import ALL, MACHINE_OFF, NOT_RUNNING, GapKeeper, query_key
from omi_queries.binding import ForeignError
from omi_queries.types import Backend, QueryError, QueryStream

IDLE_S = 60
HOUSEKEEPING_S = 60
FORGET_S = 300
"""Delivered batches are deleted so often, several at a time; each minute while the store has no room."""
MAX_REASONS = 200
DROP_QUIET_S = 600
CATCH_UP_S = 5.0
"""A sample that was due so shortly before the start is taken late rather than left out: a reload costs none."""
NO_SOURCE = "none"
"""What status gives as the source of a query that nothing answers."""
REFUSED = "the query is refused"
PROCFS = "procfs"
RAW_AGE_S = 600
"""Raw counters older than this are not used: their rate would describe a long gap, not now."""


@dataclass
class Asked:
    """A query that is running: its stream, its next time (Unix s) and what it last complained of."""

    query: Query
    stream: QueryStream
    due: int
    complaints: frozenset[str] = frozenset()
    source: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        self.gap_key = query_key(self.query)


@dataclass
class Collector:
    """Samples ``plan`` through ``backend`` into ``store``; ``clock`` gives Unix s, ``log(level, text)`` reports.

    ``boottime`` gives seconds since boot, suspended ones too, by which steps of the clock are told from gaps.
    """

    plan: Plan
    backend: Backend
    store: CollectorStore
    clock: Callable[[], float]
    log: Callable[[str, str], None]
    host: str
    asked: list[Asked] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    boottime: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        self._engine = Engine(self.plan, self.host, self.clock())
        self._engine.resume_row_index(self.store.number("row_index", int) or 0)
        self._pipelines = Pipelines(self.plan, self._engine, self.store)
        self._late: set[str] = set()
        self._unasked: list[Query] = []
        self._dropping: dict[str, float] = {}
        self._upload = False
        self._housekeeping = self._forgot = 0.0
        self._shown = 0
        self._counted = True
        """Whether something was counted that status does not show yet."""
        self.changes = 0
        """Grows whenever a query's complaints, its source or what is wrong with a better one change."""
        self._gaps = GapKeeper(self.store.db)
        self._elapsed = steps.Elapsed()
        self._set_back = False

    def start(self) -> None:
        """Open the queries, take over raw counters (or prime new ones) and close the windows that are overdue."""
        now = self.clock()
        raw = self._raw(now)
        for query in self.plan.queries:
            try:
                stream = self.backend.open(query.namespace, query.text)
            except ForeignError as error:
                self._refuse(query, error.cured() if self.backend.name == PROCFS else error)
                continue
            except QueryError as error:
                self._refuse(query, error)
                continue
            if not any(stream.restore(state) for state in _raw_for(query, raw, now)):
                stream.prime()
            self.asked.append(Asked(query, stream, self._first_due(query.rate, now)))
        self._pipelines.begin(now)
        self._begin_gaps(now)
        self._run([], now)

    def _refuse(self, query: Query, error: QueryError) -> None:
        self._unasked.append(query)
        self.refused[query.target.event] = str(error)
        self.log("error", f"query of {query.target.event} cannot be asked: {error}")

    def _raw(self, now: float) -> dict[str, Any]:
        """The raw counters that are not too old; the others, of queries that are gone as a rule, are forgotten."""
        raw = self.store.raw()
        old = [key for key, kept in raw.items() if not _whole(kept) or abs(now - kept["t"]) > RAW_AGE_S]
        if old:
            self.store.commit(lambda: self.store.forget_raw(old))
        return {key: kept for key, kept in raw.items() if key not in old}

    def _begin_gaps(self, now: float) -> None:
        last = self.store.last_sample()
        self._set_back = last is not None and now < last
        self._elapsed.step(now, self.boottime() if self.boottime else None)  # from here on, a step is noticed
        rates = {query_key(q): q.rate for q in self._unasked} | {a.gap_key: a.query.rate for a in self.asked}
        consumers = [consumer.id for consumer in self._pipelines.consumers]
        self.store.commit(lambda: self._gaps.begin(rates, consumers, now, last, self._was_off(now, last)))
        for query in self._unasked:
            self._gaps.observe(query_key(query), now, {ALL: REFUSED}, steps.HELD_UP)
        if self._unasked:
            self._gaps.done(self.store.commit(self._gaps.write), "store full")

    def _was_off(self, now: float, last: float | None) -> str:
        """What kept samples from being taken before this start: a last one from before the boot tells."""
        off = self.boottime is not None and last is not None and last < now - self.boottime()
        return MACHINE_OFF if off else NOT_RUNNING

    def _first_due(self, rate: int, now: float) -> int:
        """The next multiple of the rate; the one that has just gone by if it fell between a predecessor and us."""
        passed = int(now) // rate * rate
        last = self.store.last_sample() or now
        if now < last < now + steps.RETRACE_S:  # the clock was set back: what has been sampled is not sampled again
            return int(last) // rate * rate + rate
        return passed if last < passed and now - passed < min(rate, CATCH_UP_S) else passed + rate

    def next_due(self) -> float:
        """Unix time of the next tick."""
        now = self.clock()
        for asked in self.asked:
            if asked.due > now + asked.query.rate + steps.RETRACE_S:  # the clock was set back too far to wait
                asked.due = int(now) // asked.query.rate * asked.query.rate + asked.query.rate
        due = min((a.due for a in self.asked), default=now + IDLE_S)
        return min(due, self._pipelines.next_close())

    def tick(self) -> bool:
        """Ask what is due, close what has ended, store both. True if rows were queued for upload."""
        now = self.clock()
        return self._run([a for a in self.asked if a.due <= now], now)

    def settle(self) -> bool:
        """Close what has ended without waiting for late rows; True if rows were queued for upload."""
        return self._close(grace_s=0.0)

    def finish(self) -> None:
        """Write the rows of windows that have not ended yet: nothing will come after this."""
        self._close(partial=True)

    def ingest(self, events: Iterable[tuple[str, int, Mapping[str, EdmValue]]]) -> bool:
        """Take events of clients, in one transaction: (source, Unix microseconds, columns) each.

        True once they are in the store; False if they could not be kept, so that nothing may be acknowledged. Events
        that come too late for every window, or that nothing in the document reads, are taken and counted.
        """
        by_source: dict[str, list[Dated]] = {}
        for source, at_us, columns in events:
            by_source.setdefault(source, []).append((at_us, Record(records.from_event(columns))))
        if not by_source:
            return True
        now = self.clock()

        def work(tally: Tally) -> None:
            for source, dated in by_source.items():
                if self._pipelines.reads(source):
                    self._pipelines.take_in(source, dated, now, tally)
                else:
                    tally.skip(f"{source}: nothing in the document reads it", len(dated))

        tally = self._commit(work)
        if tally is None:
            self._count("event refused: store full", sum(map(len, by_source.values())))
            return False
        self._late = report_late(tally.late, self._late, by_source, self.log)
        return True

    def refuse(self, reason: str, n: int) -> None:
        """Count messages of clients that become no events; status shows them by reason."""
        self._count(reason, n)

    def fed(self) -> list[str]:
        """The declared sources that something in the document reads."""
        return [source.name for source in self.plan.sources if self._pipelines.reads(source.name)]

    def take_upload(self) -> bool:
        """Whether rows were queued since this was last asked."""
        wanted, self._upload = self._upload, False
        return wanted

    def _run(self, due: list[Asked], now: float) -> bool:
        mark = self._engine.mark()
        outputs: list[tuple[Asked, Output]] = []
        found: dict[str, float] = {}
        moment = float(max((a.due for a in due), default=0))
        step = self._step(now) if due else 0.0
        for asked in due:
            at_us = int(self.clock() * ticks.SECOND_US)
            asked.due = int(at_us / ticks.SECOND_US) // asked.query.rate * asked.query.rate + asked.query.rate
            output, absent = self._ask(asked, moment, at_us, now)
            outputs.append((asked, output))
            if self._pipelines.comes_late(asked.query.target.event, at_us, now):
                absent = {ALL: steps.WRITTEN}
            why = steps.SET_FORWARD if step > 0 else steps.HELD_UP
            gap = self._gaps.observe(asked.gap_key, at_us / ticks.SECOND_US, absent, why)
            if gap is not None:
                found[gap[1]] = max(gap[0], found.get(gap[1], 0.0))
        if not outputs:
            return self._close()

        if self._set_back:
            self._close()  # writes the windows that had begun, before their samples are forgotten

        def work(tally: Tally) -> None:
            if self._set_back:
                self._pipelines.forget_ahead(min(int(now) // a.query.rate * a.query.rate for a, _ in outputs))
            for asked, output in outputs:
                base = asked.due - asked.query.rate
                self._pipelines.keep(asked.query.target.event, output, now, tally, base)
            states = [(asked.gap_key, asked.stream.state()) for asked, _ in outputs]
            kept = [(key, {"t": now, "state": state}) for key, state in states if state is not None]
            self.store.put_raw(kept, last_sample=now)
            self._pipelines.close(now, tally)
            self._gaps.write()

        tally = self._commit(work)
        self._gaps.done(tally is not None, "store full")
        if tally is None:
            self._engine.rewind(mark)
            self._count("sample lost: store full", len(outputs))
            return False
        for cause, seconds in found.items():
            self.log("warning", steps.gap_text(seconds, now, cause))
        self._set_back = False
        self._keep_house(now)
        return tally.queued > 0

    def _step(self, now: float) -> float:
        """Seconds by which the clock was set since the last sample; said if it was."""
        step = self._elapsed.step(now, self.boottime() if self.boottime else None)
        if step:
            self._set_back = self._set_back or step < 0
            self._count("the clock was set " + ("back" if step < 0 else "forward"), 1)
            where = f"set back by {steps.span(step)}" if step < 0 else f"set forward by {steps.span(step)}"
            self.log("warning", f"the clock was {where}; samples go on at {ticks.iso(int(now) * ticks.SECOND_US)}")
        return step

    def _close(self, *, partial: bool = False, grace_s: float = GRACE_S) -> bool:
        now = self.clock()
        if not self._pipelines.wait_over(now, partial=partial, grace_s=grace_s):
            return False
        tally = self._commit(lambda t: self._pipelines.close(now, t, partial=partial, grace_s=grace_s))
        if tally is None:
            return False
        self._keep_house(now)
        return tally.queued > 0

    def _commit(self, work: Callable[[Tally], None]) -> Tally | None:
        """Do ``work`` in one transaction; None if the store cannot take it: then nothing of it has happened."""
        mark, tally = self._engine.mark(), Tally()

        def change() -> None:
            self._engine.rewind(mark)
            tally.clear()
            work(tally)
            self._pipelines.finish(self.clock(), tally)
            if tally.queued:
                self.store.put("row_index", str(self._engine.resume_row_index(0)))

        if not self.store.commit(change):
            self._engine.rewind(mark)
            return None
        self._pipelines.accept(tally)
        self._upload = self._upload or tally.queued > 0
        for reason, n in tally.skipped.items():
            self._count(reason, n)
        for level, text in tally.said:
            self.log(level, text)
        self._tell_drops(tally)
        return tally

    def _tell_drops(self, tally: Tally) -> None:
        """Log what no sink would take once, and again only after an interval without it. The ledger counts all."""
        now = self.clock()
        for text, n in tally.dropped.items():
            if now - self._dropping.get(text, -DROP_QUIET_S) >= DROP_QUIET_S:
                self.log("error", f"{text}: {n} rows dropped")
            if text in self._dropping or len(self._dropping) < MAX_REASONS:
                self._dropping[text] = now

    def _ask(self, asked: Asked, moment: float, at_us: int, now: float) -> tuple[Output, dict[str, str]]:
        """What a query gives, and the counters that it does not give, with the cause."""
        event = asked.query.target.event
        try:
            reading = asked.stream.read(moment)
        except QueryError as error:
            asked.source, asked.why = NO_SOURCE, str(error)
            self._complain(asked, {f"query failed: {error}"})
            return Output(), {ALL: "query failed"}
        if reading.source != asked.source or reading.why != asked.why:
            asked.source, asked.why = reading.source, reading.why
            self.changes += 1
        output = self._engine.on_instances(asked.query, reading.instances, reading.types, at_us, now)
        reasons = {**reading.skipped, **output.skipped}
        for reason, n in reasons.items():
            self._count(f"{event}: {reason}", n)
        self._complain(asked, {*reasons, *reading.warnings})
        return output, steps.absent(asked.query, output)

    def _complain(self, asked: Asked, found: set[str]) -> None:
        """Log what is new since the last sample, and that it is over: one line per state change."""
        if found == asked.complaints:
            return
        self.changes += 1
        for reason in sorted(found - asked.complaints):
            self.log("warning", f"{asked.query.target.event}: {reason}")
        if asked.complaints and not found:
            self.log("info", f"{asked.query.target.event}: complete again")
        asked.complaints = frozenset(found)

    def _count(self, reason: str, n: int) -> None:
        self._counted = True
        if reason in self.skipped or len(self.skipped) < MAX_REASONS:
            self.skipped[reason] = self.skipped.get(reason, 0) + n
        else:
            self.skipped["other"] = self.skipped.get("other", 0) + n

    def _keep_house(self, now: float) -> None:
        if self.changes != self._shown:
            self._shown = self.changes
            self.store.put_report(self.report())
        if abs(now - self._housekeeping) < HOUSEKEEPING_S:
            return
        self._housekeeping = now
        if abs(now - self._forgot) >= FORGET_S or self.store.problems():
            self._forgot = now
            self.store.forget_delivered()
        self.store.enforce_bounds()
        if self._counted:
            self._counted = False
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


def _whole(kept: Any) -> bool:
    """Whether raw counters can be read as they were put, and were not damaged on the disk."""
    return isinstance(kept, dict) and isinstance(kept.get("t"), (int, float)) and "state" in kept


def _raw_for(query: Query, raw: Mapping[str, Any], now: float) -> list[Any]:
    """Raw counters that rates of ``query`` may begin at: its own, else, as a new document may ask the same class for
    other properties or at another rate, those that another query read within the last interval, the newest first."""
    own = query_key(query)
    usable = [key for key, kept in raw.items() if key == own or abs(now - kept["t"]) <= query.rate]
    return [raw[key]["state"] for key in sorted(usable, key=lambda key: (key == own, raw[key]["t"]), reverse=True)]
