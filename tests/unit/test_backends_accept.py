"""Values of other programs against their CIM types."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import classes, recording
from omi_queries.backends.accept import ValueRejectedError, accept, checked
from omi_queries.backends.source import RawInstance

DISK = classes.get("SCX_DiskDriveStatisticalInformation")


@pytest.mark.parametrize(
    ("value", "cim_type"),
    [
        (0, "uint8"),
        (255, "uint8"),
        (-128, "sint8"),
        ((1 << 64) - 1, "uint64"),
        (None, "uint8"),
        (1.5, "real64"),
        (2, "real64"),
        (True, "boolean"),
        ("x", "string"),
        ("20261121091618.747502+000", "datetime"),
        ("00000012030405.000006:000", "datetime"),
        ("20261121******.******+000", "datetime"),
        ("00000012******.******:000", "datetime"),
        ([1, 2], "uint16[]"),
        ([], "string[]"),
    ],
)
def test_values_that_fit(value: object, cim_type: str) -> None:
    assert checked(value, cim_type) == value
    assert recording.checked(cim_type, value) == value  # what was accepted can be recorded and read again


@pytest.mark.parametrize(
    ("value", "cim_type"),
    [
        (256, "uint8"),
        (-1, "uint64"),
        (1 << 64, "uint64"),
        (True, "uint8"),
        (1.0, "uint8"),
        ("1", "uint8"),
        ({}, "uint8"),
        (math.nan, "real64"),
        (math.inf, "real64"),
        ("1", "real64"),
        (True, "real64"),
        (1, "boolean"),
        ("true", "boolean"),
        (1, "string"),
        ("x" * 70000, "string"),
        ("yesterday", "datetime"),
        (1, "uint16[]"),
        ([1, "x"], "uint16[]"),
        ([1, None], "uint16[]"),
        (["a", None], "string[]"),
        ("2026112*091618.747502+000", "datetime"),
        ([0] * 5000, "uint16[]"),
    ],
)
def test_values_that_do_not(value: object, cim_type: str) -> None:
    with pytest.raises(ValueRejectedError):
        checked(value, cim_type)


def test_case_order_and_what_is_never_set() -> None:
    skipped: list[str] = []
    raw = RawInstance(DISK.name.upper(), {"readspersecond": 1, "NAME": "sda", "Unheard": 3})
    needs = frozenset(("ReadsPerSecond", "PercentBusyTime", "IsOnline"))
    [one] = accept([raw], DISK, needs, "s", skipped.append)
    assert list(one.items()) == [("Name", "sda"), ("PercentBusyTime", None), ("ReadsPerSecond", 1)]
    assert skipped == [f"s gave no {DISK.name}.IsOnline"]


def test_keys() -> None:
    skipped: list[str] = []
    raw = [RawInstance(DISK.name, {"Name": n}) for n in ("a", "b", "a", None)]
    assert [one["Name"] for one in accept(raw, DISK, frozenset(), "s", skipped.append)] == ["a", "b"]
    assert skipped == [f"s gave an instance of {DISK.name} twice", f"s gave an instance of {DISK.name} without a key"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


PROPERTIES = st.dictionaries(st.sampled_from(list(DISK.properties)), JSON)


@given(st.lists(st.tuples(st.sampled_from([DISK.name, "X"]), PROPERTIES)))
def test_nothing_breaks_it(given_instances: list[tuple[str, dict[str, object]]]) -> None:
    raw = [RawInstance(name, values) for name, values in given_instances]
    found = accept(raw, DISK, frozenset(DISK.properties), "s", lambda _reason: None)
    for one in found:
        for name, value in one.items():
            assert checked(value, DISK.types[name]) == value or value != value
