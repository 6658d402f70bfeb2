"""Column names: what the service takes stays, the rest is repaired without losing a value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extension.rows.columns import MAX_NAME, repaired, valid
from extension.rows.edm import EdmValue

ONE: EdmValue = ("Int32", 1)


def test_good_names_stay() -> None:
    columns = {"A": ONE, "_b9": ONE, "é": ONE}
    assert repaired(columns) == (columns, {})


def test_what_becomes_of_others() -> None:
    columns: dict[str, EdmValue] = {
        "col umn": ("Int32", 1), "col-umn": ("Int32", 2), "col_umn": ("Int32", 3), "9": ("Int32", 4), "": ("Int32", 5)
    }  # fmt: skip
    found, reasons = repaired(columns)
    assert found == {
        "col_umn_2": ("Int32", 1),
        "col_umn_3": ("Int32", 2),
        "col_umn": ("Int32", 3),
        "_9": ("Int32", 4),
        "_": ("Int32", 5),
    }
    assert reasons["column 'col umn' written as col_umn_2"] == 1
    assert len(reasons) == 4


@given(st.dictionaries(st.text(max_size=300), st.just(ONE), max_size=12))
def test_no_value_is_lost(columns: dict[str, EdmValue]) -> None:
    found, _ = repaired(columns)
    assert len(found) == len(columns)
    for name in found:
        assert name.isidentifier()
        assert len(name) <= MAX_NAME
        assert valid(name) == name
