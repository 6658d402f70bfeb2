"""LAD 2.3 settings against documents that LAD 2.3 itself made, and every rule of reading them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from lxml import etree

from extension.config.build import Generated, generate
from extension.config.machine import Machine
from extension.config.secrets import SecretError

CASES = sorted((Path(__file__).parent.parent / "fixtures" / "config").glob("lad23-*"))
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
KEY = base64.b64encode(bytes(64)).decode()
PROTECTED = {"storageAccountName": "diagacct01", "storageAccountKey": KEY}
RESOURCE = "/subscriptions/0f1e2d3c/resourceGroups/rg-diag_one/providers/Microsoft.Compute/virtualMachines/web-01"
UUID = "5A5A0001-0002-0003-0004-0123456789AB"
MACHINE = Machine(UUID, "")
DEFAULT_TABLES = ["LinuxMemory", "LinuxCpu", "LinuxDisk"]
PORTAL_EVENTS = ["memoryStats", "cpuStats", "diskStats", "netStats"]


def made(
    public: object, protected: object = PROTECTED, lad: str | None = None, machine: Machine = MACHINE
) -> Generated:
    return generate(public, protected, lad=lad, machine=machine, now=NOW)


def root_of(generated: Generated) -> etree._Element:
    assert generated.xml is not None, [p.render() for p in generated.problems]
    return etree.fromstring(generated.xml)


def events(root: etree._Element) -> list[str | None]:
    return [q.get("eventName") for q in root.iter("OMIQuery")]


def found(generated: Generated, severity: str, path: str) -> str:
    """The messages of one severity at one path, as one text."""
    return " | ".join(p.message for p in generated.problems if p.severity == severity and p.path.startswith(path))


def packed(xml: str | bytes) -> str:
    return base64.b64encode(xml.encode() if isinstance(xml, str) else xml).decode()


def wad(inner: str, resource: str = RESOURCE) -> str:
    metrics = f'<Metrics resourceId="{resource}">{inner}</Metrics>' if "<Perf" not in inner else inner
    return packed(f"<WadCfg><DiagnosticMonitorConfiguration>{metrics}</DiagnosticMonitorConfiguration></WadCfg>")


# --- the captures


def _leaf(element: etree._Element) -> str:
    attributes = {str(k): str(v) for k, v in element.attrib.items() if k not in ("decryptKeyPath", "timestamp")}
    if "cqlQuery" in attributes:
        words = attributes["cqlQuery"].replace(",", " , ").split()
        attributes["cqlQuery"] = " ".join(sorted(w.upper() for w in words if w != ","))
    if "columns" in attributes:
        attributes["columns"] = " ".join(sorted(attributes["columns"].replace(",", " ").split()))
    if element.tag in ("Account", "SharedAccessSignature"):
        attributes["key"] = "present" if attributes.get("key") else "absent"
    children = [_leaf(child) for child in element]
    if element.tag != "Schema":
        children.sort()
    text = (element.text or "").strip()
    return f"<{element.tag} {sorted(attributes.items())}>{text}{children}"


def meaning(xml: bytes) -> Counter[str]:
    """The document as a bag of its elements: order counts only for the columns of a schema."""
    root = etree.fromstring(xml)
    bag = Counter([f"root {sorted((str(k), str(v)) for k, v in root.attrib.items() if k != 'timestamp')}"])
    for section in root:
        parts = [e for group in section for e in group] if section.tag == "Events" else list(section)
        bag.update(f"{section.tag} {_leaf(part)}" for part in parts)
        bag[f"{section.tag} {sorted((str(k), str(v)) for k, v in section.attrib.items())}"] += 1
    return bag


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_document_means_what_the_original_s_means(case: Path) -> None:
    outcome = json.loads((case / "outcome.json").read_text())
    inputs = outcome["inputs"]
    generated = made(
        json.loads((case / "public.json").read_text()),
        json.loads((case / "protected.json").read_text()),
        "2.3",
        Machine(inputs["vm_uuid"], inputs["deployment_id"] or ""),
    )
    if not outcome["has_xml"]:
        assert generated.xml is None
        assert outcome["message"] in found(generated, "error", "$.protected")
        return
    assert generated.xml is not None
    assert meaning(generated.xml) == meaning((case / "expected.xml").read_bytes())
    # Where the original logged an exception and went on, the document is the same and the run is not "ok".
    assert generated.ok == (not outcome["log_errors"])


def test_captures_are_there() -> None:
    assert len(CASES) >= 17


# --- credentials


@pytest.mark.parametrize(
    ("protected", "message"),
    [
        ({}, "Empty storageAccountName"),
        ({"storageAccountName": ""}, "Empty storageAccountName"),
        ({"storageAccountName": None, "storageAccountKey": KEY}, "Empty storageAccountName"),
        ({"storageAccountName": "acct"}, "Neither storageAccountKey nor storageAccountSasToken is given"),
        (
            {"storageAccountName": "acct", "storageAccountKey": "", "storageAccountSasToken": None},
            "Neither storageAccountKey nor storageAccountSasToken is given",
        ),
        (
            {"storageAccountName": "acct", "storageAccountKey": KEY, "storageAccountSasToken": "sv=1&sig=YQ=="},
            "Either storageAccountKey or storageAccountSasToken (but not both) should be given",
        ),
        ({"storageAccountName": 5, "storageAccountKey": KEY}, "must be a string, is a number"),
        ({"storageAccountName": "acct", "storageAccountKey": [KEY]}, "must be a string, is a list"),
        ("not an object", "must be an object, is a string"),
        ([], "must be an object, is a list"),
    ],
)
def test_without_usable_credentials_there_is_no_document(protected: object, message: str) -> None:
    generated = made({}, protected)
    assert generated.xml is None
    assert not generated.ok
    assert message in found(generated, "error", "$.protected")


def test_all_problems_come_in_one_pass() -> None:
    generated = made({"xmlCfg": "!", "perfCfg": 5, "eventVolume": []}, {"storageAccountEndPoint": 7})
    paths = {p.path for p in generated.problems if p.severity == "error"}
    assert paths == {
        "$.protected.storageAccountName",
        "$.protected.storageAccountEndPoint",
        "$.protected",
        "$.public.xmlCfg",
        "$.public.perfCfg",
        "$.public.eventVolume",
    }


def test_secrets_never_appear_in_problems() -> None:
    secret = "SECRETSECRETSECRET"
    for protected in (
        {"storageAccountName": "acct", "storageAccountKey": secret},
        {"storageAccountName": "acct", "storageAccountSasToken": f"sig={secret}%25"},
        {"storageAccountName": "acct", "storageAccountKey": {"deep": secret}},
        {"storageAccountName": "acct", "storageAccountKey": KEY, "storageAccountEndPoint": f"https://u:{secret}@h.net"},
        {"storageAccountName": "acct", "storageAccountKey": KEY, "mysqlpassword": secret, "sas": secret},
    ):
        generated = made({}, protected)
        assert all(secret not in p.render() + repr(p) for p in generated.problems)
        assert secret not in repr(generated)


def test_secret_is_sealed_where_there_is_a_certificate() -> None:
    generated = generate({}, PROTECTED, machine=MACHINE, seal=lambda s: (f"HEX{len(s)}", "/w/T.prv"), now=NOW)
    account = root_of(generated).find("Accounts/Account")
    assert account is not None
    assert (account.get("key"), account.get("decryptKeyPath")) == (f"HEX{len(KEY)}", "/w/T.prv")
    assert KEY.encode() not in (generated.xml or b"")


def test_secret_that_cannot_be_sealed_is_an_error() -> None:
    def seal(_: str) -> tuple[str, str]:
        raise SecretError("certificate /w/T.crt: No such file or directory")

    generated = generate({}, PROTECTED, machine=MACHINE, seal=seal, now=NOW)
    assert generated.xml is None
    assert "/w/T.crt" in found(generated, "error", "$.protected.storageAccountKey")


def test_odd_keys_and_tokens_are_tried() -> None:
    for protected in (
        {"storageAccountName": "acct", "storageAccountKey": "odd"},
        {"storageAccountName": "acct", "storageAccountSasToken": "?sv=2018-03-28&ss=b&sp=r&se=2020-01-01&sig=YQ=="},
    ):
        generated = made({}, protected)
        assert generated.ok
        assert found(generated, "warning", "$.protected.storageAccount")


def test_local_store_needs_no_credential() -> None:
    generated = made({}, {"storageAccountName": "local", "storageAccountEndPoint": "file:///var/lib/x/tables.db"})
    account = root_of(generated).find("Accounts/Account")
    assert account is not None
    assert (account.get("tableEndpoint"), account.get("key")) == ("file:///var/lib/x/tables.db", "")
    assert generated.ok


# --- xmlCfg in its four shapes

METRICS = f'<Metrics resourceId="{RESOURCE}"/>'
ROOTLESS = f"<DiagnosticMonitorConfiguration>{METRICS}</DiagnosticMonitorConfiguration>"
SHAPES = {
    "wadcfg": f"<WadCfg>{ROOTLESS}</WadCfg>",
    "camel": f"<WadCfg>{ROOTLESS}</WadCfg>".replace("Diag", "diag").replace("<Metrics", "<metrics"),
    "namespace": f'<WadCfg xmlns="urn:x">{ROOTLESS}</WadCfg>',
    "rootless": ROOTLESS,
    "empty": "<WadCfg></WadCfg>",
}


@pytest.mark.parametrize(
    ("shape", "lad", "metrics", "noted"),
    [
        ("wadcfg", "2.3", True, ""),
        ("camel", "2.3", True, ""),
        ("namespace", "2.3", False, "warning"),
        ("rootless", "2.3", False, "warning"),
        ("empty", "2.3", False, ""),
        ("wadcfg", None, True, ""),
        ("namespace", None, True, "note"),
        ("rootless", None, True, "note"),
        ("empty", None, False, ""),
    ],
)
def test_shapes_of_xml_cfg(shape: str, lad: str | None, metrics: bool, noted: str) -> None:
    generated = made({"xmlCfg": packed(SHAPES[shape])}, lad=lad)
    root = root_of(generated)
    assert events(root) == DEFAULT_TABLES + (PORTAL_EVENTS if metrics else [])
    assert len(root.findall("Events/DerivedEvents/DerivedEvent")) == (8 if metrics else 0)
    assert {p.severity for p in generated.problems} == ({noted} if noted else set())


def test_partition_key_and_instance() -> None:
    scale_set = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachineScaleSets/pool(é)"
    for public, instance in (({}, UUID), ({"instanceID": "own"}, "own")):
        root = root_of(made({**public, "xmlCfg": wad("", scale_set)}))
        queries = root.findall("Events/DerivedEvents/DerivedEvent/LADQuery")
        assert {q.get("instanceID") for q in queries} == {instance}
        assert all((q.get("partitionKey") or "").endswith(":002Fpool:0028é:0029") for q in queries)
    plain = root_of(made({"xmlCfg": wad("")})).findall("Events/DerivedEvents/DerivedEvent/LADQuery")
    assert {q.get("instanceID") for q in plain} == {""}


def test_instance_that_no_key_can_carry() -> None:
    assert "row keys" in found(made({"instanceID": "a/b", "xmlCfg": wad("")}), "error", "$.public.instanceID")


def test_resource_id_of_lad_cfg_wins() -> None:
    lad_cfg = {"diagnosticMonitorConfiguration": {"metrics": {"resourceId": RESOURCE + "x"}}}
    root = root_of(made({"xmlCfg": wad(""), "ladCfg": lad_cfg}))
    first = root.find("Events/DerivedEvents/DerivedEvent/LADQuery")
    assert first is not None
    assert (first.get("partitionKey") or "").endswith("web:002D01x")


@pytest.mark.parametrize(
    ("value", "severity", "message"),
    [
        ("", "warning", "is empty"),
        ("  \n", "warning", "is empty"),
        (packed(""), "warning", "is empty"),
        ("####", "error", "is not base64"),
        ("QUJD=QUI", "error", "is not base64"),
        ("<WadCfg/>", "error", "is XML, not base64"),
        (packed("<WadCfg>\n<a>\n"), "error", "malformed XML"),
        (packed("no xml"), "error", "malformed XML"),
        (packed('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "error", "DOCTYPE"),
        (packed('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'), "error", "DOCTYPE"),
        (packed('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16")), "error", "DOCTYPE"),
        (packed("<a>&undefined;</a>"), "error", "malformed XML"),
        (packed("<x/>"), "warning", "has no DiagnosticMonitorConfiguration"),
        (7, "error", "must be a string"),
    ],
)
def test_bad_xml_cfg_still_gives_lad_s_document(value: object, severity: str, message: str) -> None:
    generated = made({"xmlCfg": value})
    assert message in found(generated, severity, "$.public.xmlCfg")
    assert events(root_of(generated)) == DEFAULT_TABLES
    assert generated.ok == (severity == "warning")


def test_malformed_xml_names_its_line() -> None:
    generated = made({"xmlCfg": packed("<WadCfg>\n<a>\n</b>")})
    assert found(generated, "error", "$.public.xmlCfg line 3")


def test_broken_parts_that_another_setting_overrides_are_warnings() -> None:
    public = {**lad_cfg(IDLE), "perfCfg": [{"query": 5}], "xmlCfg": "####"}
    own = monitor(metrics={"resourceId": RESOURCE})
    assert not made(public).ok
    assert {p.path for p in made(public).problems if p.severity == "error"} == {"$.public.xmlCfg"}
    generated = made({"ladCfg": own, "xmlCfg": "####"})
    assert generated.ok
    assert "is not base64" in found(generated, "warning", "$.public.xmlCfg")


def test_document_without_a_resource_id_says_so() -> None:
    xml = "<WadCfg><DiagnosticMonitorConfiguration><Metrics/></DiagnosticMonitorConfiguration></WadCfg>"
    assert "no metric tables" in found(made({"xmlCfg": packed(xml)}), "note", "$.public.xmlCfg")


# --- honourXmlCfg

LISTED = (
    "<PerformanceCounters>"
    '<PerformanceCounterConfiguration counterSpecifier="\\Memory\\AvailableMemory" sampleRate="PT60S"/>'
    '<PerformanceCounterConfiguration counterSpecifier="\\Memory\\UsedMemory"/>'
    '<PerformanceCounterConfiguration counterSpecifier="\\memory\\percentusedmemory" sampleRate="PT1M"/>'
    '<PerformanceCounterConfiguration counterSpecifier="\\Processor\\PercentIdleTim" sampleRate="PT15S"/>'
    '<PerformanceCounterConfiguration counterSpecifier="\\Memory\\UsedMemory" sampleRate="PT15S"/>'
    '<PerformanceCounterConfiguration counterSpecifier="\\Processor\\PercentUserTime" sampleRate="soon"/>'
    "</PerformanceCounters>"
    f'<Metrics resourceId="{RESOURCE}"><MetricAggregation scheduledTransferPeriod="PT5M"/>'
    '<MetricAggregation scheduledTransferPeriod="P1D"/><MetricAggregation scheduledTransferPeriod="5m"/></Metrics>'
)


@pytest.mark.parametrize("honour", [True, "true"])
def test_own_counters_and_periods_are_honoured(honour: object) -> None:
    generated = made({"xmlCfg": wad(LISTED), "perfCfg": [], "honourXmlCfg": honour})
    root = root_of(generated)
    queries = {q.get("eventName"): q for q in root.iter("OMIQuery")}
    told = {name: (q.get("sampleRateInSeconds"), q.get("cqlQuery")) for name, q in queries.items()}
    assert told == {
        "memoryStats": ("60", "SELECT AvailableMemory,PercentUsedMemory FROM SCX_MemoryStatisticalInformation"),
        "memoryStats15s": ("15", "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation"),
        "cpuStats": ("15", "SELECT PercentUserTime FROM SCX_ProcessorStatisticalInformation WHERE Name='_Total'"),
    }
    derived = {(d.get("eventName"), d.get("duration"), d.get("source")) for d in root.iter("DerivedEvent")}
    assert derived == {
        (f"WADMetrics{name}P10DV2S", duration, source)
        for name, duration in (("PT5M", "PT5M"), ("P1D", "PT24H"))
        for source in queries
    }
    cures = [p.cure for p in generated.problems if p.message.startswith("unknown counterSpecifier")]
    assert cures == ["did you mean \\Processor\\PercentIdleTime?"]
    texts = " | ".join(p.message for p in generated.problems if p.severity == "warning")
    for expected in ("listed twice", "sampleRate is no duration", "scheduledTransferPeriod is no duration"):
        assert expected in texts
    assert generated.ok


def test_without_honour_the_fixed_set_is_collected_and_said_so() -> None:
    generated = made({"xmlCfg": wad(LISTED)})
    assert events(root_of(generated)) == DEFAULT_TABLES + PORTAL_EVENTS
    told = found(generated, "warning", "$.public.xmlCfg")
    assert "fixed set" in told
    for listed in ("sampleRate PT60S", "\\Processor\\PercentIdleTim", "MetricAggregation PT5M"):
        assert listed in told


def test_what_the_fixed_set_delivers_anyway_is_only_a_note() -> None:
    listed = (
        "<PerformanceCounters>"
        '<PerformanceCounterConfiguration counterSpecifier="\\Memory\\UsedMemory" sampleRate="PT15S"/>'
        f'</PerformanceCounters><Metrics resourceId="{RESOURCE}"><MetricAggregation scheduledTransferPeriod="PT1H"/>'
        "</Metrics>"
    )
    generated = made({"xmlCfg": wad(listed)})
    assert "fixed set" in found(generated, "note", "$.public.xmlCfg")
    assert not found(generated, "warning", "$")


def test_what_lad_never_read_in_xml_cfg_is_named() -> None:
    inner = '<DiagnosticInfrastructureLogs/><Metric resourceId="x"/>'
    xml = f'<WadCfg><DiagnosticMonitorConfiguration overallQuotaInMB="4096">{METRICS}{inner}'
    generated = made({"xmlCfg": packed(f"{xml}</DiagnosticMonitorConfiguration></WadCfg>")})
    assert "overallQuotaInMB, DiagnosticInfrastructureLogs" in found(generated, "note", "$.public.xmlCfg")
    [unknown] = [p for p in generated.problems if p.severity == "warning"]
    assert (unknown.value, unknown.cure) == ("Metric", "did you mean Metrics?")


def test_honour_without_listed_counters_collects_all() -> None:
    root = root_of(made({"xmlCfg": wad(""), "honourXmlCfg": True}))
    assert events(root) == DEFAULT_TABLES + PORTAL_EVENTS
    assert len(list(root.iter("DerivedEvent"))) == 8


# --- performance queries


def monitor(**sections: object) -> dict[str, object]:
    return {"diagnosticMonitorConfiguration": sections}


def lad_cfg(*counters: object) -> dict[str, object]:
    return {"ladCfg": monitor(performanceCounters={"performanceCounterConfiguration": list(counters)})}


IDLE = {"class": "Processor", "counterSpecifier": "PercentIdleTime", "table": "LinuxCpu"}


def test_lad_cfg_wins_over_perf_cfg() -> None:
    public = {**lad_cfg(IDLE), "perfCfg": [{"query": "SELECT * FROM SCX_OperatingSystem", "table": "Os"}]}
    root = root_of(made(public))
    assert [q.get("cqlQuery") for q in root.iter("OMIQuery")] == [
        "SELECT PercentIdleTime FROM scx_processorstatisticalinformation"
    ]


def test_lad_cfg_groups_by_table_namespace_and_class() -> None:
    generated = made(
        lad_cfg(
            {**IDLE, "condition": "Name='_TOTAL'"},
            {**IDLE, "counterSpecifier": "PercentUserTime", "condition": "Name='_TOTAL'"},
            {**IDLE, "condition": "Name='_TOTAL'"},
            {**IDLE, "namespace": "root/other"},
            {**IDLE, "table": "Second", "class": "SCX_FileSystemStatisticalInformation"},
        )
    )
    queries = root_of(generated).iter("OMIQuery")
    told = [(q.get("eventName"), q.get("omiNamespace"), q.get("cqlQuery")) for q in queries]
    cpu = "FROM scx_processorstatisticalinformation"
    assert told == [
        ("LinuxCpu", "root/scx", f"SELECT PercentIdleTime,PercentUserTime {cpu} WHERE Name='_TOTAL'"),
        ("LinuxCpu", "root/other", f"SELECT PercentIdleTime {cpu}"),
        ("Second", "root/scx", "SELECT PercentIdleTime FROM scx_filesystemstatisticalinformation"),
    ]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"class": "memory", "table": "X"}, "Incomplete performance counter configuration"),
        ({**IDLE, "condition": "Name='0'"}, "Cannot have two different conditions on same table"),
        ("text", "must be an object"),
        ({**IDLE, "table": 5}, "must be a string"),
    ],
)
def test_what_lad_swallowed_leaves_no_queries_and_is_an_error(second: object, message: str) -> None:
    perf_cfg = [{"query": "SELECT * FROM SCX_OperatingSystem", "table": "O"}]
    generated = made({**lad_cfg(IDLE, second), "perfCfg": perf_cfg})
    assert events(root_of(generated)) == []
    assert message in found(generated, "error", "$.public.ladCfg.diagnosticMonitorConfiguration.performanceCounters")
    assert not generated.ok


def test_perf_cfg_up_to_its_first_broken_entry() -> None:
    good = {"query": "SELECT Name FROM SCX_MemoryStatisticalInformation", "table": "One"}
    generated = made({"perfCfg": [good, {"table": "Two"}, {**good, "table": "Three"}, {**good, "query": 3}]})
    assert events(root_of(generated)) == ["One"]
    assert "is missing" in found(generated, "error", "$.public.perfCfg[1].query")
    assert "must be a string" in found(generated, "error", "$.public.perfCfg[3].query")


@pytest.mark.parametrize("value", [[], None])
def test_perf_cfg_key_switches_the_defaults_off(value: object) -> None:
    assert events(root_of(made({"perfCfg": value}))) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM SCX_ProcesorStatisticalInformation", "SCX_ProcessorStatisticalInformation"),
        ("SELECT PercentIdelTime FROM SCX_ProcessorStatisticalInformation", "PercentIdleTime"),
        ("SELECT percentidletime FROM SCX_ProcessorStatisticalInformation", "write PercentIdleTime"),
        ("SELECTED", "SELECT expected"),
    ],
)
def test_queries_that_will_fail_are_warnings(query: str, message: str) -> None:
    generated = made({"perfCfg": [{"query": query, "table": "T"}]})
    assert message in found(generated, "warning", "$.public.perfCfg[0].query")
    assert generated.ok


# --- the rest


@pytest.mark.parametrize(
    ("public", "lad", "volume", "warned"),
    [
        ({}, None, "Medium", False),
        ({"eventVolume": "Large"}, None, "Large", False),
        ({"eventVolume": "Large", "ladCfg": monitor(eventVolume="Small")}, None, "Small", True),
        ({"eventVolume": "small"}, None, "small", False),
        ({"eventVolume": "LARGE"}, None, "Large", True),
        ({"eventVolume": "Huge"}, None, "Medium", True),
        ({"eventVolume": "Huge"}, "2.3", "Huge", True),
    ],
)
def test_event_volume(public: dict[str, object], lad: str | None, volume: str, warned: bool) -> None:
    generated = made(public, lad=lad)
    management = root_of(generated).find("Management")
    assert management is not None
    assert management.get("eventVolume") == volume
    assert any("eventVolume" in p.path for p in generated.problems) == warned


@pytest.mark.parametrize(
    ("value", "written", "severity"),
    [
        ("30", "30", ""),
        (30, "30", "warning"),
        ("", "60", ""),
        (None, "60", ""),
        ("0", "0", "error"),
        ("x", "x", "error"),
    ],
)
def test_sample_rate_is_a_default_only(value: object, written: str, severity: str) -> None:
    generated = made({"sampleRateInSeconds": value, "xmlCfg": wad("")})
    rates = {q.get("eventName"): q.get("sampleRateInSeconds") for q in root_of(generated).iter("OMIQuery")}
    assert rates["LinuxCpu"] == written
    assert rates["cpuStats"] == "15"
    assert {p.severity for p in generated.problems if "sampleRate" in p.path} == ({severity} if severity else set())


@pytest.mark.parametrize("value", ["abc", "0", 0, "-5", 1.5, " 0 ", "12345678901", "1\n2"])
def test_a_bad_sample_rate_is_named_once(value: object) -> None:
    """Though LAD copies it into each of the document's queries."""
    generated = made({"sampleRateInSeconds": value})
    (named,) = [p for p in generated.problems if p.severity == "error"]
    assert named.path == "$.public.sampleRateInSeconds"
    assert not generated.ok


