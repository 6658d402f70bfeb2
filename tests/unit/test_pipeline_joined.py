"""What the events of one tick give to one table travels together, and the two rows of a metric share their columns."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.pipeline import batches
from extension.pipeline.batches import BATCH_ROWS, Batch, Joiner
from extension.pipeline.places import event_hub_lanes, json_blob_lane, takes_rows
from extension.pipeline.records import Record
from extension.plan import Derived, LadQuery, Plan, Publisher, Query, Target, Unpivot
from extension.rows.edm import EdmValue, Row
from extension.rows.packed import pack, unpack
from extension.sinks.azure_batch import encode, encode_entity
from extension.sinks.limits import check_batch
from extension.store import bodies
from extension.store.uploader_db import UploaderStore
from tests.unit.test_collector_ticks import MINUTE, Bench


def _batch(table: str, partition: str, keys: list[str], size: int = 10) -> Batch:
    return Batch("m", table, [Row(partition, key, {}) for key in keys], size)


def _joined(given: list[Batch]) -> list[Batch]:
    joiner = Joiner()
    return [done for batch in given for done in joiner.add(batch)] + joiner.rest()


def test_batches_of_one_table_and_partition_become_one() -> None:
    given = [("T", "p", ["a", "b"]), ("U", "p", ["x"]), ("T", "p", ["c"]), ("T", "q", ["a"])]
    found = _joined([_batch(*one) for one in given])
    assert {(b.table, b.rows[0].partition_key, "".join(r.row_key for r in b.rows), b.size) for b in found} == {
        ("T", "p", "abc", 20),
        ("U", "p", "x", 10),
        ("T", "q", "a", 10),
    }


def test_a_row_key_is_never_twice_in_a_batch_and_the_later_row_comes_later() -> None:
    found = _joined([_batch("T", "p", ["a", "b"]), _batch("T", "p", ["b", "c"])])
    assert [[r.row_key for r in b.rows] for b in found] == [["a", "b"], ["b", "c"]]


@given(st.lists(st.tuples(st.sampled_from("TU"), st.sampled_from("pq"), st.integers(1, BATCH_ROWS)), max_size=40))
def test_nothing_is_lost_or_reordered_and_the_limits_hold(sizes: list[tuple[str, str, int]]) -> None:
    number = iter(range(10**6))
    given = [_batch(t, p, [str(next(number)) for _ in range(n)], n * 50_000) for t, p, n in sizes]
    given = [b for b in given if b.size <= batches.BATCH_BYTES]
    found = _joined(given)
    for key in {(b.table, b.rows[0].partition_key) for b in given}:
        before = [r for b in given if (b.table, b.rows[0].partition_key) == key for r in b.rows]
        after = [r for b in found if (b.table, b.rows[0].partition_key) == key for r in b.rows]
        assert before == after
    assert all(len(b.rows) <= BATCH_ROWS and b.size <= batches.BATCH_BYTES for b in found)


def test_few_that_may_still_grow_are_held() -> None:
    joiner = Joiner()
    out = [done for n in range(500) for done in joiner.add(_batch("T", str(n), ["a"]))]
    assert len(out) > 400
    assert len(out) + len(joiner.rest()) == 500


def test_only_table_lanes_are_joined() -> None:
    hub = Plan(event_version=2, publishers=(Publisher("e", "url"),))
    assert takes_rows("moniker")
    assert not any(takes_rows(lane) for lane in (json_blob_lane("m"), event_hub_lanes(hub)[0][0], "file"))


def _five_events() -> Plan:
    queries, derived = [], []
    for n in range(5):
        unpivot = Unpivot("CounterName", "Value", ("V",), {"V": (f"\\V{n}", 1.0)})
        queries.append(Query("root/scx", f"SELECT V FROM C{n}", 15, Target("local", f"s{n}"), unpivot))
        target = Target("table", "Metrics", "m", full_name=True)
        derived.append(Derived(f"s{n}", 60, target, LadQuery("CounterName", "Value", "pk")))
    return Plan(event_version=2, queries=tuple(queries), derived=tuple(derived))


def test_a_minute_of_five_events_is_one_batch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, _five_events())
    bench.run_until(MINUTE + 61)
    found = UploaderStore(str(tmp_path)).pending("m", 100)
    assert [q.count for q in found] == [10, 10]
    assert len({row.row_key for row in found[0].rows}) == 10


def test_a_transaction_that_is_undone_leaves_no_rows_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path, _five_events())
    bench.run_until(MINUTE - 1)
    put, calls = bench.store.queue, []

    def fails_once(*args: object) -> int:
        calls.append(args)
        if len(calls) == 1:
            put(*args)  # type: ignore[arg-type]
            raise OSError("the disk went away")
        return put(*args)  # type: ignore[arg-type]

    bench.store.queue = fails_once  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match="went away"):
        bench.run_until(MINUTE + 1)
    bench.run_until(MINUTE + 61)
    keys = [row.row_key for q in UploaderStore(str(tmp_path)).pending("m", 100) for row in q.rows]
    assert len(keys) == len(set(keys)) == 20


_VALUES: st.SearchStrategy[EdmValue] = st.one_of(
    st.tuples(st.just("String"), st.one_of(st.none(), st.text(max_size=5), st.just("same"))),
    st.tuples(st.just("Double"), st.floats(allow_nan=False)),
    st.tuples(st.sampled_from(["Int32", "Int64"]), st.integers(-9, 9)),
    st.tuples(st.just("Boolean"), st.booleans()),
)


@given(
    st.lists(st.tuples(st.sampled_from("pq"), st.text(max_size=3), st.lists(_VALUES, max_size=3), st.booleans())),
    st.booleans(),
)
def test_packed_rows_come_back_as_they_were(given: list[tuple[str, str, list[EdmValue], bool]], alike: bool) -> None:
    rows: list[Row] = []
    for partition, key, values, shares in given:
        columns = dict(zip("abc", values * 3 if alike and values else values, strict=False))
        if shares and rows:
            columns = rows[-1].columns
        rows.append(Row("p" if alike else partition, key, columns))
    again = unpack(json.loads(json.dumps(pack(rows))))
    assert again == rows
    assert [repr(r) for r in again] == [repr(r) for r in rows]  # 1 is not True, 0.0 not -0.0


def test_rows_with_one_dictionary_are_packed_once_and_share_it_again() -> None:
    columns = {"C": ("String", "x"), "T": ("Double", 0.1)}
    rows = [Row("p", "a", dict(columns)), Row("p", "b", columns), Row("p", "c", columns), Row("p", "d", dict(columns))]
    packed = json.loads(json.dumps(pack(rows)))
    assert packed["n"] == [1, 2, 1]
    assert packed["c"] == [["C", "String", "x"], ["T", "Double", [0.1, 0.1, 0.1]]]
    again = unpack(packed)
    assert again == rows
    assert again[1].columns is again[2].columns


@pytest.mark.parametrize("damage", [{"k": ["a"]}, {"n": [1, 1]}, {"c": [["C", "String", ["x"]]]}])
def test_packed_rows_that_miss_something_are_refused(damage: dict[str, object]) -> None:
    packed = {"p": "p", "k": ["a", "b", "c"], "n": [1, 2], "c": [["C", "String", ["x", "y"]]]}
    assert len(unpack(packed)) == 3
    with pytest.raises(ValueError, match="row keys"):
        unpack(packed | damage)


def test_rows_of_an_older_store_are_read() -> None:
    assert unpack([["p", "a", {"C": ["Int32", 1]}]]) == [Row("p", "a", {"C": ("Int32", 1)})]


_RECORDS = st.lists(st.dictionaries(st.sampled_from("ab"), _VALUES, min_size=1), max_size=4)


@given(_RECORDS, st.booleans(), st.booleans())
def test_samples_come_back_as_they_were(given: list[dict[str, EdmValue]], keyed: bool, twin: bool) -> None:
    found = [Record(columns, "p" if keyed else "", "", twin) for columns in given]
    text = bodies.encode(found)
    assert [repr(r) for r in bodies.decode(text)] == [repr(r) for r in found]
    wanted = [(*r.columns["a"], *r.columns["b"]) for r in found if "a" in r.columns and "b" in r.columns]
    assert [tuple(pair) for pair in bodies.pairs(text, "a", "b")] == wanted


def test_rows_that_share_their_columns_are_sent_and_checked_as_others() -> None:
    columns = {"C": ("String", "x"), "T": ("Double", 0.1), "N": ("String", None)}
    shared = [Row("p", "a", columns), Row("p", "b", columns)]
    body, _ = encode("http://h/acct", "Tab", shared)
    assert all(encode_entity(dataclasses.replace(row, columns=dict(columns))).encode() in body for row in shared)
    assert check_batch("Tab", shared) is None
    bad = {"C": ("Int32", 1 << 40)}
    refusal = check_batch("Tab", [Row("p", "a", {}), Row("p", "b", bad), Row("p", "c", bad)])
    assert refusal is not None
    assert (refusal.code, refusal.row) == ("OutOfRangeInput", 1)


@given(st.lists(_RECORDS, max_size=6), st.booleans())
def test_remembered_samples_are_those_that_were_written(given: list[list[dict[str, EdmValue]]], same: bool) -> None:
    made = bodies.Bodies()
    found = [[Record(columns) for columns in records] for records in (given[:1] * len(given) if same else given)]
    texts = [made.encode(records) for records in found]
    assert texts == [bodies.encode(records) for records in found]
    for text in texts:
        assert repr([*made.pairs(text, "a", "b")]) == repr([*bodies.pairs(text, "a", "b")])


def test_only_the_newest_short_samples_are_remembered() -> None:
    made = bodies.Bodies()
    texts = [
        made.encode([Record({"a": ("String", "n" * size), "b": ("Int32", n)})]) for n in range(80) for size in (1, 5000)
    ]
    assert set(made._made) == set(texts[::2][-64:])
    for n, text in enumerate(texts):
        assert [pair[3] for pair in made.pairs(text, "a", "b")] == [n // 2]
