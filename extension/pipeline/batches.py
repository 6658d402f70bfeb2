"""Rows in the portions that one request carries (spec/mdsd.md 3.6). Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from extension.pipeline import sizes
from extension.rows.edm import Row

BATCH_ROWS = 100
BATCH_BYTES = 3_500_000
"""Below the service's 4 MiB with room for the request's framing."""
BLOCK_ROWS = 5000
BLOCK_BYTES = 1 << 18
"""Of the JSON text of one block; mdsd's own limit of 4,128,768 would cost the uploader memory."""
MESSAGES = 20
MESSAGE_BYTES = 1 << 18


@dataclass(frozen=True)
class Batch:
    """What is sent at once: rows of one table and PartitionKey for one lane (:mod:`extension.pipeline.places`).

    ``moniker`` is the lane; ``table`` the name under which the rows are counted.
    """

    moniker: str
    table: str
    rows: list[Row]


def estimated_size(row: Row) -> int:
    """mdsd's estimate of a row on the wire, in bytes."""
    return sizes.estimated(row)[0]


def split(
    moniker: str, table: str, rows: list[Row], max_rows: int, max_bytes: int, size_of: Callable[[Row], int]
) -> list[Batch]:
    """Batches of one PartitionKey, ``max_rows`` rows and ``max_bytes`` at most (a larger row stands alone)."""
    out: list[Batch] = []
    size = 0
    for row in rows:
        cost = size_of(row)
        last = out[-1] if out else None
        if (
            last is None
            or last.rows[0].partition_key != row.partition_key
            or len(last.rows) >= max_rows
            or size + cost > max_bytes
        ):
            out.append(Batch(moniker, table, [row]))
            size = cost
        else:
            last.rows.append(row)
            size += cost
    return out


def batches(moniker: str, table: str, rows: list[Row]) -> list[Batch]:
    """Table rows as entity group transactions take them."""
    return split(moniker, table, rows, BATCH_ROWS, BATCH_BYTES, estimated_size)
