"""Worked examples A-D of spec/mdsd.md 4, through the engine: keys, columns and EDM types."""

from __future__ import annotations

from extension.pipeline.batches import measured
from extension.pipeline.engine import BATCH_ROWS, Batch, Engine, batches
from extension.pipeline.records import Record
from extension.plan import Derived, LadQuery, Plan, Query, Source, Target, Unpivot
from extension.rows import keys
from extension.rows.edm import EdmValue, Row

IDENTITY = (("DeploymentId", "c9c8552dc3a1421da8ecc0c284082a39"), ("Host", "vm-ref-01"))
MINUTE = 1795252680  # 2026-11-21T09:18:00Z
PK = "ladtest:005Fresource:005Fid"


def _plan(**more: object) -> Plan:
    return Plan(**{"event_version": 2, "partitions": 10, "identity": IDENTITY, **more})  # type: ignore[arg-type]


def _by_table(found: list[Batch]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for batch in found:
        out.setdefault(batch.table, []).extend(batch.rows)
    return out


def test_example_a_raw_omi_row() -> None:
    query = Query("root/scx", "SELECT ...", 30, Target("table", "LinuxMemory", "m", per_nday=False))
    engine = Engine(_plan(), "uploader-host", 1795252675)
    engine.resume_row_index(keys.first_row_index(1795252675, 1) - 1)
    instance = {
        "AvailableMemory": 1000,
        "UsedMemory": 1500,
        "PagesPerSec": 7,
        "PercentAvailableMemory": 40,
        "PercentUsedMemory": 60,
    }
    types = {"AvailableMemory": "uint64", "UsedMemory": "uint64", "PagesPerSec": "uint64"}
    types |= {"PercentAvailableMemory": "uint8", "PercentUsedMemory": "uint8"}
    rows = _by_table(engine.on_instances(query, [instance], types, 1795252675638998, 1795252675.7).batches)
    assert rows["LinuxMemoryVer2v0"] == [
        Row(
            "0000000000000000008___0639308494500000000",
            "c9c8552dc3a1421da8ecc0c284082a39___vm-ref-01___0018403363632709632",
            {
                "AvailableMemory": ("Int64", 1000),
                "UsedMemory": ("Int64", 1500),
                "PagesPerSec": ("Int64", 7),
                "PercentAvailableMemory": ("Int32", 40),
                "PercentUsedMemory": ("Int32", 60),
                "DeploymentId": ("String", "c9c8552dc3a1421da8ecc0c284082a39"),
                "Host": ("String", "vm-ref-01"),
                "PreciseTimeStamp": ("DateTime", "2026-11-21T09:17:55.638998Z"),
                "N": ("String", "0000000000000000008"),
                "RowIndex": ("String", "0018403363632709632"),
                "TIMESTAMP": ("DateTime", "2026-11-21T09:17:30Z"),
            },
        )
    ]
    (schema,) = rows["SchemasTable"]
    assert schema.partition_key == "0000000000000000007___0504911232000000001"
    assert schema.row_key == "LinuxMemoryVer2v0___27ca7d265268a97de86bcdc298ff6988"
    assert schema.columns["TIMESTAMP"] == ("DateTime", "1601-01-01T00:00:00.0000001Z")
    assert schema.columns["Uploader"] == ("String", "uploader-host")
    assert list(schema.columns) == [
        "TIMESTAMP", "N", "PhysicalTableName", "MD5Hash", "Schema", "Uploader", "UploadTS",
        "Reserved1", "Reserved2", "Reserved3",
    ]  # fmt: skip


def test_the_schema_row_is_written_once_and_null_is_a_string() -> None:
    query = Query("root/scx", "SELECT ...", 60, Target("table", "LinuxCpuNDay", "m"))
    engine = Engine(_plan(), "h", MINUTE)
    types = {"PercentIOWaitTime": "uint8"}
    first = _by_table(engine.on_instances(query, [{"PercentIOWaitTime": None}], types, MINUTE * 10**6, MINUTE).batches)
    assert first["LinuxCpuNDayVer2v020261119"][0].columns["PercentIOWaitTime"] == ("String", "[NULL]")
    assert "SchemasTable" in first
    again = _by_table(engine.on_instances(query, [{"PercentIOWaitTime": None}], types, MINUTE * 10**6, MINUTE).batches)
    assert list(again) == ["LinuxCpuNDayVer2v020261119"]


def test_example_b_syslog_row_keys() -> None:
    route = Derived("syslog", 10, Target("table", "Linuxsyslog", "m", per_nday=False))
    engine = Engine(_plan(), "h", 1795252675)
    engine.resume_row_index(108475403424759808 - 1)
    columns: dict[str, EdmValue] = {
        "Ignore": ("String", "syslog"),
        "Facility": ("String", "daemon"),
        "Severity": ("Int32", 3),
        "EventTime": ("DateTime", "2017-03-27T17:45:00.123456Z"),
        "SendingHost": ("String", "127.0.0.1"),
        "Msg": ("String", "<27>hello"),
    }
    rows = engine.on_window(route, [(1795252675600461, Record(columns))], 1795252670, 1795252681).batches
    (row,) = _by_table(rows)["LinuxsyslogVer2v0"]
    assert row.partition_key == "0000000000000000008___0639308494700000000"
    assert row.row_key.endswith("___0108475403424759808")
    assert row.columns["PreciseTimeStamp"] == ("DateTime", "2026-11-21T09:17:55.600461Z")
    assert row.columns["TIMESTAMP"] == ("DateTime", "2026-11-21T09:17:50Z")
    assert row.columns["Severity"] == ("Int32", 3)


def _memory(store: str = "local") -> Query:
    unpivot = Unpivot(
        "CounterName",
        "Value",
        ("AvailableMemory", "PagesPerSec"),
        {"AvailableMemory": ("\\Memory\\AvailableMemory", 1048576.0)},
    )
    return Query("root/scx", "SELECT ...", 15, Target(store, "memoryStats"), unpivot)


def _samples(
    engine: Engine, query: Query, instances: list[dict[str, object]], times: list[float]
) -> list[tuple[int, Record]]:
    types = {"AvailableMemory": "uint64", "PagesPerSec": "uint64", "BytesTransmitted": "uint64", "V": "uint8"}
    out: list[tuple[int, Record]] = []
    for t in times:
        made = engine.on_instances(query, instances, types, int(t * 10**6), t)
        assert made.batches == []
        out += made.local
    return out


def test_example_c_metrics_of_one_stage() -> None:
    engine = Engine(_plan(), "h", MINUTE)
    lad = LadQuery("CounterName", "Value", PK)
    derived = Derived("memoryStats", 60, Target("table", "WADMetricsPT1MP10DV2S", "m", full_name=True), lad)
    samples = _samples(
        engine, _memory(), [{"AvailableMemory": 1000, "PagesPerSec": 7}], [MINUTE + s for s in (0, 15, 30, 45)]
    )
    made = engine.on_window(derived, samples, MINUTE, MINUTE + 60)
    rows = _by_table(made.batches)
    assert list(rows) == ["WADMetricsPT1MP10DV2S20261119"]  # no schema row
    first, second, pages, _ = rows["WADMetricsPT1MP10DV2S20261119"]
    assert {r.partition_key for r in rows["WADMetricsPT1MP10DV2S20261119"]} == {PK}
    assert first.row_key == "2516070481199999999__:005CMemory:005CAvailableMemory"
    assert second.row_key == ":005CMemory:005CAvailableMemory__2516070481199999999"
    assert first.columns == second.columns
    assert first.columns == {
        "CounterName": ("String", "\\Memory\\AvailableMemory"),
        "Total": ("Double", 4194304000.0),
        "Minimum": ("Double", 1048576000.0),
        "Maximum": ("Double", 1048576000.0),
        "Average": ("Double", 1048576000.0),
        "Count": ("Int32", 4),
        "Last": ("Double", 1048576000.0),
        "DeploymentId": ("String", "c9c8552dc3a1421da8ecc0c284082a39"),
        "Host": ("String", "vm-ref-01"),
        "TIMESTAMP": ("DateTime", "2026-11-21T09:18:00Z"),
    }
    assert pages.row_key == "2516070481199999999__PagesPerSec"
    assert samples[1][1].columns["Value"] == ("Int64", 7)  # unmapped columns keep their type


def test_example_c_two_interfaces_are_merged() -> None:
    engine = Engine(_plan(), "h", MINUTE)
    maps = {"BytesTransmitted": ("\\NetworkInterface\\BytesTransmitted", 1.0)}
    unpivot = Unpivot("CounterName", "Value", ("BytesTransmitted",), maps)
    query = Query("root/scx", "SELECT ...", 15, Target("local", "netStats"), unpivot)
    nics: list[dict[str, object]] = [{"BytesTransmitted": 100}, {"BytesTransmitted": 300}]
    samples = _samples(engine, query, nics, [MINUTE + s for s in (0, 15, 30, 45)])
    target = Target("table", "WADMetricsPT1MP10DV2S", "m", full_name=True)
    derived = Derived("netStats", 60, target, LadQuery("CounterName", "Value", PK, "uuid-1"))
    row = engine.on_window(derived, samples, MINUTE, MINUTE + 60).batches[0].rows[0]
    assert row.row_key == "2516070481199999999__:005CNetworkInterface:005CBytesTransmitted__uuid-1"
    statistics = {k: v[1] for k, v in row.columns.items()}
    assert (statistics["Count"], statistics["Total"], statistics["Average"]) == (8, 1600.0, 200.0)
    assert (statistics["Minimum"], statistics["Maximum"], statistics["Last"]) == (100.0, 300.0, 300.0)


def test_example_d_metrics_of_two_stages() -> None:
    engine = Engine(_plan(), "h", MINUTE)
    query = Query("root/scx", "q", 15, Target("local", "s"), Unpivot("N", "V", ("V",), {"V": ("\\A\\B", 1.0)}))
    start = MINUTE - 60
    samples = []
    for value in (1, 5, 3):
        samples += _samples(engine, query, [{"V": value}], [MINUTE - 5])
    stage1 = Derived("s", 60, Target("local", "agg", full_name=True), LadQuery("N", "V", PK))
    local = engine.on_window(stage1, samples, start, MINUTE + 3).local
    stage2 = Derived("agg", 60, Target("table", "WADMetricsPT1MP10DV2S", "m", full_name=True))
    assert {at for at, _ in local} == {MINUTE * 10**6}  # the end of the first stage's window
    rows = _by_table(engine.on_window(stage2, local, MINUTE, MINUTE + 65).batches)
    first, second = rows["WADMetricsPT1MP10DV2S20261119"]
    assert first.row_key == "2516070481799999999__:005CA:005CB"
    assert second.row_key == ":005CA:005CB__2516070481799999999"
    assert first.columns["TIMESTAMP"] == ("DateTime", "2026-11-21T09:18:00Z")
    assert [first.columns[k][1] for k in ("Count", "Total", "Minimum", "Maximum", "Last")] == [3, 9.0, 1.0, 5.0, 3.0]
    assert set(first.columns) == {
        "N", "Total", "Minimum", "Maximum", "Average", "Count", "Last", "DeploymentId", "Host", "TIMESTAMP",
    }  # fmt: skip
    assert "SchemasTable" in rows


def test_values_that_are_not_numbers_make_no_metric_and_are_counted() -> None:
    engine = Engine(_plan(), "h", MINUTE)
    derived = Derived("s", 60, Target("table", "T", "m", full_name=True), LadQuery("N", "V", PK))
    values: list[EdmValue] = [("String", "[NULL]"), ("Boolean", True), ("String", "5"), ("Int32", 2)]
    records = [(MINUTE * 10**6, Record({"N": ("String", "c"), "V": v})) for v in values]
    records.append((MINUTE * 10**6, Record({"N": ("Int32", 1), "V": ("Int32", 1)})))
    records.append((MINUTE * 10**6, Record({"V": ("Int32", 1)})))
    made = engine.on_window(derived, records, MINUTE, MINUTE + 60)
    assert len(made.batches[0].rows) == 2
    assert made.batches[0].rows[0].columns["Count"] == ("Int32", 1)
    assert made.skipped == {"s: Value column is not numeric": 3, "s: Name column is not a string": 1}


def test_an_empty_window_writes_nothing() -> None:
    engine = Engine(_plan(), "h", MINUTE)
    derived = Derived("s", 60, Target("table", "T", "m", full_name=True), LadQuery("N", "V", PK))
    assert engine.on_window(derived, [], MINUTE, MINUTE + 60).batches == []


def test_batches_are_split_by_partition_count_and_size() -> None:
    rows = [Row("a", str(i), {}) for i in range(BATCH_ROWS + 1)] + [Row("b", "x", {})]
    found = batches("m", "t", measured(rows))
    assert [(len(b.rows), b.rows[0].partition_key) for b in found] == [(100, "a"), (1, "a"), (1, "b")]
    wide = [Row("a", str(i), {"c": ("String", "x" * 30000), "d": ("String", "y" * 30000)}) for i in range(60)]
    sizes = [len(b.rows) for b in batches("m", "t", measured(wide))]
    assert sum(sizes) == 60
    assert len(sizes) > 1


def test_a_service_sas_writes_no_schema_row() -> None:
    from extension.plan import Account

    account = Account("m", "acct", "sas", "sv=1&tn=linuxmemory&sp=raud&sig=x")
    engine = Engine(_plan(accounts=(account,)), "h", MINUTE)
    query = Query("root/scx", "q", 60, Target("table", "E", "m"))
    made = engine.on_instances(query, [{"A": 1}], {"A": "uint8"}, MINUTE * 10**6, MINUTE)
    assert [b.table for b in made.batches] == ["linuxmemory"]


def test_a_pipeline_describes_a_table_once_as_its_first_row_is() -> None:
    unpivot = Unpivot("CounterName", "Value", ("C", "B", "A"), {"A": ("a", 1.0)})
    query = Query("root/scx", "q", 60, Target("table", "Raw", "m", per_nday=False), unpivot)
    identity = (("Host", "h"),)
    engine = Engine(_plan(sources=(Source("s"),), identity=identity), "h", MINUTE)
    types = {"X": "string", "A": "uint8", "B": "uint64", "C": "string"}
    made = engine.on_instances(query, [{"X": "x", "A": 1, "B": 2, "C": "x"}], types, MINUTE * 10**6, MINUTE)
    rows = _by_table(made.batches)
    assert [r.columns["CounterName"][1] for r in rows["RawVer2v0"]] == ["a", "B", "C"]  # as the instance has them
    assert list(rows["RawVer2v0"][0].columns)[:4] == ["X", "Host", "CounterName", "Value"]  # identity before Unpivot
    (schema,) = rows["SchemasTable"]
    assert '<Column name="Value" type="mt:float64">' in schema.columns["Schema"][1]  # that of the first row
    values: list[EdmValue] = [("Int32", 1), ("Double", 1.0), ("Int32", 2)]
    records = [(MINUTE * 10**6, Record({"V": value})) for value in values]
    event = Derived("s", 60, Target("table", "OfS", "m"))
    (schema,) = _by_table(engine.on_window(event, records, MINUTE, MINUTE + 60).batches)["SchemasTable"]
    assert '<Column name="V" type="mt:int32">' in schema.columns["Schema"][1]
    other = Derived("t", 60, Target("table", "OfS", "m"))  # another pipeline into the same table
    (schema,) = _by_table(engine.on_window(other, records[1:], MINUTE, MINUTE + 60).batches)["SchemasTable"]
    assert '<Column name="V" type="mt:float64">' in schema.columns["Schema"][1]
    again = engine.on_window(event, records[1:], MINUTE + 60, MINUTE + 120)
    assert "SchemasTable" not in _by_table(again.batches)


def test_tables_with_the_same_columns_are_described_in_the_order_of_the_first() -> None:
    engine = Engine(_plan(identity=()), "h", MINUTE)
    texts = []
    for name, columns in (("One", {"B": 1, "A": 1}), ("Two", {"A": 1, "B": 1})):
        query = Query("root/scx", name, 60, Target("table", name, "m"))
        made = engine.on_instances(query, [columns], {"A": "uint8", "B": "uint8"}, MINUTE * 10**6, MINUTE)
        texts.append(_by_table(made.batches)["SchemasTable"][0].columns["Schema"][1])
    assert texts[0] == texts[1]
    assert texts[0].index('"B"') < texts[0].index('"A"')


def test_keys_that_an_instance_brings_are_kept_and_the_missing_one_is_filled() -> None:
    engine = Engine(_plan(identity=(("Host", "h"),)), "h", MINUTE)
    query = Query("root/scx", "q", 60, Target("table", "E", "m"))
    types = {"PartitionKey": "string", "RowKey": "string", "A": "uint8"}
    instances = [{"PartitionKey": "p", "RowKey": "r", "A": 1}, {"PartitionKey": "p", "A": 1}]
    made = engine.on_instances(query, instances, types, MINUTE * 10**6, MINUTE)
    both, one = _by_table(made.batches)["EVer2v020261119"]
    assert (both.partition_key, both.row_key, set(both.columns)) == ("p", "r", {"A", "Host", "TIMESTAMP"})
    assert one.partition_key == "p"
    assert one.row_key.startswith("h___")
    assert set(one.columns) == {"A", "Host", "TIMESTAMP", "PreciseTimeStamp", "N", "RowIndex"}


def test_metrics_can_be_grouped_by_an_identity_column() -> None:
    engine = Engine(_plan(identity=(("Host", "h"),)), "h", MINUTE)
    event = Derived("s", 60, Target("table", "M", "m", full_name=True), LadQuery("Host", "V", "p"))
    made = engine.on_window(event, [(MINUTE * 10**6, Record({"V": ("Int32", 3)}))], MINUTE, MINUTE + 60)
    assert made.batches[0].rows[0].row_key.endswith("__h")


def test_what_was_not_stored_is_made_again_alike() -> None:
    query = Query("root/scx", "q", 60, Target("table", "E", "m"))
    engine = Engine(_plan(), "h", MINUTE)
    engine.on_instances(Query("root/scx", "other", 60, Target("table", "D", "m")), [{"A": 1}], {}, MINUTE, MINUTE)
    mark = engine.mark()
    first = engine.on_instances(query, [{"B": 1}], {"B": "uint8"}, MINUTE * 10**6, MINUTE)
    engine.rewind(mark)
    assert engine.on_instances(query, [{"B": 1}], {"B": "uint8"}, MINUTE * 10**6, MINUTE) == first
    assert [b.table for b in first.batches] == ["EVer2v020261119", "SchemasTable"]
