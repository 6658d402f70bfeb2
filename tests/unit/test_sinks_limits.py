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


def test_the_size_is_exact_at_the_limit() -> None:
    texts: dict[str, EdmValue] = {f"c{i:02}": ("String", "x" * 32768) for i in range(15)}
    texts |= {"d": ("Double", 1.0), "u": ("String", "\u00e9\U0001f600")}
    left = MAX_ENTITY - entity_size(Row("p", "r", texts | {"last": ("String", "")}))
    full = Row("p", "r", texts | {"last": ("String", "x" * (left // 2))})
    assert entity_size(full) == MAX_ENTITY
    assert check_row(full) is None
    over = check_row(Row("p", "r", full.columns | {"u": ("String", "\u00e9\U0001f600e")}))
    assert over is not None
    assert over[0] == "EntityTooLarge"


@given(st.text(alphabet=st.characters(max_codepoint=0x17F), max_size=6), st.integers(0, 600))
def test_keys_that_look_usual_are_judged_as_all_others(text: str, length: int) -> None:
    key = (text * (length // max(len(text), 1) + 1))[:length] if text else ""
    forbidden = any(c in "/\\#?" or ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in key)
    found = check_row(Row("p", key, {}))
    assert (found is None) == (len(key) <= 512 and not forbidden)


def test_numbers_without_measure_are_refused_in_few_words() -> None:
    for kind, value in (("Int64", 10**5000), ("Int32", -(10**5000)), ("Double", 10**5000), ("Boolean", 10**5000)):
        found = check_row(Row("p", "r", {"V": (kind, value)}))
        assert found is not None
        assert found[0] in ("OutOfRangeInput", "InvalidInput")
        assert len(found[1]) < 200