def test_what_else_is_wrong_with_the_document_is_named_beside_it() -> None:
    query = {"query": "SELECT PercentIdleTime FROM SCX_ProcessorStatisticalInformation", "table": "no good"}
    generated = made({"sampleRateInSeconds": "abc", "perfCfg": [query]}, lad="2.3")
    errors = [p for p in generated.problems if p.severity == "error"]
    assert [p.path for p in errors].count("$.public.sampleRateInSeconds") == 1
    assert any("no good" in p.render() for p in errors)
    assert sum("abc" in p.render() for p in errors) == 1


def test_file_logs() -> None:
    files = [{"file": "/var/log/a.log", "table": "A"}, {"file": "/b", "table": "B"}, {"file": "/c"}]
    generated = made({"fileCfg": files})
    root = root_of(generated)
    assert [s.get("name") for s in root.findall("Sources/Source")] == ["syslog", "ladfile1", "ladfile2"]
    sources = root.findall("Events/MdsdEvents/MdsdEventSource")
    routes = {s.get("source"): [r.get("eventName") for r in s] for s in sources}
    assert routes == {"syslog": ["Linuxsyslog"], "ladfile1": ["A"], "ladfile2": ["B"]}
    assert "is missing" in found(generated, "error", "$.public.fileCfg[2].table")
    other = {"ladCfg": monitor(fileLogs={"fileLogConfiguration": files[:1]}), "fileCfg": files[1:2]}
    assert [s.get("name") for s in root_of(made(other)).findall("Sources/Source")] == ["syslog", "ladfile1"]


