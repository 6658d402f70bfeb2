"""LAD 3.0 and 4.x settings -> mdsd XML (spec/lad-handler.md 5.3 - 5.5).

LAD's document for 4.x fed itself from telegraf; here both generations ask the same OMI queries.
"""

from __future__ import annotations

from lxml import etree

from extension.config.machine import Machine
from extension.config.model import NAMESPACE, Credential, Period, query_text
from extension.config.model30 import EVENT_HUB, JSON_BLOB, Group, Hub, Settings, Sink
from extension.config.secrets import SecretError
from extension.config.tree import Seal, add, escaped

TIMESTAMP = "2017-03-27T19:45:00.000"
_ROUTE_SOON = "PT10S"  # the shortest that the daemon takes


class SealError(Exception):
    """A secret that cannot be encrypted: ``path`` is where it stands, the text openssl's reason."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class _Sealer:
    """Encrypts each secret once, however often the document needs it."""

    def __init__(self, seal: Seal | None) -> None:
        self._seal = seal
        self._known: dict[str, tuple[str, str]] = {}

    def __call__(self, secret: str, path: str) -> tuple[str, str]:
        """(text for the document, path of the private key or "")."""
        if self._seal is None or not secret:
            return secret, ""
        if secret not in self._known:
            try:
                self._known[secret] = self._seal(secret)
            except SecretError as problem:
                raise SealError(path, str(problem)) from None
        return self._known[secret]


def document(settings: Settings, credential: Credential, machine: Machine, seal: Seal | None) -> etree._Element:
    """The document of ``settings``; ``seal`` encrypts secrets (:class:`SealError` names the one that cannot be)."""
    sealer = _Sealer(seal)
    root = etree.Element("MonitoringManagement", eventVersion="2", namespace="", timestamp=TIMESTAMP, version="1.0")
    _accounts(add(root, "Accounts"), credential, sealer)
    _management(root, settings, machine)
    add(root, "Schemas")
    sources = add(root, "Sources")
    events = add(root, "Events")
    routed, omi, derived = add(events, "MdsdEvents"), add(events, "OMI"), add(events, "DerivedEvents")
    annotations = add(root, "EventStreamingAnnotations")
    for source in settings.logs:
        add(sources, "Source", dynamic_schema="true", name=source.name)
        element = add(routed, "MdsdEventSource", source=source.name)
        for event, store in source.routes:
            route = add(element, "RouteEvent", dontUsePerNDayTable="true", eventName=event, priority="High")
            if store:
                route.set("storeType", store)
            if store == "local":
                route.set("duration", _ROUTE_SOON)
    for group in settings.metrics.groups:
        _query(omi, group)
    for query in settings.perf:
        own = add(
            omi,
            "OMIQuery",
            cqlQuery=query.text,
            dontUsePerNDayTable="true",
            eventName=query.event,
            omiNamespace=query.namespace,
            priority="High",
            sampleRateInSeconds=query.rate,
        )
        if query.store:
            own.set("storeType", query.store)
    hubs = [*_derived(derived, settings), *settings.hubs]
    for hub in hubs:
        _annotation(annotations, hub, sealer)
    return root


def _accounts(accounts: etree._Element, credential: Credential, sealer: _Sealer) -> None:
    key, key_path = sealer(credential.secret, credential.path)
    account = add(
        accounts,
        "SharedAccessSignature" if credential.kind == "sas" else "Account",
        account=credential.account,
        blobEndpoint=credential.blob_endpoint,
        isDefault="true",
        key=key,
        moniker="moniker",
        tableEndpoint=credential.endpoint,
    )
    if key_path:
        account.set("decryptKeyPath", key_path)


def _management(root: etree._Element, settings: Settings, machine: Machine) -> None:
    management = add(root, "Management", defaultRetentionInDays="90", eventVolume=settings.event_volume)
    identity = add(management, "Identity")
    deployment = add(identity, "IdentityComponent", name="DeploymentId")
    if machine.deployment_id:
        deployment.text = machine.deployment_id
    add(identity, "IdentityComponent", name="Host", useComputerName="true")
    add(management, "AgentResourceUsage", diskQuotaInMB="50000")
    if settings.resource_id:
        for name, value in (("resourceId", settings.resource_id), ("agentIdentityHash", machine.vm_uuid)):
            if value:
                add(management, "OboDirectPartitionField", name=name, value=value)


def _query(omi: etree._Element, group: Group) -> None:
    names = ",".join(one.counter.scx_property for one in group.counters)
    element = add(
        omi,
        "OMIQuery",
        cqlQuery=query_text(names, group.family.scx_class, group.condition),
        eventName=group.event,
        omiNamespace=NAMESPACE,
        sampleRateInSeconds=str(group.rate),
        storeType="local",
    )
    unpivot = add(element, "Unpivot", columnName="CounterName", columnValue="Value", columns=names)
    for one in group.counters:
        mapped = add(unpivot, "MapName", name=one.counter.scx_property)
        if one.counter.scale_up != 1:
            mapped.set("scaleUp", str(one.counter.scale_up))
        mapped.text = one.specifier


def _derived(parent: etree._Element, settings: Settings) -> list[Hub]:
    """The aggregations; with sinks through a local table each, whose Event Hubs are returned."""
    hubs: list[Hub] = []
    number = 0
    for group in settings.metrics.groups:
        for period in settings.metrics.periods:
            table = f"WADMetrics{period.name}P10DV2S"
            if not settings.metrics.detour:
                _aggregate(_event(parent, period, table, group.event, "Central"), settings)
                continue
            number += 1
            local = f"aggregationLocal{number:06d}"
            _aggregate(_event(parent, period, local, group.event, "Local"), settings)
            _event(parent, period, table, local, "Central")
            taken: set[str] = set()
            for sink in settings.metrics.sinks:
                if sink.kind == JSON_BLOB:
                    _event(parent, period, sink.name, local, JSON_BLOB)
                elif sink.kind == EVENT_HUB:
                    own = local
                    if settings.metrics.apart and taken:
                        number += 1
                        own = f"aggregationLocal{number:06d}"
                        _aggregate(_event(parent, period, own, group.event, "Local"), settings)
                    taken.add(own)
                    hubs.append(Hub(own, sink))
    return hubs


def _event(parent: etree._Element, period: Period, name: str, source: str, store: str) -> etree._Element:
    return add(
        parent,
        "DerivedEvent",
        duration=period.duration,
        eventName=name,
        isFullName="true",
        source=source,
        storeType=store,
    )


def _aggregate(event: etree._Element, settings: Settings) -> None:
    add(
        event,
        "LADQuery",
        columnName="CounterName",
        columnValue="Value",
        instanceID=settings.instance_id,
        partitionKey=escaped(settings.resource_id),
    )


def _annotation(parent: etree._Element, hub: Hub, sealer: _Sealer) -> None:
    annotation = add(parent, "EventStreamingAnnotation", name=hub.event)
    key = add(add(annotation, "EventPublisher"), "Key")
    key.text, key_path = sealer(hub.sink.url, _url_path(hub.sink))
    if key_path:
        key.set("decryptKeyPath", key_path)


def _url_path(sink: Sink) -> str:
    return f"{sink.path}.sasURL"
