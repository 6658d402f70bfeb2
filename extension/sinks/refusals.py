"""Why a table service said 401 or 403: clock, dates, permissions, address or key (spec/storage.md 4). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from extension.sinks import sas
from extension.sinks.text import http_date

MAX_SKEW = 900.0
"""Seconds that a signed request's date may differ from the service's clock."""


@dataclass(frozen=True)
class Credential:
    """What may be said about a credential: never its secret. ``token`` is None for an account key."""

    account: str
    token: sas.Sas | None = None
    https: bool = True


def diagnose(
    code: str, credential: Credential, operation: sas.Operation, table: str, date: str, now: float
) -> tuple[str, str]:
    """(cause, words): the likely reason and its cure; ``date``: the answer's Date header, ``now``: Unix seconds."""
    server = http_date(date)
    if credential.token is None:
        return _key(code, credential, server, now)
    return _token(code, credential, credential.token, operation, table, now if server is None else server)


def _key(code: str, credential: Credential, server: float | None, now: float) -> tuple[str, str]:
    if server is not None and abs(now - server) > MAX_SKEW:
        ahead = now - server
        side = "ahead of" if ahead > 0 else "behind"
        return "clock-skew", (
            f"this machine's clock is {_span(abs(ahead))} {side} the service's and the limit is 15 minutes; "
            "set the clock (NTP)"
        )
    rotated = (
        f"the key of account {credential.account} is not accepted; was it rotated? Copy it again into storageAccountKey"
    )
    if code == "AuthorizationFailure":
        return "not-authorized", rotated + ". If it is right, the account's network rules refuse this address"
    return _CODES.get(code) or ("wrong-key", rotated)


def _token(
    code: str, credential: Credential, token: sas.Sas, operation: sas.Operation, table: str, now: float
) -> tuple[str, str]:
    if token.expiry is not None and token.expiry <= now:
        return (
            "sas-expired",
            f"the SAS expired at {sas.iso(token.expiry)}; make a new one (se later) for storageAccountSasToken",
        )
    if token.start is not None and token.start > now:
        return (
            "sas-not-yet-valid",
            f"the SAS is valid only from {sas.iso(token.start)} (st); make one without st, or wait",
        )
    lacks = sas.missing(token, operation, table)
    if lacks:
        return "sas-permission", f"the SAS lacks {lacks}; make a new one with {sas.complete(operation)}"
    if not credential.https and token.protocol.lower() == "https":
        return "sas-protocol", "the SAS is for https only (spr) and the endpoint is http; use https or another SAS"
    rejected = (
        f"the SAS is not accepted by account {credential.account}: its signature does not match; was the account key "
        "rotated or the token cut? Make a new one"
    )
    if code == "AuthorizationFailure":
        return "not-authorized", rejected + ". If it is right, the account's network rules refuse this address"
    if code in _OF_PERMISSIONS:
        where = f"the access policy {token.policy} of the SAS" if token.policy else "the SAS"
        needs, cure = sas.needed(operation), sas.complete(operation)
        return "sas-permission", f"{where} does not allow what this needs: {needs}; make a new one with {cure}"
    return _CODES.get(code) or ("wrong-signature", rejected)


_OF_PERMISSIONS = frozenset({"AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch"})
# codes of the service that say more than dates and permissions do
_CODES: dict[str, tuple[str, str]] = {
    "AuthorizationServiceMismatch": ("sas-permission", "the SAS is for another service; make a new one with ss=t"),
    "AuthorizationProtocolMismatch": ("sas-protocol", "the SAS is for https only and the endpoint is http; use https"),
    "AuthorizationSourceIPMismatch": (
        "source-address",
        "the SAS is for other source addresses (sip), or the request left by an unexpected address; make a new one",
    ),
    "InsufficientAccountPermissions": (
        "account-permission",
        "the account does not permit this; check its access settings",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        "key-disabled",
        "the account forbids shared keys and their SAS; allow shared key access in its configuration",
    ),
}


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 180 else f"{round(minutes / 60)} hours"