@pytest.mark.parametrize(
    ("broken", "tables"),
    [({"file": "/b"}, ["A"]), ({"table": "B"}, ["A", "B"]), ({"file": "", "table": "B"}, ["A", "B"])],
)
def test_file_logs_end_where_lad_stopped(broken: object, tables: list[str]) -> None:
    generated = made({"fileCfg": [{"file": "/a", "table": "A"}, broken, {"file": "/c", "table": "C"}]})
    assert not generated.ok
    root = root_of(generated)
    routes = [r.get("eventName") for r in root.iter("RouteEvent") if r.get("eventName") != "Linuxsyslog"]
    assert routes == tables
    assert len(root.findall("Sources/Source")) == 1 + len(tables)
    assert "all after it are left out" in found(generated, "error", "$.public.fileCfg[1]")


@pytest.mark.parametrize("key", ["enableSyslog", "EnableSyslog"])
@pytest.mark.parametrize("value", [True, False])
def test_boolean_switch_is_an_error_because_lad_stopped_there(key: str, value: bool) -> None:
    generated = made({key: value})
    assert not generated.ok
    assert "boolean" in found(generated, "error", f"$.public.{key}")
    assert [p.cure for p in generated.problems] == [f'write "{str(value).lower()}", in quotes']


@pytest.mark.parametrize(("value", "severity"), [("true", "note"), ("TRUE", "note"), ("false", ""), ("on", "warning")])
def test_the_switch_is_a_string(value: str, severity: str) -> None:
    generated = made({"enableSyslog": value})
    assert generated.ok
    assert next((p.severity for p in generated.problems), "") == severity


