"""Nothing that anybody writes may end in an exception: arbitrary JSON as settings, arbitrary bytes as XML."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from extension.config import document, durations, xmlsafe
from extension.config.build import generate
from extension.config.lad23_keys import PROTECTED_KEYS, PUBLIC_KEYS
from extension.config.machine import Machine
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.plan import Options, from_json

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
PROTECTED = {"storageAccountName": "acct", "storageAccountKey": base64.b64encode(bytes(64)).decode()}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
NAMES = st.sampled_from(
    [*PUBLIC_KEYS, *PROTECTED_KEYS, "diagnosticMonitorConfiguration", "metrics", "resourceId", "table",
     "performanceCounters", "performanceCounterConfiguration", "class", "counterSpecifier", "condition", "namespace",
     "fileLogs", "fileLogConfiguration", "file", "query", "sinksConfig", "sinks", "applicationInsights", "type",
     "counter", "sampleRate", "annotation", "displayName", "metricAggregation", "scheduledTransferPeriod", "sink",
     "name", "sasURL", "syslogEvents", "syslogEventConfiguration", "LOG_CRON", "frequency", "traceFlags"]
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=6), inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=8)
VALUES = ["1.0", "2", "true", "local", "a", "PT1M", "SELECT a FROM b", "\\Memory\\UsedMemory", "", "-1", "1e999"]
TAGS = st.sampled_from(
    [
        "MonitoringManagement",
        "Accounts",
        "Account",
        "SharedAccessSignature",
        "Management",
        "Identity",
        "IdentityComponent",
        "Schemas",
        "Schema",
        "Column",
        "Sources",
        "Source",
        "Events",
        "OMI",
        "OMIQuery",
        "Unpivot",
        "MapName",
        "MdsdEvents",
        "MdsdEventSource",
        "RouteEvent",
        "DerivedEvents",
        "DerivedEvent",
        "LADQuery",
        "Imports",
        "Import",
        "WadCfg",
        "DiagnosticMonitorConfiguration",
        "Metrics",
        "PerformanceCounters",
        "PerformanceCounterConfiguration",
        "MetricAggregation",
        "x",
    ]
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "version",
            "eventVersion",
            "moniker",
            "account",
            "key",
            "isDefault",
            "eventVolume",
            "name",
            "source",
            "schema",
            "dynamic_schema",
            "eventName",
            "storeType",
            "duration",
            "priority",
            "cqlQuery",
            "omiNamespace",
            "sampleRateInSeconds",
            "columnName",
            "columnValue",
            "columns",
            "scaleUp",
            "scaleDown",
            "partitionKey",
            "resourceId",
            "counterSpecifier",
            "sampleRate",
            "scheduledTransferPeriod",
        ]
    ),
    st.sampled_from(VALUES),
    max_size=7,
)


def _element(tag: str, attributes: dict[str, str], children: list[etree._Element], text: str | None) -> etree._Element:
    element = etree.Element(tag, attributes)
    element.extend(children)
    element.text = text
    return element


TEXTS = st.none() | st.sampled_from(["x", " ", "\\a\\b"])
ELEMENTS = st.recursive(
    st.builds(_element, TAGS, ATTRIBUTES, st.just([]), TEXTS),
    lambda inner: st.builds(_element, TAGS, ATTRIBUTES, st.lists(inner, max_size=4), TEXTS),
    max_leaves=20,
)


@given(OBJECTS | JSON, st.just(PROTECTED) | OBJECTS | JSON, st.sampled_from([None, "2.3", "3.0", "4.0"]))
@settings(deadline=None)
def test_any_settings_give_a_document_or_an_error(public: object, protected: object, lad: str | None) -> None:
    made = generate(public, protected, lad=lad, machine=Machine("u", ""), now=NOW)
    assert all(p.path and p.message for p in made.problems)
    assert all(p.cure for p in made.problems if p.severity != "note" and p.path != "...")
    if made.xml is None:
        assert any(p.severity == "error" for p in made.problems)
        return
    problems = Problems()
    assert document.read(made.xml, "doc", problems) is not None
    for problem in made.problems:
        assert "\n" not in problem.render()
        json.dumps(problem.to_json()).encode()


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes, packed: bool) -> None:
    problems = Problems()
    if document.read(data, "doc", problems) is None:
        assert problems.failed
    text = base64.b64encode(data).decode() if packed else data.decode("latin-1")
    for key in ("xmlCfg", "mdsdCfg", "syslogCfg"):
        generate({key: text}, PROTECTED, machine=Machine("", ""), now=NOW)


@given(ELEMENTS, st.booleans())
@settings(deadline=None)
def test_any_elements_are_read_or_refused(element: etree._Element, root: bool) -> None:
    if root:
        element.tag = "MonitoringManagement"
    xml = etree.tostring(element)
    problems = Problems()
    read = document.read(xml, "doc", problems)
    if read is not None:
        plan = resolve(read, Options(), "h", environ={}, decrypt=lambda t, _: t, now=NOW, problems=problems)
        assert (plan is None) == problems.failed
        if plan is not None:
            assert from_json(plan.to_json()) == plan
    public = {"xmlCfg": base64.b64encode(xml).decode(), "honourXmlCfg": True}
    made = generate(public, PROTECTED, machine=Machine("u", "d"), now=NOW)
    assert made.xml is not None
    xmlsafe.parse(made.xml)


@given(st.text())
def test_legal_text_is_what_xml_takes(text: str) -> None:
    kept = xmlsafe.without_illegal(text)
    assert xmlsafe.legal(kept)
    assert xmlsafe.legal(text) == (kept == text)
    element = etree.Element("a", {"b": kept})
    assert etree.fromstring(etree.tostring(element)).get("b") == kept


@given(st.integers(1, 10**8))
def test_written_durations_are_read_again(seconds: int) -> None:
    assert durations.mdsd_seconds(durations.written(seconds)) == seconds


def test_work_grows_with_the_size_only() -> None:
    """Inputs that would make a careless reader quadratic or fill its memory; a hang fails by the suite's timeout."""
    many = 200_000
    problems = Problems()
    wide = b"<MonitoringManagement>" + b"<x/>" * many + b"</MonitoringManagement>"
    assert document.read(wide, "doc", problems) is not None
    assert problems.failed
    assert len(problems.all()) < 1000
    generate({f"k{i}": 1 for i in range(many)}, PROTECTED, machine=Machine("", ""), now=NOW)
    for hostile in (b"<!--" * many + b"<!DOCTYPE", b"<!---->" * many + b"<!DOCTYPE a>"):
        document.read(hostile, "doc", Problems())
    assert document.unescaped("&" + "amp;" * many + "lt;") == "<"
    assert document.unescaped("&amp;" * many) == "&" * many
