"""LAD 4.x settings: the counters of LAD 3.0 under other rules (spec/lad-handler.md 5.1, 5.7)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from lxml import etree

from extension.config import lad40
from extension.config.build import Generated, generate
from extension.config.counters30 import BY_DISPLAY, CLASSES, Builtin, CounterClass
from extension.config.machine import Machine

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SAS = "sv=2018-03-28&ss=bt&srt=sco&sp=acluw&st=2026-01-01T00%3A00%3A00Z&se=2031-05-06T07%3A08%3A09Z&sig=Zm9vYmFy"
ACCOUNT = {"storageAccountName": "diagacct01", "storageAccountSasToken": SAS}
RESOURCE = "/subscriptions/0f1e/resourceGroups/rg-one/providers/Microsoft.Compute/virtualMachines/web-01"
MONITOR = "$.public.ladCfg.diagnosticMonitorConfiguration"
COUNTERS = f"{MONITOR}.performanceCounters.performanceCounterConfiguration"
AZ_MON = {"sink": [{"name": "AzMonSink", "type": "AzMonSink", "AzureMonitor": {}}]}
ALL = [(family, one) for family in CLASSES for one in family.counters]


def entry(family: CounterClass, one: Builtin, **more: object) -> dict[str, object]:
    """A counter as the portal writes it."""
    return {
        "type": "builtin",
        "class": family.name,
        "counter": one.key,
        "counterSpecifier": family.specifier(one),
        "unit": one.unit,
        "annotation": [{"displayName": one.display, "locale": "en-us"}],
        **more,
    }


IDLE = entry(CLASSES[0], CLASSES[0].counters[0])


def public(*counters: object, periods: tuple[str, ...] | None = ("PT1M",), **more: object) -> dict[str, Any]:
    metrics: dict[str, object] = {"resourceId": RESOURCE}
    if periods is not None:
        metrics["metricAggregation"] = [{"scheduledTransferPeriod": p} for p in periods]
    performance = {"performanceCounterConfiguration": list(counters), **more}
    return {"ladCfg": {"diagnosticMonitorConfiguration": {"metrics": metrics, "performanceCounters": performance}}}


def made(given: object, secret: object = ACCOUNT, lad: str | None = "4.0") -> Generated:
    return generate(given, secret, lad=lad, machine=Machine("5A5A", ""), now=NOW)


def root_of(generated: Generated) -> etree._Element:
    assert generated.xml is not None, [p.render() for p in generated.problems]
    return etree.fromstring(generated.xml)


def texts(generated: Generated, severity: str, path: str = "$") -> str:
    return " | ".join(
        f"{p.message} [{p.value}] {p.cure}"
        for p in generated.problems
        if p.severity == severity and p.path.startswith(path)
    )


def mapped(generated: Generated) -> dict[str | None, str | None]:
    return {e.text: e.get("name") for e in root_of(generated).iter("MapName")}


def test_all_48_counters_ask_what_lad_3_asked() -> None:
    given = public(*(entry(*one) for one in ALL))
    generated = made(given)
    assert not generated.problems
    assert generated.xml == made(given, lad="3.0").xml
    assert mapped(generated) == {family.specifier(one): one.scx_property for family, one in ALL}


@pytest.mark.parametrize(("family", "one"), ALL, ids=[f"{f.name}-{c.key}" for f, c in ALL])
def test_display_name_alone_is_understood(family: CounterClass, one: Builtin) -> None:
    given = public(entry(family, one, counter="made up", counterSpecifier="/x", **{"class": family.name.upper()}))
    generated = made(given)
    assert generated.ok
    assert mapped(generated) == {family.specifier(one): one.scx_property}, "the rows are named as LAD 4 named them"
    assert one.key in texts(generated, "warning", f"{COUNTERS}[0].counter")
    told = made(given, lad=None)
    assert told.dialect == "4.0", "only LAD 4 understood it"
    assert told.xml == generated.xml


def test_every_display_name_is_one_counter() -> None:
    assert len(BY_DISPLAY) == 48


def test_renamed_display_name_loses_nothing() -> None:
    generated = made(public({**IDLE, "annotation": [{"displayName": "Temps CPU inactif"}]}))
    assert generated.ok
    assert mapped(generated) == {"/builtin/processor/percentidletime": "PercentIdleTime"}
    assert "LAD 4 did not find" in texts(generated, "note", f"{COUNTERS}[0].annotation[0].displayName")


@pytest.mark.parametrize("annotation", [None, [], {}, "x", [None], [{}], [{"displayName": 5}]])
def test_missing_annotation_loses_nothing(annotation: object) -> None:
    generated = made(public({**IDLE, "annotation": annotation}))
    assert generated.ok
    assert mapped(generated) == {"/builtin/processor/percentidletime": "PercentIdleTime"}


def test_display_name_of_another_counter() -> None:
    generated = made(public({**IDLE, "annotation": [{"displayName": "cpu USER time"}]}))
    assert mapped(generated) == {"/builtin/processor/percentidletime": "PercentIdleTime"}
    assert "names percentusertime" in texts(generated, "note", f"{COUNTERS}[0].annotation[0].displayName")


def test_unknown_counter_is_left_out_with_the_nearest_name() -> None:
    odd = {**IDLE, "counter": "percentidletim", "annotation": []}
    generated = made(public(odd, IDLE))
    assert generated.ok
    assert "did you mean percentidletime?" in texts(generated, "warning", f"{COUNTERS}[0].counter")
    assert "did you mean processor?" in texts(made(public({**odd, "class": "procesor"}, IDLE)), "warning")
    assert made(public(odd)).xml is None, "LAD 4 failed where it knew none of the counters"


def test_type_and_specifier_may_be_missing() -> None:
    bare = {k: v for k, v in IDLE.items() if k not in ("type", "counterSpecifier")}
    generated = made(public(bare))
    assert generated.ok
    assert mapped(generated) == {"/builtin/processor/percentidletime": "PercentIdleTime"}
    assert 'write "type": "builtin"' in texts(generated, "warning", f"{COUNTERS}[0]")


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT15S", 15), ("15s", 15), ("1m", 60), ("PT1H30M", 5400), ("every 2M", 120), ("P1DT1M", 60)]
)
def test_rates_are_read_leniently(text: str, seconds: int) -> None:
    generated = made(public({**IDLE, "sampleRate": text}))
    query = root_of(generated).find(".//OMIQuery")
    assert query is not None
    assert query.get("sampleRateInSeconds") == str(seconds)
    assert lad40.rate(text) == seconds


@pytest.mark.parametrize("text", ["", "PT", "15", "0s", 15])
def test_rates_without_a_number(text: object) -> None:
    generated = made(public({**IDLE, "sampleRate": text}))
    assert (generated.xml is not None) == (text == "")


def test_default_rate_is_that_of_lad_cfg() -> None:
    given = public(IDLE)
    for value, seconds in ((30, "30"), ("45", "45")):
        given["ladCfg"]["sampleRateInSeconds"] = value
        query = root_of(made(given)).find(".//OMIQuery")
        assert query is not None
        assert query.get("sampleRateInSeconds") == seconds


def test_missing_periods_are_an_hour_where_nobody_asked_for_the_letter() -> None:
    given = {**public(IDLE, periods=None), "sinksConfig": AZ_MON}
    generated = made(given, lad=None)
    assert generated.dialect == "4.0"
    assert [e.get("duration") for e in root_of(generated).iter("DerivedEvent")] == ["PT1H"]
    assert "PT1H is used" in texts(generated, "note", f"{MONITOR}.metrics.metricAggregation")
    empty = made({**public(IDLE, periods=()), "sinksConfig": AZ_MON}, lad=None)
    assert not list(root_of(empty).iter("DerivedEvent"))


@pytest.mark.parametrize("periods", [None, ()])
def test_there_is_no_default_period(periods: tuple[str, ...] | None) -> None:
    generated = made(public(IDLE, periods=periods))
    assert generated.ok
    assert not list(root_of(generated).iter("DerivedEvent"))
    assert "give no rows" in texts(generated, "warning", f"{MONITOR}.metrics.metricAggregation")


def test_lad_cfg_is_required() -> None:
    assert made({}).xml is None
    assert "Unable to find Ladcfg element" in texts(made({}), "error", "$.public.ladCfg")


def test_azure_monitor_is_named_as_unserved() -> None:
    given = {**public(IDLE, sinks="AzMonSink"), "sinksConfig": AZ_MON}
    generated = made(given, lad=None)
    assert generated.dialect == "4.0"
    assert generated.ok
    assert [e.get("eventName") for e in root_of(generated).iter("DerivedEvent")] == ["WADMetricsPT1MP10DV2S"]
    for path in ("$.public.sinksConfig.sink[0]", f"{MONITOR}.performanceCounters.sinks"):
        assert "AzMonSink: Azure Monitor custom metrics are not served" in texts(generated, "warning", path)
    other = made({**public(IDLE), "sinksConfig": {"sink": [{"name": "x", "type": "JsonBlob"}]}})
    assert "no other sink is taken from it" in texts(other, "warning", "$.public.sinksConfig")


def test_other_sinks_are_served_beside_azure_monitor() -> None:
    secret = {**ACCOUNT, "sinksConfig": {"sink": [{"name": "blobs", "type": "JsonBlob"}, *AZ_MON["sink"]]}}
    generated = made({**public(IDLE, sinks="AzMonSink, blobs"), "sinksConfig": AZ_MON}, secret)
    assert generated.ok
    stores = [e.get("storeType") for e in root_of(generated).iter("DerivedEvent")]
    assert stores == ["Local", "Central", "JsonBlob"]
    assert "not served" in texts(generated, "warning", "$.protected.sinksConfig.sink[1]")


def test_perf_queries() -> None:
    query = {"query": "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation", "table": "T", "frequency": 60}
    given = {**public(IDLE), "perfCfg": [query], "sinksConfig": AZ_MON}
    letter, told = made(given), made(given, lad=None)
    assert len(list(root_of(letter).iter("OMIQuery"))) == 1
    assert "has no effect" in texts(letter, "warning", "$.public.perfCfg")
    assert told.dialect == "4.0"
    assert len(list(root_of(told).iter("OMIQuery"))) == 2
    assert "as LAD 3.0 did" in texts(told, "note", "$.public.perfCfg")


def test_settings_that_both_understood_are_read_as_3_0() -> None:
    assert made(public(IDLE), lad=None).dialect == "3.0"
    assert made({**public(IDLE), "sinksConfig": {}}, lad=None).dialect == "3.0"
