"""Rows in the portions that one request carries (spec/mdsd.md 3.6). Pure."""

from __future__ import annotations

from collections.abc import Iterable
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


def split(
    moniker: str, table: str, rows: list[Row], max_rows: int, max_bytes: int, costs: Iterable[int]
) -> list[Batch]:
    """Batches of one PartitionKey, ``max_rows`` rows and ``max_bytes`` at most (a larger row stands alone).

    ``costs``: the bytes of each row.
    """
    out: list[Batch] = []
    size = 0
    for row, cost in zip(rows, costs, strict=True):
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


def batches(moniker: str, table: str, rows: list[Row], costs: Iterable[int] | None = None) -> list[Batch]:
    """Table rows as entity group transactions take them; ``costs``: mdsd's estimate of each on the wire, if known."""
    if costs is None:
        costs = (sizes.estimated(row)[0] for row in rows)
    return split(moniker, table, rows, BATCH_ROWS, BATCH_BYTES, costs)
