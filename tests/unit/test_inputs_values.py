"""Conversions of the JSON inputs, against what mdsd stored for the same values (spec/mdsd.md 6.1, 12)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.inputs import timestamps
from extension.inputs.answer import MAX_TIME_US, MIN_TIME_US, text
from extension.inputs.convert import CONVERTERS, leading_float, leading_int, wrap_int32
from extension.inputs.tags import TagWindow
from extension.rows import ticks
from extension.rows.edm import EdmValue


@pytest.fixture
def west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is five hours behind UTC."""
    monkeypatch.setenv("TZ", "XXX+5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("2017-03-27T19:45:00.123456Z", "2017-03-27T19:45:00.123456Z"),
        ("2017-03-27T19:45:00,5+02:00", "2017-03-27T17:45:00.500000Z"),
        ("2017-03-27T19:45:00-05:30", "2017-03-28T01:15:00Z"),
        ("  2017-03-27T19:45:00Z  ", "2017-03-27T19:45:00Z"),
        ("20170327T194500.25Z", "2017-03-27T19:45:00.250000Z"),
        ("20170327T194500+0200", "2017-03-27T17:45:00Z"),
        ("20170327T19:45:00.5Z", "2017-03-27T19:45:00.500000Z"),
        ("2017-03-27T19:45:00.1234567890Z", "2017-03-27T19:45:00.123456Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2017-02-30T00:00:00Z", "2017-03-02T00:00:00Z"),
        ("2017-13-01T00:00:00Z", "2018-01-01T00:00:00Z"),
        ("1601-01-01T00:00:00Z", "1601-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_rfc3339_accepted(given_text: str, expected: str) -> None:
    us = timestamps.rfc3339(given_text)
    assert us is not None
    assert ticks.iso(us) == expected


@pytest.mark.parametrize(
    "given_text",
    [
        "20170327T194500Z",  # shorter than 19
        "2017-03-27 19:45:00",
        "2017-03-27 19:45:00Z",
        "bad",
        "",
        "2017-03-27T19:45:00+0200",  # delimited date, compact offset
        "20170327T194500+02:00xxx",
        "20170327T194500.0+02:00",
        "2017-03-27T19:45:00Zjunk",
        "2017-03-27T19:45Z      ",
        "1600-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "٢٠١٧-03-27T19:45:00Z",
        "9" * 400,
        "2017-03-27T999999999:999999999:999999999Z" * 2,
        "999999999-03-27T19:45:00Z",
    ],
)
def test_rfc3339_refused(given_text: str) -> None:
    assert timestamps.rfc3339(given_text) is None


@pytest.mark.usefixtures("west")
def test_rfc3339_without_zone_is_local_time() -> None:
    us = timestamps.rfc3339("2017-03-27T19:45:00")
    assert us is not None
    assert ticks.iso(us) == "2017-03-28T00:45:00Z"


@given(st.integers(MIN_TIME_US, MAX_TIME_US))
def test_rfc3339_reads_what_the_tables_write(us: int) -> None:
    assert timestamps.rfc3339(ticks.iso(us)) == us


@given(st.text(max_size=60) | st.from_regex(r"[0-9]{1,12}-?[0-9]{0,12}-?[0-9]{0,12}T?[0-9:.,+-]{0,40}Z?"))
def test_rfc3339_never_fails_otherwise(value: str) -> None:
    us = timestamps.rfc3339(value)
    assert us is None or MIN_TIME_US <= us <= MAX_TIME_US


@pytest.mark.parametrize(
    ("pair", "value", "expected"),
    [
        ("bool/mt:bool", True, ("Boolean", True)),
        ("bool/mt:bool", 1, None),
        ("bool/mt:bool", "true", None),
        ("str/mt:bool", "TRUE", ("Boolean", True)),
        ("str/mt:bool", "1", ("Boolean", True)),
        ("str/mt:bool", "yes", ("Boolean", False)),
        ("str/mt:bool", True, None),
        ("str/mt:wstr", "café 😀", ("String", "café 😀")),
        ("str/mt:wstr", "\ud800x", ("String", "\ufffdx")),
        ("str/mt:wstr", 5, None),
        ("double/mt:float64", 3, ("Double", 3.0)),
        ("double/mt:float64", 1.5, ("Double", 1.5)),
        ("double/mt:float64", "1.5", None),
        ("double/mt:float64", True, None),
        ("double/mt:float64", 10**400, None),
        ("str/mt:float64", "1e3", ("Double", 1000.0)),
        ("str/mt:float64", "abc", ("Double", 0.0)),
        ("str/mt:float64", " -2.5kg", ("Double", -2.5)),
        ("str/mt:float64", "0x10p1", ("Double", 32.0)),
        ("int/mt:int32", 7, ("Int32", 7)),
        ("int/mt:int32", 3000000000, ("Int32", -1294967296)),
        ("int/mt:int32", "str", None),
        ("int/mt:int32", False, None),
        ("str/mt:int32", " 12x", ("Int32", 12)),
        ("str/mt:int32", "zz", ("Int32", 0)),
        ("str/mt:int32", "3000000000", ("Int32", -1294967296)),
        ("int/mt:int64", 5000000000, ("Int64", 5000000000)),
        ("int/mt:int64", 1.9, ("Int64", 1)),
        ("int/mt:int64", 2**63, None),
        ("int/mt:int64", math.nan, None),
        ("str/mt:int64", "", ("Int64", 0)),
        ("str/mt:int64", "-1", ("Int64", -1)),
        ("str/mt:int64", "9" * 5000, ("Int64", 2**63 - 1)),
        ("str/mt:int64", "-" + "9" * 5000, ("Int64", -(2**63))),
        ("str/mt:int64", "0" * 5000 + "7", ("Int64", 7)),
        ("int-timet/mt:utc", 0, ("DateTime", "1970-01-01T00:00:00Z")),
        ("int-timet/mt:utc", 1490643900, ("DateTime", "2017-03-27T19:45:00Z")),
        ("int-timet/mt:utc", 10**15, None),
        ("double-timet/mt:utc", 1490643900.25, ("DateTime", "2017-03-27T19:45:00.250000Z")),
        ("double-timet/mt:utc", 1e-06, ("DateTime", "1970-01-01T00:00:00.000001Z")),
        ("double-timet/mt:utc", -1.0, None),
        ("double-timet/mt:utc", math.inf, None),
        ("double-timet/mt:utc", math.nan, None),
        ("str-rfc3339/mt:utc", "2017-03-27T19:45:00Z", ("DateTime", "2017-03-27T19:45:00Z")),
        ("str-rfc3339/mt:utc", 5, None),
    ],
)
def test_converters(pair: str, value: object, expected: EdmValue | None) -> None:
    kind, _, mds = pair.partition("/")
    assert CONVERTERS[kind, mds](value) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(sorted(CONVERTERS)), JSON)
def test_converters_give_the_type_they_promise_or_nothing(pair: tuple[str, str], value: object) -> None:
    kinds = {
        "mt:bool": "Boolean",
        "mt:wstr": "String",
        "mt:float64": "Double",
        "mt:int32": "Int32",
        "mt:int64": "Int64",
        "mt:utc": "DateTime",
    }
    converted = CONVERTERS[pair](value)
    if converted is not None:
        assert converted[0] == kinds[pair[1]]
        if converted[0] == "Int32":
            assert -(2**31) <= converted[1] < 2**31
        if converted[0] == "Int64":
            assert -(2**63) <= converted[1] < 2**63


@given(st.integers(-(2**63), 2**63 - 1))
def test_leading_int_reads_what_it_should(number: int) -> None:
    assert leading_int(f"\t {number}rest") == number
    assert (wrap_int32(number) - number) % 2**32 == 0


@given(st.floats(allow_nan=False))
def test_leading_float_reads_what_it_should(number: float) -> None:
    assert leading_float(f" {number!r} rest") == number


def test_text_keeps_pairs_and_replaces_lone_surrogates() -> None:
    assert text("a\ud83d\ude00b\udc00") == "a😀b\ufffd"


SECOND = ticks.SECOND_US


def test_a_tag_is_a_duplicate_for_the_window_and_not_for_one_and_a_half() -> None:
    for began in range(0, 1800, 300):
        tags = TagWindow(3600)
        base = 10**9 * SECOND
        assert not tags.seen("first", base)
        assert not tags.seen("t", base + began * SECOND)
        assert tags.seen("t", base + (began + 3599) * SECOND)
        again = TagWindow(3600)
        assert not again.seen("first", base)
        assert not again.seen("t", base + began * SECOND)
        assert not again.seen("t", base + (began + 5401) * SECOND)


def test_tags_are_bounded_and_the_newest_are_kept() -> None:
    tags = TagWindow(3600, lambda: 30)
    for i in range(1000):
        assert not tags.seen(f"tag {i}", SECOND)
    assert tags.seen("tag 999", SECOND)
    assert tags.seen("tag 985", SECOND)
    assert not tags.seen("tag 1", SECOND)


def test_tags_are_fewer_when_their_share_becomes_smaller() -> None:
    share = [300]
    tags = TagWindow(3600, lambda: share[0])
    for i in range(250):
        assert not tags.seen(f"tag {i}", SECOND)
    share[0] = 30
    for i in range(250, 300):
        assert not tags.seen(f"tag {i}", SECOND)
    assert not tags.seen("tag 240", SECOND)
    assert tags.seen("tag 299", SECOND)


def test_long_tags_are_told_apart() -> None:
    tags = TagWindow(60)
    assert not tags.seen("x" * 100 + "a", SECOND)
    assert not tags.seen("x" * 100 + "b", SECOND)
    assert tags.seen("x" * 100 + "a", SECOND)


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    tags = TagWindow(60)
    assert not tags.seen("t", 10**9 * SECOND)
    assert tags.seen("t", 10**8 * SECOND)
    assert tags.seen("t", 10**8 * SECOND + 29 * SECOND)
