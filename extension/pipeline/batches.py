"""Rows in the portions that one request carries (spec/mdsd.md 3.6). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from extension.pipeline import sizes
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
    rows: list[Row]
    size: int = 0


def split(
    moniker: str, table: str, rows: Iterable[tuple[Row, int]], max_rows: int, max_bytes: int
) -> list[Batch]:
    """Batches of one PartitionKey, ``max_rows`` rows and ``max_bytes`` at most (a larger row stands alone); ``rows``
    come with their sizes."""
    return list(_split(moniker, table, rows, max_rows, max_bytes))


def _split(
    moniker: str, table: str, rows: Iterable[tuple[Row, int]], max_rows: int, max_bytes: int
) -> Iterator[Batch]:
    taken: list[Row] = []
    size = 0
    for row, cost in rows:
        if taken and (
            taken[0].partition_key != row.partition_key or len(taken) >= max_rows or size + cost > max_bytes
        ):
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
class Joiner:
    """Makes one batch of small ones that follow each other: what the events of one tick give to one table is one
    request instead of one each. Rows stay in order, and no RowKey is twice in a batch."""

    _open: dict[tuple[str, str, str], Batch] = field(default_factory=dict)

    def add(self, batch: Batch) -> list[Batch]:
        """Take a batch of table rows; returns those that nothing can be added to any more."""
        key = (batch.moniker, batch.table, batch.rows[0].partition_key)
        known = self._open.pop(key, None)
        out = []
        if known is not None and _fit(known, batch):
            batch = Batch(batch.moniker, batch.table, [*known.rows, *batch.rows], known.size + batch.size)
        elif known is not None:
            out.append(known)
        self._open[key] = batch
        return out if len(self._open) < OPEN_BATCHES else out + self.rest()

    def rest(self) -> list[Batch]:
        """Those that are left; begins anew."""
        left = list(self._open.values())
        self._open.clear()
        return left


def _fit(first: Batch, second: Batch) -> bool:
    if len(first.rows) + len(second.rows) > BATCH_ROWS or first.size + second.size > BATCH_BYTES:
        return False
    return {row.row_key for row in first.rows}.isdisjoint(row.row_key for row in second.rows)
