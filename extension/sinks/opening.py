"""Which sink an endpoint asks for.

Light on purpose: importing this module loads no network code, so that a ``file:`` endpoint never costs the Azure SDK.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from extension.plan import Account
from extension.sinks import endpoints
from extension.sinks.base import Sink, SinkError
from extension.sinks.endpoints import Endpoint
from extension.sinks.memos import Memos


def open_sink(
    account: Account,
    *,
    clock: Callable[[], float] = time.time,
    connect_timeout: float = 10.0,
    read_timeout: float = 35.0,
    proxy: str = "",
) -> Sink:
    """The sink for ``account.table_endpoint``: ``file:`` the embedded table store, ``http(s):`` Azure Tables.

    Nothing is opened or asked yet: a store or service that cannot be reached shows in :meth:`Sink.send`.
    ``clock`` gives Unix seconds; the timeouts are seconds; ``proxy``: URL, "" for that of the environment. Raises
    :class:`SinkError` (``slow``) for an endpoint or credential of no usable form.
    """
    endpoint = _parsed(account.table_endpoint, account.account)
    if endpoint.path:
        from extension.sinks.local_tables import LocalTablesSink

        return LocalTablesSink(endpoint.path, clock=clock)
    from extension.sinks.azure_tables import AzureTablesSink

    return AzureTablesSink(
        endpoint, account, clock=clock, connect_timeout=connect_timeout, read_timeout=read_timeout, proxy=proxy
    )


def open_blob_sink(
    account: Account,
    name: str,
    remembered: Memos,
    *,
    clock: Callable[[], float] = time.time,
    connect_timeout: float = 10.0,
    read_timeout: float = 35.0,
    proxy: str = "",
) -> Sink:
    """The sink for the JSON blobs of ``account``; ``name`` (of its lane) marks what it remembers.

    With a ``file:`` endpoint they are files in the folder of the table store: ``CONTAINER/BLOB``. Otherwise as
    :func:`open_sink`.
    """
    given = account.blob_endpoint
    if not given and account.table_endpoint.startswith("file:"):
        given = account.table_endpoint
    endpoint = _parsed(given or f"https://{account.account}.blob.{endpoints.DEFAULT_SUFFIX}", account.account)
    if endpoint.path:
        from extension.sinks.files import JsonFilesSink

        return JsonFilesSink(os.path.dirname(endpoint.path), name, remembered)
    from extension.sinks.blob_service import BlobService
    from extension.sinks.json_blob_sink import JsonBlobSink

    service = BlobService(
        endpoint, account, clock=clock, connect_timeout=connect_timeout, read_timeout=read_timeout, proxy=proxy
    )
    return JsonBlobSink(service, name, remembered)


def _parsed(text: str, account: str) -> Endpoint:
    try:
        return endpoints.parse(text, account)
    except ValueError as error:
        raise SinkError("slow", "InvalidEndpoint", str(error), connection=True, cause="configuration") from None