def test_deployment_id_is_written() -> None:
    root = root_of(made({}, machine=Machine("", "deploy-7")))
    component = root.find("Management/Identity/IdentityComponent")
    assert component is not None
    assert (component.get("name"), component.text) == ("DeploymentId", "deploy-7")


def test_own_base_document_is_completed() -> None:
    base = (
        '<MonitoringManagement version="1.0" eventVersion="3" namespace="My"><Accounts>'
        '<Account moniker="m" isDefault="true" account="" key=""/><Account moniker="o" account="kept" key="k"/>'
        '<SharedAccessSignature moniker="s" isDefault="true" account="" key=""/></Accounts>'
        '<Management eventVolume="Large"/><Events><OMI><OMIQuery eventName="Mine" omiNamespace="root/scx" '
        'cqlQuery="SELECT Name FROM SCX_MemoryStatisticalInformation"/></OMI></Events></MonitoringManagement>'
    )
    root = root_of(made({"mdsdCfg": packed(base), "eventVolume": "Small", "xmlCfg": wad("")}))
    accounts = [(a.tag, a.get("account"), bool(a.get("key"))) for a in root.findall("Accounts/*")]
    assert accounts == [("Account", "diagacct01", True), ("Account", "kept", True)]
    assert [m.get("eventVolume") for m in root.findall("Management")] == ["Large"]
    assert events(root) == ["Mine", *DEFAULT_TABLES, *PORTAL_EVENTS]
    assert root.get("namespace") == "My"


