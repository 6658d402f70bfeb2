"""Settings -> mdsd XML: LAD 2.3's document, or a document of the user's own (mdsdCfg) completed as LAD did.

Element order, attributes and values: spec/lad-handler.md 4.6. LAD edited a template and set an attribute only where
it was missing or empty; the same steps are used here for both starting points.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from extension.config.machine import Machine
from extension.config.model import Credential, query_text
from extension.config.model23 import MetricQuery, Metrics, PerfQuery, Settings
from extension.config.tree import Seal, add, escaped

TIMESTAMP = "2014-12-01T20:00:00.000"
_SYSLOG_COLUMNS = (
    ("Ignore", "str", "mt:wstr"),
    ("Facility", "str", "mt:wstr"),
    ("Severity", "str", "mt:int32"),
    ("EventTime", "str-rfc3339", "mt:utc"),
    ("SendingHost", "str", "mt:wstr"),
    ("Msg", "str", "mt:wstr"),
)
_FILE_COLUMNS = (("FileTag", "str", "mt:wstr"), ("Msg", "str", "mt:wstr"))


def _schema(parent: etree._Element, name: str, columns: Iterable[tuple[str, str, str]]) -> None:
    schema = add(parent, "Schema", name=name)
    for column, source_type, mds_type in columns:
        add(schema, "Column", mdstype=mds_type, name=column, type=source_type)


def base_document() -> etree._Element:
    """The document that LAD 2.3 starts from: one unused account of each kind, syslog, and an empty OMI section."""
    root = etree.Element("MonitoringManagement", eventVersion="2", namespace="", timestamp=TIMESTAMP, version="1.0")
    accounts = add(root, "Accounts")
    for kind in ("Account", "SharedAccessSignature"):
        add(accounts, kind, account="", isDefault="true", key="", moniker="moniker")
    management = add(root, "Management", defaultRetentionInDays="90", eventVolume="")
    identity = add(management, "Identity")
    add(identity, "IdentityComponent", name="DeploymentId")
    add(identity, "IdentityComponent", name="Host", useComputerName="true")
    add(management, "AgentResourceUsage", diskQuotaInMB="50000")
    schemas = add(root, "Schemas")
    _schema(schemas, "syslog", _SYSLOG_COLUMNS)
    _schema(schemas, "ladfile", _FILE_COLUMNS)
    add(add(root, "Sources"), "Source", name="syslog", schema="syslog")
    events = add(root, "Events")
    syslog = add(add(events, "MdsdEvents"), "MdsdEventSource", source="syslog")
    add(syslog, "RouteEvent", dontUsePerNDayTable="true", eventName="Linuxsyslog", priority="High")
    add(events, "OMI")
    return root


def _find(root: etree._Element, path: str) -> list[etree._Element]:
    return list(root.findall(path))


def _fill(elements: Iterable[etree._Element], name: str, value: str) -> None:
    """Set the attribute where it is missing or empty."""
    for element in elements:
        if not element.get(name):
            element.set(name, value)


def _metric_query(omi: etree._Element, query: MetricQuery) -> None:
    names = ",".join(counter.name for counter in query.counters)
    element = add(
        omi,
        "OMIQuery",
        cqlQuery=query_text(names, query.family.scx_class, query.family.condition),
        eventName=query.event,
        omiNamespace="root/scx",
        sampleRateInSeconds=str(query.rate),
        storeType="local",
    )
    stray = query.family.stray if query.counters == query.family.counters else ""
    unpivot = add(element, "Unpivot", columnName="CounterName", columnValue="Value", columns=names + stray)
    for counter in query.counters:
        mapped = add(unpivot, "MapName", name=counter.name)
        if counter.scale_up != 1:
            mapped.set("scaleUp", str(counter.scale_up))
        mapped.text = query.family.specifier(counter)


def _add_metrics(root: etree._Element, metrics: Metrics) -> None:
    for events in _find(root, "Events"):
        omi = add(events, "OMI")
        for query in metrics.queries:
            _metric_query(omi, query)
        derived = add(events, "DerivedEvents")
        for period in metrics.periods:
            for query in metrics.queries:
                event = add(
                    derived,
                    "DerivedEvent",
                    duration=period.duration,
                    eventName=f"WADMetrics{period.name}P10DV2S",
                    isFullName="true",
                    source=query.event,
                )
                add(event, "LADQuery", columnName="CounterName", columnValue="Value", instanceID="", partitionKey="")
    queries = _find(root, "Events/DerivedEvents/DerivedEvent/LADQuery")
    _fill(queries, "partitionKey", escaped(metrics.resource_id))
    if metrics.instance_id:
        _fill(queries, "instanceID", metrics.instance_id)


def _add_perf(root: etree._Element, perf: Iterable[PerfQuery], app_insights: bool) -> None:
    sections = _find(root, "Events/OMI")
    if not sections:
        return
    for query in perf:
        element = add(
            sections[0],
            "OMIQuery",
            cqlQuery=query.text,
            dontUsePerNDayTable="true",
            eventName=query.table,
            omiNamespace=query.namespace,
            priority="High",
            sampleRateInSeconds="",
        )
        if app_insights:
            element.set("eventName", f"{query.table}Stats")
            element.set("storeType", "appinsights")
            element.set("account", "appinsights")


def _add_files(root: etree._Element, settings: Settings) -> None:
    for number, log in enumerate(settings.files, 1):
        name = f"ladfile{number}"
        for events in _find(root, "Events/MdsdEvents"):
            source = add(events, "MdsdEventSource", source=name)
            add(source, "RouteEvent", dontUsePerNDayTable="true", eventName=log.table, priority="High")
        for sources in _find(root, "Sources"):
            add(sources, "Source", name=name, schema="ladfile")


def _set_account(root: etree._Element, credential: Credential, seal: Seal | None) -> None:
    used, unused = (
        ("Account", "SharedAccessSignature")
        if credential.kind == "key"
        else (
            "SharedAccessSignature",
            "Account",
        )
    )
    defaults = [e for e in _find(root, f"Accounts/{used}") if e.get("isDefault") == "true"]
    value, key_path = (credential.secret, "") if seal is None or not credential.secret else seal(credential.secret)
    _fill(defaults, "account", credential.account)
    _fill(defaults, "key", value)
    if key_path:
        _fill(defaults, "decryptKeyPath", key_path)
    _fill(defaults, "tableEndpoint", credential.endpoint)
    for accounts in _find(root, "Accounts"):
        for element in accounts.findall(unused):
            accounts.remove(element)


def _add_app_insights(root: etree._Element, key: str) -> None:
    for accounts in _find(root, "Accounts"):
        add(accounts, "Account", moniker="appinsights", appInsightsKey=key)
    for source in _find(root, "Events/MdsdEvents/MdsdEventSource"):
        if source.get("source") == "syslog":
            add(
                source,
                "RouteEvent",
                account="appinsights",
                eventName="aiSyslogRouteEvent",
                priority="High",
                storeType="appinsights",
            )


def document(settings: Settings, credential: Credential, machine: Machine, seal: Seal | None) -> etree._Element:
    """The document of ``settings``; ``seal`` encrypts the secret (its errors pass through)."""
    root = base_document() if settings.base is None else settings.base
    if machine.deployment_id:
        for component in _find(root, "Management/Identity/IdentityComponent"):
            if component.get("name") == "DeploymentId":
                component.text = machine.deployment_id
    if settings.metrics is not None:
        _add_metrics(root, settings.metrics)
    _add_perf(root, settings.perf, app_insights=False)
    if settings.app_insights_key:
        _add_perf(root, settings.perf, app_insights=True)
    _add_files(root, settings)
    _set_account(root, credential, seal)
    if settings.app_insights_key:
        _add_app_insights(root, settings.app_insights_key)
    _fill(_find(root, "Management"), "eventVolume", settings.event_volume)
    _fill(_find(root, "Events/OMI/OMIQuery"), "sampleRateInSeconds", settings.sample_rate)
    return root
