"""``perfCfg`` of LAD 3.0: queries of one's own into tables and sinks (spec/lad-handler.md 5.4)."""

from __future__ import annotations

import re

from extension.config import lad30_names, lad30_sinks, values
from extension.config.lad30_sinks import Sinks
from extension.config.model import NAMESPACE
from extension.config.model30 import EVENT_HUB, JSON_BLOB, Findings, Hub, Query
from extension.config.problems import Problems
from extension.config.queries import check_query
from extension.config.reading import Reading
from extension.config.values import PUBLIC, Object, member

_KEYS = ("query", "table", "namespace", "frequency", "sinks")
_DEFAULT_FREQUENCY = "300"
_PATH = member(PUBLIC, "perfCfg")


def read(
    public: Object, sinks: Sinks, how: Reading, findings: Findings
) -> tuple[tuple[Query, ...], tuple[Hub, ...], set[str]]:
    """The queries, the Event Hubs that get their rows, and the names of all sinks used."""
    problems = findings.problems
    queries: list[Query] = []
    hubs: list[Hub] = []
    used: set[str] = set()
    listed = values.items(public, "perfCfg", PUBLIC, problems) or []
    if listed and how.telegraf:
        if how.exact:
            problems.warning(_PATH, "LAD 4 asks no OMI queries: has no effect", "read the settings as LAD 3.0")
            return (), (), used
        problems.note(_PATH, "LAD 4 did not ask these queries; here they are asked, as LAD 3.0 did")
    for at, element in listed:
        entry = values.obj(element, at, problems)
        lad30_names.report_keys(entry, at, _KEYS, {}, problems)
        text, table = values.text(entry, "query", at, problems), values.text(entry, "table", at, problems)
        names = lad30_sinks.named(entry, at, how, problems)
        used.update(names)
        complete = "query" in entry and ("table" in entry or "sinks" in entry)
        if not (complete if how.exact else text and (table or names)):
            lacking = "query" if not text else "table or sinks"
            message = f"Ignoring perfCfg array element missing required elements: {lacking}"
            problems.warning(at, message, "give a query, and a table or sinks")
            continue
        namespace = values.text(entry, "namespace", at, problems)
        if not (how.exact and "namespace" in entry):
            namespace = namespace or NAMESPACE
        rate = _frequency(entry, at, how, findings)
        problems.extend(check_query(text, namespace, member(at, "query")))
        if table or (how.exact and "table" in entry):
            lad30_names.check_table(table, member(at, "table"), problems)
            queries.append(Query(text, table, rate, "", namespace))
        for sink in lad30_sinks.strict(names, sinks, member(at, "sinks"), findings):
            if sink.kind == EVENT_HUB and (how.exact or Hub(sink.name, sink) not in hubs):
                hubs.append(Hub(sink.name, sink))
            store = JSON_BLOB if sink.kind == JSON_BLOB else "local"
            queries.append(Query(text, sink.name, rate, store, namespace))
    _report_shared(hubs, problems)
    return tuple(queries), tuple(hubs), used


def _report_shared(hubs: list[Hub], problems: Problems) -> None:
    """To the letter each query annotates its sink, and the daemon takes one annotation for each name."""
    for hub in hubs:
        if hubs.count(hub) > 1:
            message = "several queries feed one EventHub sink: LAD annotates it for each, and the daemon takes one"
            cure = "let the dialect be told from the settings"
            problems.error(_PATH, message, cure, lad30_sinks.shown(hub.sink.name))


def _frequency(entry: Object, at: str, how: Reading, findings: Findings) -> str:
    """Seconds between two queries, as text; to the letter whatever LAD wrote."""
    given = entry.get("frequency")
    if given is None:
        return _DEFAULT_FREQUENCY
    text = str(given).strip() if isinstance(given, (int, str)) and not isinstance(given, bool) else ""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not int(text):
        told = given if isinstance(given, str) else text or values.kind(given)
        message = "must be a whole number of seconds, at least 1"
        findings.problems.error(member(at, "frequency"), message, "write 300", told)
        return str(given) if how.exact and isinstance(given, (str, int, float)) else _DEFAULT_FREQUENCY
    return text
