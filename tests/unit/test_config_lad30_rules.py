"""Every rule of reading LAD 3.0 settings (spec/lad-handler.md 5.1 - 5.6, 7; spec/lad-counters.tsv)."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from typing import Any

import pytest
from lxml import etree

from extension.config.build import Generated, generate
from extension.config.counters30 import CLASSES
from extension.config.machine import Machine
from extension.config.secrets import SecretError
from extension.config.syslog_names import FACILITIES, SEVERITIES

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SAS = "sv=2018-03-28&ss=bt&srt=sco&sp=acluw&st=2026-01-01T00%3A00%3A00Z&se=2031-05-06T07%3A08%3A09Z&sig=Zm9vYmFy"
ACCOUNT = {"storageAccountName": "diagacct01", "storageAccountSasToken": SAS}
RESOURCE = "/subscriptions/0f1e/resourceGroups/rg-one/providers/Microsoft.Compute/virtualMachines/web-01"
UUID = "5A5A0001-0002-0003-0004-0123456789AB"
HUB_URL = "https://ns-one.servicebus.windows.net/hub1?sr=ns-one&sig=TOPSECRET%3D&se=1893456000&skn=send"
HUB = {"name": "hubone", "type": "EventHub", "sasURL": HUB_URL}
BLOB = {"name": "metricsjson", "type": "JsonBlob"}
QUERY = "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation"
MONITOR = "$.public.ladCfg.diagnosticMonitorConfiguration"
COUNTERS = f"{MONITOR}.performanceCounters.performanceCounterConfiguration"


def counter(name: str = "percentidletime", family: str = "processor", **more: object) -> dict[str, object]:
    return {
        "type": "builtin",
        "class": family,
        "counter": name,
        "counterSpecifier": f"/builtin/{family}/{name}",
        **more,
    }


def public(*counters: object, sinks: object = None, metrics: object = None, **monitor: object) -> dict[str, Any]:
    performance: dict[str, object] = {"performanceCounterConfiguration": list(counters)}
    if sinks is not None:
        performance["sinks"] = sinks
    section = {"resourceId": RESOURCE, "metricAggregation": [{"scheduledTransferPeriod": "PT1M"}]}
    found: dict[str, object] = {"metrics": section if metrics is None else metrics, **monitor}
    if counters:
        found["performanceCounters"] = performance
    return {"ladCfg": {"diagnosticMonitorConfiguration": found}}


def protected(*sinks: object, **more: object) -> dict[str, object]:
    return {**ACCOUNT, **({"sinksConfig": {"sink": list(sinks)}} if sinks else {}), **more}


def made(given: object, secret: object = ACCOUNT, lad: str | None = "3.0", uuid: str = UUID) -> Generated:
    return generate(given, secret, lad=lad, machine=Machine(uuid, ""), now=NOW)


def root_of(generated: Generated) -> etree._Element:
    assert generated.xml is not None, [p.render() for p in generated.problems]
    return etree.fromstring(generated.xml)


def texts(generated: Generated, severity: str, path: str = "$") -> str:
    return " | ".join(
        f"{p.message} [{p.value}] {p.cure}"
        for p in generated.problems
        if p.severity == severity and p.path.startswith(path)
    )


def queries(generated: Generated) -> list[tuple[str | None, str | None]]:
    return [(q.get("cqlQuery"), q.get("sampleRateInSeconds")) for q in root_of(generated).iter("OMIQuery")]


def derived(generated: Generated) -> list[tuple[str | None, ...]]:
    elements = root_of(generated).iter("DerivedEvent")
    return [tuple(e.get(k) for k in ("source", "eventName", "storeType", "duration")) for e in elements]


def hubs_of(generated: Generated) -> list[str | None]:
    return [e.get("name") for e in root_of(generated).iter("EventStreamingAnnotation")]


# --- the 48 counters


@pytest.mark.parametrize("family", CLASSES, ids=lambda f: f.name)
def test_each_builtin_counter_is_mapped(family: Any) -> None:
    for one in family.counters:
        generated = made(public(counter(one.name.upper(), family.name.title(), counterSpecifier="/my/name")))
        assert generated.ok
        condition = f" WHERE {family.condition}" if family.condition else ""
        text = f"SELECT {one.scx_property} FROM {family.scx_class}{condition}"
        assert queries(generated) == [(text, "15")]
        mapped = root_of(generated).find("Events/OMI/OMIQuery/Unpivot/MapName")
        assert mapped is not None
        scale = "1048576" if one.scale_up != 1 else None
        assert (mapped.text, mapped.get("name"), mapped.get("scaleUp")) == ("/my/name", one.scx_property, scale)


def test_there_are_48_of_them() -> None:
    assert {f.name: len(f.counters) for f in CLASSES} == {
        "processor": 7,
        "memory": 11,
        "network": 8,
        "filesystem": 12,
        "disk": 10,
    }
    scaled = [c.scx_property for f in CLASSES for c in f.counters if c.scale_up == 1048576]
    assert scaled == ["AvailableMemory", "UsedMemory", "AvailableSwap", "UsedSwap", "FreeMegabytes", "UsedMegabytes"]


# --- groups, conditions, rates


def test_counters_are_grouped_by_class_condition_and_rate() -> None:
    generated = made(
        public(
            counter("percentidletime"),
            counter("usedmemory", "memory"),
            counter("percentusertime"),
            counter("percentnicetime", sampleRate="PT1M"),
            counter("percentiowaittime", condition='Name="0"'),
        )
    )
    assert generated.ok
    assert queries(generated) == [
        (
            "SELECT PercentIdleTime,PercentUserTime FROM SCX_ProcessorStatisticalInformation WHERE IsAggregate=TRUE",
            "15",
        ),
        ("SELECT UsedMemory FROM SCX_MemoryStatisticalInformation", "15"),
        ("SELECT PercentNiceTime FROM SCX_ProcessorStatisticalInformation WHERE IsAggregate=TRUE", "60"),
        ('SELECT PercentIOWaitTime FROM SCX_ProcessorStatisticalInformation WHERE Name="0"', "15"),
    ]
    assert [e.get("eventName") for e in root_of(generated).iter("OMIQuery")] == [f"builtin{n:06d}" for n in range(1, 5)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1H30M5S", 5405), ("PT15S", 15), ("PT2M", 120), ("pt30s", 30), ("PT5S", 5), ("PT1H", 3600), ("PT90S", 90)],
)
def test_sample_rates(text: str, seconds: int) -> None:
    generated = made(public(counter(sampleRate=text)))
    assert generated.ok
    assert queries(generated)[0][1] == str(seconds)
    assert ("documented minimum" in texts(generated, "note", f"{COUNTERS}[0].sampleRate")) == (seconds < 15)


@pytest.mark.parametrize(
    "text", ["PT0S", "15", "P1D", "P1DT1H", "PT", "PTS", "PT15", "", " PT15S", "1M", 15, True, ["PT1M"], "PT1M "[1:]]
)
def test_sample_rates_that_lad_refused(text: object) -> None:
    generated = made(public(counter(sampleRate=text)))
    assert generated.xml is None
    assert "PT15S" in texts(generated, "error", f"{COUNTERS}[0].sampleRate")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1.5S", 5), ("PT30S1M", 90), ("PT1M1M", 120), ("PT 20S", 20), ("PT20S.", 20), ("PT1HxT2M", 3720)],
)
def test_odd_sample_rates_are_read_as_lad_read_them(text: str, seconds: int) -> None:
    for lad in ("3.0", None):
        generated = made(public(counter(sampleRate=text)), lad=lad)
        assert generated.ok
        assert queries(generated)[0][1] == str(seconds)
        told = texts(generated, "warning", f"{COUNTERS}[0].sampleRate")
        assert f"is read as {seconds} s" in told
        assert f'write "PT{seconds}S"' in told


def test_empty_condition_is_a_group_of_its_own_to_the_letter() -> None:
    given = public(counter(), counter("percentusertime", condition=""), counter("percentnicetime", condition=None))
    assert len(queries(made(given))) == 2
    assert len(queries(made(given, lad=None))) == 1


def test_sample_rate_of_lad_cfg_has_no_effect() -> None:
    given = public(counter())
    given["ladCfg"]["sampleRateInSeconds"] = 60
    generated = made(given)
    assert generated.ok
    assert queries(generated)[0][1] == "15"
    assert 'write "sampleRate": "PT60S"' in texts(generated, "warning", "$.public.ladCfg.sampleRateInSeconds")
    given["ladCfg"]["sampleRateInSeconds"] = "15"
    assert not texts(made(given), "warning")
    odd: object
    for odd in (0, -1, "x", 1.5, [], True):
        given["ladCfg"]["sampleRateInSeconds"] = odd
        assert "whole number" in texts(made(given), "warning", "$.public.ladCfg.sampleRateInSeconds")


def test_condition_is_checked_and_kept() -> None:
    generated = made(public(counter("bytestotal", "network", condition="IsAggregate=TRUE")))
    assert generated.ok
    assert queries(generated)[0][0] == "SELECT BytesTotal FROM SCX_EthernetPortStatistics WHERE IsAggregate=TRUE"
    assert "IsAggregate" in texts(generated, "warning", f"{COUNTERS}[0].condition")
    broken = made(public(counter(condition="Name = ")))
    assert "gives no rows" in texts(broken, "warning", f"{COUNTERS}[0].condition")
    assert not texts(made(public(counter(condition='Name="0"'))), "warning")


def test_characters_that_lad_stumbled_over() -> None:
    generated = made(public(counter(counterSpecifier="/a&b/<c>", condition="PercentIdleTime < 5")))
    assert generated.ok
    element = root_of(generated).find("Events/OMI/OMIQuery")
    assert element is not None
    assert (element.get("cqlQuery") or "").endswith("WHERE PercentIdleTime < 5")
    assert element.findtext("Unpivot/MapName") == "/a&b/<c>"


def test_two_specifiers_of_one_counter() -> None:
    generated = made(public(counter(), counter(counterSpecifier="/second"), counter()))
    assert "never appears: the counter is listed before" in texts(generated, "warning", f"{COUNTERS}[1]")
    assert "listed twice" in texts(generated, "warning", f"{COUNTERS}[2]")
    assert [e.text for e in root_of(generated).iter("MapName")] == ["/builtin/processor/percentidletime"]


def test_one_specifier_of_two_counters() -> None:
    generated = made(public(counter(), counter(condition='Name="0"')))
    assert generated.ok
    assert "one replaces the other" in texts(generated, "warning", f"{COUNTERS}[1].counterSpecifier")


# --- what was dropped without a word


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        (counter(type="Builtin"), ".type", "did you mean builtin?"),
        (counter(type="omi"), ".type", "only counters of type builtin are collected"),
        (counter(type=5), ".type", "a number"),
        (counter("percentidletim"), ".counter", "did you mean percentidletime?"),
        (counter("freemegabytes", "filesystem"), ".counter", "did you mean freespace?"),
        (counter("zzz"), ".counter", "write one of percentidletime"),
        (counter("usedmemory"), ".counter", "is no counter of class processor"),
        (counter(family="procesor"), ".class", "did you mean processor?"),
        (counter(family="PhysicalDisk"), ".class", "did you mean disk?"),
        (counter(family="NetworkInterface"), ".class", "did you mean network?"),
        (counter(family="qqq"), ".class", "write one of processor, memory, network, filesystem, disk"),
        ({k: v for k, v in counter().items() if k != "class"}, "", "has no class"),
        ({k: v for k, v in counter().items() if k != "counter"}, "", "has no counter"),
        (
            {k: v for k, v in counter().items() if k != "counterSpecifier"},
            "",
            'write "counterSpecifier": "/builtin/processor/percentidletime"',
        ),
        (
            {**counter(counterSpecifier=""), "counterspecifier": "/x"},
            ".counterspecifier",
            "did you mean counterSpecifier",
        ),
    ],
)
def test_counters_left_out_are_named(entry: object, path: str, message: str) -> None:
    generated = made(public(entry, counter("usedmemory", "memory")))
    assert generated.ok
    assert queries(generated) == [("SELECT UsedMemory FROM SCX_MemoryStatisticalInformation", "15")]
    assert message in texts(generated, "warning", f"{COUNTERS}[0]{path}")


def test_counter_without_type_is_refused() -> None:
    generated = made(public({k: v for k, v in counter().items() if k != "type"}, counter()))
    assert generated.xml is None
    assert 'write "type": "builtin"' in texts(generated, "error", f"{COUNTERS}[0]")


@pytest.mark.parametrize("key", ["sinks", "table", "namespace", "samplerate", "anything"])
def test_keys_of_a_counter_without_effect_are_named(key: str) -> None:
    generated = made(public(counter(**{key: "x"})))
    assert generated.ok
    assert texts(generated, "warning", f"{COUNTERS}[0].{key}")


def test_portal_decoration_is_no_problem() -> None:
    entry = counter(unit="Percent", annotation=[{"displayName": "CPU idle time", "locale": "en-us"}])
    assert not made(public(entry)).problems


# --- aggregation


def aggregation(*periods: object) -> dict[str, object]:
    return {"resourceId": RESOURCE, "metricAggregation": [{"scheduledTransferPeriod": p} for p in periods]}


def tables(generated: Generated) -> list[str | None]:
    return [e[1] for e in derived(generated)]


def test_periods_name_the_tables() -> None:
    generated = made(public(counter(), metrics=aggregation("PT1M", "PT15M", "PT1H")))
    assert [e[1:] for e in derived(generated)] == [
        (f"WADMetrics{p}P10DV2S", "Central", p) for p in ("PT1M", "PT15M", "PT1H")
    ]


@pytest.mark.parametrize("metrics", [{"resourceId": RESOURCE}, {"resourceId": RESOURCE, "metricAggregation": None}])
def test_absent_aggregation_is_an_hour(metrics: object) -> None:
    assert tables(made(public(counter(), metrics=metrics))) == ["WADMetricsPT1HP10DV2S"]


def test_empty_aggregation_is_none() -> None:
    generated = made(public(counter(), metrics=aggregation()))
    assert generated.ok
    assert derived(generated) == []
    assert "the counters give no rows" in texts(generated, "warning", f"{MONITOR}.metrics.metricAggregation")


def test_short_period_is_warned_of() -> None:
    generated = made(public(counter(), metrics=aggregation("PT10S")))
    assert tables(generated) == ["WADMetricsPT10SP10DV2S"]
    assert generated.ok
    assert "below 60 s" in texts(generated, "warning", f"{MONITOR}.metrics.metricAggregation[0]")


@pytest.mark.parametrize(
    ("period", "cure"),
    [("P1D", "PT24H"), ("pt1m", "PT1M"), ("1M", "PT1M"), ("PT0S", "PT1M"), ("PT1.5S", "PT1S"), ("PT1M ", "PT1M")],
)
def test_period_that_the_daemon_refuses(period: str, cure: str) -> None:
    generated = made(public(counter(), metrics=aggregation(period)))
    assert tables(generated) == [f"WADMetrics{period}P10DV2S"], "the document is the one that LAD made"
    assert not generated.ok
    assert f'"{cure}"' in texts(generated, "error", f"{MONITOR}.metrics.metricAggregation[0]")


@pytest.mark.parametrize("entry", [{}, {"scheduledTransferperiod": "PT1H"}, {"scheduledTransferPeriod": None}, None])
def test_missing_period_is_left_out_with_a_warning(entry: object) -> None:
    metrics = {"resourceId": RESOURCE, "metricAggregation": [entry, {"scheduledTransferPeriod": "PT5M"}]}
    generated = made(public(counter(), metrics=metrics))
    assert generated.ok
    assert tables(generated) == ["WADMetricsPT5MP10DV2S"]
    at = f"{MONITOR}.metrics.metricAggregation[0].scheduledTransferPeriod"
    assert "is missing: the entry is left out" in texts(generated, "warning", at)


def test_empty_period_is_an_error_beside_the_document_that_lad_made() -> None:
    given = public(counter(), metrics=aggregation("", "PT1M"))
    at = f"{MONITOR}.metrics.metricAggregation[0]"
    letter, lenient = made(given), made(given, lad=None)
    assert tables(letter) == ["WADMetricsP10DV2S", "WADMetricsPT1MP10DV2S"]
    assert tables(lenient) == ["WADMetricsPT1MP10DV2S"]
    for generated in (letter, lenient):
        assert not generated.ok
        assert "is empty" in texts(generated, "error", at)


def test_period_listed_twice() -> None:
    given = public(counter(), metrics=aggregation("PT1M", "PT1M"))
    assert len(tables(made(given))) == 2, "to the letter"
    lenient = made(given, lad=None)
    assert len(tables(lenient)) == 1
    assert "listed twice" in texts(lenient, "warning", f"{MONITOR}.metrics.metricAggregation[1]")


# --- resource


def test_resource_becomes_key_and_identity() -> None:
    root = root_of(made(public(counter())))
    obo = [(e.get("name"), e.get("value")) for e in root.iter("OboDirectPartitionField")]
    assert obo == [("resourceId", RESOURCE), ("agentIdentityHash", UUID)]
    query = root.find("Events/DerivedEvents/DerivedEvent/LADQuery")
    assert query is not None
    assert (query.get("partitionKey") or "").startswith(":002Fsubscriptions:002F0f1e:002FresourceGroups:002Frg:002Done")
    assert query.get("instanceID") == ""


def test_scale_set_instances_are_told_apart() -> None:
    resource = RESOURCE.replace("virtualMachines/", "virtualMachineScaleSets/")
    query = root_of(made(public(counter(), metrics={"resourceId": resource}))).find(".//LADQuery")
    assert query is not None
    assert query.get("instanceID") == UUID
    assert "no UUID" in texts(made(public(counter(), metrics={"resourceId": resource}), uuid=""), "warning")


def test_instance_id_of_the_settings_counts() -> None:
    scale_set = RESOURCE.replace("virtualMachines/web-01", "virtualMachineScaleSets/ss/virtualMachines/0")
    for lad in ("3.0", None):
        for resource in (RESOURCE, scale_set):
            given = {**public(counter(), metrics={"resourceId": resource}), "instanceID": "web-7"}
            generated = made(given, lad=lad)
            assert generated.ok
            assert not texts(generated, "warning")
            assert [q.get("instanceID") for q in root_of(generated).iter("LADQuery")] == ["web-7"]
    odd = made({**public(counter()), "instanceID": "a/b"})
    assert "refuses every row" in texts(odd, "error", "$.public.instanceID")
    idle = made({**public(metrics={}), "instanceID": "web-7"})
    assert "without a resourceId" in texts(idle, "warning", "$.public.instanceID")


def test_missing_resource_is_an_error_with_a_document() -> None:
    generated = made(public(counter(), metrics={"metricAggregation": [{"scheduledTransferPeriod": "PT1M"}]}))
    assert not generated.ok
    assert [q.get("partitionKey") for q in root_of(generated).iter("LADQuery")] == [""]
    assert "keyed by it" in texts(generated, "error", f"{MONITOR}.metrics.resourceId")
    assert made(public(metrics={}, syslogEvents={"syslogEventConfiguration": {"*": "LOG_ERR"}})).ok


def test_odd_resource_ids() -> None:
    assert "portal looks rows up" in texts(made(public(counter(), metrics={"resourceId": "vm1"})), "warning")
    filled = made(public(counter(), metrics={"resourceId": "__VM_OR_VMSS_RESOURCE_ID__"}))
    assert "placeholder" in texts(filled, "error", f"{MONITOR}.metrics.resourceId")


def test_resource_of_an_older_document_is_read() -> None:
    inner = f'<Metrics resourceId="{RESOURCE}"/>'
    wad = f"<WadCfg><DiagnosticMonitorConfiguration>{inner}</DiagnosticMonitorConfiguration></WadCfg>"
    packed = base64.b64encode(wad.encode()).decode()
    generated = made({**public(counter(), metrics={}), "xmlCfg": packed})
    assert generated.ok
    assert "0f1e" in str([q.get("partitionKey") for q in root_of(generated).iter("LADQuery")])
    both = made({**public(counter()), "xmlCfg": packed})
    assert "has no effect" in texts(both, "warning", "$.public.xmlCfg")
    broken = made({**public(counter()), "xmlCfg": "!!"})
    assert broken.ok, "what is overridden holds nothing up"
    alone = {"xmlCfg": packed, "perfCfg": [{"query": QUERY, "table": "T", "sinks": "metricsjson"}]}
    assert made(alone, protected(BLOB), lad=None).ok
    letter = made(alone, protected(BLOB))
    assert root_of(letter).find("Management/OboDirectPartitionField") is None
    assert "beside ladCfg only" in texts(letter, "warning", "$.public.xmlCfg")


# --- sinks


def test_json_blob_and_event_hub_are_fed_by_the_local_aggregate() -> None:
    generated = made(public(counter(), sinks=" metricsjson , hubone"), protected(HUB, BLOB))
    assert generated.ok
    assert derived(generated) == [
        ("builtin000001", "aggregationLocal000001", "Local", "PT1M"),
        ("aggregationLocal000001", "WADMetricsPT1MP10DV2S", "Central", "PT1M"),
        ("aggregationLocal000001", "metricsjson", "JsonBlob", "PT1M"),
    ]
    assert hubs_of(generated) == ["aggregationLocal000001"]
    assert root_of(generated).findtext(".//EventPublisher/Key") == HUB_URL
    assert all("TOPSECRET" not in p.render() for p in generated.problems)
    assert "TOPSECRET" not in repr(generated)


TWO = {**HUB, "name": "hubtwo", "sasURL": HUB_URL.replace("hub1", "hub2")}


def test_second_event_hub_of_one_feature() -> None:
    """LAD wrote two annotations of one name, which the daemon refused."""
    syslog = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "hubone,hubtwo"}
    given = public(counter(), sinks="hubone,hubtwo", syslogEvents=syslog)
    given["fileLogs"] = [{"file": "/var/log/a b", "sinks": "hubtwo,hubone"}]
    letter = made(given, protected(HUB, TWO))
    assert not letter.ok
    file_source = "mdsd.filelog.var.log.a b"
    once = ["aggregationLocal000001", "mdsd.syslog", file_source]
    assert hubs_of(letter) == [name for name in once for _ in range(2)]
    assert "refuses the document" in texts(letter, "error", f"{MONITOR}.performanceCounters.sinks")
    lenient = made(given, protected(HUB, TWO), lad=None)
    assert lenient.ok, [p.render() for p in lenient.problems]
    assert hubs_of(lenient) == [
        "aggregationLocal000001",
        "aggregationLocal000002",
        "mdsd.syslog",
        "mdsd.syslog.hubtwo",
        file_source,
        "mdsd.filelog.var.log.a_b.hubone",
    ]
    assert ("builtin000001", "aggregationLocal000002", "Local", "PT1M") in derived(lenient)
    assert routes(lenient)["mdsd.syslog"] == [("LinuxSyslog", None), ("mdsd.syslog.hubtwo", "local")]
    assert routes(lenient)[file_source] == [("mdsd.filelog.var.log.a_b.hubone", "local")]
    keys = [key.text or "" for key in root_of(lenient).iter("Key")]
    assert ["hub1" in key for key in keys] == [True, False, True, False, False, True]


def test_each_group_and_period_has_its_own_aggregate() -> None:
    given = public(counter(), counter("usedswap", "memory"), sinks="hubone", metrics=aggregation("PT1M", "PT1H"))
    assert hubs_of(made(given, protected(HUB))) == [f"aggregationLocal{n:06d}" for n in range(1, 5)]


@pytest.mark.parametrize(
    ("sinks", "defined", "path", "message"),
    [
        ("nope", [BLOB], f"{MONITOR}.performanceCounters.sinks", "no definition was found"),
        ("metricjson", [BLOB], f"{MONITOR}.performanceCounters.sinks", "did you mean metricsjson?"),
        ("x", [{"name": "x"}], "$.protected.sinksConfig.sink[0]", "missing type"),
        ("x", [{"type": "JsonBlob"}], "$.protected.sinksConfig.sink[0]", "missing name"),
        ("x", [{"name": "x", "type": "jsonblob"}], "$.protected.sinksConfig.sink[0].type", "did you mean JsonBlob?"),
        ("x", [{"name": "x", "type": "EventHub"}], f"{MONITOR}.performanceCounters.sinks", "without sasURL"),
        ("x", [{"name": "x", "type": "Kafka"}], f"{MONITOR}.performanceCounters.sinks", "unknown type"),
    ],
)
def test_metric_sinks_that_cannot_be_used_are_named(sinks: str, defined: list[object], path: str, message: str) -> None:
    generated = made(public(counter(), sinks=sinks), protected(*defined))
    assert generated.ok
    assert message in texts(generated, "warning", path)
    assert [e[1] for e in derived(generated)] == ["aggregationLocal000001", "WADMetricsPT1MP10DV2S"]


def test_odd_sink_definitions_are_named() -> None:
    long_name = {"name": "Not_A_Container", "type": "JsonBlob", "container": "x"}
    public_sinks = {**public(counter(), sinks="Not_A_Container,,"), "sinksConfig": {"sink": [HUB]}}
    generated = made(public_sinks, protected(long_name, HUB, {**HUB, "sasUrl": "x"}, {"name": "", "type": ""}))
    assert generated.ok
    warned = texts(generated, "warning", "$.protected.sinksConfig")
    for told in ("not the name of a blob container", "defined twice", "did you mean sasURL", "empty name or type"):
        assert told in warned
    assert "names this sink" in warned, "hubone is not used"
    assert "empty name between commas" in texts(generated, "warning", f"{MONITOR}.performanceCounters.sinks")
    assert "LAD 3.0 does not read it" in texts(generated, "warning", "$.public.sinksConfig")
    assert "secret in the public settings" in texts(generated, "warning", "$.public.sinksConfig.sink[0].sasURL")
    assert all("TOPSECRET" not in p.render() for p in generated.problems)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://ns.servicebus.windows.net/h?sr=a&sig=TOPSECRET&se=1893456000&skn=s", "is not an https URL"),
        ("https://ns.servicebus.windows.net/?sr=a&sig=TOPSECRET&se=1893456000&skn=s", "names no Event Hub"),
        ("https://ns.servicebus.windows.net/h?sig=TOPSECRET", "lacks sr, se, skn"),
        (
            "https://ns.servicebus.windows.net/h?sr=a&sig=TOPSECRET&se=1500000000&skn=s",
            "expired at 2017-07-14T02:40:00Z",
        ),
        ("https://ns.servicebus.windows.net/h?sr=a&sig=TOPSECRET&se=1795305600&skn=s", "expires soon"),
        ("https://ns.servicebus.windows.net/h?sr=a&sig=TOPSECRET&se=9e99&skn=s", "cannot be read"),
        ("https://ns.servicebus.windows.net/h?sr=a&sig=TOPSECRET&se=999999999999&skn=s", "cannot be read"),
        ("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKey=TOPSECRET", "connection string"),
        ("https://[TOPSECRET/h", "is not a URL"),
    ],
)
def test_event_hub_urls_are_judged_without_being_shown(url: str, message: str) -> None:
    generated = made(public(counter(), sinks="hubone"), protected({**HUB, "sasURL": url}))
    assert generated.ok
    assert message in texts(generated, "warning", "$.protected.sinksConfig.sink[0].sasURL")
    assert all("TOPSECRET" not in str(p.to_json()) for p in generated.problems)


@pytest.mark.parametrize("se", ["x%0aTOPSECRET", "1%7cTOPSECRET%3D", "TOPSECRET" * 9])
def test_unreadable_expiry_of_a_hub_is_shown_where_it_is_plain_only(se: str) -> None:
    url = HUB_URL.replace("1893456000", se).replace("sig=TOPSECRET", "sig=abc")
    generated = made(public(counter(), sinks="hubone"), protected({**HUB, "sasURL": url}))
    at = "$.protected.sinksConfig.sink[0].sasURL"
    assert "cannot be read" in texts(generated, "warning", at)
    assert "TOPSECRET" not in texts(generated, "warning", at)


def test_url_in_the_place_of_a_name_is_not_shown() -> None:
    generated = made(public(counter(), sinks=HUB_URL), protected({"name": HUB_URL, "type": HUB_URL}, {"name": "a"}))
    assert all("TOPSECRET" not in str(p.to_json()) for p in generated.problems)
    assert texts(generated, "warning", "$.protected.sinksConfig")


@pytest.mark.parametrize("sink", [{**BLOB, "name": "a b"}, {**HUB, "name": "a b"}])
def test_sink_with_a_blank_in_its_name(sink: object) -> None:
    generated = made(public(counter(), sinks="a b"), protected(sink))
    assert generated.xml is not None
    assert "has a blank" in texts(generated, "error", "$.protected.sinksConfig.sink[0].name")


def test_sinks_need_a_resource() -> None:
    syslog = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "hubone,metricsjson"}
    generated = made(public(metrics={}, syslogEvents=syslog), protected(HUB, BLOB))
    assert generated.xml is not None
    told = texts(generated, "error", f"{MONITOR}.metrics.resourceId")
    assert "EventHub needs it" in told
    assert "JsonBlob needs it" in told


@pytest.mark.parametrize("sinks", [["metricsjson"], 5, {"a": 1}, True])
def test_sinks_that_are_no_text(sinks: object) -> None:
    generated = made(public(counter(), sinks=sinks), protected(BLOB))
    assert not generated.ok
    assert "must be a string" in texts(generated, "error", f"{MONITOR}.performanceCounters.sinks")


def test_sinks_that_are_named_twice() -> None:
    syslog = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "metricsjson,metricsjson"}
    given = public(counter(), sinks="metricsjson, metricsjson", syslogEvents=syslog)
    letter, lenient = made(given, protected(BLOB)), made(given, protected(BLOB), lad=None)
    assert [name for _, name, *_ in derived(letter)].count("metricsjson") == 2
    assert [name for _, name, *_ in derived(lenient)].count("metricsjson") == 1
    assert routes(letter)["mdsd.syslog"].count(("metricsjson", "JsonBlob")) == 2
    assert routes(lenient)["mdsd.syslog"].count(("metricsjson", "JsonBlob")) == 1
    for generated, told in ((letter, "counts as often, as in LAD"), (lenient, "counts once")):
        for section in ("performanceCounters", "syslogEvents"):
            assert told in texts(generated, "warning", f"{MONITOR}.{section}.sinks")


@pytest.mark.parametrize("sinks", [" ", ",", "metricsjson,"])
def test_empty_names_of_sinks(sinks: str) -> None:
    """LAD looked each name up: metrics went on without it, by way of the local table, logs were refused."""
    generated = made(public(counter(), sinks=sinks), protected(BLOB))
    assert generated.ok
    assert derived(generated)[0][1] == "aggregationLocal000001"
    assert "empty name" in texts(generated, "warning", f"{MONITOR}.performanceCounters.sinks")
    log = public(syslogEvents={"syslogEventConfiguration": {"*": "LOG_ERR"}, "sinks": sinks})
    assert made(log, protected(BLOB)).xml is None
    lenient = made(log, protected(BLOB), lad=None)
    assert lenient.ok
    assert "empty name" in texts(lenient, "warning", f"{MONITOR}.syslogEvents.sinks")


# --- perfCfg


def test_perf_queries() -> None:
    listed = [
        {"query": QUERY, "table": "MemT", "sinks": "metricsjson, hubone", "frequency": 30},
        {"query": QUERY, "sinks": "hubone", "frequency": "60"},
        {"query": "SELECT Name FROM SCX_OperatingSystem", "table": "Os", "namespace": "root/cimv2"},
    ]
    generated = made({**public(), "perfCfg": listed}, protected(HUB, BLOB), lad=None)
    assert generated.ok
    letter = made({**public(), "perfCfg": listed}, protected(HUB, BLOB))
    assert hubs_of(letter) == ["hubone", "hubone"], "LAD annotated it for each query"
    assert "(not" not in texts(letter, "error")
    assert "the daemon takes one [hubone]" in texts(letter, "error", "$.public.perfCfg")
    wanted = ("eventName", "sampleRateInSeconds", "storeType", "omiNamespace")
    assert [tuple(q.get(k) for k in wanted) for q in root_of(generated).iter("OMIQuery")] == [
        ("MemT", "30", None, "root/scx"),
        ("metricsjson", "30", "JsonBlob", "root/scx"),
        ("hubone", "30", "local", "root/scx"),
        ("hubone", "60", "local", "root/scx"),
        ("Os", "300", None, "root/cimv2"),
    ]
    assert hubs_of(generated) == ["hubone"], "one for all queries that feed it"


@pytest.mark.parametrize("entry", [{"table": "T"}, {"query": QUERY}, {"query": "", "table": "T"}, {}])
def test_incomplete_perf_queries_are_left_out(entry: object) -> None:
    for lad in ("3.0", None):
        generated = made({"perfCfg": [entry, {"query": QUERY, "table": "T"}], "fileLogs": []}, lad=lad)
        if lad and entry == {"query": "", "table": "T"}:
            assert [text for text, _ in queries(generated)] == ["", QUERY], "LAD looked at the keys only"
            assert not generated.ok
            continue
        assert generated.ok
        assert len(queries(generated)) == 1
        assert "missing required elements" in texts(generated, "warning", "$.public.perfCfg[0]")


def test_perf_settings_to_the_letter() -> None:
    given = {"perfCfg": [{"query": QUERY, "table": "T", "namespace": "", "frequency": "x"}], "fileLogs": []}
    element = root_of(made(given)).find(".//OMIQuery")
    assert element is not None
    assert (element.get("omiNamespace"), element.get("sampleRateInSeconds")) == ("", "x")
    lenient = root_of(made(given, lad=None)).find(".//OMIQuery")
    assert lenient is not None
    assert (lenient.get("omiNamespace"), lenient.get("sampleRateInSeconds")) == ("root/scx", "300")
    assert not made(given).ok
    assert not made(given, lad=None).ok


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        (BLOB, "no sink of this name is defined"),
        ({"name": "x", "type": "EventHub"}, "has no sasURL"),
        ({"name": "x", "type": "Other"}, "of a type that LAD refuses"),
    ],
)
def test_sinks_of_perf_queries_and_logs_must_be_usable(sink: object, message: str) -> None:
    syslog = {"syslogEventConfiguration": {"*": "*"}, "sinks": "x"}
    for given, path in (
        ({"perfCfg": [{"query": QUERY, "sinks": "x"}]}, "$.public.perfCfg[0].sinks"),
        ({"fileLogs": [{"file": "/a", "sinks": "x"}]}, "$.public.fileLogs[0].sinks"),
        (public(syslogEvents=syslog), f"{MONITOR}.syslogEvents.sinks"),
    ):
        generated = made(given, protected(sink))
        assert generated.xml is None
        assert message in texts(generated, "error", path)


@pytest.mark.parametrize("frequency", [0, -5, "PT60S", 1.5, True, "", []])
def test_odd_frequencies(frequency: object) -> None:
    generated = made({"perfCfg": [{"query": QUERY, "table": "T", "frequency": frequency}]})
    assert not generated.ok
    assert "whole number of seconds" in texts(generated, "error", "$.public.perfCfg[0].frequency")


def test_perf_queries_are_checked() -> None:
    generated = made({"perfCfg": [{"query": "SELECT FROM nothing", "table": "a b", "freq": 1}]})
    assert "gives no rows" in texts(generated, "warning", "$.public.perfCfg[0].query")
    assert "letters and digits" in texts(generated, "warning", "$.public.perfCfg[0].table")
    assert "unknown setting" in texts(generated, "warning", "$.public.perfCfg[0].freq")


# --- logs


def routes(generated: Generated) -> dict[str | None, list[tuple[str | None, str | None]]]:
    sources = root_of(generated).iter("MdsdEventSource")
    return {s.get("source"): [(r.get("eventName"), r.get("storeType")) for r in s] for s in sources}


@pytest.mark.parametrize("facility", FACILITIES)
def test_every_facility(facility: str) -> None:
    generated = made(public(syslogEvents={"syslogEventConfiguration": {facility: "LOG_DEBUG"}}))
    assert generated.ok
    assert routes(generated) == {"mdsd.syslog": [("LinuxSyslog", None)]}
    assert len(FACILITIES) == 20


@pytest.mark.parametrize("severity", [*SEVERITIES, "NONE", "*"])
def test_every_severity(severity: str) -> None:
    generated = made(public(syslogEvents={"syslogEventConfiguration": {"LOG_USER": severity, "*": "LOG_ERR"}}))
    assert generated.ok
    assert not texts(generated, "warning")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"LOG_FOO": "LOG_ERR"}, "Invalid syslog name given"),
        ({"LOG_USR": "LOG_ERR"}, "did you mean LOG_USER?"),
        ({"LOG_USER": "LOG_FATAL"}, "Invalid syslog name given"),
        ({"LOG_USER": "LOG_WARN"}, "did you mean LOG_WARNING?"),
        ({"LOG_USER": None}, "must be a string, is null"),
        ([], "must be an object, is a list"),
        ("LOG_USER", "must be an object, is a string"),
    ],
)
def test_syslog_names_that_lad_refused(listed: object, message: str) -> None:
    generated = made(public(syslogEvents={"syslogEventConfiguration": listed}))
    assert generated.xml is None
    assert message in texts(generated, "error", f"{MONITOR}.syslogEvents.syslogEventConfiguration")


def test_facilities_and_severities_in_each_other_s_place() -> None:
    """LAD had one list of names for both, and made a document that no message ever came to."""
    generated = made(public(syslogEvents={"syslogEventConfiguration": {"LOG_ERR": "LOG_USER"}}))
    assert routes(generated) == {"mdsd.syslog": [("LinuxSyslog", None)]}
    told = texts(generated, "error", f"{MONITOR}.syslogEvents.syslogEventConfiguration.LOG_ERR")
    assert "no facility is called so" in told
    assert "no severity is called so" in told


@pytest.mark.parametrize("listed", [{}, None])
def test_syslog_that_lists_nothing_is_none(listed: object) -> None:
    syslog = {"syslogEventConfiguration": listed, "sinks": "nope"}
    generated = made(public(syslogEvents=syslog))
    assert generated.ok
    assert routes(generated) == {}
    assert root_of(generated).find("Sources/Source") is None
    at = f"{MONITOR}.syslogEvents.syslogEventConfiguration"
    assert "no syslog is asked for" in texts(generated, "warning", at)


def test_syslog_without_facilities_is_refused_and_empty_syslog_is_none() -> None:
    assert made(public(syslogEvents={"sinks": ""})).xml is None
    assert routes(made(public(syslogEvents={}))) == {}
    nothing = made(public(syslogEvents={"syslogEventConfiguration": {"LOG_USER": "NONE"}}))
    assert nothing.ok
    assert "asks for no message" in texts(nothing, "warning")


def test_syslog_sinks_and_a_disabled_account() -> None:
    syslog = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "metricsjson,hubone"}
    given = public(syslogEvents=syslog)
    generated = made(given, protected(HUB, BLOB))
    assert routes(generated) == {"mdsd.syslog": [("LinuxSyslog", None), ("metricsjson", "JsonBlob")]}
    assert hubs_of(generated) == ["mdsd.syslog"]
    disabled = made(given, protected(HUB, BLOB, disableStorageAccount=True))
    assert routes(disabled) == {"mdsd.syslog": [("metricsjson", "JsonBlob")]}
    as_text = made(given, protected(HUB, BLOB, disableStorageAccount="true"))
    assert routes(as_text) == routes(generated)
    assert "only the JSON value true" in texts(as_text, "warning", "$.protected.disableStorageAccount")
    alone = made(public(syslogEvents={**syslog, "sinks": ""}), protected(disableStorageAccount=True))
    assert "goes nowhere" in texts(alone, "warning", f"{MONITOR}.syslogEvents")


def test_name_of_the_syslog_table_is_no_sink() -> None:
    syslog = {"syslogEventConfiguration": {"LOG_USER": "LOG_ERR"}, "sinks": "LinuxSyslog"}
    generated = made(public(syslogEvents=syslog), protected({"name": "LinuxSyslog", "type": "JsonBlob"}))
    assert generated.xml is None
    assert "cannot be a sink" in texts(generated, "error", f"{MONITOR}.syslogEvents.sinks")


def test_file_logs() -> None:
    listed = [
        {"file": "/var/log/b.log", "table": "BLog", "sinks": "metricsjson, hubone"},
        {"file": "/var/log/a dir/a.log", "sinks": "hubone"},
    ]
    generated = made({**public(), "fileLogs": listed}, protected(HUB, BLOB))
    assert generated.ok
    assert routes(generated) == {
        "mdsd.filelog.var.log.a dir.a.log": [],
        "mdsd.filelog.var.log.b.log": [("BLog", None), ("metricsjson", "JsonBlob")],
    }
    assert [e.get("name") for e in root_of(generated).iter("Source")] == list(routes(generated))
    assert sorted(filter(None, hubs_of(generated))) == sorted(routes(generated), key=str)
    assert "does not read the files yet" in texts(generated, "warning", "$.public.fileLogs")


def test_file_that_is_listed_again() -> None:
    """LAD kept the last entry of a file and never looked at the others."""
    listed = [
        {"file": "/var/log/b.log", "table": "First", "sinks": "nope"},
        {"file": "/var/log/b.log"},
        {"file": "/var/log/b.log", "table": "Second"},
    ]
    for lad in ("3.0", None):
        generated = made({**public(), "fileLogs": listed}, protected(BLOB), lad=lad)
        assert generated.ok
        assert routes(generated) == {"mdsd.filelog.var.log.b.log": [("Second", None)]}
        for n in (0, 1):
            assert "the last entry alone counts" in texts(generated, "warning", f"$.public.fileLogs[{n}].file")


def test_files_whose_sources_have_one_name() -> None:
    listed = [{"file": "/var/log/b", "table": "First"}, {"file": "/var/log.b", "table": "Second"}]
    letter = made({**public(), "fileLogs": listed})
    assert [e.get("name") for e in root_of(letter).iter("Source")] == ["mdsd.filelog.var.log.b"] * 2
    lenient = made({**public(), "fileLogs": listed}, lad=None)
    assert routes(lenient) == {"mdsd.filelog.var.log.b": [("Second", None), ("First", None)]}
    assert "only / and . tell it" in texts(lenient, "warning", "$.public.fileLogs[0].file")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file": "/var/log/x.log"}, 'Neither "table" nor "sinks" defined for file "/var/log/x.log"'),
        ({"table": "T"}, "is missing"),
        (None, "is missing"),
    ],
)
def test_file_logs_that_lad_refused(entry: object, message: str) -> None:
    generated = made({"fileLogs": [entry]})
    assert generated.xml is None
    assert message in texts(generated, "error", "$.public.fileLogs[0]")


# --- account and the rest


@pytest.mark.parametrize(
    ("secret", "path", "message"),
    [
        ({}, "$.protected.storageAccountName", "Must specify storageAccountName"),
        ({"storageAccountName": " "}, "$.protected.storageAccountName", "Must specify storageAccountName"),
        ({"storageAccountName": "acct"}, "$.protected.storageAccountSasToken", "Must specify storageAccountSasToken"),
        ({**ACCOUNT, "storageAccountSasToken": "?"}, "$.protected.storageAccountSasToken", "Must specify"),
        ({**ACCOUNT, "storageAccountKey": "TOPSECRET"}, "$.protected.storageAccountKey", "deprecated in LAD 3.0"),
        ({**ACCOUNT, "storageAccountKey": {"a": 1}}, "$.protected.storageAccountKey", "deprecated in LAD 3.0"),
        ({**ACCOUNT, "storageAccountName": "__ACCT__"}, "$.protected.storageAccountName", "placeholder"),
        ({**ACCOUNT, "storageAccountSasToken": "__SAS__"}, "$.protected.storageAccountSasToken", "placeholder"),
        (None, "$.protected.storageAccountName", "Must specify storageAccountName"),
    ],
)
def test_credentials_that_lad_refused(secret: object, path: str, message: str) -> None:
    generated = made(public(counter()), secret)
    assert not generated.ok
    assert message in texts(generated, "error", path)
    assert all("TOPSECRET" not in str(p.to_json()) for p in generated.problems)


def test_endpoints() -> None:
    for given, table, blob in (
        (None, "https://diagacct01.table.core.windows.net", "https://diagacct01.blob.core.windows.net"),
        (
            "core.usgovcloudapi.net",
            "https://diagacct01.table.core.usgovcloudapi.net",
            "https://diagacct01.blob.core.usgovcloudapi.net",
        ),
        ("http://127.0.0.1:10002", "http://127.0.0.1:10002/diagacct01", "http://127.0.0.1:10000/diagacct01"),
    ):
        generated = made(public(counter()), {**ACCOUNT, "storageAccountEndPoint": given})
        account = root_of(generated).find("Accounts/SharedAccessSignature")
        assert account is not None
        assert (account.get("tableEndpoint"), account.get("blobEndpoint")) == (table, blob)
        assert account.get("key") == SAS


def test_local_store_needs_no_sas() -> None:
    secret = {"storageAccountName": "local", "storageAccountEndPoint": "file:///var/lib/x/tables.db"}
    generated = made(public(counter()), secret)
    assert generated.ok
    account = root_of(generated).find("Accounts/Account")
    assert account is not None
    assert account.get("tableEndpoint") == "file:///var/lib/x/tables.db"


@pytest.mark.parametrize("volume", ["Small", "Medium", "Large", "small", "medium", "large"])
def test_event_volumes(volume: str) -> None:
    for given in (public(counter(), eventVolume=volume), {**public(counter()), "eventVolume": volume}):
        generated = made(given)
        assert generated.ok
        management = root_of(generated).find("Management")
        assert management is not None
        assert management.get("eventVolume") == volume


def test_odd_event_volumes() -> None:
    given = public(counter(), eventVolume="Huge")
    assert 'eventVolume="Huge"' in (made(given).xml or b"").decode()
    assert not made(given).ok
    lenient = made(given, lad=None)
    assert lenient.ok
    assert 'eventVolume="Medium"' in (lenient.xml or b"").decode()
    both = made({**public(counter(), eventVolume="Small"), "eventVolume": "Large"})
    assert 'eventVolume="Small"' in (both.xml or b"").decode()
    assert "has no effect" in texts(both, "warning", "$.public.eventVolume")


@pytest.mark.parametrize(
    "key",
    [
        "fileCfg", "syslogCfg", "enableSyslog", "EnableSyslog", "mdsdCfg", "honourXmlCfg",
        "sampleRateInSeconds", "traceFlags", "storageAccountSasToken", "disableStorageAccount", "whatever",
    ],
)  # fmt: skip
def test_settings_without_effect_are_named(key: str) -> None:
    generated = made({**public(counter()), key: False})
    assert generated.ok
    assert texts(generated, "warning", f"$.public.{key}")


@pytest.mark.parametrize("lad", ["2.3", "3.0", None])
def test_secrets_in_the_public_settings_are_to_be_renewed(lad: str | None) -> None:
    given = {**public(counter()), "storageAccountSasToken": SAS, "storageAccountName": "diagacct01"}
    generated = made(given, lad=lad)
    assert "move it there and renew it" in texts(generated, "warning", "$.public.storageAccountSasToken")
    assert "renew" not in texts(generated, "warning", "$.public.storageAccountName")


@pytest.mark.parametrize("key", ["mysqladdress", "mysqlpassword", "ladCfg", "StorageAccount", "whatever"])
def test_protected_settings_without_effect_are_named(key: str) -> None:
    generated = made(public(counter()), protected(**{key: "TOPSECRET"}))
    assert generated.ok
    assert texts(generated, "warning", f"$.protected.{key}")
    assert all("TOPSECRET" not in str(p.to_json()) for p in generated.problems)


def test_nested_settings_without_effect_are_named() -> None:
    given = public(counter(), syslogCfg="x", fileLogs={}, perfomanceCounters={})
    given["ladCfg"] |= {"sinksConfig": {}, "other": 1}
    given["ladCfg"]["diagnosticMonitorConfiguration"]["metrics"]["resourceID"] = "x"
    generated = made(given)
    assert generated.ok
    for path in ("syslogCfg", "fileLogs", "perfomanceCounters", "metrics.resourceID"):
        assert texts(generated, "warning", f"{MONITOR}.{path}")
    for path in ("sinksConfig", "other"):
        assert texts(generated, "warning", f"$.public.ladCfg.{path}")
    assert "did you mean performanceCounters?" in texts(generated, "warning", f"{MONITOR}.perfomanceCounters")


@pytest.mark.parametrize("lad", ["2.3", "3.0", None])
def test_placeholder_of_the_portal_s_account_is_named(lad: str | None) -> None:
    generated = made({**public(counter()), "StorageAccount": "__ACCOUNT__"}, lad=lad)
    assert "placeholder" in texts(generated, "warning", "$.public.StorageAccount")


def test_account_of_the_portal_should_be_the_same() -> None:
    assert not texts(made({**public(counter()), "StorageAccount": "diagacct01"}), "warning")
    assert "the portal looks" in texts(made({**public(counter()), "StorageAccount": "x"}), "warning")


def test_empty_settings_ask_for_nothing() -> None:
    generated = made({})
    assert generated.ok
    assert "asks for nothing" in texts(generated, "warning", "$.public")


def test_all_problems_come_in_one_pass() -> None:
    given = public(
        counter(sampleRate="x"), counter("zzz"), {"class": "disk"}, syslogEvents={"syslogEventConfiguration": {"a": 1}}
    )
    given |= {"perfCfg": [{"query": QUERY, "sinks": "nope"}], "fileLogs": [{}]}
    generated = made(given, {"storageAccountKey": "k"})
    errors = {p.path for p in generated.problems if p.severity == "error"}
    syslog = f"{MONITOR}.syslogEvents.syslogEventConfiguration.a"
    assert errors >= {
        "$.protected.storageAccountName", "$.protected.storageAccountKey", "$.protected.storageAccountSasToken",
        f"{COUNTERS}[0].sampleRate", f"{COUNTERS}[2]", syslog, "$.public.perfCfg[0].sinks", "$.public.fileLogs[0].file",
    }  # fmt: skip
    assert texts(generated, "warning", f"{COUNTERS}[1].counter")


def test_secrets_are_sealed_once_each() -> None:
    sealed: list[str] = []

    def seal(secret: str) -> tuple[str, str]:
        sealed.append(secret)
        return f"HEX{len(sealed)}", "/w/T.prv"

    given = public(counter(), sinks="hubone", metrics=aggregation("PT1M", "PT1H"))
    generated = generate(given, protected(HUB), machine=Machine(UUID, ""), seal=seal, now=NOW)
    assert sealed == [SAS, HUB_URL]
    keys = [(k.text, k.get("decryptKeyPath")) for k in root_of(generated).iter("Key")]
    assert keys == [("HEX2", "/w/T.prv")] * 2
    assert b"TOPSECRET" not in (generated.xml or b"")


def test_secret_that_cannot_be_sealed_is_named() -> None:
    def seal(secret: str) -> tuple[str, str]:
        if secret == HUB_URL:
            raise SecretError("certificate /w/T.crt: No such file or directory")
        return "HEX", "/w/T.prv"

    given = public(counter(), sinks="hubone")
    generated = generate(given, protected(HUB), machine=Machine(UUID, ""), seal=seal, now=NOW)
    assert generated.xml is None
    assert "/w/T.crt" in texts(generated, "error", "$.protected.sinksConfig.sink[0].sasURL")


def test_work_is_bounded() -> None:
    many = [counter(condition=f"Name='{n}'", counterSpecifier=f"/{n}") for n in range(2100)]
    assert "more than 2000 queries" in texts(made(public(*many)), "error", COUNTERS)
    assert "more than 50 periods" in texts(
        made(public(counter(), metrics=aggregation(*(f"PT{n}M" for n in range(1, 99))))), "error", MONITOR
    )
    blobs = [{"name": f"sink{n:04d}", "type": "JsonBlob"} for n in range(400)]
    wide = public(
        *many[:1], sinks=",".join(b["name"] for b in blobs), metrics=aggregation(*(f"PT{n}M" for n in range(1, 41)))
    )
    assert "more than 10000 aggregations" in texts(made(wide, protected(*blobs)), "error", MONITOR)
    assert len(made({f"k{i}": 1 for i in range(100_000)}).problems) < 1000
