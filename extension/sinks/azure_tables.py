"""Azure Tables and everything that speaks its protocol: upsert-replace in entity group transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from azure.data.tables import EdmType, EntityProperty, TableClient, TableServiceClient, TransactionOperation, UpdateMode

from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import limits
from extension.sinks.azure_client import describe, secrets_of, service_client
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.base import MAX_ROWS, SinkError
from extension.sinks.endpoints import Endpoint
from extension.sinks.errors import Outcome, classify

_MISSING_TABLE = frozenset({"TableNotFound", "ResourceNotFound"})
_KEPT_CLIENTS = 16
_REPLACE = {"mode": UpdateMode.REPLACE}


class AzureTablesSink:
    """One account. The connection is kept between batches; every attempt is dated and signed anew."""

    def __init__(
        self,
        endpoint: Endpoint,
        account: Account,
        *,
        clock: Callable[[], float],
        connect_timeout: float = 10.0,
        read_timeout: float = 35.0,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._credential = describe(endpoint, account)
        self._secrets = secrets_of(account)
        try:
            self._service: TableServiceClient = service_client(
                endpoint, account, connect_timeout=connect_timeout, read_timeout=read_timeout
            )
        except ValueError as error:
            raise SinkError("slow", "InvalidCredential", str(error), connection=True, cause="configuration") from None
        self._tables: dict[str, TableClient] = {}

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Upsert-replace ``rows``; a missing table is created once and the rows are sent again at once."""
        refusal = limits.check_batch(table, rows, max_rows=MAX_ROWS)
        if refusal is not None:
            raise SinkError(refusal.reaction, refusal.code, refusal.message, row=refusal.row)
        if not rows:
            return
        outcome = self._transact(table, rows)
        if outcome is not None and outcome.status == 404 and outcome.code in _MISSING_TABLE:
            self._create(table)
            outcome = self._transact(table, rows)
        if outcome is not None:
            raise self._judge(outcome, table)

    def close(self) -> None:
        """Close the connections."""
        self._tables.clear()
        self._service.close()

    def _transact(self, table: str, rows: Sequence[Row]) -> Outcome | None:
        """One attempt; None when every row was taken."""
        operations = [(TransactionOperation.UPSERT, entity_of(row), _REPLACE) for row in rows]
        try:
            answers = self._client(table).submit_transaction(operations)
        except Exception as error:  # the SDK lets exceptions of four libraries through; all are judged
            return outcome_of(error, "upsert", len(rows))
        if len(answers) != len(rows):
            return Outcome(kind="truncated", detail=f"{len(answers)} of {len(rows)} rows were answered", rows=len(rows))
        return None

    def _create(self, table: str) -> None:
        try:
            self._service.create_table(table)
        except Exception as error:  # as above
            outcome = outcome_of(error, "create")
            if outcome.status == 409 and outcome.code in ("TableAlreadyExists", "ResourceAlreadyExists"):
                return
            raise self._judge(outcome, table) from None

    def _client(self, table: str) -> TableClient:
        client = self._tables.get(table)
        if client is None:
            if len(self._tables) >= _KEPT_CLIENTS:  # names rotate every ten days
                del self._tables[next(iter(self._tables))]
            client = self._tables[table] = self._service.get_table_client(table)
        return client

    def _judge(self, outcome: Outcome, table: str) -> SinkError:
        return classify(
            outcome,
            endpoint=self._endpoint.url,
            table=table,
            credential=self._credential,
            now=self._clock(),
            secrets=self._secrets,
        )


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


def typed(value: Any) -> EdmValue:
    """The way back: a value as the SDK gives it, with its EDM type. Times keep all digits that the service sent."""
    if isinstance(value, EntityProperty):
        return (str(EdmType(value.edm_type).value).removeprefix("Edm."), value.value)
    if isinstance(value, bool):
        return ("Boolean", value)
    if isinstance(value, int):
        return ("Int32", value)
    if isinstance(value, float):
        return ("Double", value)
    if isinstance(value, str):
        return ("String", value)
    service_text = getattr(value, "tables_service_value", "")
    if service_text:
        return ("DateTime", str(service_text))
    if isinstance(value, bytes):
        return ("Binary", value)
    return ("Guid", str(value))
