"""What a sink is, how it fails, and which one an endpoint asks for.

Light on purpose: importing this module loads no network code, so that a ``file:`` endpoint never costs the Azure SDK.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import endpoints

Reaction = Literal["retry", "slow", "split", "drop-row", "drop-batch"]
"""What the sender does with the batch: try again soon; try again in minutes (a person has to act); send it in two
halves; drop the one row ``SinkError.row`` and re-send the rest; drop all of it."""

MAX_ROWS = 100
"""Entities of one batch (spec/storage.md 4)."""


@dataclass(eq=False)
class SinkError(Exception):
    """One failed attempt, already judged.

    ``code``: the service's error code, or a short name of the failure ("connection refused"); ``cause``: a stable
    machine name of the diagnosis ("clock-skew", "sas-expired" ...), "" where ``code`` says it all; ``retry_after``:
    seconds that the service asked for; ``connection``: the whole endpoint is concerned, not this batch;
    ``row``: index of the refused row for ``drop-row``. ``message`` is one line without secrets: what happened, and
    what to do.
    """

    reaction: Reaction
    code: str
    message: str
    http_status: int | None = None
    retry_after: float | None = None
    connection: bool = False
    row: int | None = None
    cause: str = ""

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


def open_sink(
    account: Account,
    *,
    clock: Callable[[], float] = time.time,
    connect_timeout: float = 10.0,
    read_timeout: float = 35.0,
) -> Sink:
    """The sink for ``account.table_endpoint``: ``file:`` the embedded table store, ``http(s):`` Azure Tables.

    Nothing is opened or asked yet: a store or service that cannot be reached shows in :meth:`Sink.send`.
    ``clock`` gives Unix seconds; the timeouts are seconds. Raises :class:`SinkError` (``slow``) for an endpoint or
    credential of no usable form.
    """
    try:
        endpoint = endpoints.parse(account.table_endpoint, account.account)
    except ValueError as error:
        raise SinkError("slow", "InvalidEndpoint", str(error), connection=True, cause="configuration") from None
    if endpoint.path:
        from extension.sinks.local_tables import LocalTablesSink

        return LocalTablesSink(endpoint.path, clock=clock)
    from extension.sinks.azure_tables import AzureTablesSink

    return AzureTablesSink(endpoint, account, clock=clock, connect_timeout=connect_timeout, read_timeout=read_timeout)
