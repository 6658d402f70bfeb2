"""The SDK's own ``submit_transaction`` as a sink: what the product's batch path is held against (spec/storage.md 3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from azure.data.tables import EdmType, EntityProperty, TransactionOperation, UpdateMode

from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import endpoints
from extension.sinks.azure_client import connect, describe, secrets_of
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.errors import Outcome, classify


class SdkSink:
    """Sends through the SDK alone, one attempt each; judges as the product does. Creates no table, checks no row."""

    def __init__(
        self,
        account: Account,
        *,
        clock: Callable[[], float] = time.time,
        connect_timeout: float = 5.0,
        read_timeout: float = 5.0,
    ) -> None:
        self._account = account
        self._clock = clock
        self._endpoint = endpoints.parse(account.table_endpoint, account.account)
        self._connection = connect(
            self._endpoint, account, connect_timeout=connect_timeout, read_timeout=read_timeout, clock=clock
        )

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """One transaction. Raises SinkError."""
        operations = [(TransactionOperation.UPSERT, entity_of(row), {"mode": UpdateMode.REPLACE}) for row in rows]
        outcome: Outcome | None = None
        try:
            answers = self._connection.service.get_table_client(table).submit_transaction(operations)
            if len(answers) != len(rows):
                outcome = Outcome(kind="truncated", rows=len(rows))
        except Exception as error:  # whatever it is, it is judged
            outcome = outcome_of(error, "upsert", len(rows))
        if outcome is not None:
            raise classify(
                outcome,
                endpoint=self._endpoint.url,
                table=table,
                credential=describe(self._endpoint, self._account),
                now=self._clock(),
                secrets=secrets_of(self._account),
            )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


def entity_of(row: Row) -> dict[str, Any]:
    """The entity as the SDK takes it, with every type kept: Int64 marked, times as text (all digits), no NULLs."""
    entity: dict[str, Any] = {"PartitionKey": row.partition_key, "RowKey": row.row_key}
    for name, (kind, value) in row.columns.items():
        if value is not None:
            entity[name] = _property(kind, value)
    return entity


def _property(kind: str, value: Any) -> Any:
    if kind == "Int64":
        return EntityProperty(value, EdmType.INT64)
    if kind == "DateTime":
        return EntityProperty(value, EdmType.DATETIME)
    if kind == "Double":
        return float(value)
    return value
