"""Opens the reader that belongs to an endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable

from extension.plan import Account
from extension.sinks import endpoints
from extension.sinks.base import SinkError
from extension.sinks.entity import Entity, Reader

__all__ = ["Entity", "Reader", "open_reader"]


def open_reader(account: Account, *, clock: Callable[[], float] = time.time, proxy: str = "") -> Reader:
    """A reader of ``account.table_endpoint``; ``proxy``: URL, "" for that of the environment.

    Raises :class:`SinkError` for a bad address or a missing store file.
    """
    try:
        endpoint = endpoints.parse(account.table_endpoint, account.account)
    except ValueError as error:
        raise SinkError("slow", "InvalidEndpoint", str(error), cause="configuration") from None
    if endpoint.path:
        from extension.sinks.local_tables import LocalTablesReader

        return LocalTablesReader(endpoint.path)
    from extension.sinks.azure_reader import AzureTablesReader

    return AzureTablesReader(endpoint, account, clock=clock, proxy=proxy)