@pytest.mark.parametrize("value", ["%", packed("<a>"), packed("<!DOCTYPE a><a/>")])
def test_own_base_document_that_cannot_be_read_gives_none(value: str) -> None:
    generated = made({"mdsdCfg": value})
    assert generated.xml is None
    assert found(generated, "error", "$.public.mdsdCfg")


def test_application_insights_elements_only_to_the_letter() -> None:
    public = {"ladCfg": {"sinksConfig": {"sinks": [{"applicationInsights": "ikey"}]}}}
    exact = root_of(made(public, lad="2.3"))
    assert [a.get("moniker") for a in exact.findall("Accounts/Account")] == ["moniker", "appinsights"]
    assert [q.get("eventName") for q in exact.iter("OMIQuery") if q.get("storeType") == "appinsights"] == [
        "LinuxMemoryStats",
        "LinuxCpuStats",
        "LinuxDiskStats",
    ]
    assert any(r.get("eventName") == "aiSyslogRouteEvent" for r in exact.iter("RouteEvent"))
    lenient = made(public)
    assert "appinsights" not in (lenient.xml or b"").decode()
    assert "Application Insights" in found(lenient, "warning", "$.public.ladCfg.sinksConfig")


def test_unknown_settings_are_named_with_the_nearest_spelling() -> None:
    generated = made({"perfcfg": [], "storageAccountKey": "x", "zzz": 1})
    told = {p.path: (p.severity, p.cure) for p in generated.problems}
    assert told["$.public.perfcfg"] == ("warning", "did you mean perfCfg?")
    assert told["$.public.storageAccountKey"][0] == "warning"
    assert told["$.public.zzz"] == ("warning", "remove it")


