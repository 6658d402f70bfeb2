"""Document -> Plan: secrets decrypted, identity filled in, events that reach nothing named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from extension.config import hub_url, sas
from extension.config.document_model import (
    VOLUMES,
    AccountElement,
    DerivedElement,
    Document,
    Place,
    PublisherElement,
    QueryElement,
    RouteElement,
    Store,
    UnpivotElement,
)
from extension.config.document_report import Message, Report
from extension.config.problems import Problems
from extension.config.queries import check_query
from extension.config.secrets import SecretError
from extension.plan import (
    Account,
    Derived,
    LadQuery,
    OnBehalf,
    Options,
    Plan,
    Publisher,
    Query,
    Route,
    Source,
    Target,
    Unpivot,
)

Decrypt = Callable[[str, str], str]
"""(hex of DER CMS, path of the private key) -> plain text; SecretError otherwise."""

_RIGHTS = (
    ("ss", "bt", "Account SAS must enable blob and table services (ss='bt' or better)"),
    ("srt", "co", "Account SAS must enable container and object access (srt='co' or better)"),
    ("sp", "acluw", "Account SAS must grant sp='acluw' permissions or better"),
)


def resolve(
    document: Document,
    options: Options,
    hostname: str,
    *,
    environ: Mapping[str, str],
    decrypt: Decrypt,
    now: datetime,
    problems: Problems,
    verdict: list[Message] | None = None,
) -> Plan | None:
    """What the daemon runs of ``document``; None if a problem is an error. ``now`` (aware) judges a SAS's dates.

    ``verdict`` receives what mdsd itself would say. With it, an account SAS that mdsd refuses is an error; else such a
    SAS is tried, because it may do for the tables that are wanted.
    """
    report = Report(document.path, problems, verdict)
    if not (document.queries or document.routes or document.derived or document.publishers):
        problems.error(document.path, "nothing to do: no query, route, derived event or publisher", "add an OMIQuery")
    secrets = _Secrets(decrypt, report)
    accounts = _accounts(document, secrets, now, report, verdict is not None)
    default = next((a.moniker for a in accounts if a.default), "")
    for query in document.queries:
        problems.extend(check_query(query.text, query.namespace, str(query.at)))
    publishers = tuple(_publishers(document, secrets, now, report))
    _unread(document, report)
    plan = Plan(
        namespace=document.namespace,
        event_version=document.event_version,
        partitions=VOLUMES[document.event_volume],
        identity=tuple(_identity(document, hostname, environ, report)),
        accounts=accounts,
        sources=tuple(Source(s.name, s.columns) for s in document.sources),
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
                d.written,
            )
            for d in document.derived
            for target in _target(d.store, default)
        ),
        options=options,
        routes=tuple(Route(r.source, r.period, t) for r in document.routes for t in _target(r.store, default)),
        publishers=publishers,
        obo=document.obo,
        on_behalf=tuple(OnBehalf(o.event, o.primary, o.fields, o.period_name, o.period_s) for o in document.on_behalf),
        identity_aliases=document.identity_aliases,
        dupe_window_s=document.dupe_window_s,
    )
    return None if problems.failed else plan


def _target(store: Store, default: str) -> Iterator[Target]:
    """The target, or nothing for a store that is not served (the reader has named it)."""
    if store.kind in ("local", "file"):
        yield Target(store.kind, store.event, "", store.full_name, store.per_nday)
    elif store.kind != "appinsights":
        yield Target(store.kind, store.event, store.moniker or default, store.full_name, store.per_nday)


def _unpivot(element: UnpivotElement | None) -> Unpivot | None:
    if element is None:
        return None
    maps = {column: (new_name, factor) for column, new_name, factor in element.maps}
    return Unpivot(element.column_name, element.column_value, element.columns, maps)


def _unread(document: Document, report: Report) -> None:
    """Name the in-memory tables whose rows go nowhere."""
    read = {d.source for d in document.derived} | {r.source for r in document.routes}
    read |= {p.event for p in document.publishers}
    events: list[QueryElement | DerivedElement | RouteElement] = [
        *document.queries,
        *document.derived,
        *document.routes,
    ]
    for event in events:
        if event.store.kind == "local" and event.store.event not in read:
            report.beyond(
                event.at,
                f"the rows of {event.store.event} go nowhere: no DerivedEvent and no publisher reads this local table",
                "add a DerivedEvent with this source, or another storeType",
            )
    for source in document.sources:
        if source.name not in read:
            report.problems.note(
                str(source.at), f"what comes in for source {source.name} goes nowhere: nothing routes it"
            )


def _identity(
    document: Document, hostname: str, environ: Mapping[str, str], report: Report
) -> Iterator[tuple[str, str]]:
    for part in document.identity:
        if part.computer_name:
            yield part.name, hostname
        elif not part.variable:
            yield part.name, part.text
        elif part.variable in environ:
            yield part.name, environ[part.variable]
        else:
            report.warning(
                part.at,
                f"the environment has no variable {part.variable}: there is no identity column {part.name}",
                "set the variable for this service",
                said=f"Variable '{part.variable}' not found in environment; {part.name} not added to identity columns",
            )


class _Secrets:
    """Decrypts each secret once; one that cannot be decrypted is an error."""

    def __init__(self, decrypt: Decrypt, report: Report) -> None:
        self._decrypt = decrypt
        self._report = report
        self._known: dict[tuple[str, str], str] = {}

    def plain(self, text: str, key_path: str, at: Place) -> str | None:
        """The secret in clear, or None."""
        if not key_path or not text:
            return text
        if (text, key_path) not in self._known:
            try:
                self._known[text, key_path] = self._decrypt(text, key_path)
            except SecretError as problem:
                self._report.error(at, f"the key {problem}", "enable the extension again, or correct decryptKeyPath")
                return None
        return self._known[text, key_path]


def _endpoints(element: AccountElement) -> tuple[str, str]:
    """Table and blob endpoint; the one that is not given follows from the other, else from the public cloud."""
    table = element.table_endpoint or f"https://{element.account}.table.core.windows.net"
    if element.blob_endpoint:
        return table, element.blob_endpoint
    if table.lower().startswith("file:"):
        return table, table
    start = f"://{element.account}.table."
    if start in table:
        return table, table.replace(start, f"://{element.account}.blob.", 1)
    return table, f"https://{element.account}.blob.core.windows.net"


def _accounts(
    document: Document, secrets: _Secrets, now: datetime, report: Report, judge_rights: bool
) -> tuple[Account, ...]:
    """The accounts that can be used."""
    found: list[Account] = []
    for element in document.accounts:
        secret = secrets.plain(element.key, element.decrypt_key_path, element.at)
        if element.kind == "appinsights" or secret is None:
            continue
        kind = element.kind
        if not secret:
            kind = "key"  # the embedded store asks for none; a SAS without fields would be bound to one table
        elif element.kind == "sas":
            secret = _sas(secret, element, now, report, judge_rights)
        else:
            sas.judge_key(secret, str(element.at), report.problems)
        table, blob = _endpoints(element)
        found.append(Account(element.moniker, element.account, kind, secret, table, element.default, blob))
    return tuple(found)


def _sas(secret: str, element: AccountElement, now: datetime, report: Report, judge_rights: bool) -> str:
    """The token as it is sent."""
    path = str(element.at)
    token = sas.normalise(secret.replace("&#38;", "&"), path, report.problems)
    noticed = Problems()
    sas.judge_sas(token, path, now, noticed)
    lacking = next((reason for name, wanted, reason in _RIGHTS if set(wanted) - set(token.fields.get(name, ""))), "")
    if judge_rights and lacking and "ss" in token.fields:
        report.error(
            element.at, f"Invalid SAS token given. Reason: {lacking}", "create an account SAS with these rights"
        )
        report.problems.extend(p for p in noticed if "Account SAS must" not in p.message)
    else:
        report.problems.extend(noticed)
    return token.token


def _publishers(document: Document, secrets: _Secrets, now: datetime, report: Report) -> Iterator[Publisher]:
    for element in document.publishers:
        url = secrets.plain(element.key, element.decrypt_key_path, element.at)
        if url is not None and _is_hub(url, element, report):
            hub_url.judge(url, str(element.at), now, report.problems)
            yield Publisher(element.event, url.strip())


def _is_hub(url: str, element: PublisherElement, report: Report) -> bool:
    """Whether messages can be sent to ``url``; if not, that is a warning, which repeats nothing of it."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme == "https" and bool(parts.hostname and parts.path.strip("/") and parts.query)
    except ValueError:
        usable = False
    if not usable:
        report.beyond(
            element.at,
            f"nothing is published for {element.event}: its SAS is no https URL of an Event Hub with a query",
            "write https://NAMESPACE.servicebus.windows.net/HUB?sr=...&sig=...&se=...&skn=...",
        )
    return usable
