"""Reader of mdsd documents: one pass in document order, because an element may only refer to what precedes it.

Grammar and severities: spec/mdsd.md 1 and 8; mdsd's Fatal and Error are errors, Warning is a warning, Info a note.
Where mdsd crashed (eventVolume, scale factors) there is a warning with a default, or an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from lxml import etree

from extension.config import durations, grammar, xmlsafe
from extension.config.document_model import (
    PRIORITIES,
    STORES,
    DerivedElement,
    Document,
    LadQueryElement,
    QueryElement,
    RouteElement,
    Store,
    UnpivotElement,
)
from extension.config.document_parts import Accounts, Management, Schemas, positive
from extension.config.problems import Problems

MIN_ROUTE_PERIOD = 10
_AMPERSANDS = re.compile(r"&(?:(?:amp|#38);)+")
_LAST_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&#39;", "'"), ("&quot;", '"'))


def read(xml: bytes, path: str, problems: Problems) -> Document | None:
    """The document in ``xml``; ``path`` is what problems call it. None if it is no mdsd document at all."""
    try:
        root = xmlsafe.parse(xml)
    except xmlsafe.XmlError as problem:
        problems.error(problem.at(path), str(problem), problem.cure)
        return None
    if xmlsafe.local_name(root) != "MonitoringManagement":
        problems.error(
            f"{path} line {xmlsafe.line_of(root)}",
            f"the root element is <{xmlsafe.local_name(root)}>, not <MonitoringManagement>",
            "give an mdsd document",
        )
        return None
    if root.tag != "MonitoringManagement":
        problems.error(
            f"{path} line {xmlsafe.line_of(root)}", "the document has an XML namespace", "remove the xmlns attribute"
        )
        return None
    grammar.check(root, path, problems)
    return _Reader(path, problems).document(root)


def unescaped(text: str) -> str:
    """A cqlQuery that was escaped more than once, as mdsd undoes it: ampersands until stable, then the others."""
    text = _AMPERSANDS.sub("&", text)
    for escape, plain in _LAST_ESCAPES:
        text = text.replace(escape, plain)
    return text


class _Reader:
    """What has been read so far; ``tables`` are the in-memory tables that exist at this point of the document."""

    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._accounts = Accounts(path, problems)
        self._management = Management(path, problems)
        self._schemas = Schemas(path, problems)
        self._tables: set[str] = set()
        self._queries: list[QueryElement] = []
        self._routes: list[RouteElement] = []
        self._derived: list[DerivedElement] = []

    def _at(self, element: etree._Element) -> str:
        return f"{self._path} line {xmlsafe.line_of(element)}"

    def document(self, root: etree._Element) -> Document:
        """Read all sections in their order."""
        at = self._at(root)
        if root.get("version") != "1.0":
            self._problems.error(at, "version must be 1.0", 'write version="1.0"', root.get("version") or "")
        version = positive(root, "eventVersion", at, self._problems, 1)
        for section in xmlsafe.children(root):
            name = xmlsafe.local_name(section)
            if name == "Imports":
                self._imports(section)
            elif name == "Accounts":
                self._accounts.read(section)
            elif name == "Management":
                self._management.read(section)
            elif name == "Schemas":
                self._schemas.read(section)
            elif name == "Sources":
                self._tables.update(self._schemas.sources(section))
            elif name == "Events":
                self._events(section)
        self._management.finish(root)
        return Document(
            self._path,
            root.get("namespace") or "",
            version,
            self._management.event_volume,
            self._management.identity_type,
            tuple(self._management.identity.values()),
            tuple(self._accounts.found.values()),
            tuple(self._schemas.source_names),
            tuple(self._queries),
            tuple(self._routes),
            tuple(self._derived),
            tuple(self._management.obo),
        )

    def _imports(self, section: etree._Element) -> None:
        for element in section.findall("Import"):
            self._problems.error(
                self._at(element),
                "Import is not supported by this version",
                "put the imported elements into this document",
                element.get("file") or "",
            )

    def _events(self, section: etree._Element) -> None:
        for group in xmlsafe.children(section):
            name = xmlsafe.local_name(group)
            if name == "OMI":
                for element in group.findall("OMIQuery"):
                    self._omi_query(element)
            elif name == "MdsdEvents":
                for element in group.findall("MdsdEventSource"):
                    self._event_source(element)
            elif name == "DerivedEvents":
                for element in group.findall("DerivedEvent"):
                    self._derived_event(element)

    def _required(self, element: etree._Element, *names: str) -> bool:
        """Whether the attributes are there and not empty; each that is not is an error."""
        missing = [name for name in names if not element.get(name)]
        for name in missing:
            self._problems.error(
                self._at(element), f"<{element.tag}> needs the attribute {name}", f"give {name} a value"
            )
        return not missing

    def _store(self, element: etree._Element) -> Store | None:
        """Target of an event: name, store type and account."""
        at = self._at(element)
        event = element.get("eventName") or ""
        usable = self._required(element, "eventName")
        if " " in event:
            self._problems.error(at, "eventName must not have blanks", "remove the blanks", event)
            usable = False
        given = element.get("storeType") or "central"
        kind = STORES.get(given.lower(), "")
        if not kind:
            near = self._problems.nearest(given, ("Central", "Local", "JsonBlob", "File", "XTable"))
            self._problems.error(at, "unknown storeType", f"did you mean {near}?" if near else "use Central", given)
            return None
        if kind not in ("table", "local"):
            self._problems.warning(at, f"storeType {given} is not served by this version: the event gives no rows")
        if kind == "jsonblob" and "resourceId" not in dict(self._management.obo):
            self._problems.error(
                at, "JsonBlob needs a resourceId", "add OboDirectPartitionField resourceId to Management"
            )
        moniker = element.get("account") or ""
        if kind in ("table", "jsonblob") and not self._accounts.usable(moniker, at):
            usable = False
        full_name, per_nday = _true(element, "isFullName"), not _true(element, "dontUsePerNDayTable")
        return Store(kind, event, moniker, full_name, per_nday) if usable else None

    def _priority(self, element: etree._Element) -> int:
        given = element.get("priority")
        if not given:
            return PRIORITIES["default"]
        if given.lower() not in PRIORITIES:
            self._problems.warning(
                self._at(element), "unknown priority, Normal is used", "use High, Normal or Low", given
            )
        return PRIORITIES.get(given.lower(), PRIORITIES["default"])

    def _omi_query(self, element: etree._Element) -> None:
        at = self._at(element)
        store = self._store(element)
        usable = self._required(element, "omiNamespace", "cqlQuery")
        rate = positive(element, "sampleRateInSeconds", at, self._problems, self._priority(element))
        unpivots = element.findall("Unpivot")
        unpivot = self._unpivot(unpivots[0]) if unpivots else None
        if store is None or not usable or (unpivots and unpivot is None):
            return
        if store.kind == "local":
            if store.event in self._schemas.source_names:
                self._problems.error(
                    at, f"eventName {store.event} is already the name of a Source", "choose another name"
                )
            self._tables.add(store.event)
        if rate > 0:
            text = unescaped(element.get("cqlQuery") or "")
            namespace = element.get("omiNamespace") or ""
            self._queries.append(QueryElement(namespace, text, rate, store, unpivot, xmlsafe.line_of(element)))

    def _unpivot(self, element: etree._Element) -> UnpivotElement | None:
        usable = self._required(element, "columnName", "columnValue", "columns")
        maps: dict[str, tuple[str, str, float]] = {}
        for mapped in element.findall("MapName"):
            if not self._required(mapped, "name"):
                usable = False
                continue
            name = mapped.get("name") or ""
            factor = self._scale(mapped, "scaleUp") / (self._scale(mapped, "scaleDown") or 1.0)
            new_name = "".join((mapped.text or "").splitlines()).strip() or name
            if name in maps:
                self._problems.warning(self._at(mapped), f"{name} is mapped twice, the first MapName counts")
            maps.setdefault(name, (name, new_name, factor))
        columns = tuple(c for c in re.split(r"[,\s]+", element.get("columns") or "") if c)
        if not usable:
            return None
        return UnpivotElement(
            element.get("columnName") or "", element.get("columnValue") or "", columns, tuple(maps.values())
        )

    def _scale(self, element: etree._Element, name: str) -> float:
        given = element.get(name)
        if given is None:
            return 1.0
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (name == "scaleDown" and value == 0):
            self._problems.error(
                self._at(element), f"{name} must be a number", 'write a number such as "1048576"', given
            )
            return 1.0
        return value

    def _event_source(self, element: etree._Element) -> None:
        source = element.get("source") or ""
        known = self._required(element, "source")
        if known and source not in self._schemas.source_names:
            self._unknown_table(element, "source", source, self._schemas.source_names)
        for route in element.findall("RouteEvent"):
            at = self._at(route)
            period = self._priority(route)
            given = route.get("duration")
            if given is not None:
                seconds = durations.mdsd_seconds(given)
                if seconds is None:
                    self._problems.error(at, "duration is no ISO 8601 duration", "write PT1M (the T is needed)", given)
                elif seconds < MIN_ROUTE_PERIOD:
                    self._problems.warning(
                        at, f"duration is below {MIN_ROUTE_PERIOD} s, which is used instead", value=given
                    )
                period = max(seconds or period, MIN_ROUTE_PERIOD)
            store = self._store(route)
            if store is not None and store.kind == "local":
                self._tables.add(store.event)
            if store is not None:
                self._routes.append(RouteElement(source, store, period, xmlsafe.line_of(route)))

    def _unknown_table(self, element: etree._Element, attribute: str, name: str, known: Iterable[str]) -> None:
        near = self._problems.nearest(name, known)
        self._problems.error(
            self._at(element),
            f"{attribute} {name} is not defined before this element",
            f"did you mean {near}?" if near else "define it earlier in the document",
        )

    def _derived_event(self, element: etree._Element) -> None:
        at = self._at(element)
        store = self._store(element)
        usable = self._required(element, "source", "duration")
        self._priority(element)
        source = element.get("source") or ""
        if source and source not in self._tables:
            self._unknown_table(element, "source", source, self._tables)
            usable = False
        given = element.get("duration") or ""
        seconds = durations.mdsd_seconds(given)
        if given and not seconds:
            self._problems.error(at, "duration is no ISO 8601 duration", "write PT1M or PT1H (the T is needed)", given)
            usable = False
        queries = element.findall("LADQuery")
        lad = None
        if queries:
            first = queries[0]
            usable = self._required(first, "columnName", "columnValue", "partitionKey") and usable
            lad = LadQueryElement(
                first.get("columnName") or "",
                first.get("columnValue") or "",
                first.get("partitionKey") or "",
                first.get("instanceID") or "",
            )
        if store is not None and store.kind == "local":
            self._tables.add(store.event)
        if store is not None and usable and seconds:
            self._derived.append(DerivedElement(source, seconds, store, lad, xmlsafe.line_of(element)))


def _true(element: etree._Element, name: str) -> bool:
    return (element.get(name) or "").lower() in ("true", "1")
