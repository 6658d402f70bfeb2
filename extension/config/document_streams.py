"""Event Hub publishers and on-behalf-of blob paths of an mdsd document (spec/mdsd.md 1.2, annotation rules)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from itertools import islice

from lxml import etree

from extension.config import durations, grammar, xmlsafe
from extension.config.document_management import Management
from extension.config.document_model import OnBehalfElement, PublisherElement
from extension.config.document_parts import MOST_COMPARED, body
from extension.config.document_report import Report
from extension.config.document_text import unescaped

PERIOD = ("PT1H", 3600)
"""Name and seconds of a blob's period where a Config gives none."""
_Key = tuple[str, str]  # what stands in the document and the path of its private key


class Streams:
    """Service bus accounts and annotations read so far; :meth:`publishers` puts them together at the end.

    ``on_behalf`` holds the Configs that an event has made its paths of: those that stand above it.
    """

    def __init__(self, report: Report, management: Management) -> None:
        self._report = report
        self._management = management
        self._accounts: dict[str, _Key] = {}
        self._published: dict[str, etree._Element] = {}
        self._keys: dict[str, tuple[_Key, etree._Element]] = {}
        self._others: dict[str, etree._Element] = {}
        self._configs: dict[str, OnBehalfElement] = {}
        self.on_behalf: dict[str, OnBehalfElement] = {}

    def read_accounts(self, section: etree._Element) -> None:
        """One ServiceBusAccountInfos element."""
        for account in section.findall("ServiceBusAccountInfo"):
            name = account.get("name") or ""
            if not name:
                self._fatal(account, "name")
            for publisher in account.findall("EventPublisher"):
                text = publisher.get("connectionString") or ""
                if not text:
                    self._fatal(publisher, "connectionString")
                elif name in self._accounts:
                    self._report.error(publisher, f"service bus account {name} is given twice", "remove one of the two")
                elif name:
                    self._accounts[name] = (text, publisher.get("decryptKeyPath") or "")

    def read_annotations(self, section: etree._Element) -> None:
        """One EventStreamingAnnotations element."""
        for annotation in section.findall("EventStreamingAnnotation"):
            name = annotation.get("name") or ""
            if not name:
                self._fatal(annotation, "name")
            for element in xmlsafe.children(annotation):
                if element.tag == "EventPublisher":
                    self._publisher(name, element)
                elif element.tag == "OnBehalf":
                    self._on_behalf(name, element)

    def _fatal(self, element: etree._Element, attribute: str) -> None:
        said = f'<{element.tag}> requires "{attribute}" attribute.'
        text = f"<{element.tag}> needs the attribute {attribute}"
        self._report.fatal(element, text, f"give {attribute} a value", said=said)

    def _twice(self, name: str, element: etree._Element, known: Mapping[str, object]) -> bool:
        if name in known:
            self._report.error(element, f"{name} has a second <{element.tag}>", "remove one of the two")
        return name in known

    def _publisher(self, name: str, element: etree._Element) -> None:
        if not name or self._twice(name, element, self._published):
            return
        self._published[name] = element
        for key in element.findall("Key"):
            text = body(key).strip()
            if not text:
                continue
            if "resourceId" not in self._management.obo:
                self._report.error(
                    key,
                    "an Event Hub publisher needs a resourceId",
                    "add OboDirectPartitionField resourceId to Management, above this element",
                    said="<EventStreamingAnnotation>: OboDirectPartitionField resourceId is missing, when Shoebox V2"
                    " EventHubs publisher needs one.",
                )
            elif not self._twice(name, key, self._keys):
                self._keys[name] = ((text, key.get("decryptKeyPath") or ""), key)

    def _on_behalf(self, name: str, element: etree._Element) -> None:
        if not element.get("directMode"):
            self._fatal(element, "directMode")
        elif element.get("directMode") != "true":
            said = '<OnBehalf> supports attribute directMode="true" only currently'
            text, cure = 'OnBehalf needs directMode="true"', 'write directMode="true"'
            self._report.error(element, text, cure, said=said)
        if not name or self._twice(name, element, self._others):
            return
        self._others[name] = element
        for content in element.findall("Content"):
            config = self._config(content)
            if config is not None:
                self._set(name, content, config)

    def _config(self, content: etree._Element) -> etree._Element | None:
        """The Config element in the CDATA text of Content."""
        text = body(content)
        if not text.strip():
            said = "<Content> must have a body (CDATA), but it's empty"
            self._report.error(content, "<Content> is empty", "give it a <Config .../> in a CDATA section", said=said)
            return None
        try:
            root = xmlsafe.parse(text.encode())
        except xmlsafe.XmlError as problem:
            self._report.error(content, f"the text of <Content> is no XML element: {problem}", problem.cure)
            return None
        if xmlsafe.local_name(root) != "Config":
            self._report.error(
                content,
                f"<Content> does not define subelement <{xmlsafe.local_name(root)}>",
                "give it one <Config .../>",
            )
            return None
        grammar.check(root, self._report, self._report.at(content))
        return root

    def _set(self, name: str, content: etree._Element, config: etree._Element) -> None:
        period, seconds = config.get("timePeriods"), PERIOD[1]
        if period is not None and not durations.mdsd_seconds(period):
            said = f"Invalid ISO8601 time duration is given: {period}"
            self._report.error(content, "timePeriods is no ISO 8601 duration", "write PT1H", period, said=said)
            period = None
        if period is not None:
            seconds = durations.mdsd_seconds(period) or seconds
        fields = tuple(f for f in (config.get("partitionFields") or "").split(",") if f)
        primary = config.get("primaryPartitionField") or ""
        at = self._report.at(content)
        self._configs[name] = OnBehalfElement(name, primary, fields, period or PERIOD[0], seconds, at)

    def blob_path(self, event: str, element: etree._Element, said: str) -> bool:
        """Whether all fields of the path of ``event``'s blobs have a value at this point; if not, that is an error,
        ``said`` in mdsd's words."""
        chosen = self._configs.get(event)
        if chosen is not None:
            self.on_behalf[event] = chosen
        named = ("resourceId", "agentIdentityHash") if chosen is None else (chosen.primary, *chosen.fields)
        missing = [name for name in named if name and name not in self._management.obo]
        for number, name in enumerate(missing):
            report = self._report.refused if number else partial(self._report.error, said=said)
            report(
                element,
                f"JsonBlob needs the field {name}",
                f"add an OboDirectPartitionField {name} to Management, above this element",
            )
        return not missing

    def publishers(self, monikers: Mapping[str, Collection[str]], events: Collection[str]) -> list[PublisherElement]:
        """All publishers. ``monikers``: the accounts of each in-memory table; ``events``: names of all events."""
        found: list[PublisherElement] = []
        for name, element in self._published.items():
            if name not in monikers:
                self._unknown(name, element, monikers)
            else:
                found.extend(self._with_key(name, element, monikers[name]))
        for name, element in self._others.items():
            if name not in events:
                self._unknown(name, element, events)
            elif name in self._configs and name not in self.on_behalf:
                self._report.beyond(
                    element,
                    f"OnBehalf of {name} has no effect: no JsonBlob event of this name follows it",
                    "move EventStreamingAnnotations above Events",
                )
        return found

    def _unknown(self, name: str, element: etree._Element, known: Collection[str]) -> None:
        near = self._report.problems.nearest(name, islice(known, MOST_COMPARED))
        self._report.error(
            element,
            f"Unknown name {name} in EventStreamingAnnotation",
            f"did you mean {near}?" if near else "name a Source or an event",
            said=f"Unknown name '{name}' in EventStreamingAnnotation",
        )

    def _with_key(self, name: str, element: etree._Element, monikers: Collection[str]) -> list[PublisherElement]:
        at = self._report.at(element)
        if name in self._keys:
            (text, path), _ = self._keys[name]
            return [PublisherElement(name, text if path else unescaped(text), path, at)]
        missing = [m for m in monikers if m not in self._accounts]
        if missing or not monikers:
            self._report.error(
                element,
                f"publisher {name} has no SAS",
                "give it a <Key>, or a ServiceBusAccountInfo named " + (missing[0] if missing else "as its account"),
                said=f"Failed to find event publisher SAS key for item '{name}'",
            )
            return []
        keys = dict.fromkeys(self._accounts[m] for m in monikers)
        return [PublisherElement(name, text if path else unescaped(text), path, at) for text, path in keys]
