"""One document's pipelines: readings in, local samples and rows out (spec/mdsd.md 2, 3.2-3.5, 5).

The engine decides nothing about time or files: it is told the times and answers with what has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from extension.pipeline import metrics, places, records, sizes
from extension.pipeline.batches import BATCH_ROWS, Batch, batches
from extension.pipeline.outputs import Dated, Output
from extension.pipeline.records import Record
from extension.pipeline.texts import Texts
from extension.plan import Derived, Plan, Query, Target
from extension.rows import keys, schemas, ticks
from extension.rows.columns import repaired
from extension.rows.edm import EdmValue, Row

__all__ = ["BATCH_ROWS", "Batch", "Engine", "Mark", "Output", "batches"]


@dataclass(frozen=True)
class Mark:
    """Where :meth:`Engine.rewind` goes back to."""

    index: int
    schemas: int


class Engine:
    """The pipelines of a :class:`Plan`. ``host`` is SchemasTable's Uploader; ``now`` (Unix s) seeds RowIndex."""

    def __init__(self, plan: Plan, host: str, now: float) -> None:
        self.plan = plan
        self._host = host
        self._identity = keys.identity_text(value for _, value in plan.identity)
        self._n = keys.partition_number(self._identity, plan.partitions)
        self._index = keys.first_row_index(int(now))
        self._schemas: dict[tuple[str, str, tuple[tuple[str, str], ...]], None] = {}
        self._typed = _typed_sources(plan)
        self._tables = places.Tables.of(plan)
        self._texts = Texts(plan, self._tables)

    def resume_row_index(self, last: int) -> int:
        """Never hand out a RowIndex at or below ``last``; returns the newest one handed out."""
        self._index = max(self._index, last + 1)
        return self._index - 1

    def mark(self) -> Mark:
        """The state before something that may have to be done again."""
        return Mark(self._index, len(self._schemas))

    def rewind(self, mark: Mark) -> None:
        """Forget everything since ``mark``: it was not stored."""
        self._index = mark.index
        while len(self._schemas) > mark.schemas:
            self._schemas.popitem()

    def on_instances(
        self,
        query: Query,
        instances: Iterable[Mapping[str, object]],
        types: Mapping[str, str],
        at_us: int,
        now: float,
    ) -> Output:
        """One query run. ``at_us``: Unix microseconds just before the query was sent; ``now``: Unix seconds."""
        found: list[Dated] = []
        skipped: dict[str, int] = {}
        for instance in instances:
            columns = records.from_instance(instance, types)
            if not columns:
                continue
            if query.unpivot is None:
                found.append((at_us, Record(columns)))
                continue
            parts = records.unpivot(columns, query.unpivot)
            if not parts:
                reason = f"Unpivot of {query.target.event} matched no columns"
                skipped[reason] = skipped.get(reason, 0) + 1
            found.extend((at_us, Record(p)) for p in parts)
        if query.target.store == "local":
            return Output(local=found, skipped=skipped)
        base = ticks.floor_to(at_us, query.rate)
        return self._out(found, query.target, base, now, skipped)

    def on_window(
        self, event: Derived, source: Iterable[Dated], start: int, now: float, *, route: bool = False
    ) -> Output:
        """One closed window: ``source`` are its records in time order, ``start`` its start (Unix s).

        Metrics are dated at the window's end (``now`` if that is sooner: an unfinished window), copies keep their
        times. ``route``: the event is a RouteEvent, whose rows are batched by its period.
        """
        if event.lad is None:
            if event.target.store == "local":
                return Output(local=list(source))
            period = event.duration if route else 0
            typed = event.source in self._typed
            return self._out(list(source), event.target, start, now, {}, period=period, typed=typed)
        at_us = min((start + event.duration) * ticks.SECOND_US, int(now * ticks.SECOND_US))
        result = metrics.aggregate((r for _, r in source), event.lad)
        made = [(at_us, r) for r in metrics.metric_records(result.counters, event.lad, start)]
        skipped = {f"{event.source}: {reason}": n for reason, n in result.skipped.items()}
        if event.target.store == "local":
            return Output(local=made, skipped=skipped)  # both of the mirrored pair: second stages copy both
        return self._out(made, event.target, start, now, skipped, schema=False)

    def on_insert(self, event: str, found: Iterable[Dated]) -> Output:
        """What is sent to Event Hubs when records are put into the in-memory table ``event``."""
        return self._texts.messages(event, found, self._next_index)

    def publishes(self, event: str) -> bool:
        """Whether records of the in-memory table ``event`` go to an Event Hub."""
        return self._texts.publishes(event)

    def ledger(self, target: Target, now: float) -> str:
        """The name under which rows of a target are counted."""
        return self._tables.ledger(target, now)

    def table(self, target: Target, now: float) -> str:
        """The physical table of a target for rows queued at Unix time ``now``."""
        return self._tables.name(target, now)

    def _next_index(self) -> str:
        index = keys.row_index(self._index)
        self._index += 1
        return index

    def _out(
        self,
        found: list[Dated],
        target: Target,
        base: int,
        now: float,
        skipped: dict[str, int],
        *,
        schema: bool = True,
        period: int = 0,
        typed: bool = False,
    ) -> Output:
        """Rows for a target that is not local; ``period``: batch interval in seconds that is not a divisor of 1 h;
        ``typed``: columns of other types are another schema."""
        if not found:
            return Output(skipped=skipped)
        identified = [
            (at_us, Record(records.with_identity(r.columns, self.plan.identity), r.partition_key, r.row_key, r.twin))
            for at_us, r in found
        ]
        if target.store == "jsonblob":
            made = self._texts.blocks(target, identified, period, self._next_index)
        elif target.store == "file":
            made = self._texts.lines(target, identified, now, self._next_index)
        else:
            made = self._rows(identified, target, base, now, schema, typed)
        return Output(made.batches, [], {**skipped, **made.skipped}, made.dropped)

    def _rows(self, found: list[Dated], target: Target, base: int, now: float, schema: bool, typed: bool) -> Output:
        """Keys and times for each record; ``base``: qibase or window start (Unix s)."""
        table = self._tables.name(target, now)
        rows: list[Row] = []
        schema_rows: list[Row] = []
        dropped: dict[tuple[str, str], int] = {}
        skipped: dict[str, int] = {}
        stamp: EdmValue = ("DateTime", ticks.iso(base * ticks.SECOND_US))
        for at_us, record in found:
            columns, renamed = repaired(record.columns)
            for reason in renamed:
                skipped[reason] = skipped.get(reason, 0) + 1
            if schema:
                schema_rows.extend(self._schema(target, table, columns, now, typed))
            partition_key = record.partition_key or keys.default_partition_key(self._n, base)
            row_key = record.row_key
            if not (record.row_key and record.partition_key):
                index = self._next_index()
                row_key = row_key or keys.default_row_key(self._identity, index)
                columns["PreciseTimeStamp"] = ("DateTime", ticks.iso(at_us))
                columns["N"] = ("String", self._n)
                columns["RowIndex"] = ("String", index)
            columns["TIMESTAMP"] = stamp
            row = Row(partition_key, row_key, columns)
            why = sizes.estimated(row)[1]
            if why:
                dropped[table, f"oversize: {why}"] = dropped.get((table, f"oversize: {why}"), 0) + 1
            else:
                rows.append(row)
        found_batches = [
            *batches(target.moniker, table, rows),
            *batches(target.moniker, schemas.TABLE, schema_rows),
        ]
        return Output(found_batches, skipped=skipped, dropped=dropped)

    def _schema(
        self, target: Target, table: str, columns: Mapping[str, EdmValue], now: float, typed: bool
    ) -> list[Row]:
        """The schema row that is due. What a query gives is one schema, whatever types its values have from row to
        row: the first one's (spec/mdsd.md 12); events of clients bring their types with them."""
        if target.moniker in self._tables.fixed:
            return []  # a table's own SAS cannot write SchemasTable
        signature = schemas.signature(columns)
        key = (target.moniker, table, signature if typed else tuple((name, "") for name, _ in signature))
        if key in self._schemas:
            return []
        self._schemas[key] = None
        physical = self._tables.base(target)
        return [schemas.schema_row(physical, signature, self._host, int(now * ticks.SECOND_US))]


def _typed_sources(plan: Plan) -> frozenset[str]:
    """The in-memory tables whose rows are as clients sent them: the declared ones and copies of those."""
    found = {source.name for source in plan.sources}
    for event in plan.derived:
        if event.lad is None and event.target.store == "local" and event.source in found:
            found.add(event.target.event)
    return frozenset(found)
