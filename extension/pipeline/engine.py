"""One document's pipelines: readings in, local samples and table rows out (spec/mdsd.md 2, 3.2-3.5).

The engine decides nothing about time or files: it is told the times and answers with what has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from extension.pipeline import metrics, records
from extension.pipeline.records import Record
from extension.plan import Derived, Plan, Query, Target
from extension.rows import keys, names, schemas, ticks
from extension.rows.edm import EdmValue, Row

BATCH_ROWS = 100
BATCH_BYTES = 3_500_000
"""Below the service's 4 MiB with room for the request's framing."""


@dataclass(frozen=True)
class Batch:
    """At most :data:`BATCH_ROWS` rows of one table and PartitionKey for one account."""

    moniker: str
    table: str
    rows: list[Row]


@dataclass(frozen=True)
class Output:
    """What one pipeline run leaves: table rows, local records, and counted reasons for what is missing."""

    batches: list[Batch]
    local: list[Record]
    skipped: dict[str, int]


class Engine:
    """The pipelines of a :class:`Plan`. ``host`` is SchemasTable's Uploader; ``now`` (Unix s) seeds RowIndex."""

    def __init__(self, plan: Plan, host: str, now: float) -> None:
        self.plan = plan
        self._host = host
        self._identity = keys.identity_text(value for _, value in plan.identity)
        self._n = keys.partition_number(self._identity, plan.partitions)
        self._index = keys.first_row_index(int(now))
        self._schemas: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
        self._service_sas = {a.moniker for a in plan.accounts if a.kind == "sas" and "ss=" not in a.secret}

    def resume_row_index(self, last: int) -> int:
        """Never hand out a RowIndex at or below ``last``; returns the newest one handed out."""
        self._index = max(self._index, last + 1)
        return self._index - 1

    def on_instances(
        self,
        query: Query,
        instances: Iterable[Mapping[str, object]],
        types: Mapping[str, str],
        at_us: int,
        now: float,
    ) -> Output:
        """One query run. ``at_us``: Unix microseconds just before the query was sent; ``now``: Unix seconds."""
        found: list[Record] = []
        skipped: dict[str, int] = {}
        for instance in instances:
            columns = records.from_instance(instance, types)
            if not columns:
                continue
            if query.unpivot is None:
                found.append(Record(columns))
                continue
            parts = records.unpivot(columns, query.unpivot)
            if not parts:
                reason = f"Unpivot of {query.target.event} matched no columns"
                skipped[reason] = skipped.get(reason, 0) + 1
            found.extend(Record(p) for p in parts)
        if query.target.store == "local":
            return Output([], found, skipped)
        base = ticks.floor_to(at_us, query.rate)
        return Output(self._rows([(at_us, r) for r in found], query.target, base, now), [], skipped)

    def on_window(self, derived: Derived, source: list[tuple[int, Record]], start: int, now: float) -> Output:
        """One closed window: ``source`` are its (time, record) pairs in time order, ``start`` its start (Unix s)."""
        if derived.lad is None:
            if derived.target.store == "local":
                return Output([], [r for _, r in source], {})
            return Output(self._rows(source, derived.target, start, now), [], {})
        result = metrics.aggregate((r for _, r in source), derived.lad)
        rows = metrics.metric_records(result.counters, derived.lad, start)
        skipped = {f"{derived.source}: {reason}": n for reason, n in result.skipped.items()}
        if derived.target.store == "local":
            return Output([], rows, skipped)  # both of the mirrored pair, as mdsd's second stages see them
        return Output(self._rows([(0, r) for r in rows], derived.target, start, now, schema=False), [], skipped)

    def _rows(
        self, found: list[tuple[int, Record]], target: Target, base: int, now: float, schema: bool = True
    ) -> list[Batch]:
        """Keys, identity and times for each record; ``base``: qibase or window start (Unix s)."""
        table = self.table(target, now)
        rows: list[Row] = []
        schema_rows: list[Row] = []
        stamp: EdmValue = ("DateTime", ticks.iso(base * ticks.SECOND_US))
        for at_us, record in found:
            columns = records.with_identity(record.columns, self.plan.identity)
            if schema:
                schema_rows.extend(self._schema(target, table, columns, now))
            if record.row_key and record.partition_key:
                rows.append(Row(record.partition_key, record.row_key, {**columns, "TIMESTAMP": stamp}))
                continue
            index = keys.row_index(self._index)
            self._index += 1
            columns["PreciseTimeStamp"] = ("DateTime", ticks.iso(at_us))
            columns["N"] = ("String", self._n)
            columns["RowIndex"] = ("String", index)
            columns["TIMESTAMP"] = stamp
            pk = record.partition_key or keys.default_partition_key(self._n, base)
            rows.append(Row(pk, record.row_key or keys.default_row_key(self._identity, index), columns))
        return [
            *batches(target.moniker, table, rows),
            *batches(target.moniker, schemas.TABLE, schema_rows),
        ]

    def forget_schemas(self) -> None:
        """Write the schema rows again: the last output was not stored."""
        self._schemas.clear()

    def table(self, target: Target, now: float) -> str:
        """The physical table of a target for rows queued at Unix time ``now``."""
        return names.table_name(
            target.event,
            namespace=self.plan.namespace,
            version=self.plan.event_version,
            full_name=target.full_name,
            per_nday=target.per_nday,
            now=now,
        )

    def _schema(self, target: Target, table: str, columns: Mapping[str, EdmValue], now: float) -> list[Row]:
        if target.moniker in self._service_sas:
            return []  # a table's own SAS cannot write SchemasTable
        signature = schemas.signature(columns)
        key = (target.moniker, table, signature)
        if key in self._schemas:
            return []
        self._schemas.add(key)
        physical = names.base_name(
            target.event,
            namespace=self.plan.namespace,
            version=self.plan.event_version,
            full_name=target.full_name,
        )
        return [schemas.schema_row(physical, signature, self._host, int(now * ticks.SECOND_US))]


def estimated_size(row: Row) -> int:
    """mdsd's estimate of a row on the wire in bytes (spec/mdsd.md 3.6): 2 per character of names and strings."""
    size = 2 * (len(row.partition_key) + len(row.row_key)) + 8
    for name, (kind, value) in row.columns.items():
        size += 2 * len(name) + 4 + (2 * len(value) + 2 if kind in ("String", "DateTime") else 8)
    return size


def batches(moniker: str, table: str, rows: list[Row]) -> list[Batch]:
    """Split rows into batches of one PartitionKey, :data:`BATCH_ROWS` rows and :data:`BATCH_BYTES` at most."""
    out: list[Batch] = []
    size = 0
    for row in rows:
        cost = estimated_size(row)
        last = out[-1] if out else None
        if (
            last is None
            or last.rows[0].partition_key != row.partition_key
            or len(last.rows) >= BATCH_ROWS
            or size + cost > BATCH_BYTES
        ):
            out.append(Batch(moniker, table, [row]))
            size = cost
        else:
            last.rows.append(row)
            size += cost
    return out
