"""The rows of a window's metrics made at once are those that its records become one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from extension.pipeline import engine as engine_module
from extension.pipeline.batches import Joiner
from extension.pipeline.engine import Engine
from extension.pipeline.outputs import Output
from extension.plan import Derived, LadQuery, Plan, Target
from extension.rows.columnar import Columnar

START = 1_795_252_620
LAD = LadQuery("CounterName", "Last", "resource", "")
NAMED = LadQuery("Zähler", "Value", "pärt", "instance")
EVENT = Derived("counters", 60, Target("table", "WADMetricsPT1M", "m"), LAD)
IDENTITY = (("DeploymentId", ""), ("Host", "höst"))
PAIRS: list[tuple[str, Any, str, Any]] = [
    ("String", "/a", "Double", 1.5),
    ("String", "/b", "Int64", 1 << 40),
    ("String", "/a", "Double", -2.25),
    ("String", "ü/\U0001f600", "Int32", 3),
    ("Int32", 4, "Double", 1.0),
    ("String", "/c", "String", "x"),
]


def made(event: Derived, identity: tuple[tuple[str, str], ...], pairs: list[tuple[str, Any, str, Any]]) -> Output:
    assert event.lad is not None
    return Engine(Plan(identity=identity), "h", 0.0).on_metrics(event, event.lad, pairs, START, START + 61.0)


def one_by_one(
    event: Derived,
    identity: tuple[tuple[str, str], ...],
    pairs: list[tuple[str, Any, str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Output:
    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "metric_rows", lambda *_: None)
        return made(event, identity, pairs)


@pytest.mark.parametrize("lad", [LAD, NAMED, replace(LAD, column_name="Total"), replace(LAD, column_name="TIMESTAMP")])
@pytest.mark.parametrize(
    "identity", [IDENTITY, (), (("Total", "mine"),), (("CounterName", "theirs"),), (("TIMESTAMP", "t"),)]
)
def test_the_same_rows_and_sizes(
    lad: LadQuery, identity: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = replace(EVENT, lad=lad)
    found, wanted = made(event, identity, PAIRS), one_by_one(event, identity, PAIRS, monkeypatch)
    assert found == wanted
    assert [list(r.columns) for b in found.batches for r in b.rows] == [
        list(r.columns) for b in wanted.batches for r in b.rows
    ]
    assert len(found.batches[0].rows) == 6
    assert found.batches[0].rows[0].columns is found.batches[0].rows[1].columns


@pytest.mark.parametrize(
    ("lad", "identity", "name"),
    [
        (replace(LAD, column_name="counter-name"), IDENTITY, "/a"),
        (LAD, (("a b", "x"),), "/a"),
        (replace(LAD, partition_key=""), IDENTITY, "/a"),
        (LAD, IDENTITY, "n" * 40_000),
        (LAD, (("Huge", "x" * 600_000),), "/a"),
    ],
)
def test_what_takes_more_goes_the_long_way(
    lad: LadQuery, identity: tuple[tuple[str, str], ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = replace(EVENT, lad=lad)
    pairs: list[tuple[str, Any, str, Any]] = [("String", "/0", "Double", 1.0), ("String", name, "Double", 1.0)]
    assert made(event, identity, pairs) == one_by_one(event, identity, pairs, monkeypatch)


def test_a_window_of_nothing_gives_nothing() -> None:
    assert made(EVENT, IDENTITY, []) == Output()


@pytest.mark.parametrize("counters", [0, 1, 49, 50, 51, 120])
@pytest.mark.parametrize("identity", [IDENTITY, (("Large", "x" * 20_000),), (("Largest", "x" * 31_000),)])
def test_many_counters_are_the_batches_that_they_become_one_by_one(
    counters: int, identity: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: list[tuple[str, Any, str, Any]] = [("String", f"/{n}", "Double", float(n)) for n in range(counters)]
    found, wanted = made(EVENT, identity, pairs), one_by_one(EVENT, identity, pairs, monkeypatch)
    assert found == wanted
    assert sum(len(batch.rows) for batch in found.batches) == 2 * counters


def test_batches_of_metrics_are_joined_column_by_column() -> None:
    given = [
        batch
        for n in range(3)
        for batch in made(EVENT, IDENTITY, [("String", f"/{n}{i}", "Double", i / 3) for i in range(16)]).batches
    ]
    joiner = Joiner()
    (done,) = [done for batch in given for done in joiner.add(batch)] + joiner.rest()
    assert isinstance(done.rows, Columnar)
    assert list(done.rows) == [row for batch in given for row in batch.rows]
    assert done.size == sum(batch.size for batch in given)
    again = [done for batch in (given[0], given[0]) for done in joiner.add(batch)]
    assert [len(batch.rows) for batch in again + joiner.rest()] == [32, 32]
