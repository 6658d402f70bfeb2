"""Azure Tables and everything that speaks its protocol: upsert-replace in entity group transactions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from azure.data.tables import EdmType, EntityProperty

from extension.plan import Account
from extension.rows.columnar import columnar
from extension.rows.edm import EdmValue, Row
from extension.sinks import limits
from extension.sinks.azure_client import connect, describe, proxy_secrets, secrets_of
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.base import MAX_ROWS, SinkError
from extension.sinks.endpoints import Endpoint
from extension.sinks.errors import Outcome, classify

_ALREADY_THERE = (409, "EntityAlreadyExists")
_MISSING_TABLE = frozenset({"TableNotFound", "ResourceNotFound"})


class AzureTablesSink:
    """One account. The connection is kept between batches; every attempt is dated and signed anew.

    ``proxy``: URL of the proxy for this account, "" for that of the environment, if any.
    """

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
            self._connection = connect(
                endpoint,
                account,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                proxy=proxy,
                clock=clock,
            )
        except ValueError as error:
            raise SinkError("slow", "InvalidCredential", str(error), connection=True, cause="configuration") from None

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Upsert-replace ``rows``; a missing table is created once and the rows are sent again at once."""
        rows = columnar(rows) or rows
        refusal = limits.check_batch(table, rows, max_rows=MAX_ROWS)
        if refusal is not None:
            raise SinkError(refusal.reaction, refusal.code, refusal.message, row=refusal.row)
        if not rows:
            return
        outcome = self._attempt(table, rows)
        if outcome is not None and _table_is_missing(outcome):
            self._create(table)
            outcome = self._attempt(table, rows)
        if outcome is not None:
            raise self._judge(outcome, table)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _attempt(self, table: str, rows: Sequence[Row]) -> Outcome | None:
        """One attempt, and one more for each row that is there already.

        An upsert cannot meet :data:`_ALREADY_THERE`, but services that insert all the same answer with it, and then
        the row is the same one of an earlier attempt: its keys are fixed before the first.
        """
        left = list(range(len(rows)))
        while left:
            now = rows if len(left) == len(rows) else [rows[i] for i in left]
            outcome = self._connection.batches.upsert(table, now)
            if outcome is None:
                return None
            blamed = 0 if len(left) == 1 else outcome.row
            if blamed is not None and blamed >= len(left):
                blamed = None
            if blamed is None or (outcome.status, outcome.code) != _ALREADY_THERE:
                return dataclasses.replace(outcome, row=None if blamed is None else left[blamed], rows=len(rows))
            del left[blamed]
        return None

    def _create(self, table: str) -> None:
        try:
            self._connection.service.create_table(table)
        except Exception as error:  # the SDK lets exceptions of four libraries through; all are judged
            outcome = outcome_of(error, "create")
            if outcome.status == 409 and outcome.code in ("TableAlreadyExists", "ResourceAlreadyExists"):
                return
            raise self._judge(outcome, table) from None

    def _judge(self, outcome: Outcome, table: str) -> SinkError:
        return classify(
            outcome,
            endpoint=self._endpoint.url,
            table=table,
            credential=self._credential,
            now=self._clock(),
            secrets=self._secrets,
        )


def _table_is_missing(outcome: Outcome) -> bool:
    """An upsert misses nothing but its table, so inside a transaction's answer a 404 needs no code to say so."""
    return outcome.status == 404 and (outcome.code in _MISSING_TABLE or (outcome.inside and not outcome.code))


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
