"""Records as the text rows of JSON blobs, Event Hubs and files, in batches for their lanes (spec/mdsd.md 5). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from extension.pipeline import batches, json_rows, places, sizes
from extension.pipeline.batches import Batch
from extension.pipeline.outputs import Dated, Output
from extension.pipeline.records import Record
from extension.plan import Plan, Target
from extension.rows import ticks
from extension.rows.edm import Row

NextIndex = Callable[[], str]
"""Makes a RowKey that no other text row has: what sinks recognise a repeated batch by."""


class Texts:
    """The text outputs of one plan."""

    def __init__(self, plan: Plan, tables: places.Tables) -> None:
        self._plan = plan
        self._tables = tables
        self._resource_id = dict(plan.obo).get("resourceId", "")
        self._grains = {d.target.event: d.grain or json_rows.duration(d.duration) for d in plan.derived}
        identity = dict(plan.identity)
        tenant, role, instance = (identity.get(alias, "") for alias in plan.identity_aliases)
        self._dimensions = (tenant, role, instance)
        self._hubs: dict[str, list[str]] = {}
        for lane, publisher in places.event_hub_lanes(plan):
            self._hubs.setdefault(publisher.event, []).append(lane)

    def publishes(self, event: str) -> bool:
        """Whether records of the in-memory table ``event`` go to an Event Hub."""
        return event in self._hubs

    def blocks(self, target: Target, found: list[Dated], period: int, next_index: NextIndex) -> Output:
        """One JSON text per record, by blob; ``period`` (s): the batch interval of a RouteEvent, 0 for others."""
        ledger = self._tables.ledger(target, 0.0)
        dropped: dict[tuple[str, str], int] = {}
        rows: list[Row] = []
        for at_us, record in found:
            if record.twin and not self._plan.options.json_blob_twice:
                continue
            base = ticks.floor_to(at_us, period) if period else at_us // ticks.SECOND_US
            try:
                text = self._json(target.event, at_us, record)
                path = places.blob_path(self._plan, target.event, base)
            except places.PlaceError as error:
                dropped[ledger, str(error)] = dropped.get((ledger, str(error)), 0) + 1
                continue
            rows.append(_row(path, next_index(), text))
        rows.sort(key=lambda row: row.partition_key)  # stable: one block per blob and run
        lane = places.json_blob_lane(target.moniker)
        made = batches.split(lane, ledger, _measured(rows), batches.BLOCK_ROWS, batches.BLOCK_BYTES)
        return Output(made, dropped=dropped)

    def lines(self, target: Target, found: list[Dated], now: float, next_index: NextIndex) -> Output:
        """One line per record for a text file."""
        now_us = int(now * ticks.SECOND_US)
        rows = [
            _row(target.event, next_index(), json_rows.file_line(r.columns, at, r.partition_key, r.row_key, now_us))
            for at, r in found
        ]
        ledger = self._tables.ledger(target, now)
        made = batches.split(places.FILE_LANE, ledger, _measured(rows), batches.BLOCK_ROWS, batches.BLOCK_BYTES)
        return Output(made)

    def messages(self, event: str, found: Iterable[Dated], next_index: NextIndex) -> Output:
        """One message per record for every hub of the in-memory table ``event``; what is too large is counted."""
        ledger = f"{places.EVENT_HUB}/{event}"
        dropped: dict[tuple[str, str], int] = {}
        made: list[Batch] = []
        texts: list[str] = []
        for at_us, record in found if event in self._hubs else ():
            if record.twin:
                continue
            try:
                text = self._json(event, at_us, record)
            except places.PlaceError as error:
                dropped[ledger, str(error)] = dropped.get((ledger, str(error)), 0) + len(self._hubs[event])
                continue
            if sizes.text_bytes(text) > batches.MESSAGE_BYTES:
                key = (ledger, "oversize: message over 256 KiB")
                dropped[key] = dropped.get(key, 0) + len(self._hubs[event])
                continue
            texts.append(text)
        for lane in self._hubs.get(event, ()):
            rows = [_row(event, next_index(), text) for text in texts]
            made += batches.split(lane, ledger, _measured(rows), batches.MESSAGES, batches.BLOCK_BYTES)
        return Output(made, dropped=dropped)

    def _json(self, event: str, at_us: int, record: Record) -> str:
        if not self._resource_id:
            raise places.PlaceError("no OboDirectPartitionField resourceId: JSON rows need one")
        grain = self._grains.get(event, "")
        if not json_rows.is_metric(record.columns, grain):
            return json_rows.log_row(record.columns, at_us, self._resource_id)
        missing = json_rows.missing_statistics(record.columns)
        if missing:
            raise places.PlaceError(f"a metric row without {', '.join(missing)}")
        return json_rows.metric_row(record.columns, at_us, self._resource_id, grain, self._dimensions)


def _row(path: str, index: str, text: str) -> Row:
    return Row(path, index, {places.RECORD: ("String", text)})


def _measured(rows: list[Row]) -> list[tuple[Row, int]]:
    return [(row, sizes.text_bytes(row.columns[places.RECORD][1]) + 2) for row in rows]
