"""The pipelines at work on the store: what they keep in one transaction, and which windows they close.

Used by the collector alone; everything here happens inside its transactions and is undone with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from extension.pipeline import places, windows
from extension.pipeline.batches import Joiner
from extension.pipeline.engine import Engine
from extension.pipeline.named import Named
from extension.pipeline.outputs import Dated, Output
from extension.pipeline.windows import Consumer
from extension.plan import Plan
from extension.rows import ticks
from extension.store.collector_db import CollectorStore

CHUNK = 1000
"""Records of a window that are turned into rows at a time: a flood must not fill the memory."""
PERSIST_S = 300
"""The ends of windows without samples are written so rarely: nothing depends on them."""
LATE = "late: window closed"
"""Why a record that a client sent never becomes a row, in the ledger."""
QUERIES = ""
"""Stands for all sources that are queries: what they gave together is forgotten together."""
FUTURE_S = 86400
"""Rows dated further ahead than this would stay for as long; they are refused."""


@dataclass
class Tally:
    """What one transaction did; applied once it is committed."""

    queued: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    trimmed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    joiner: Joiner = field(default_factory=Joiner)

    def skip(self, reason: str, n: int = 1) -> None:
        """Count something that never became a row."""
        self.skipped[reason] = self.skipped.get(reason, 0) + n

    def clear(self) -> None:
        """Begin again."""
        self.queued = 0
        self.said.clear()
        self.joiner.rest()
        for counts in (self.closed, self.written, self.trimmed, self.skipped, self.dropped, self.late):
            counts.clear()


class Pipelines:
    """A plan's consumers over ``store``, made into rows by ``engine``."""

    def __init__(self, plan: Plan, engine: Engine, store: CollectorStore) -> None:
        self.consumers = windows.consumers(plan)
        self.closed: dict[str, int] = {}
        self._engine = engine
        self._store = store
        self._written: dict[str, int] = {}
        self._trimmed: dict[str, int] = {}
        self._readers: dict[str, list[Consumer]] = {}
        for consumer in self.consumers:
            self._readers.setdefault(consumer.event.source, []).append(consumer)
        self._due: float | None = None
        self._newest = 0

    def begin(self, now: float) -> None:
        """Take over up to where windows are closed, and forget samples that nobody reads any more.

        A new event's beginning is stored before its first sample is, or the window of a process that died before
        it closed one would never be written.
        """
        fresh = {}
        for consumer in self.consumers:
            known = self._store.closed_until(consumer.id)
            if known is None:
                duration = consumer.event.duration
                known = fresh[consumer.id] = int(now) // duration * duration
            self.closed[consumer.id] = self._written[consumer.id] = known
        self._due = None
        unread = [source for source in self._store.samples.sources() if source not in self._readers]

        def change() -> None:
            self._store.set_closed(fresh)
            for source in unread:
                self._store.samples.forget_from(source, 0)

        if fresh or unread:
            self._store.commit(change)

    def reads(self, source: str) -> bool:
        """Whether records of the in-memory table ``source`` go anywhere."""
        return source in self._readers or self._engine.publishes(source)

    def next_close(self) -> float:
        """Unix time at which the next window can be closed; inf without consumers."""
        if self._due is None:
            self._due = windows.next_close(self.consumers, self.closed)
            self._newest = max(self.closed.values(), default=0)
        return self._due

    def _nothing_ends(self, now: float) -> bool:
        """Whether no window can be closed yet, and the clock is not before the end of one that is closed."""
        return now < self.next_close() and now >= self._newest

    def wait_over(self, now: float, *, partial: bool = False, grace_s: float = windows.GRACE_S) -> bool:
        """Whether :meth:`close` may have something to do."""
        if partial:
            return bool(self.consumers)
        return now >= windows.next_close(self.consumers, self.closed, grace_s) or any(
            self._clock_went_back(c, now) for c in self.consumers
        )

    def keep(self, event: str, output: Output, now: float, tally: Tally, base: float | None = None) -> None:
        """Store what a run made; ``event`` is the in-memory table of its local records, ``base`` (Unix s) the
        TIMESTAMP of its rows where they have one."""
        if output.local:
            self._insert(event, output.local, now, tally)
        for batch in output.batches:
            ready = tally.joiner.add(batch) if places.takes_rows(batch.moniker) else [batch]
            if ready:
                tally.queued += self._store.queue(ready, now)
        for (table, reason), n in output.dropped.items():
            self._store.refuse(table, reason, n, None if base is None else (base, base))
            tally.dropped[f"{table}: {reason}"] = tally.dropped.get(f"{table}: {reason}", 0) + n

    def finish(self, now: float, tally: Tally) -> None:
        """Queue what might still have grown: the transaction is about to end."""
        rest = tally.joiner.rest()
        if rest:
            tally.queued += self._store.queue(rest, now)

    def _insert(self, event: str, dated: list[Dated] | Named, now: float, tally: Tally) -> None:
        if event in self._readers and isinstance(dated, Named):
            self._store.samples.add(event, dated.at_us, dated)
        elif event in self._readers:
            self._store.samples.add_dated(event, dated)
        if self._engine.publishes(event):
            self.keep(event, self._engine.on_insert(event, dated), now, tally)

    def take_in(self, source: str, dated: list[Dated], now: float, tally: Tally) -> None:
        """Records that clients sent to the in-memory table ``source``.

        Every reader whose window for a record is closed already misses it; that is counted, and the record is not
        kept if it is too late for all.
        """
        ahead = int((now + FUTURE_S) * ticks.SECOND_US)
        kept: list[Dated] = []
        missed: dict[str, int] = {}
        readers = [(c, self.closed[c.id] * ticks.SECOND_US) for c in self._readers.get(source, ())]
        for at_us, record in dated:
            if at_us > ahead:
                tally.skip(f"{source}: dated more than a day ahead")
                tally.late[source] = tally.late.get(source, 0) + 1
                continue
            late = [consumer for consumer, closed_us in readers if at_us < closed_us]
            for consumer in late:
                missed[consumer.id] = missed.get(consumer.id, 0) + 1
            if late:
                tally.late[source] = tally.late.get(source, 0) + 1
            if len(late) < len(readers):
                kept.append((at_us, record))
        for consumer, _ in readers:
            if consumer.id in missed:
                self._count_late(consumer, missed[consumer.id], now, tally)
        if kept:
            self._store.samples.add_dated(source, kept)
        if self._engine.publishes(source):
            self.keep(source, self._engine.on_insert(source, dated), now, tally)

    def _count_late(self, consumer: Consumer, n: int, now: float, tally: Tally) -> None:
        target = consumer.event.target
        tally.skip(f"{consumer.event.source}: too late for {target.event}", n)
        if consumer.event.lad is None and target.store != "local":
            self._store.refuse(self._engine.ledger(target, now), LATE, n)

    def close(self, now: float, tally: Tally, *, partial: bool = False, grace_s: float = windows.GRACE_S) -> None:
        """Write the rows of windows that have ended (``partial``: the ones in progress too), first stages first."""
        if not partial and grace_s >= windows.GRACE_S and self._nothing_ends(now):
            return
        closed = dict(self.closed)
        touched: set[str] = set()
        written: dict[str, int] = {}
        for consumer in self.consumers:
            before, duration = closed[consumer.id], consumer.event.duration
            if self._clock_went_back(consumer, now):
                if not consumer.external:
                    self._close_ahead(consumer, before, tally)
                closed[consumer.id] = int(now) // duration * duration
                gone = before - closed[consumer.id]
                tally.said.append(("warning", f"the clock went back by {gone} s; windows go on from the new time"))
                tally.skip("clock went back")
                written[consumer.id] = closed[consumer.id]
                continue
            upto = windows.closable(consumer, closed, now, grace_s)
            if partial:
                upto = int(now) // duration * duration + duration
            if upto <= before:
                continue
            starts = self._store.samples.window_starts(consumer.event.source, before, upto, duration)
            for start in starts:
                self._close_one(consumer, start, now, tally)
            closed[consumer.id] = upto
            if starts or upto - self._written[consumer.id] >= PERSIST_S:
                written[consumer.id] = upto
                touched.add(consumer.event.source)
        for source in touched:
            oldest = min(closed[c.id] for c in self._readers[source])
            if oldest != self._trimmed.get(source):  # an hour's window holds its samples back for an hour
                self._store.samples.trim(source, oldest * ticks.SECOND_US)
                tally.trimmed[source] = oldest
        if touched:
            queried = [c for source in self._store.samples.in_runs() for c in self._readers.get(source, ())]
            oldest = min((closed[c.id] for c in queried), default=0)
            if oldest != self._trimmed.get(QUERIES, 0):
                self._store.samples.trim_runs(oldest * ticks.SECOND_US)
                tally.trimmed[QUERIES] = oldest
        self._store.set_closed(written)
        tally.written.update(written)
        tally.closed = closed

    def _close_one(self, consumer: Consumer, start: int, now: float, tally: Tally) -> None:
        event = consumer.event
        begin, end = start * ticks.SECOND_US, (start + event.duration) * ticks.SECOND_US
        for output in self._outputs(consumer, begin, end, start, now):
            for reason, n in output.skipped.items():
                tally.skip(reason, n)
            self.keep(event.target.event, output, now, tally, start)

    def _outputs(self, consumer: Consumer, begin: int, end: int, start: int, now: float) -> Iterator[Output]:
        event = consumer.event
        if event.lad is not None and not self._engine.groups_by_identity(event):
            by, of = event.lad.column_name, event.lad.column_value
            pairs = self._store.samples.pairs(event.source, begin, end, by, of)
            yield self._engine.on_metrics(event, event.lad, pairs, start, now)
            return
        found = self._store.samples.read(event.source, begin, end)
        whole = event.target.store == "local" or event.lad is not None
        for part in [found] if whole else _chunks(found):
            yield self._engine.on_window(event, part, start, now, route=consumer.route)

    def _close_ahead(self, consumer: Consumer, begin: int, tally: Tally) -> None:
        """The clock was set back: write the windows that had begun, or their time would come a second time and mix
        two passes in one row. The rows of the second pass replace them."""
        duration = consumer.event.duration
        for start in self._store.samples.window_starts(consumer.event.source, begin, begin + FUTURE_S, duration):
            self._close_one(consumer, start, start + duration, tally)

    def forget_ahead(self, begin: int) -> None:
        """Forget samples of queries that are dated at or after ``begin`` (Unix s): the clock was set back to it."""
        external = {c.event.source for c in self.consumers if c.external}
        for source in self._store.samples.sources():
            if source not in external:
                self._store.samples.forget_from(source, begin * ticks.SECOND_US)

    def accept(self, tally: Tally) -> None:
        """The transaction that ``tally`` describes is committed."""
        self._due = None
        self.closed.update(tally.closed)
        self._written.update(tally.written)
        self._trimmed.update(tally.trimmed)

    def comes_late(self, source: str, at_us: int, now: float) -> bool:
        """Whether a sample of ``source`` misses a window that was written before the clock was set back a little."""
        if self._due is not None and at_us >= self._newest * ticks.SECOND_US:
            return False
        return any(
            at_us < self.closed[c.id] * ticks.SECOND_US and not self._clock_went_back(c, now)
            for c in self._readers.get(source, ())
        )

    def _clock_went_back(self, consumer: Consumer, now: float) -> bool:
        duration = consumer.event.duration
        return int(now) // duration * duration < self.closed[consumer.id] - duration


def _chunks(found: Iterator[Dated]) -> Iterator[list[Dated]]:
    while part := list(islice(found, CHUNK)):
        yield part


def report_late(
    late: dict[str, int], known: set[str], sources: Iterable[str], log: Callable[[str, str], None]
) -> set[str]:
    """Log sources whose rows began (or ceased) to come too late; returns those that still do."""
    for source in sorted(late.keys() - known):
        log("warning", f"{source}: rows are dated in windows that are closed, or more than a day ahead: not kept")
    for source in sorted((known & set(sources)) - late.keys()):
        log("info", f"{source}: rows come in time again")
    return (known - set(sources)) | late.keys()
