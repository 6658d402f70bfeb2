"""Which sink an endpoint asks for.

Light on purpose: importing this module loads no network code, so that a ``file:`` endpoint never costs the Azure SDK.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from extension.plan import Account
from extension.sinks import endpoints
from extension.sinks.base import Sink, SinkError


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