def test_characters_that_xml_cannot_carry_are_an_error() -> None:
    query = "SELECT Name FROM SCX_MemoryStatisticalInformation"
    generated = made({"perfCfg": [{"query": query, "table": "a\x00b\ud800"}]})
    assert "control characters" in found(generated, "error", "$.public.perfCfg[0].table")
    assert events(root_of(generated)) == ["ab"]


def test_text_that_needs_escaping_survives() -> None:
    query = 'SELECT Name FROM SCX_MemoryStatisticalInformation WHERE Name<>"a&b\'é"'
    root = root_of(made({"perfCfg": [{"query": query, "table": "T"}]}))
    assert [q.get("cqlQuery") for q in root.iter("OMIQuery")] == [query]


# --- dialects


@pytest.mark.parametrize(
    ("public", "protected", "path"),
    [
        ({}, {"sinksConfig": {}}, "$.protected.sinksConfig"),
        ({"ladCfg": {"sampleRateInSeconds": 15}}, {}, "$.public.ladCfg.sampleRateInSeconds"),
        ({"fileLogs": []}, {}, "$.public.fileLogs"),
        ({"perfCfg": [{"query": "q", "table": "t", "frequency": 5}]}, {}, "$.public.perfCfg[0].frequency"),
        (
            lad_cfg({"type": "builtin", "class": "memory"}),
            {},
            "$.public.ladCfg.diagnosticMonitorConfiguration.performanceCounters.performanceCounterConfiguration[0].type",
        ),
    ],
)
def test_later_settings_are_told_from_2_3(public: object, protected: object, path: str) -> None:
    assert made(public, protected).dialect == "3.0"
    told = made(public, protected, lad="2.3")
    assert told.dialect == "2.3"
    assert "LAD 2.3 does not read it" in found(told, "warning", path)


def test_a_dialect_that_there_is_not() -> None:
    assert "unknown dialect" in found(made({}, lad="9"), "error", "$")
    assert made({}, lad="9").xml is None


def test_later_keys_read_to_the_letter_as_2_3_are_warned_of() -> None:
    generated = made({"fileLogs": []}, lad="2.3")
    assert events(root_of(generated)) == DEFAULT_TABLES
    assert "LAD 2.3 does not read it" in found(generated, "warning", "$.public.fileLogs")


def test_the_same_settings_give_the_same_bytes() -> None:
    public = {"xmlCfg": wad(LISTED), "honourXmlCfg": True, **lad_cfg(IDLE)}
    assert made(public).xml == made(public).xml
