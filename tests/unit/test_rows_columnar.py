"""Rows that are alike are checked and encoded column by column: with the same verdicts and bytes as one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.rows import packed
from extension.rows.columnar import Column, Columnar, Reals, columnar, joined
from extension.rows.edm import EdmValue, Row
from extension.sinks import azure_batch, limits
from extension.store import bodies

KINDS = ["String", "Int32", "Int64", "Double", "Boolean", "DateTime"]
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "String": st.one_of(st.just("%s {}"), st.text(max_size=6)),
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Double": st.one_of(st.floats(), st.integers(-9, 9)),
    "Boolean": st.booleans(),
    "DateTime": st.sampled_from(["2026-11-21T09:18:00Z", "1601-01-01T00:00:00.0000001Z"]),
}
ODD = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 10**400, math.nan, "x" * 32768, "x" * 32769, "\U0001f600" * 16385]),
    st.just("1600-12-31T23:59:59Z"),
)
KEYS = st.one_of(
    st.text("ab:_-.~%'\" ", max_size=5),
    st.text(max_size=3),
    st.sampled_from(["a/b", "a\x7f", "x" * 512, "x" * 513, "\U0001f600" * 257]),
)
BAD_NAMES = st.sampled_from(["a-b", "1a", "RowKey", "n" * 256])


@st.composite
def alike(draw: st.DrawFn) -> list[Row]:
    """Rows of one partition with the same columns; mostly good ones, some of them sharing their columns."""
    names = draw(st.lists(st.sampled_from(["A", "B", "Größe", "C_1"]), min_size=1, unique=True))
    names += draw(st.lists(BAD_NAMES, max_size=1)) if draw(st.integers(0, 9)) == 0 else []
    kinds = [draw(st.sampled_from(KINDS)) for _ in names]
    rows: list[Row] = []
    for key in draw(st.lists(KEYS, min_size=1, max_size=6)):
        columns: dict[str, EdmValue] = {}
        for name, kind in zip(names, kinds, strict=True):
            odd = draw(st.integers(0, 30)) == 0
            chosen = draw(st.sampled_from([*KINDS, "Blob"])) if odd else kind
            columns[name] = (chosen, draw(ODD if odd else GOOD[kind]))
        shared: bool = draw(st.booleans())
        rows.append(Row("p%", key, rows[-1].columns if rows and shared else columns))
    return rows


def one_by_one(module: Any, work: Callable[[], Any]) -> Any:
    """``work`` when no rows are found to be alike."""
    with mock.patch.object(module, "columnar", return_value=None):
        return work()


@given(alike())
def test_column_by_column_is_judged_as_row_by_row(rows: list[Row]) -> None:
    assert columnar(rows) is not None
    assert limits.check_batch("Tab", rows) == one_by_one(limits, lambda: limits.check_batch("Tab", rows))


@given(alike())
def test_column_by_column_is_written_as_row_by_row(rows: list[Row]) -> None:
    good = [row for row in rows if limits.check_row(row) is None]
    if not good:
        return
    with mock.patch("uuid.uuid4", return_value=mock.Mock(hex="1")):
        found = azure_batch.encode("http://h/%s/a", "Tab", good)
        assert found == one_by_one(azure_batch, lambda: azure_batch.encode("http://h/%s/a", "Tab", good))
    for row in good:
        assert azure_batch.encode_entity(row).encode() in found[0]


ODD_VALUES: list[EdmValue] = [
    *((kind, value) for kind in ("Int32", "Int64") for value in (2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63)),
    *((kind, value) for kind in (*KINDS, "Blob") for value in (None, True, 1, 1.5, "", "x" * 32769, b"", 10**400)),
    *(("Double", value) for value in (math.nan, math.inf, -math.inf, -0.0, 5e-324)),
    *(("String", value) for value in ("a%sb", '"\\\n', "é", "\ud800", "x" * 32768, "\U0001f600" * 16385)),
    *(("DateTime", value) for value in ("1600-12-31T23:59:59Z", "2026-02-29T00:00:00Z", "1601-01-01T00:00:00Z")),
]
USUAL = {"String": "s", "Int32": 1, "Int64": 1, "Double": 1.5, "Boolean": True, "DateTime": "2026-11-21T09:18:00Z"}


@pytest.mark.parametrize("typed", ODD_VALUES, ids=lambda typed: f"{typed[0]} {repr(typed[1])[:12]}")
@pytest.mark.parametrize("before", KINDS)
def test_one_odd_value_makes_no_difference(typed: EdmValue, before: str) -> None:
    values = [(before, USUAL[before])] * 2 + [typed]
    rows = [Row("p", f"r{i}", {"A": value, "B": ("String", "100 %")}) for i, value in enumerate(values)]
    work = partial(limits.check_batch, "Tab", rows)
    assert work() == one_by_one(limits, work)
    if work() is None:
        with mock.patch("uuid.uuid4", return_value=mock.Mock(hex="1")):
            write = partial(azure_batch.encode, "http://h/a", "Tab", rows)
            assert write() == one_by_one(azure_batch, write)


@pytest.mark.parametrize(
    "key", ["", "a", "r0", "a/b", "a\x1f", "a\x80", "\ud800", "x" * 512, "x" * 513, "é'%: ", 5, None]
)
def test_one_odd_key_makes_no_difference(key: str) -> None:
    for rows in (
        [Row("p", k, {"A": ("Int32", 1)}) for k in ("r0", "r1", key)],
        [Row(key, k, {"A": ("Int32", 1)}) for k in ("r0", "r1")],
    ):
        work = partial(limits.check_batch, "Tab", rows)
        assert work() == one_by_one(limits, work)


@pytest.mark.parametrize("texts", [16, 5])
def test_rows_too_large_together_or_alone_are_found(texts: int) -> None:
    columns: dict[str, EdmValue] = {f"c{i}": ("String", "x" * 32768) for i in range(texts)}
    for count in (1, 2, 13, 20):
        rows = [Row("p", str(i), dict(columns)) for i in range(count)]
        assert limits.check_batch("Tab", rows) == one_by_one(limits, partial(limits.check_batch, "Tab", rows))


@given(alike())
def test_rows_come_back_as_they_were(rows: list[Row]) -> None:
    found = columnar(rows)
    assert found is not None
    assert [repr(row) for row in found] == [repr(row) for row in rows]
    assert (len(found), found[0], found[-1:]) == (len(rows), rows[0], rows[-1:]) or "nan" in repr(rows)
    assert columnar(found) is found


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row("p", "a", {})],
        [Row("p", "a", {"A": ("Int32", 1)}), Row("q", "b", {"A": ("Int32", 1)})],
        [Row("p", "a", {"A": ("Int32", 1)}), Row("p", "b", {"B": ("Int32", 1)})],
        [Row("p", "a", {"A": ("Int32", 1), "B": ("Int32", 1)}), Row("p", "b", {"B": ("Int32", 1), "A": ("Int32", 1)})],
    ],
)
def test_rows_that_are_not_alike(rows: list[Row]) -> None:
    assert columnar(rows) is None


@pytest.mark.parametrize(
    ("keys", "counts", "columns"),
    [
        ([], [], [Column("A", "Int32", [])]),
        (["a"], [1], []),
        (["a"], [1, 1], [Column("A", "Int32", [1, 2])]),
        (["a", "b"], [1, 1], [Column("A", "Int32", [1])]),
        (["a", "b"], [1, 1], [Column("A", ["Int32"], [1, 2])]),
        (["a", "b"], [1, 1], [Column("A", "Int32", [1, 2, 3])]),
    ],
)
def test_what_misses_something_is_no_rows(keys: list[str], counts: list[int], columns: list[Column]) -> None:
    with pytest.raises(ValueError, match="row keys"):
        Columnar("p", keys, counts, columns)


def stored(rows: list[Row]) -> Sequence[Row]:
    """As they come back from the outbox."""
    return packed.read(bodies.to_json(packed.pack(rows)).encode("utf-8", "surrogatepass"))


@given(alike())
def test_rows_of_the_outbox_are_what_was_put_into_it(rows: list[Row]) -> None:
    again = stored(rows)
    assert [repr(row) for row in again] == [repr(row) for row in rows]
    assert limits.check_batch("Tab", again) == limits.check_batch("Tab", rows)
    if limits.check_batch("Tab", rows) is None:
        with mock.patch("uuid.uuid4", return_value=mock.Mock(hex="1")):
            assert azure_batch.encode("http://h/a", "Tab", again) == azure_batch.encode("http://h/a", "Tab", rows)


@pytest.mark.parametrize("numbers", [[0.1, -0.0, 1e15], [5e-324, 1.5], [1e16], [math.inf, 0.5], [math.nan], [1, 0.5]])
def test_doubles_of_the_outbox_become_numbers_when_asked_for(numbers: list[float]) -> None:
    rows = [Row("p", str(i), {"D": ("Double", number)}) for i, number in enumerate(numbers)]
    again = stored(rows)
    assert isinstance(again, Columnar)
    assert isinstance(again.columns[0].values, Reals) is (numbers[0] == 0.1)
    assert [repr(row) for row in again] == [repr(row) for row in rows]
    assert all(type(row.columns["D"][1]) is type(n) for row, n in zip(again, numbers, strict=True))
    assert all(type(row.columns["D"][1]) is type(n) for row, n in zip(again[1:], numbers[1:], strict=True))


@pytest.mark.parametrize("text", ["1.0e999", "1" * 400 + ".0", "-1.0E400"])
def test_a_number_that_no_double_holds_is_not_sent_as_it_stands(text: str) -> None:
    again = packed.read(b'{"p":"p","k":["a","b"],"n":[1,1],"c":[["D","Double",[%s,0.5]]]}' % text.encode())
    body, _ = azure_batch.encode("http://h/a", "Tab", again)
    assert text.encode() not in body
    assert b'"D":"%sInfinity"' % (b"-" if text[0] == "-" else b"") in body


def test_a_column_of_reals_can_be_cut_and_read_by_position() -> None:
    found = Reals(["0.5", "1.25", "2.0"])
    assert (list(found), found[1], list(found[1:])) == ([0.5, 1.25, 2.0], 1.25, [1.25, 2.0])
    assert (len(found), 2.0 in found) == (3, True)


@pytest.mark.parametrize("kind", ["String", "Int32"])
def test_a_number_under_another_type_is_found_as_before(kind: str) -> None:
    rows = [Row("p", "a", {"A": (kind, 1.5)})]
    refusal = limits.check_batch("Tab", stored(rows))
    assert refusal == limits.check_batch("Tab", rows)
    assert refusal is not None


def test_rows_that_are_not_alike_come_back_with_numbers() -> None:
    rows = [Row("p", "a", {"A": ("Double", 1.5)}), Row("p", "b", {"B": ("Double", 2.5), "C": ("String", "1.5")})]
    assert [repr(row) for row in stored(rows)] == [repr(row) for row in rows]


@given(st.lists(alike(), min_size=1, max_size=4), st.booleans())
def test_rows_that_are_joined_are_those_of_all_parts(given_rows: list[list[Row]], from_outbox: bool) -> None:
    parts = [found for rows in given_rows if (found := columnar(stored(rows) if from_outbox else rows)) is not None]
    both = joined(parts)
    names = {tuple(column.name for column in part.columns) for part in parts}
    assert (both is None) is (len(names) > 1)
    if both is not None:
        assert [repr(row) for row in both] == [repr(row) for part in parts for row in part]
        assert [repr(row) for row in stored(list(both))] == [repr(row) for row in both]


def test_parts_of_other_partitions_or_widths_are_not_joined() -> None:
    one = Columnar("p", ["a"], [1], [Column("A", "Int32", [1])])
    other = Columnar("q", ["b"], [1], [Column("A", "Int32", [1])])
    wider = Columnar("p", ["b"], [1], [Column("A", "Int32", [1]), Column("B", "String", "x")])
    assert joined([one, other]) is None
    assert joined([one, wider]) is None
    assert joined([one]) == list(one)


def test_a_text_of_all_parts_stands_for_all_and_another_for_its_own() -> None:
    parts = [
        Columnar("p", [f"{n}a", f"{n}b"], [2], [Column("S", "String", "same"), Column("T", "String", text)])
        for n, text in enumerate("xy")
    ]
    both = joined(parts)
    assert both is not None
    assert (both.columns[0].values, both.columns[1].values) == ("same", ["x", "y"])
    assert [row.columns["T"][1] for row in both] == ["x", "x", "y", "y"]
