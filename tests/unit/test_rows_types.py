"""What each CIM type becomes in a row (spec/mdsd.md 3.3)."""

from __future__ import annotations

import math

import pytest

from extension.pipeline.records import from_instance
from extension.rows.edm import EdmValue, Row, from_cim
from extension.sinks import limits

CASES: list[tuple[str, object, EdmValue]] = [
    ("boolean", True, ("Boolean", True)),
    ("sint8", -128, ("Int32", -128)),
    ("uint8", 255, ("Int32", 255)),
    ("sint16", -32768, ("Int32", -32768)),
    ("uint16", 65535, ("Int32", 65535)),
    ("sint32", -(2**31), ("Int32", -(2**31))),
    ("char16", 65, ("Int32", 65)),
    ("uint32", 2**32 - 1, ("Int64", 2**32 - 1)),
    ("sint64", -(2**63), ("Int64", -(2**63))),
    ("uint64", 2**63 - 1, ("Int64", 2**63 - 1)),
    ("uint64", 2**63, ("Int64", -(2**63))),
    ("uint64", 2**64 - 1, ("Int64", -1)),
    ("real32", 0.1, ("Double", 0.10000000149011612)),
    ("real32", 1e39, ("Double", math.inf)),
    ("real32", -1e39, ("Double", -math.inf)),
    ("real64", 0.1, ("Double", 0.1)),
    ("string", "", ("String", "")),
    ("uint8", None, ("String", "[NULL]")),
    ("uint8[]", None, ("String", "[NULL]")),
    ("uint8[]", [], ("String", "")),
    ("uint16[]", [2, 3], ("String", "2, 3")),
    ("uint64[]", [2**64 - 1], ("String", "18446744073709551615")),
    ("boolean[]", [True, False], ("String", "true, false")),
    ("real64[]", [1.5, 2.0, 1e20, 0.123456789], ("String", "1.5, 2, 1e+20, 0.123457")),
    ("string[]", ["a", "b"], ("String", "a, b")),
    ("datetime[]", ["20261121091618.000000+000"], ("String", "2026-11-21T09:16:18Z")),
    ("datetime", "20261121091618.747502+000", ("DateTime", "2026-11-21T09:16:18.747502Z")),
    ("datetime", "20261121091618.740000+060", ("DateTime", "2026-11-21T08:16:18.74Z")),
    ("datetime", "20261231233000.000000-060", ("DateTime", "2027-01-01T00:30:00Z")),
    ("datetime", "16010101000000.000000+000", ("DateTime", "1601-01-01T00:00:00Z")),
    ("datetime", "16010101000000.000000+001", ("String", "16010101000000.000000+001")),
    ("datetime", "99991231235959.999999-001", ("String", "99991231235959.999999-001")),
    ("datetime", "00000000000000.000000+000", ("String", "00000000000000.000000+000")),
    ("datetime", "20260230000000.000000+000", ("String", "20260230000000.000000+000")),
    ("datetime", "00000001020304.000000:000", ("String", "00000001020304.000000:000")),
]


@pytest.mark.parametrize(("cim_type", "value", "expected"), CASES)
def test_type_and_value(cim_type: str, value: object, expected: EdmValue) -> None:
    assert from_cim(cim_type, value) == expected


@pytest.mark.parametrize(("cim_type", "value"), [case[:2] for case in CASES])
def test_a_table_takes_it(cim_type: str, value: object) -> None:
    assert limits.check_batch("T20261119", [Row("p", "r", {"A": from_cim(cim_type, value)})], max_rows=100) is None


def test_text_of_an_instance_can_be_stored_and_sent() -> None:
    columns = from_instance({"A\ud800": "x\ud800y", "B": ["\udfff"], "C": "\U0001f600", "D": None}, {"B": "string[]"})
    assert columns == {
        "A\ufffd": ("String", "x\ufffdy"),
        "B": ("String", "\ufffd"),
        "C": ("String", "\U0001f600"),
        "D": ("String", "[NULL]"),
    }
