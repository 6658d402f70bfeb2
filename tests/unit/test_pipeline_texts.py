"""JSON and file forms of rows, blob paths, tables of a service SAS, sizes: spec/mdsd.md 3.1, 3.6, 5, 12."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.pipeline import json_rows, places, sizes
from extension.pipeline.engine import Engine
from extension.pipeline.outputs import Dated
from extension.pipeline.records import Record, from_event
from extension.plan import Account, Derived, LadQuery, OnBehalf, Options, Plan, Publisher, Query, Target
from extension.rows.edm import EdmValue, Row
from extension.sinks import json_blob

MINUTE = 1795252680  # 2026-11-21T09:18:00Z
IDENTITY = (("DeploymentId", "d"), ("Host", "h"))
VM = "/subscriptions/0f1e/virtualMachines/web-01"
OBO = (("resourceId", VM), ("agentIdentityHash", "5A5A"))
CAPTURED = """{ "time" : "2026-11-21T09:55:02.6948050Z",
  "resourceId" : "/subscriptions/0f1e/virtualMachines/web-01",
  "timeGrain" : "PT1M",
  "dimensions": {
     "Tenant": "",
     "Role": "",
     "RoleInstance": ""
  },
  "metricName": "/builtin/memory/usedmemory",
  "total": 6239027200,
  "minimum": 1468006400,
  "maximum": 1677721600,
  "average": 61.5,
  "count": 4,
  "last": 1520435200
}"""


def _metric(**changed: EdmValue) -> dict[str, EdmValue]:
    columns: dict[str, EdmValue] = {
        "CounterName": ("String", "/builtin/memory/usedmemory"),
        "Total": ("Double", 6239027200.0),
        "Minimum": ("Double", 1468006400.0),
        "Maximum": ("Double", 1677721600.0),
        "Average": ("Double", 61.5),
        "Count": ("Int32", 4),
        "Last": ("Double", 1520435200.0),
    }
    return {**columns, **changed}


def test_a_metric_row_is_the_captured_text() -> None:
    assert json_rows.metric_row(_metric(), 1795254902694805, VM, "PT1M", ("", "", "")) == CAPTURED


def test_a_log_row_carries_all_columns_in_order() -> None:
    columns: dict[str, EdmValue] = {
        "Facility": ("String", "daemon"),
        "Severity": ("Int32", 3),
        "EventTime": ("DateTime", "2017-03-27T17:45:00.123400Z"),
        "Flag": ("Boolean", True),
        "Big": ("Int64", 2**53),
        "Ratio": ("Double", 0.1),
        "Host": ("String", 'h"\n'),
    }
    assert json_rows.log_row(columns, MINUTE * 10**6, VM) == (
        '{ "time" : "2026-11-21T09:18:00.0000000Z",\n  "resourceId" : "' + VM + '",\n  "properties" : {\n'
        '    "Facility" : "daemon",\n    "Severity" : 3,\n    "EventTime" : "2017-03-27T17:45:00.1234Z",\n'
        '    "Flag" : true,\n    "Big" : 9007199254740992,\n    "Ratio" : 0.10000000000000001,\n'
        '    "Host" : "h\\"\\n"\n  },\n'
        '  "category" : "daemon",\n  "level" : "Error",\n  "operationName" : "LinuxSyslogEvent"\n}'
    )


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (("Int32", 0), "Emergency"),
        (("Int32", 7), "Debug"),
        (("Int64", 8), "Other"),
        (("Int32", -1), "Other"),
        (("Double", float("nan")), "Other"),
        (("String", "warn"), "warn"),
        (None, "Unknown"),
    ],
)
def test_levels(severity: EdmValue | None, level: str) -> None:
    columns = {"Severity": severity} if severity else {}
    assert json.loads(json_rows.log_row(columns, 0, VM))["level"] == level


_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("String"), st.text()),
    st.tuples(st.just("Double"), st.floats()),
    st.tuples(st.just("Int64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("Boolean"), st.booleans()),
)


@given(st.dictionaries(st.text(), _VALUES, max_size=5))
def test_every_log_row_is_json_that_utf8_carries(columns: dict[str, EdmValue]) -> None:
    text = json_rows.log_row(from_event(columns), 0, VM)
    rows = [Row("p", str(i), {"record": ("String", text)}) for i in range(2)]
    whole = json_blob.OPENING + json_blob.content(rows, True) + json_blob.content(rows, False) + json_blob.CLOSING
    assert len(json.loads(whole.decode("utf-8"))["records"]) == 4


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "PT1M"), (3600, "PT1H"), (90, "PT1M30S"), (86400, "PT24H"), (10, "PT10S"), (0, "PT0S")]
)
def test_durations(seconds: int, text: str) -> None:
    assert json_rows.duration(seconds) == text


def test_a_file_line_stays_one_line() -> None:
    columns: dict[str, EdmValue] = {
        "a": ("String", "x\ny"), "b": ("Int64", 5), "c": ("Boolean", False), "d": ("Double", 2.0),
        "e": ("DateTime", "2026-11-21T09:18:00Z"),
    }  # fmt: skip
    assert json_rows.file_line(columns, MINUTE * 10**6, "", "", (MINUTE + 1) * 10**6) == (
        "2026-11-21T09:18:01.0000000Z\t(5 columns, time 2026-11-21T09:18:00.0000000Z, _pKey {empty}, _rkey {empty}, "
        '[a=(wstr)"x\\ny", b=(int64)5, c=false, d=(float64)2, e=(utc)[2026-11-21T09:18:00Z]])'
    )


def test_blob_paths() -> None:
    plan = Plan(obo=(*OBO, ("region", "west")), on_behalf=(OnBehalf("Own", "resourceId", ("region",), "PT15M", 900),))
    usual = f"resourceId={VM}/i=5A5A/y=2026/m=11/d=21/h=09/m=00/PT1H.json"
    assert places.blob_path(plan, "E", MINUTE) == usual
    assert places.blob_path(plan, "E", 1795255200 - 1) == usual
    assert places.blob_path(plan, "E", 1795255200) == usual.replace("h=09", "h=10")
    assert places.blob_path(plan, "Own", MINUTE) == (
        f"resourceId={VM}/y=2026/m=11/d=21/h=09/m=15/region=west/PT15M.json"
    )
    with pytest.raises(places.PlaceError, match="agentIdentityHash"):
        places.blob_path(Plan(obo=OBO[:1]), "E", MINUTE)


def test_containers() -> None:
    tables = places.Tables.of(Plan(namespace="Own", event_version=2))
    assert tables.container(Target("jsonblob", "SyslogJsonBlob", "m")) == "ownownsyslogjsonblobver2v0"
    assert tables.container(Target("jsonblob", "MetricsJsonBlob", "m", full_name=True)) == "ownmetricsjsonblob"
    assert places.Tables.of(Plan()).container(Target("jsonblob", "MetricsJsonBlob", "m", full_name=True)) == (
        "metricsjsonblob"
    )


def test_the_table_of_a_service_sas() -> None:
    accounts = (
        Account("s", "a", "sas", "?sv=1&tn=OnlyTable&sp=a&sig=ss%3D"),
        Account("w", "a", "sas", "sv=1&ss=bt&srt=co&sp=acluw&sig=x"),
        Account("l", "a", "sas", "sv=1&sp=a&sig=x"),
    )
    tables = places.Tables.of(Plan(namespace="N", event_version=2, accounts=accounts))
    assert tables.name(Target("table", "E", "s"), MINUTE) == "OnlyTable"
    assert tables.name(Target("table", "E", "s", full_name=True), MINUTE) == "OnlyTable"
    assert tables.name(Target("table", "E", "s", full_name=True, per_nday=False), MINUTE) == "E"
    assert tables.name(Target("table", "E", "w"), MINUTE) == "NEVer2v020261119"
    assert tables.name(Target("table", "E", "l"), MINUTE) == "E"


@pytest.mark.parametrize(
    ("value", "kept"),
    [("x" * 32764, True), ("x" * 32765, False), ("中" * 10921, True), ("中" * 12000, False)],
)
def test_columns_are_measured_in_utf8_bytes(value: str, kept: bool) -> None:
    query = Query("root/scx", "q", 60, Target("table", "E", "m", per_nday=False))
    made = Engine(Plan(identity=IDENTITY), "h", MINUTE).on_instances(query, [{"Msg": value}], {}, MINUTE, MINUTE)
    assert [b.table for b in made.batches if b.table != "SchemasTable"] == (["EVer1v0"] if kept else [])
    assert made.dropped == ({} if kept else {("EVer1v0", "oversize: column over 64 KiB"): 1})


def test_rows_over_a_mebibyte_are_dropped_and_four_wide_columns_are_not() -> None:
    assert sizes.estimated(Row("p", "r", {f"c{i}": ("String", "x" * 30000) for i in range(4)}))[1] == ""
    size, why = sizes.estimated(Row("p", "r", {f"c{i}": ("String", "x" * 30000) for i in range(18)}))
    assert (size > 1 << 20, why) == (True, "row over 1 MiB")


def _window(plan: Plan, event: Derived, source: list[Dated], **more: Any) -> Any:
    return Engine(plan, "h", MINUTE).on_window(event, source, MINUTE - 60, MINUTE, **more)


def _texts(made: Any) -> list[tuple[str, str, list[Any]]]:
    return [(b.moniker, b.table, [json.loads(r.columns["record"][1]) for r in b.rows]) for b in made.batches]


def test_metrics_go_to_json_blobs_once_unless_asked_otherwise() -> None:
    lad = LadQuery("CounterName", "Value", "pk")
    event = Derived("s", 60, Target("jsonblob", "Metrics", "m", full_name=True), lad)
    samples: list[Dated] = [
        ((MINUTE - 5) * 10**6, Record({"CounterName": ("String", "c"), "Value": ("Int32", 2)})),
    ]
    for twice in (False, True):
        plan = Plan(obo=OBO, identity=(*IDENTITY, ("Role", "web")), options=Options(json_blob_twice=twice))
        plan = Plan(**{**plan.__dict__, "derived": (event,)})
        ((lane, table, rows),) = _texts(_window(plan, event, samples))
        assert (lane, table, len(rows)) == ("jsonblob m", "jsonblob/metrics", 2 if twice else 1)
        assert rows[0]["time"] == "2026-11-21T09:18:00.0000000Z"
        assert (rows[0]["timeGrain"], rows[0]["metricName"], rows[0]["average"]) == ("PT1M", "c", 2)
        assert rows[0]["dimensions"] == {"Tenant": "", "Role": "web", "RoleInstance": ""}
    plan = Plan(obo=OBO, derived=(replace(event, grain="PT60S"),))  # as the document writes it
    ((_, _, rows),) = _texts(_window(plan, plan.derived[0], samples))
    assert rows[0]["timeGrain"] == "PT60S"


def test_rows_of_a_route_go_to_the_blob_of_their_own_hour() -> None:
    hour = 1795255200
    event = Derived("s", 60, Target("jsonblob", "Log", "m"))
    source = [(at * 10**6, Record({"Msg": ("String", str(at))})) for at in (hour - 1, hour, hour + 1)]
    made = _window(Plan(obo=OBO, identity=IDENTITY), event, source, route=True)
    assert [(b.rows[0].partition_key[-20:], len(b.rows)) for b in made.batches] == [
        ("=21/h=09/m=00/PT1H.json"[-20:], 1),
        ("=21/h=10/m=00/PT1H.json"[-20:], 2),
    ]
    properties = json.loads(made.batches[0].rows[0].columns["record"][1])["properties"]
    assert properties == {"Msg": str(hour - 1), "DeploymentId": "d", "Host": "h"}
    keys = [r.row_key for b in made.batches for r in b.rows]
    assert len(set(keys)) == 3


def test_rows_that_have_no_place_are_counted() -> None:
    event = Derived("s", 60, Target("jsonblob", "Log", "m", full_name=True))
    source = [(MINUTE * 10**6, Record({"Msg": ("String", "x")}))]
    made = _window(Plan(obo=OBO[:1]), event, source, route=True)
    assert (made.batches, sum(made.dropped.values())) == ([], 1)
    ((_, reason),) = made.dropped
    assert "agentIdentityHash" in reason
    incomplete = _metric()
    del incomplete["Total"]
    graded = Derived("s", 60, Target("jsonblob", "Log", "m", full_name=True))
    plan = Plan(obo=OBO, derived=(graded,))
    made = _window(plan, graded, [(MINUTE * 10**6, Record(incomplete))])
    assert made.dropped == {("jsonblob/log", "a metric row without Total"): 1}


def test_publishers_get_one_message_each_and_no_twins() -> None:
    publishers = (Publisher("agg", "https://a/b?c"), Publisher("agg", "https://a/d?c"))
    event = Derived("s", 60, Target("local", "agg"), LadQuery("CounterName", "Value", "pk"))
    engine = Engine(Plan(obo=OBO, publishers=publishers, derived=(event,)), "h", MINUTE)
    sample = Record({"CounterName": ("String", "c"), "Value": ("Int32", 2)})
    local = engine.on_window(event, [(MINUTE * 10**6, sample)], MINUTE, MINUTE + 60).local
    assert [r.twin for _, r in local] == [False, True]
    found = _texts(engine.on_insert("agg", local))
    assert [(lane, table, len(rows)) for lane, table, rows in found] == [
        ("eventhub agg", "eventhub/agg", 1),
        ("eventhub agg 2", "eventhub/agg", 1),
    ]
    assert found[0][2][0]["metricName"] == "c"
    assert not engine.publishes("s")


def test_text_files() -> None:
    event = Derived("s", 60, Target("file", "out.txt"))
    (batch,) = _window(Plan(identity=IDENTITY), event, [(MINUTE * 10**6, Record({"a": ("Int32", 1)}))]).batches
    assert (batch.moniker, batch.table) == ("file", "file/out.txt")
    assert '[a=(int32)1, DeploymentId=(wstr)"d", Host=(wstr)"h"])' in batch.rows[0].columns["record"][1]


@given(st.integers(0, 49999))
def test_block_ids_and_lists_are_read_back(number: int) -> None:
    assert json_blob.number_of(json_blob.block_id(number)) == number
    assert len(json_blob.block_id(number)) == 12


def test_block_lists() -> None:
    listed = json_blob.with_block([0, 1, json_blob.LAST], 2)
    assert listed == [0, 1, 2, json_blob.LAST]
    assert json_blob.with_block([], 1) == [0, 1, json_blob.LAST]
    names = "".join(f"<Block><Name>{json_blob.block_id(n)}</Name><Size>1</Size></Block>" for n in listed)
    answer = f"<BlockList><CommittedBlocks>{names}</CommittedBlocks><UncommittedBlocks/></BlockList>"
    assert json_blob.committed(answer) == listed
    assert json_blob.next_number(listed) == 3
    assert json_blob.next_number([]) == 1
    with pytest.raises(ValueError, match="none of this format"):
        json_blob.committed("<CommittedBlocks><Name>Zm9v</Name></CommittedBlocks>")
