"""What a sink is and how it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from extension.rows.edm import Row

Reaction = Literal["retry", "slow", "split", "drop-row", "drop-batch"]
"""What the sender does with the batch: try again soon; try again in minutes (a person has to act); send it in two
halves; drop the one row ``SinkError.row`` and re-send the rest; drop all of it."""

Outage = Literal["", "sink", "host"]
"""Who else has no luck: nobody (the service answered), perhaps the other sinks of the host, all of them."""

MAX_ROWS = 100
"""Entities of one batch (spec/storage.md 4)."""


@dataclass(eq=False)
class SinkError(Exception):
    """One failed attempt, already judged.

    ``code``: the service's error code, or a short name of the failure ("connection refused"); ``cause``: a stable
    machine name of the diagnosis ("clock-skew", "sas-expired" ...), "" where ``code`` says it all; ``retry_after``:
    seconds that the service asked for; ``connection``: the whole endpoint is concerned, not this batch; ``place``:
    what alone is concerned where that is less than the batch's table, the PartitionKey (a blob); ``outage``: whether
    it is the host that fails; ``row``: index of the refused row for ``drop-row``. ``message`` is one line without
    secrets: what happened, and what to do.
    """

    reaction: Reaction
    code: str
    message: str
    http_status: int | None = None
    retry_after: float | None = None
    connection: bool = False
    row: int | None = None
    cause: str = ""
    place: str = ""
    outage: Outage = ""

    def __str__(self) -> str:
        return self.message


class Sink(Protocol):
    """One storage account that takes rows. Used by one thread at a time."""

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Upsert-replace at most 100 rows of one PartitionKey, all or nothing; creates the table when it is missing.

        Sending the same rows again has no further effect. Raises :class:`SinkError`.
        """

    def close(self) -> None:
        """Give up connections and files. Calling it twice is fine."""
