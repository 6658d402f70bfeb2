"""Builds the clients for one account: credential, time-outs, proxies, quiet logs (spec/storage.md 4 and 5)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient

from extension.plan import Account
from extension.sinks import sas
from extension.sinks.azure_batch_client import BatchClient
from extension.sinks.azure_session import ReadySession
from extension.sinks.endpoints import Endpoint
from extension.sinks.proxies import chosen
from extension.sinks.refusals import Credential

BLOCK_SIZE = 1 << 16
"""Bytes of an answer that are read at a time: a hundred rows are answered with some 30 kB."""


def silence_sdk_logging() -> None:
    """Keep signatures out of logs whatever the root logger's level: urllib3 prints whole URLs, SAS included."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    # Its warnings ("Incomplete download.") would be one line per attempt; every failure is judged and said once.
    logging.getLogger("azure").setLevel(logging.CRITICAL)


def describe(endpoint: Endpoint, account: Account) -> Credential:
    """What may be said about the account's credential."""
    token = sas.parse(account.secret) if account.kind == "sas" else None
    return Credential(endpoint.account or account.account, token, endpoint.url.startswith("https:"))


def secrets_of(account: Account) -> tuple[str, ...]:
    """The texts that must never be shown."""
    return tuple({account.secret, sas.normalise(account.secret)} - {""})


def proxy_secrets(proxy: str) -> tuple[str, ...]:
    """The texts of a proxy's URL that must never be shown: its password, as written and decoded."""
    try:
        password = urlsplit(proxy).password or ""
    except ValueError:  # no URL: nothing of it is shown
        password = proxy
    return tuple({password, unquote(password)} - {""})


def authorities() -> bool | str:
    """The file of trusted certificate authorities that the environment names, True for the built-in ones.

    Read here because a loopback endpoint ignores the environment otherwise, and SSL_CERT_FILE always.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(name, "")
        if path and os.path.exists(path):
            return path
    return True


@dataclass(frozen=True)
class Connection:
    """The two ways to one account over one transport: ``service`` for all but transactions, ``batches`` for these."""

    service: TableServiceClient
    batches: BatchClient

    def close(self) -> None:
        """Close the connections of both."""
        self.service.close()


def connect(
    endpoint: Endpoint,
    account: Account,
    *,
    connect_timeout: float,
    read_timeout: float,
    proxy: str = "",
    clock: Callable[[], float] = time.time,
) -> Connection:
    """Clients that retry nothing themselves (every attempt must be signed anew) and never wait without bound.

    ``proxy``: URL, before that of the environment, "" for none. A loopback endpoint is asked directly whatever proxy
    is named. Raises ValueError for an empty secret.
    """
    credential = _credential(endpoint, account)
    proxies = chosen(proxy, endpoint.url, os.environ, loopback=endpoint.loopback)
    transport = _transport(endpoint, connect_timeout, read_timeout)
    service = _service(endpoint, credential, transport, proxies)
    batches = BatchClient(
        endpoint.url, credential, transport, clock=clock, proxies=proxies, answer_timeout=read_timeout
    )
    return Connection(service, batches)


def service_client(
    endpoint: Endpoint, account: Account, *, connect_timeout: float, read_timeout: float, proxy: str = ""
) -> TableServiceClient:
    """The SDK's client alone, as :func:`connect` makes it."""
    return connect(endpoint, account, connect_timeout=connect_timeout, read_timeout=read_timeout, proxy=proxy).service


def _credential(endpoint: Endpoint, account: Account) -> AzureNamedKeyCredential | AzureSasCredential:
    if not account.secret.strip():
        raise ValueError(f"the {account.kind} of account {account.account} is empty: set it in the protected settings")
    if account.kind == "sas":
        return AzureSasCredential(sas.normalise(account.secret))
    return AzureNamedKeyCredential(account.account or endpoint.account, account.secret.strip())


def _transport(endpoint: Endpoint, connect_timeout: float, read_timeout: float) -> RequestsTransport:
    silence_sdk_logging()
    transport = RequestsTransport(
        connection_timeout=connect_timeout,
        read_timeout=read_timeout,
        connection_verify=authorities(),
        use_env_settings=not endpoint.loopback,
        connection_data_block_size=BLOCK_SIZE,
    )
    transport.open()
    if transport.session is not None:
        transport.session = ReadySession(transport.session)
    return transport


def _service(
    endpoint: Endpoint,
    credential: AzureNamedKeyCredential | AzureSasCredential,
    transport: RequestsTransport,
    proxies: dict[str, str] | None,
) -> TableServiceClient:
    return TableServiceClient(
        endpoint.url,
        credential=credential,
        retry_total=0,
        permit_redirects=False,
        transport=transport,
        proxies=proxies,
    )
