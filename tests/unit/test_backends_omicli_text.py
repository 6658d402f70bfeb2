"""Reading what omicli prints."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries.backends.omicli_text import TextError, convert, parse

TYPES = {
    "Caption": "string",
    "Name": "string",
    "IsAggregate": "boolean",
    "PercentIdleTime": "uint8",
    "AverageReadTime": "real64",
    "Status": "uint16[]",
    "Note": "string",
}


def _printed(values: Mapping[str, object], class_name: str = "X") -> str:
    lines = "".join(f"    {'[Key] ' if n == 'Name' else ''}{n}={v}\n" for n, v in values.items())
    return f"instance of {class_name}\n{{\n{lines}}}\n"


def test_types_keys_nulls_arrays() -> None:
    [one] = parse(
        _printed({"Name": "a=b", "IsAggregate": "true", "PercentIdleTime": 61, "AverageReadTime": "1.5e-05",
                  "Status": "{2, 5}", "Note": "NULL"}), TYPES,
    )  # fmt: skip
    assert one.values == {
        "Name": "a=b", "IsAggregate": True, "PercentIdleTime": 61, "AverageReadTime": 1.5e-05, "Status": [2, 5],
        "Note": None,
    }  # fmt: skip
    assert one.class_name == "X"
    assert parse("", TYPES) == []
    assert parse("instance of X\n{\n}\n", TYPES)[0].values == {}


@pytest.mark.parametrize("text", ["hello\n", "two\n\nlines", "a\n}\nb", "a\n    Name=b", "}\n{", "x\ninstance of X\ny"])
def test_values_of_several_lines(text: str) -> None:
    printed = _printed({"Name": "n", "IsAggregate": "false", "Note": text}) + _printed({"Name": "second"})
    first, second = parse(printed, TYPES)
    assert first.values == {"Name": "n", "IsAggregate": False, "Note": text}
    assert second.values == {"Name": "second"}


def test_numbers_may_come_in_any_order() -> None:
    [one] = parse(_printed({"PercentIdleTime": 1, "IsAggregate": "true"}), TYPES)
    assert one.values == {"PercentIdleTime": 1, "IsAggregate": True}


def test_properties_that_the_class_has_not() -> None:
    [one] = parse(_printed({"PercentIdleTime": 5, "Vendor": 7, "Status": "{}"}), TYPES)
    assert one.values == {"PercentIdleTime": 5, "Vendor": "7", "Status": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "line 1 begins no instance"),
        ("instance of X\n", "line 1 begins no instance"),
        ("instance of X\n{\n    Name=x\n", "has no end"),
        ("instance of X\n{\njunk\n}\n", "line 3 is no property"),
        ("instance of X\n{\n    PercentIdleTime=1\njunk\n}\n", "line 4 is no property"),
        (_printed({"Name": "x"}) + "tail", "has no end"),
    ],
)
def test_what_is_no_output(text: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        parse(text, TYPES)


@pytest.mark.parametrize(
    ("text", "cim_type", "value"),
    [("12", "uint8", 12), ("1_2", "uint8", "1_2"), ("", "uint8", ""), (" 1", "uint8", " 1"), ("1e3", "real64", 1000.0),
     ("9" * 50, "uint64", "9" * 50), ("yes", "boolean", "yes"), ("TRUE", "boolean", True),
     ("{a, b}", "string[]", ["a", "b"]),
     ("NULL", "uint8", None), ("x", "uint16[]", "x")],
)  # fmt: skip
def test_conversions(text: str, cim_type: str, value: object) -> None:
    found = convert(text, cim_type)
    assert (type(found), found) == (type(value), value)


@given(st.text(alphabet="{}=\n anmei[Key] stcofX_N01,", max_size=300))
def test_no_text_does_more_than_say_so(text: str) -> None:
    try:
        said = str(parse(text, TYPES))
    except TextError as error:
        said = str(error)
    assert "\n" not in said


SAFE = st.text(alphabet="abc =}{\n", max_size=30).filter(lambda t: t != "NULL")


@given(st.lists(st.tuples(SAFE, st.integers(0, 255)), max_size=5))
def test_what_was_printed_is_read_back(rows: list[tuple[str, int]]) -> None:
    text = "".join(_printed({"Name": f"n{i}", "PercentIdleTime": n, "Note": note}) for i, (note, n) in enumerate(rows))
    found = parse(text, TYPES)
    assert [(one.values["Note"], one.values["PercentIdleTime"]) for one in found] == rows
