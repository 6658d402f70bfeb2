"""Reads Azure Tables (or an emulator) back, EDM types kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from azure.data.tables import TableEntity

from extension.plan import Account
from extension.sinks import limits, sas
from extension.sinks.azure_client import describe, proxy_secrets, secrets_of, service_client
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.azure_tables import typed
from extension.sinks.base import SinkError
from extension.sinks.endpoints import Endpoint
from extension.sinks.entity import Entity
from extension.sinks.errors import classify


class AzureTablesReader:
    """One account. Nothing is retried: a person or a script is waiting. Raises :class:`SinkError`."""

    def __init__(
        self,
        endpoint: Endpoint,
        account: Account,
        *,
        clock: Callable[[], float],
        connect_timeout: float = 10.0,
        read_timeout: float = 35.0,
        proxy: str = "",
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._credential = describe(endpoint, account)
        self._secrets = (*secrets_of(account), *proxy_secrets(proxy))
        try:
            self._service = service_client(
                endpoint, account, connect_timeout=connect_timeout, read_timeout=read_timeout, proxy=proxy
            )
        except ValueError as error:
            raise SinkError("slow", "InvalidCredential", str(error), cause="configuration") from None

    def tables(self) -> dict[str, int | None]:
        """Every table; the service can count rows only by reading them all, so the counts are None."""
        try:
            names = [item.name for item in self._service.list_tables()]
        except Exception as error:  # the SDK lets exceptions of four libraries through; all are judged
            raise self._judge(error, "list", "") from None
        return dict.fromkeys(sorted(names, key=str.lower))

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
        """The entities that match, page by page (1,000 at a time), filtered by the service."""
        refusal = limits.check_table(table)
        if refusal is not None:
            raise SinkError("drop-batch", refusal.code, refusal.message)
        clauses = {
            "PartitionKey eq @pk": partition_key,
            "RowKey ge @from": row_key_ge,
            "RowKey le @to": row_key_le,
        }
        conditions = [c for c, value in clauses.items() if value is not None]
        parameters = {c.rpartition("@")[2]: v for c, v in clauses.items() if v is not None}
        if time_ge is not None:
            conditions.append(f"TIMESTAMP ge datetime'{time_ge[:19]}Z'")
        page = 1000 if limit is None else min(limit, 1000)
        count = 0
        try:
            client = self._service.get_table_client(table)
            found = (
                client.query_entities(" and ".join(conditions), parameters=parameters, results_per_page=page)
                if conditions
                else client.list_entities(results_per_page=page)
            )
            for item in found:
                if limit is not None and count >= limit:
                    return
                count += 1
                yield _entity(item)
        except SinkError:
            raise
        except Exception as error:  # as above
            raise self._judge(error, "query", table) from None

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _judge(self, error: Exception, operation: sas.Operation, table: str) -> SinkError:
        return classify(
            outcome_of(error, operation),
            endpoint=self._endpoint.url,
            table=table,
            credential=self._credential,
            now=self._clock(),
            secrets=self._secrets,
        )


def _entity(item: TableEntity) -> Entity:
    columns = {name: typed(value) for name, value in item.items() if name not in ("PartitionKey", "RowKey")}
    stamp = item.metadata["timestamp"]
    text = str(getattr(stamp, "tables_service_value", "") or stamp or "")
    return Entity(item.get("PartitionKey", ""), item.get("RowKey", ""), columns, text)
