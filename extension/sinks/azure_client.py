"""Builds the SDK's client for one account: credential, time-outs, proxies, quiet logs (spec/storage.md 4 and 5)."""

from __future__ import annotations

import logging

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from requests import PreparedRequest

from extension.plan import Account
from extension.sinks import sas
from extension.sinks.endpoints import Endpoint
from extension.sinks.refusals import Credential


def silence_sdk_logging() -> None:
    """Keep signatures out of logs whatever the root logger's level: urllib3 prints whole URLs, SAS included."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    logging.getLogger("azure").setLevel(logging.WARNING)


def describe(endpoint: Endpoint, account: Account) -> Credential:
    """What may be said about the account's credential."""
    token = sas.parse(account.secret) if account.kind == "sas" else None
    return Credential(endpoint.account or account.account, token, endpoint.url.startswith("https:"))


def secrets_of(account: Account) -> tuple[str, ...]:
    """The texts that must never be shown."""
    return tuple({account.secret, sas.normalise(account.secret)} - {""})


def _as_signed(request: PreparedRequest) -> PreparedRequest:
    """Leave the request's own Authorization alone."""
    return request


def service_client(
    endpoint: Endpoint, account: Account, *, connect_timeout: float, read_timeout: float
) -> TableServiceClient:
    """A client that retries nothing itself (every attempt must be signed anew) and never waits without bound.

    A loopback endpoint is asked directly whatever proxy the environment names. Raises ValueError for an empty secret.
    """
    silence_sdk_logging()
    if not account.secret.strip():
        raise ValueError(f"the {account.kind} of account {account.account} is empty: set it in the protected settings")
    credential: AzureNamedKeyCredential | AzureSasCredential
    if account.kind == "sas":
        credential = AzureSasCredential(sas.normalise(account.secret))
    else:
        credential = AzureNamedKeyCredential(account.account or endpoint.account, account.secret.strip())
    transport = RequestsTransport(
        connection_timeout=connect_timeout, read_timeout=read_timeout, use_env_settings=not endpoint.loopback
    )
    transport.open()
    if transport.session is not None:
        # Without it, a matching line of ~/.netrc would replace the signature.
        transport.session.auth = _as_signed
    return TableServiceClient(endpoint.url, credential=credential, retry_total=0, transport=transport)
