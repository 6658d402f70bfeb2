"""Rows in the portions that one request carries (spec/mdsd.md 3.6). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from extension.pipeline import sizes
from extension.rows.columnar import Columnar, joined
from extension.rows.edm import Row

BATCH_ROWS = 100
BATCH_BYTES = 3_500_000
"""Below the service's 4 MiB with room for the request's framing."""
BLOCK_ROWS = 5000
BLOCK_BYTES = 1 << 18
"""Of the JSON text of one block; mdsd's own limit of 4,128,768 would cost the uploader memory."""
OPEN_BATCHES = 32
"""So many that may still grow are held in memory."""
MESSAGES = 20
MESSAGE_BYTES = 1 << 18


@dataclass(frozen=True)
class Batch:
    """What is sent at once: rows of one table and PartitionKey for one lane (:mod:`extension.pipeline.places`).

    ``moniker`` is the lane; ``table`` the name under which the rows are counted; ``size``: in bytes, by mdsd's estimate
    or as the lane counts, 0 where nobody measured it.
    """

    moniker: str
    table: str
    rows: Sequence[Row]
    size: int = 0


def split(moniker: str, table: str, rows: Iterable[tuple[Row, int]], max_rows: int, max_bytes: int) -> list[Batch]:
    """Batches of one PartitionKey, ``max_rows`` rows and ``max_bytes`` at most (a larger row stands alone); ``rows``
    come with their sizes."""
    return list(_split(moniker, table, rows, max_rows, max_bytes))


def _split(moniker: str, table: str, rows: Iterable[tuple[Row, int]], max_rows: int, max_bytes: int) -> Iterator[Batch]:
    taken: list[Row] = []
    size = 0
    for row, cost in rows:
        if taken and (taken[0].partition_key != row.partition_key or len(taken) >= max_rows or size + cost > max_bytes):
            yield Batch(moniker, table, taken, size)
            taken, size = [], 0
        taken.append(row)
        size += cost
    if taken:
        yield Batch(moniker, table, taken, size)


def batches(moniker: str, table: str, rows: Iterable[tuple[Row, int]]) -> list[Batch]:
    """Table rows, with mdsd's estimate of each, as entity group transactions take them."""
    return split(moniker, table, rows, BATCH_ROWS, BATCH_BYTES)


def measured(rows: Iterable[Row]) -> list[tuple[Row, int]]:
    """Table rows with mdsd's estimate of each."""
    return [(row, sizes.estimated(row)[0]) for row in rows]


@dataclass
class _Open:
    """Batches that follow each other and fit into one."""

    batches: list[Batch] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    row_keys: set[str] = field(default_factory=set)

    def add(self, batch: Batch) -> bool:
        """Take one more; False if it does not fit."""
        keys = _row_keys(batch.rows)
        if self.batches and (
            self.rows + len(keys) > BATCH_ROWS
            or self.size + batch.size > BATCH_BYTES
            or not self.row_keys.isdisjoint(keys)
        ):
            return False
        self.batches.append(batch)
        self.rows += len(keys)
        self.size += batch.size
        self.row_keys.update(keys)
        return True

    def joined(self) -> Batch:
        """All of them as one."""
        first = self.batches[0]
        if len(self.batches) == 1:
            return first
        alike = [batch.rows for batch in self.batches if isinstance(batch.rows, Columnar)]
        rows = joined(alike) if len(alike) == len(self.batches) else None
        if rows is None:
            return Batch(first.moniker, first.table, [row for batch in self.batches for row in batch.rows], self.size)
        return Batch(first.moniker, first.table, rows, self.size)


def _row_keys(rows: Sequence[Row]) -> Sequence[str]:
    return rows.row_keys if isinstance(rows, Columnar) else [row.row_key for row in rows]


@dataclass
class Joiner:
    """Makes one batch of small ones that follow each other: what the events of one tick give to one table is one
    request instead of one each. Rows stay in order, and no RowKey is twice in a batch."""

    _open: dict[tuple[str, str, str], _Open] = field(default_factory=dict)

    def add(self, batch: Batch) -> list[Batch]:
        """Take a batch of table rows; returns those that nothing can be added to any more."""
        rows = batch.rows
        partition_key = rows.partition_key if isinstance(rows, Columnar) else rows[0].partition_key
        key = (batch.moniker, batch.table, partition_key)
        known, out = self._open.pop(key, None), []
        if known is None or not known.add(batch):
            out = [] if known is None else [known.joined()]
            known = _Open()
            known.add(batch)
        self._open[key] = known
        return out if len(self._open) < OPEN_BATCHES else out + self.rest()

    def rest(self) -> list[Batch]:
        """Those that are left; begins anew."""
        left = [one.joined() for one in self._open.values()]
        self._open.clear()
        return left
