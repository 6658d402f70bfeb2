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
from extension.plan import Derived, LadQuery, Plan, Publisher, Query, Target, Unpivot
from extension.rows.edm import Row, pack, unpack
from extension.sinks.azure_batch import encode, encode_entity
from extension.sinks.limits import check_batch
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


def test_rows_with_one_dictionary_are_packed_once_and_share_it_again() -> None:
    columns = {"C": ("String", "x"), "T": ("Double", 0.1)}
    rows = [Row("p", "a", dict(columns)), Row("p", "b", columns), Row("p", "c", columns), Row("p", "d", dict(columns))]
    packed = json.loads(json.dumps(pack(rows)))
    assert [part[2] is None for part in packed] == [False, False, True, False]
    again = unpack(packed)
    assert again == rows
    assert again[1].columns is again[2].columns
    with pytest.raises(ValueError, match="first row"):
        unpack([["p", "a", None]])


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
