"""The short way of named values gives the same as making each record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from extension.pipeline import records
from extension.pipeline.engine import Engine
from extension.pipeline.named import MAX_INT64, Named
from extension.pipeline.outputs import Output
from extension.pipeline.records import Record
from extension.plan import Plan, Query, Target, Unpivot
from extension.steps import absent
from extension.store import bodies

AT_US = 1_795_252_675_638_998
SPEC = Unpivot(
    "CounterName", "Value", ("A", "B", "C", "D"), {"A": ("/a", 1048576.0), "B": ("/b", 1.0), "C": ("/c", 0.5)}
)
TYPES = {"A": "uint64", "B": "uint8", "C": "real64", "D": "uint32", "E": "string"}


def query(spec: Unpivot = SPEC) -> Query:
    return Query("root/scx", "SELECT A,B,C,D FROM X", 15, Target("local", "counters"), spec)


def long_way(
    spec: Unpivot, instances: list[Mapping[str, object]], types: Mapping[str, str]
) -> list[tuple[int, Record]]:
    return [
        (AT_US, Record(columns))
        for instance in instances
        for columns in records.unpivot(records.from_instance(instance, types), spec)
    ]


@pytest.mark.parametrize(
    "instances",
    [
        [{"A": 7, "B": 3, "C": 0.25, "D": 9}],
        [{"D": 1}, {}, {"A": 2, "D": 3}],
        [{"A": MAX_INT64, "D": -1}],
        [{"A": MAX_INT64 + 1, "D": 1 << 70}],
        [{"A": None, "B": 1}],
        [{"A": True, "B": 1.75, "C": 5, "D": [1, None]}],
        [{"C": float("inf"), "D": 4}],
    ],
)
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"A": "sint32", "B": "string", "C": "real32", "D": "boolean"},
        {"A": "real64", "B": "sint64", "C": "uint16", "D": "x"},
    ],
)
def test_it_is_what_unpivot_makes(instances: list[Mapping[str, object]], changed: dict[str, str]) -> None:
    types = {**TYPES, **changed}
    try:
        wanted = long_way(SPEC, instances, types)
    except (ValueError, TypeError, OverflowError) as error:
        with pytest.raises(type(error)):
            Engine(Plan(), "h", 0.0).on_instances(query(), instances, types, AT_US, AT_US / 1e6)
        return
    made = Engine(Plan(), "h", 0.0).on_instances(query(), instances, types, AT_US, AT_US / 1e6)
    assert isinstance(made.local, Named)
    assert list(made.local) == wanted
    assert bodies.encode(made.local) == bodies.encode([record for _, record in wanted])
    assert [type(r.columns["Value"][1]) for _, r in made.local] == [type(r.columns["Value"][1]) for _, r in wanted]
    assert absent(query(), made) == absent(query(), Output(local=wanted))


def test_texts_are_repaired_as_everywhere() -> None:
    made = Engine(Plan(), "h", 0.0).on_instances(query(), [{"D": "a\ud800"}], {"D": "string"}, AT_US, 0.0)
    assert isinstance(made.local, Named)
    assert next(iter(made.local))[1].columns["Value"] == ("String", "a\ufffd")


@pytest.mark.parametrize(
    ("spec", "instances"),
    [
        (SPEC, [{"A": 1, "E": "x"}]),
        (SPEC, [{"E": "x"}]),
        (replace(SPEC, column_value="CounterName"), [{"A": 1}]),
    ],
)
def test_what_is_not_only_names_and_values_goes_the_long_way(
    spec: Unpivot, instances: list[Mapping[str, object]]
) -> None:
    made = Engine(Plan(), "h", 0.0).on_instances(query(spec), instances, TYPES, AT_US, AT_US / 1e6)
    assert not isinstance(made.local, Named)
    assert made.local == long_way(spec, instances, TYPES)


def test_a_query_that_is_another_under_the_same_name_is_not_confused_with_it() -> None:
    engine = Engine(Plan(), "h", 0.0)
    one = engine.on_instances(query(), [{"A": 1}], TYPES, AT_US, 0.0)
    other = replace(SPEC, maps={"A": ("/other", 2.0)})
    two = engine.on_instances(query(other), [{"A": 1}], TYPES, AT_US, 0.0)
    three = engine.on_instances(query(other), [{"A": 1}], {"A": "string"}, AT_US, 0.0)
    found = [made.local for made in (one, two, three)]
    assert [(n.names, n.kinds, n.values) for n in found if isinstance(n, Named)] == [
        (["/a"], ["Double"], [1048576.0]),
        (["/other"], ["Double"], [2.0]),
        (["/other"], ["String"], ["1"]),
    ]


def test_no_instances_are_no_instance() -> None:
    made = Engine(Plan(), "h", 0.0).on_instances(query(), [], TYPES, AT_US, 0.0)
    assert made.local == []
    assert absent(query(), made) == {"*": "no instance"}
