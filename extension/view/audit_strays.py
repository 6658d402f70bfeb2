"""Rows that are there and should not be, and the rows of SchemasTable. Pure but for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from extension.pipeline import places, windows
from extension.plan import Plan, Target
from extension.rows import schemas, ticks
from extension.rows.edm import EdmValue, Row
from extension.sinks.base import SinkError
from extension.sinks.entity import Reader
from extension.store.gaps import Known
from extension.view.audit_expected import Expected
from extension.view.audit_judge import QUEUED, Dropped
from extension.view.audit_sheet import Sheet

MAX_STRAYS = 100
_PARTITION_END = "___0504911232000000001"


@dataclass
class Strays:
    """Rows of this machine in audited tables and times that the document does not ask for, the first of them named.

    ``why``: what explains them, "" if nothing does.
    """

    rows: int = 0
    named: list[dict[str, str]] = field(default_factory=list)
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether there are none, or an explanation."""
        return not self.rows or bool(self.why)

    def look(self, table: str, sheets: Iterable[Sheet], pk: str, rk: str, columns: Mapping[str, EdmValue]) -> None:
        """A row that no event took: note it if one of ``sheets`` would know it."""
        start = next((at for sheet in sheets if (at := sheet.claims(pk, rk, columns)) is not None), None)
        if start is None:
            return
        self.rows += 1
        if len(self.named) < MAX_STRAYS:
            when = ticks.iso(int(start) * ticks.SECOND_US)
            self.named.append({"table": table, "PartitionKey": pk, "RowKey": rk, "window": when})

    def explain(self, known: Known | None, since: float) -> None:
        """A document that was in force since ``since`` explains them, or a record that does not reach back."""
        if not self.rows:
            return
        if known is None:
            self.why = "no record of earlier documents"
        elif known.left is not None and known.left >= since:
            self.why = "an earlier document asked for other rows"
        elif known.replaced is not None and known.replaced >= since:
            self.why = "the store that knew of earlier documents was replaced"


def unaudited(plan: Plan, wanted: Sequence[Expected]) -> list[Target]:
    """The targets of ``plan`` whose rows are not known: in their tables nothing is a stray."""
    known = {expected.consumer for expected in wanted}
    found = [(consumer.id, consumer.event.target) for consumer in windows.consumers(plan)]
    return [target for name, target in found if target.store == "table" and name not in known]


@dataclass
class Schemas:
    """SchemasTable's audit: one row for each table that got rows with their schema."""

    expected: int = 0
    present: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    queued: set[str] = field(default_factory=set)

    @property
    def ok(self) -> bool:
        """Whether each is there once, or missing for a reason."""
        return not self.missing and not self.twice

    def wait(self, row: Row) -> None:
        """Take a row that waits in the queue."""
        self.queued.add(str(row.columns.get("PhysicalTableName", ("", ""))[1]))

    def check(self, sheets: Iterable[Sheet], tables: places.Tables, reader: Reader, dropped: Dropped) -> None:
        """Compare what one account's tables need with its SchemasTable. Raises SinkError."""
        due = {tables.base(s.expected.target): None for s in sheets if _has_schema(s.expected) and s.present()}
        if not due:
            return
        found: dict[str, int] = {}
        for key, misplaced in _schema_rows(reader):
            name = key.rpartition("___")[0]
            found[name] = found.get(name, 0) + 1
            if name in due and misplaced:
                self.twice.append(name)
        for name in due:
            self.expected += 1
            if name in found:
                self.present += 1
                continue
            cause = QUEUED if name in self.queued else dropped.take([schemas.TABLE])
            if cause is None:
                self.missing.append(name)
            else:
                self.explained[cause] = self.explained.get(cause, 0) + 1


def _has_schema(expected: Expected) -> bool:
    """Rows of a LADQuery have none, copies of them have (spec/mdsd.md 3.4)."""
    return expected.kind == "rows" or expected.dated_at_end


def _schema_rows(reader: Reader) -> Iterable[tuple[str, bool]]:
    """(TABLE___HASH by its columns, whether its keys are others than these say) of each row."""
    try:
        for entity in reader.query(schemas.TABLE):
            name = str(entity.columns.get("PhysicalTableName", ("", ""))[1])
            key = f"{name}___{entity.columns.get('MD5Hash', ('', ''))[1]}"
            partition = f"{len(name) % 10:019d}{_PARTITION_END}"
            yield key, (entity.partition_key, entity.row_key) != (partition, key)
    except SinkError as error:
        if error.http_status != 404:
            raise
