"""Document -> Plan: secrets decrypted, identity filled in, events that are not served left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from extension.config import sas
from extension.config.document_model import VOLUMES, AccountElement, Document, Store, UnpivotElement
from extension.config.problems import Problems
from extension.config.queries import check_query
from extension.config.secrets import SecretError
from extension.plan import Account, Derived, LadQuery, Options, Plan, Query, Target, Unpivot

Decrypt = Callable[[str, str], str]
"""(hex of DER CMS, path of the private key) -> plain text; SecretError otherwise."""

_TENANT = (("Tenant", "MONITORING_TENANT"), ("Role", "MONITORING_ROLE"), ("RoleInstance", "MONITORING_ROLE_INSTANCE"))


def resolve(
    document: Document,
    options: Options,
    hostname: str,
    *,
    environ: Mapping[str, str],
    decrypt: Decrypt,
    now: datetime,
    problems: Problems,
) -> Plan | None:
    """What the daemon runs of ``document``; None if a problem is an error. ``now`` (aware) judges a SAS's dates."""
    if not (document.queries or document.routes or document.derived):
        problems.error(document.path, "nothing to do: no query, route or derived event", "add an OMIQuery")
    accounts = _accounts(document, decrypt, now, problems)
    default = next((a.moniker for a in accounts if a.default), "")
    for query in document.queries:
        problems.extend(check_query(query.text, query.namespace, f"{document.path} line {query.line}"))
    plan = Plan(
        namespace=document.namespace,
        event_version=document.event_version,
        partitions=VOLUMES[document.event_volume],
        identity=tuple(_identity(document, hostname, environ, problems)),
        accounts=accounts,
        sources=document.sources,
        queries=tuple(
            Query(q.namespace, q.text, q.rate, target, _unpivot(q.unpivot))
            for q in document.queries
            for target in _target(q.store, default)
        ),
        derived=tuple(
            Derived(
                d.source,
                d.duration,
                target,
                LadQuery(d.lad.column_name, d.lad.column_value, d.lad.partition_key, d.lad.instance_id)
                if d.lad
                else None,
            )
            for d in document.derived
            for target in _target(d.store, default)
        ),
        options=options,
    )
    return None if problems.failed else plan


def _target(store: Store, default: str) -> Iterator[Target]:
    """The target, or nothing for a store that this version does not serve (the reader has named it)."""
    if store.kind in ("table", "local"):
        moniker = "" if store.kind == "local" else store.moniker or default
        yield Target(store.kind, store.event, moniker, store.full_name, store.per_nday)


def _unpivot(element: UnpivotElement | None) -> Unpivot | None:
    if element is None:
        return None
    maps = {column: (new_name, factor) for column, new_name, factor in element.maps}
    return Unpivot(element.column_name, element.column_value, element.columns, maps)


def _identity(
    document: Document, hostname: str, environ: Mapping[str, str], problems: Problems
) -> Iterator[tuple[str, str]]:
    if document.identity_type == "ComputerName":
        yield "ComputerName", hostname
    elif document.identity_type == "TenantRole":
        for column, variable in _TENANT:
            if variable not in environ:
                problems.warning(document.path, f"the environment has no variable {variable}: {column} is empty")
            yield column, environ.get(variable, "")
    for part in document.identity:
        if part.computer_name:
            yield part.name, hostname
        elif part.variable:
            if part.variable not in environ:
                problems.warning(
                    f"{document.path} line {part.line}",
                    f"the environment has no variable {part.variable}: {part.name} is empty",
                )
            yield part.name, environ.get(part.variable, "")
        else:
            yield part.name, part.text


def _accounts(document: Document, decrypt: Decrypt, now: datetime, problems: Problems) -> tuple[Account, ...]:
    """The accounts that can be used; one whose secret cannot be decrypted is an error."""
    found: list[Account] = []
    for element in document.accounts:
        path = f"{document.path} line {element.line}"
        secret = _secret(element, path, decrypt, problems)
        if element.kind == "appinsights" or secret is None:
            continue
        if not secret:
            pass  # the embedded store asks for none; the reader has named every other account without a key
        elif element.kind == "sas":
            token = sas.normalise(secret, path, problems)
            sas.judge_sas(token, path, now, problems)
            secret = token.token
        else:
            sas.judge_key(secret, path, problems)
        endpoint = element.table_endpoint or f"https://{element.account}.table.core.windows.net"
        found.append(Account(element.moniker, element.account, element.kind, secret, endpoint, element.default))
    return tuple(found)


def _secret(element: AccountElement, path: str, decrypt: Decrypt, problems: Problems) -> str | None:
    if not element.decrypt_key_path or not element.key:
        return element.key
    try:
        return decrypt(element.key, element.decrypt_key_path)
    except SecretError as problem:
        problems.error(path, f"the key {problem}", "enable the extension again, or correct decryptKeyPath")
        return None
