"""The Events section of an mdsd document: queries, routes, derived events, and what is read but not run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import islice

from lxml import etree

from extension.config import document_keys, durations, xmlsafe
from extension.config.document_model import (
    PRIORITIES,
    STORES,
    DerivedElement,
    LadQueryElement,
    QueryElement,
    RouteElement,
    Store,
    UnpivotElement,
)
from extension.config.document_parts import MOST_COMPARED, Accounts, Schemas, body, true, whole
from extension.config.document_report import Report
from extension.config.document_streams import Streams
from extension.config.document_text import unescaped

MIN_ROUTE_PERIOD = 10
_NAME_LENGTHS = {"local": 255, "file": 4096, "jsonblob": 4096}
_REMOTE = ("table", "jsonblob")
_LEGAL = {
    "table": (r"[A-Za-z0-9]+", "letters and digits in a table's name"),
    "jsonblob": (r"[A-Za-z0-9-]+", "letters, digits and dashes in a container's name"),
}
_INVALID = "<{}> attribute '{}' has invalid value '{}'."
_DROPPED = {
    "OMIQuery": "Configuration error(s) detected; dropping this OMIQuery.",
    "DerivedEvent": "Configuration error(s) detected; dropping this DerivedEvent.",
    "RouteEvent": "Unable to create routing for this event",
}
_STORE_INVALID = "AddMonikerEventInfo() failed: MdsdEventCfg::AddEventSinkCfgInfoItem(): item param must be valid."
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class Events:
    """What has been read so far; ``tables`` are the in-memory tables that exist at this point, with their accounts."""

    def __init__(self, report: Report, accounts: Accounts, schemas: Schemas, streams: Streams) -> None:
        self._report = report
        self._accounts = accounts
        self._schemas = schemas
        self._streams = streams
        self._unfinished: frozenset[etree._Element] = frozenset()
        self.tables: dict[str, set[str]] = {}
        self.names: set[str] = set()
        self.queries: list[QueryElement] = []
        self.routes: list[RouteElement] = []
        self.derived: list[DerivedElement] = []

    @property
    def any(self) -> bool:
        """Whether there is an event so far."""
        return bool(self.queries or self.routes or self.derived)

    def add_sources(self) -> None:
        """Make in-memory tables of the sources that have been declared since."""
        for name in self._schemas.sources:
            self.tables.setdefault(name, set()).update([self._accounts.default] if self._accounts.default else [])

    def read(self, section: etree._Element, unfinished: frozenset[etree._Element]) -> None:
        """One Events element; elements in ``unfinished`` are cut off, and mdsd never gets to keep them."""
        self._unfinished = unfinished
        for group in xmlsafe.children(section):
            if group.tag == "OMI":
                for element in group.findall("OMIQuery"):
                    self._omi_query(element)
            elif group.tag == "MdsdEvents":
                for element in group.findall("MdsdEventSource"):
                    self._event_source(element)
            elif group.tag == "DerivedEvents":
                for element in group.findall("DerivedEvent"):
                    self._derived_event(element)

    def _name(self, element: etree._Element, attribute: str) -> bool:
        """Whether a name attribute that is given is valid: neither empty nor with a blank."""
        given = element.get(attribute)
        if given is None or (given and " " not in given):
            return True
        what = "must not have blanks" if given else "must not be empty"
        said = f"Invalid {attribute} attribute"
        if element.tag == "RouteEvent":
            said = _INVALID.format(element.tag, attribute, given)
        cure = "remove the blanks" if given else "give a name"
        self._report.error(element, f"{attribute} {what}", cure, given, said=said)
        return False

    def _store(self, element: etree._Element, full_name: bool = False) -> Store | None:
        """Target of an event: name, store type and account."""
        report = self._report
        event = element.get("eventName") or ""
        usable = self._name(element, "account")
        if event:
            usable = self._name(element, "eventName") and usable
        else:
            said = "<RouteEvent> requires attribute 'eventName'"
            if element.tag != "RouteEvent":
                said = "eventName must not be empty"
            usable = report.required(element, "eventName", said=said) and usable
        given = element.get("storeType") or "central"
        kind = STORES.get(given.lower(), "")
        self.names.update([event] if usable else [])
        if not kind:
            near = report.problems.nearest(given, ("Central", "Local", "JsonBlob", "File", "XTable"))
            self._unknown_store(element, given, f"did you mean {near}?" if near else "use Central")
            return None
        moniker = element.get("account") or ""
        if kind == "appinsights":
            report.beyond(element, f"storeType {given} is not served: the event gives no rows")
        else:
            if kind in _REMOTE:
                usable = self._accounts.usable(moniker, element) and usable
            if not moniker:
                usable = self._accounts.has_default(element) and usable
        if len(event) > _NAME_LENGTHS.get(kind, len(event)):
            report.error(element, f"eventName is longer than {_NAME_LENGTHS[kind]} characters", "shorten it", event)
            usable = False
        if kind == "jsonblob" and usable:
            usable = self._streams.blob_path(event, element, _DROPPED[element.tag])
        if kind in _LEGAL and usable and not re.fullmatch(_LEGAL[kind][0], event):
            report.beyond(
                element, f"the storage service takes only {_LEGAL[kind][1]}", "choose another eventName", event
            )
        if kind == "local" and event in self._schemas.sources:
            report.error(element, f"eventName {event} is already the name of a Source", "choose another name")
            usable = False
        if not usable:
            return None
        return Store(kind, event, moniker, full_name, not true(element, "dontUsePerNDayTable"))

    def _unknown_store(self, element: etree._Element, given: str, cure: str) -> None:
        """mdsd gets further with a query or derived event, and has two messages for it."""
        if element.tag == "RouteEvent":
            said = _INVALID.format(element.tag, "storeType", given)
            self._report.error(element, "unknown storeType", cure, given, said=said)
            return
        self._report.fatal(element, "unknown storeType", cure, given, said=_STORE_INVALID)
        self._report.error(element, f"this <{element.tag}> has no store", cure, said=_DROPPED[element.tag])

    def _keep(self, store: Store, element: etree._Element, source: str = "") -> bool:
        """Take note of an event with a target; False for one that is cut off."""
        moniker = store.moniker or self._accounts.default
        if store.kind == "local":
            self.tables.setdefault(store.event, set()).add(moniker)
        elif source in self.tables:
            self.tables[source].add(moniker)
        return element not in self._unfinished

    def _priority(self, element: etree._Element) -> int:
        given = element.get("priority")
        if given is None:
            return PRIORITIES["default"]
        if given.lower() not in PRIORITIES:
            said = f'Ignoring unknown priority "{given}"'
            if element.tag == "RouteEvent":
                said = f"<RouteEvent>: ignoring unknown 'priority'' value '{given}'"
            text = "unknown priority, Normal is used"
            self._report.warning(element, text, "use High, Normal or Low", given, said=said)
        return PRIORITIES.get(given.lower(), PRIORITIES["default"])

    def _first(self, element: etree._Element, tag: str) -> etree._Element | None:
        found = element.findall(tag)
        if len(found) > 1:
            self._report.beyond(found[1], f"a second <{tag}> is ignored", "keep one")
        return found[0] if found else None

    def _omi_query(self, element: etree._Element) -> None:
        store = self._store(element)
        said = "Missing at least one required attribute (omiNamespace, cqlQuery)"
        usable = self._report.required(element, "omiNamespace", "cqlQuery", said=said)
        said = "Invalid sampleRateInSeconds attribute - using default"
        rate = whole(element, "sampleRateInSeconds", self._report, self._priority(element), said=said)
        pivoted = self._first(element, "Unpivot")
        unpivot = None if pivoted is None else self._unpivot(pivoted)
        if store is None or not usable or (pivoted is not None and unpivot is None):
            return
        if self._keep(store, element) and rate > 0:
            text = unescaped(element.get("cqlQuery") or "")
            namespace = element.get("omiNamespace") or ""
            self.queries.append(QueryElement(namespace, text, rate, store, unpivot, self._report.at(element)))

    def _unpivot(self, element: etree._Element) -> UnpivotElement | None:
        said = "Missing one or more required attributes (columnValue, columnName, columns)"
        usable = self._report.required(element, "columnName", "columnValue", "columns", said=said)
        maps: dict[str, tuple[str, str, float]] = {}
        for mapped in element.findall("MapName"):
            if not self._report.required(mapped, "name", said='Missing required "from" attribute'):
                usable = False
                continue
            name, new_name = mapped.get("name") or "", body(mapped)
            factor = self._scale(mapped, "scaleUp") / self._scale(mapped, "scaleDown")
            if new_name != new_name.strip():
                self._report.beyond(
                    mapped, "the new name has blanks around it, which are kept", "remove them", new_name
                )
            if name in maps:
                self._report.beyond(mapped, f"{name} is mapped twice, the first MapName counts")
            maps.setdefault(name, (name, new_name or name, factor))
        columns = tuple(c for c in re.split(r"[,\s]+", element.get("columns") or "") if c)
        if usable and not columns:
            said = "No column names specified for <Unpivot>"
            self._report.error(element, "columns names no column", "name columns, with commas between", said=said)
            usable = False
        if not usable:
            return None
        return UnpivotElement(
            element.get("columnName") or "", element.get("columnValue") or "", columns, tuple(maps.values())
        )

    def _scale(self, element: etree._Element, name: str) -> float:
        """A scale factor; of ``1024 KiB`` the 1024 counts, as in mdsd, with a warning."""
        given = element.get(name)
        if given is None:
            return 1.0
        found = _NUMBER.match(given)
        value = float(found.group()) if found else math.nan
        if found is None or not math.isfinite(value) or (name == "scaleDown" and value == 0):
            what = "must be a number other than 0" if name == "scaleDown" else "must be a number"
            self._report.error(element, f"{name} {what}", 'write a number such as "1048576"', given)
            return 1.0
        if found.end() != len(given.rstrip()):
            self._report.beyond(element, f"{name} is {value:g}: what follows the number is ignored", value=given)
        return value

    def _event_source(self, element: etree._Element) -> None:
        source = element.get("source") or ""
        known = self._report.required(element, "source", said="Missing required source attribute")
        if known and source not in self._schemas.sources:
            self._unknown_table(element, source, self._schemas.sources, f'Undefined source "{source}"')
            known = False
        for route in element.findall("RouteEvent"):
            period = self._period(route)
            store = self._store(route)
            if store is not None and known and self._keep(store, route, source) and period:
                self.routes.append(RouteElement(source, store, period, self._report.at(route)))

    def _period(self, route: etree._Element) -> int:
        """Seconds between two runs of a route, 0 if what is given is none."""
        period, given = self._priority(route), route.get("duration")
        if given is None:
            return period
        seconds = durations.mdsd_seconds(given)
        if not seconds:
            said = _INVALID.format("RouteEvent", "duration", given)
            text, cure = "duration is no ISO 8601 duration", "write PT1M (the T is needed)"
            self._report.error(route, text, cure, given, said=said)
            return 0
        if seconds < MIN_ROUTE_PERIOD:
            text = f"duration is below {MIN_ROUTE_PERIOD} s, which is used instead"
            said = "Minimum supported duration is ten (10) seconds; using minimum"
            self._report.warning(route, text, value=given, said=said)
        return max(seconds, MIN_ROUTE_PERIOD)

    def _unknown_table(self, element: etree._Element, name: str, known: Iterable[str], said: str = "") -> None:
        near = self._report.problems.nearest(name, islice(known, MOST_COMPARED))
        self._report.error(
            element,
            f"source {name} is not defined before this element",
            f"did you mean {near}?" if near else "define it earlier in the document",
            said=said,
        )

    def _derived_event(self, element: etree._Element) -> None:
        report = self._report
        store = self._store(element, true(element, "isFullName"))
        usable = report.required(element, "source")
        usable = report.required(element, "duration", said="The duration attribute is required") and usable
        self._priority(element)
        source = element.get("source") or ""
        if source and source not in self.tables:
            said = f"DerivedEvent {element.get('eventName')} references undefined source {source}"
            self._unknown_table(element, source, self.tables, said)
            usable = False
        given = element.get("duration") or ""
        seconds = durations.mdsd_seconds(given)
        if given and not seconds:
            text, cure = "duration is no ISO 8601 duration", "write PT1M or PT1H (the T is needed)"
            report.error(element, text, cure, given, said="Invalid duration attribute")
        aggregated = self._first(element, "LADQuery")
        lad = None
        if aggregated is not None:
            wanted = ("columnName", "columnValue", "partitionKey")
            said = "Missing one or more required attributes (columnValue, columnName, partitionKey)"
            usable = report.required(aggregated, *wanted, said=said) and usable
            names = ("columnName", "columnValue", "partitionKey", "instanceID")
            lad = LadQueryElement(*(aggregated.get(name) or "" for name in names))
            for name in names[2:]:
                document_keys.judge(aggregated, name, aggregated.get(name) or "", report)
        if store is None:
            return
        kept = self._keep(store, element, source)
        if kept and usable and seconds:
            self.derived.append(DerivedElement(source, seconds, store, lad, report.at(element), given))
