"""One document's pipelines: readings in, local samples and rows out (spec/mdsd.md 2, 3.2-3.5, 5).

The engine decides nothing about time or files: it is told the times and answers with what has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from extension.pipeline import metrics, places, records, sizes
from extension.pipeline.batches import BATCH_ROWS, Batch, batches, measured
from extension.pipeline.metric_rows import metric_rows
from extension.pipeline.named import Named, Namer
from extension.pipeline.outputs import Dated, Output
from extension.pipeline.records import Record
from extension.pipeline.texts import Texts
from extension.plan import Derived, LadQuery, Plan, Query, Target
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
        self._identity_columns = records.with_identity({}, plan.identity)
        self._n = keys.partition_number(self._identity, plan.partitions)
        self._index = keys.first_row_index(int(now))
        self._schemas: dict[tuple[object, ...], None] = {}
        self._layouts: dict[schemas.Signature, schemas.Signature] = {}
        self._namers: dict[str, Namer] = {}
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
        instances: Sequence[Mapping[str, object]],
        types: Mapping[str, str],
        at_us: int,
        now: float,
    ) -> Output:
        """One query run. ``at_us``: Unix microseconds just before the query was sent; ``now``: Unix seconds."""
        named = self._named(query, instances, types, at_us)
        if named is not None:
            return Output(local=named)
        found: list[Dated] = []
        skipped: dict[str, int] = {}
        for instance in instances:
            columns = records.from_instance(instance, types)
            if not columns:
                continue
            if query.target.store != "local":  # before Unpivot, so that identity stands before name and value
                columns = records.with_identity(columns, self.plan.identity)
            if query.unpivot is None:
                found.append((at_us, records.keyed(columns)))
                continue
            parts = records.unpivot(columns, query.unpivot)
            if not parts:
                reason = f"Unpivot of {query.target.event} matched no columns"
                skipped[reason] = skipped.get(reason, 0) + 1
            found.extend((at_us, Record(p)) for p in parts)
        if query.target.store == "local":
            return Output(local=found, skipped=skipped)
        base = ticks.floor_to(at_us, query.rate)
        return self._out(found, query.target, base, now, skipped, pipeline=query.text)

    def _named(
        self, query: Query, instances: Sequence[Mapping[str, object]], types: Mapping[str, str], at_us: int
    ) -> Named | None:
        """The short way of a query whose instances become names and values in the in-memory table, and nothing else."""
        if query.unpivot is None or query.target.store != "local":
            return None
        namer = self._namers.get(query.target.event)
        if namer is None or namer.spec is not query.unpivot or namer.types is not types:
            namer = self._namers[query.target.event] = Namer(query.unpivot, types)
        return namer.named(instances, at_us)

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
            pipeline = f"{event.source}|{event.duration}"
            return self._out(list(source), event.target, start, now, {}, period=period, pipeline=pipeline)
        lad = event.lad
        found = (r.columns for _, r in source)
        if self.groups_by_identity(event):
            found = (records.with_identity(columns, self.plan.identity) for columns in found)
        return self.on_metrics(event, lad, metrics.pairs_of(found, lad.column_name, lad.column_value), start, now)

    def groups_by_identity(self, event: Derived) -> bool:
        """Whether an event's LADQuery takes an identity column for the name: the records themselves have none."""
        lad = event.lad
        return lad is not None and event.target.store != "local" and lad.column_name in self._identity_columns

    def on_metrics(
        self, event: Derived, lad: LadQuery, source: Iterable[metrics.Pair], start: int, now: float
    ) -> Output:
        """As :meth:`on_window` for an event with a LADQuery, given nothing but names and values of its records."""
        at_us = min((start + event.duration) * ticks.SECOND_US, int(now * ticks.SECOND_US))
        result = metrics.aggregate(source)
        skipped = {f"{event.source}: {reason}": n for reason, n in result.skipped.items()}
        if event.target.store == "table":
            stamp = ("DateTime", ticks.iso(start * ticks.SECOND_US))
            portions = metric_rows(result.counters, lad, start, self._identity_columns, stamp)
            if portions is not None:
                table = self._tables.name(event.target, now)
                ready = [Batch(event.target.moniker, table, rows, size) for rows, size in portions]
                return Output(ready, skipped=skipped)
        made = [(at_us, r) for r in metrics.metric_records(result.counters, lad, start)]
        if event.target.store == "local":
            return Output(local=made, skipped=skipped)  # both of the mirrored pair: second stages copy both
        return self._out(made, event.target, start, now, skipped)

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
        period: int = 0,
        pipeline: str = "",
    ) -> Output:
        """Rows for a target that is not local; ``period``: batch interval in seconds that is not a divisor of 1 h;
        ``pipeline``: what gives the rows a schema row, "" for none."""
        if not found:
            return Output(skipped=skipped)
        identified = self._identified(found)
        if target.store == "jsonblob":
            made = self._texts.blocks(target, identified, period, self._next_index)
        elif target.store == "file":
            made = self._texts.lines(target, identified, now, self._next_index)
        else:
            made = self._rows(identified, target, base, now, pipeline)
        return Output(made.batches, [], {**skipped, **made.skipped}, made.dropped)

    def _identified(self, found: list[Dated]) -> list[Dated]:
        """The records with the identity columns; those that shared their columns (the two of a metric) do so again."""
        out: list[Dated] = []
        before, columns = None, dict[str, EdmValue]()
        for at_us, record in found:
            if record.columns is not before:
                before = record.columns
                columns = {**before, **self._identity_columns}
            out.append((at_us, Record(columns, record.partition_key, record.row_key, record.twin)))
        return out

    def _rows(self, found: list[Dated], target: Target, base: int, now: float, pipeline: str) -> Output:
        """Keys and times for each record; ``base``: qibase or window start (Unix s)."""
        table = self._tables.name(target, now)
        rows: list[tuple[Row, int]] = []
        schema_rows: list[Row] = []
        dropped: dict[tuple[str, str], int] = {}
        skipped: dict[str, int] = {}
        stamp: EdmValue = ("DateTime", ticks.iso(base * ticks.SECOND_US))
        before, columns, renamed, measure = None, dict[str, EdmValue](), dict[str, int](), (0, "")
        for number, (at_us, record) in enumerate(found):
            keyed = bool(record.row_key and record.partition_key)
            shared = keyed and record.columns is before
            if not shared:
                columns, renamed = repaired(record.columns)
            for reason in renamed:
                skipped[reason] = skipped.get(reason, 0) + 1
            if pipeline and not number:
                schema_rows = self._schema(target, table, columns, now, pipeline)
            partition_key = record.partition_key or keys.default_partition_key(self._n, base)
            row_key = record.row_key
            if not keyed:
                index = self._next_index()
                row_key = row_key or keys.default_row_key(self._identity, index)
                columns["PreciseTimeStamp"] = ("DateTime", ticks.iso(at_us))
                columns["N"] = ("String", self._n)
                columns["RowIndex"] = ("String", index)
            if not shared:
                columns["TIMESTAMP"] = stamp
                measure = sizes.of_columns(columns)
                before = record.columns if keyed else None
            size, why = sizes.with_keys(partition_key, row_key, measure)
            if why:
                dropped[table, f"oversize: {why}"] = dropped.get((table, f"oversize: {why}"), 0) + 1
            else:
                rows.append((Row(partition_key, row_key, columns), size))
        found_batches = [
            *batches(target.moniker, table, rows),
            *batches(target.moniker, schemas.TABLE, measured(schema_rows)),
        ]
        return Output(found_batches, skipped=skipped, dropped=dropped)

    def _schema(
        self, target: Target, table: str, columns: Mapping[str, EdmValue], now: float, pipeline: str
    ) -> list[Row]:
        """The schema row that is due: a pipeline describes a table once, as its first row is (spec/mdsd.md 12), and
        tables with the same columns are described in the order of the first of them."""
        if target.moniker in self._tables.fixed:
            return []  # a table's own SAS cannot write SchemasTable
        if not self._first((pipeline, target, table)):
            return []
        signature = schemas.signature(columns)
        columns_alike = tuple(sorted(signature))
        if not self._first((target.moniker, table, columns_alike)):
            return []
        layout = self._layouts.setdefault(columns_alike, signature)
        return [schemas.schema_row(self._tables.base(target), layout, self._host, int(now * ticks.SECOND_US))]

    def _first(self, key: tuple[object, ...]) -> bool:
        """Whether this is the first time that ``key`` is seen; :meth:`rewind` forgets."""
        known = key in self._schemas
        self._schemas[key] = None
        return not known
