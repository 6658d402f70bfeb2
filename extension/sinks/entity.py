"""What reading a table gives back, and how one asks for a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from extension.rows.edm import EdmValue


@dataclass(frozen=True)
class Entity:
    """A stored row. ``timestamp`` is the service's Timestamp (ISO 8601 UTC with Z); columns keep their EDM types."""

    partition_key: str
    row_key: str
    columns: dict[str, EdmValue]
    timestamp: str


class Reader(Protocol):
    """Reads any table store back. Every method raises :class:`extension.sinks.base.SinkError`."""

    def tables(self) -> dict[str, int | None]:
        """Every table and its number of rows, None where counting would need a scan."""

    def query(
        self,
        table: str,
        *,
        partition_key: str | None = None,
        row_key_ge: str | None = None,
        row_key_le: str | None = None,
        time_ge: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Entity]:
        """The entities for which all conditions hold, by PartitionKey and RowKey.

        ``time_ge``: the column TIMESTAMP is at or after this ISO 8601 time (UTC, Z; compared to the second);
        ``limit``: only the first so many.
        """

    def close(self) -> None:
        """Give up connections and files."""
