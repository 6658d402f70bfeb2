"""The service's rules, checked before sending (spec/storage.md 4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.rows.edm import EdmValue, Row
from extension.sinks.limits import MAX_ENTITY, check_batch, check_row, check_table, entity_size, utf16_units


def with_columns(**columns: Any) -> Row:
    return Row("p", "r", columns)


@pytest.mark.parametrize("name", ["abc", "A1b", "WADMetricsPT1MP10DV2S20261119", "x" * 63])
def test_good_table_names(name: str) -> None:
    assert check_table(name) is None


@pytest.mark.parametrize("name", ["", "ab", "1ab", "a-b", "a_b", "tables", "Tables", "x" * 64, "abc\n", "äbc", "ab٣"])
def test_bad_table_names(name: str) -> None:
    refusal = check_table(name)
    assert refusal is not None
    assert (refusal.code, refusal.reaction) == ("InvalidResourceName", "drop-batch")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (Row("p/q", "r", {}), "InvalidInput"),
        (Row("p", "a\\b", {}), "InvalidInput"),
        (Row("p", "a#b", {}), "InvalidInput"),
        (Row("p", "a?b", {}), "InvalidInput"),
        (Row("p", "a\tb", {}), "InvalidInput"),
        (Row("p", "a\x7fb", {}), "InvalidInput"),
        (Row("p", "a\x9fb", {}), "InvalidInput"),
        (Row("p", "a\ud800b", {}), "InvalidInput"),
        (Row("p" * 513, "r", {}), "KeyValueTooLarge"),
        (Row("p", "😀" * 257, {}), "KeyValueTooLarge"),
        (Row("p", 5, {}), "PropertiesNeedValue"),  # type: ignore[arg-type]
        (with_columns(T=("String", "x" * 32769)), "PropertyValueTooLarge"),
        (with_columns(T=("String", "😀" * 16385)), "PropertyValueTooLarge"),
        (with_columns(T=("String", 5)), "InvalidInput"),
        (with_columns(T=("Int32", 2**31)), "OutOfRangeInput"),
        (with_columns(T=("Int32", True)), "InvalidInput"),
        (with_columns(T=("Int64", -(2**63) - 1)), "OutOfRangeInput"),
        (with_columns(T=("Int64", "5")), "InvalidInput"),
        (with_columns(T=("Double", "NaN")), "InvalidInput"),
        (with_columns(T=("Boolean", 1)), "InvalidInput"),
        (with_columns(T=("DateTime", "2026-11-21 09:18:00")), "InvalidInput"),
        (with_columns(T=("DateTime", "2026-13-21T09:18:00Z")), "InvalidInput"),
        (with_columns(T=("DateTime", "2026-11-21T09:18:00.12345678Z")), "InvalidInput"),
        (with_columns(T=("DateTime", "1600-12-31T23:59:59Z")), "OutOfRangeInput"),
        (with_columns(T=("Blob", b"")), "InvalidValueType"),
        (with_columns(**{"a-b": ("Int32", 1)}), "PropertyNameInvalid"),
        (with_columns(**{"1a": ("Int32", 1)}), "PropertyNameInvalid"),
        (with_columns(**{"": ("Int32", 1)}), "PropertyNameInvalid"),
        (with_columns(**{"a" * 256: ("Int32", 1)}), "PropertyNameTooLong"),
        (with_columns(RowKey=("String", "x")), "DuplicatePropertiesSpecified"),
        (with_columns(**{f"c{i}": ("Int32", i) for i in range(253)}), "TooManyProperties"),
        (with_columns(**{f"c{i}": ("String", "x" * 32768) for i in range(16)}), "EntityTooLarge"),
    ],
)
def test_rows_the_service_refuses(row: Row, code: str) -> None:
    found = check_row(row)
    assert found is not None
    assert found[0] == code
    assert len(found[1]) < 200


@pytest.mark.parametrize(
    "row",
    [
        Row("", "", {}),
        Row("p" * 512, "😀" * 256, {}),
        with_columns(T=("String", "x" * 32768), N=("String", None), E=("String", "")),
        with_columns(T=("Int32", -(2**31)), U=("Int64", 2**63 - 1), V=("Double", 1), W=("Boolean", True)),
        with_columns(T=("DateTime", "1601-01-01T00:00:00.0000001Z"), Größe=("Double", float("nan"))),
        with_columns(**{f"c{i}": ("Int32", i) for i in range(252)}),
    ],
)
def test_rows_at_the_limit_pass(row: Row) -> None:
    assert check_row(row) is None


def test_entity_size_is_the_documented_formula() -> None:
    row = Row("ab", "c", {"Name": ("String", "xyz"), "I": ("Int32", 1), "L": ("Int64", 1), "B": ("Boolean", True)})
    assert entity_size(row) == 4 + 6 + (8 + 8 + 4 + 6) + (8 + 2 + 4) + (8 + 2 + 8) + (8 + 2 + 1)
    big = with_columns(**{f"c{i:02d}": ("String", "x" * 32000) for i in range(17)})
    assert entity_size(big) > MAX_ENTITY


def rows(*keys: str, pk: str = "p", value: EdmValue = ("Int32", 1)) -> list[Row]:
    return [Row(pk, key, {"V": value}) for key in keys]


def test_batches() -> None:
    assert check_batch("abc", []) is None
    assert check_batch("abc", rows("a", "b")) is None
    many = check_batch("abc", rows(*map(str, range(101))))
    mixed = check_batch("abc", [*rows("a"), *rows("b", pk="q")])
    twice = check_batch("abc", rows("a", "b", "a"))
    large = check_batch("abc", [with_columns(**{f"c{i}": ("String", "x" * 32000) for i in range(16)})] * 1)
    assert many is not None
    assert mixed is not None
    assert twice is not None
    assert (many.reaction, mixed.reaction) == ("split", "split")
    assert (twice.reaction, twice.code, twice.row) == ("drop-row", "InvalidDuplicateRow", 2)
    assert large is None
    texts: dict[str, EdmValue] = {f"c{i}": ("String", "x" * 32000) for i in range(16)}
    heavy = check_batch("abc", [Row("p", str(i), texts) for i in range(5)])
    assert heavy is not None
    assert (heavy.reaction, heavy.code) == ("split", "RequestBodyTooLarge")


@given(st.text())
def test_utf16_units_counts_as_utf16_does(text: str) -> None:
    assert utf16_units(text) == sum(2 if ord(c) > 0xFFFF else 1 for c in text)


@given(
    st.text(),
    st.text(),
    st.dictionaries(
        st.text(),
        st.tuples(
            st.sampled_from(["String", "Int32", "Int64", "Double", "Boolean", "DateTime", "?"]),
            st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.binary()),
        ),
    ),
)
def test_no_row_makes_the_check_fail(pk: str, rk: str, columns: dict[str, EdmValue]) -> None:
    found = check_row(Row(pk, rk, columns))
    assert found is None or found[0].isalnum()
