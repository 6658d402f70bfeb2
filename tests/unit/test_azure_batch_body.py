"""The ``$batch`` body: its frame read back by the standard library, its rows by json, for every row that is allowed."""

from __future__ import annotations

import email.parser
import email.policy
import json
import math
import re
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.rows.edm import EdmValue, Row
from extension.sinks.azure_batch import encode, encode_entity, key_in_url, repaired
from extension.sinks.limits import check_batch, check_row

ADDRESS = "https://acct.table.core.windows.net"


def parts_of(body: bytes, content_type: str) -> list[tuple[str, dict[str, str], str]]:
    """(request line, headers, entity) of each operation, read by ``email``."""
    text = b"MIME-Version: 1.0\r\nContent-Type: " + content_type.encode() + b"\r\n\r\n" + body
    outer = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text)
    (changes,) = outer.iter_parts()
    assert changes.get_content_type() == "multipart/mixed"
    found = []
    for number, part in enumerate(changes.iter_parts()):
        assert part.get_content_type() == "application/http"
        assert part["Content-Transfer-Encoding"] == "binary"
        assert part["Content-ID"] == str(number)
        payload = part.get_payload(decode=False)
        assert isinstance(payload, str)
        head, _, entity = payload.replace("\r\n", "\n").partition("\n\n")
        line, *headers = head.split("\n")
        found.append((line, {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers)}, entity))
    return found


def test_one_change_set_of_replacing_puts() -> None:
    rows = [Row("p__:005C1", f"r'{i}", {"V": ("Int32", i)}) for i in range(100)]
    body, content_type = encode(ADDRESS, "Tab", rows)
    parts = parts_of(body, content_type)
    assert [p[0] for p in parts] == [
        f"PUT {ADDRESS}/Tab(PartitionKey='p__%3A005C1',RowKey='r%27%27{i}') HTTP/1.1" for i in range(100)
    ]
    for i, (_, headers, entity) in enumerate(parts):
        assert headers["content-type"] == "application/json"
        assert headers["dataserviceversion"] == "3.0"
        assert "if-match" not in headers  # with it the service would only replace what is there
        assert int(headers["content-length"]) == len(entity.encode())
        assert json.loads(entity) == {"PartitionKey": "p__:005C1", "RowKey": f"r'{i}", "V": i}


def test_two_bodies_share_no_boundary() -> None:
    rows = [Row("p", "r", {})]
    assert encode(ADDRESS, "Tab", rows)[1] != encode(ADDRESS, "Tab", rows)[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (("Int64", 7), '"V@odata.type":"Edm.Int64","V":"7"'),
        (("Int64", -(2**63)), '"V@odata.type":"Edm.Int64","V":"-9223372036854775808"'),
        (("Int32", 7), '"V":7'),
        (("Double", 1.0), '"V@odata.type":"Edm.Double","V":1.0'),
        (("Double", 1), '"V@odata.type":"Edm.Double","V":1.0'),
        (("Double", -0.0), '"V@odata.type":"Edm.Double","V":-0.0'),
        (("Double", 1e300), '"V@odata.type":"Edm.Double","V":1e+300'),
        (("Double", 5e-324), '"V@odata.type":"Edm.Double","V":5e-324'),
        (("Double", math.nan), '"V@odata.type":"Edm.Double","V":"NaN"'),
        (("Double", math.inf), '"V@odata.type":"Edm.Double","V":"Infinity"'),
        (("Double", -math.inf), '"V@odata.type":"Edm.Double","V":"-Infinity"'),
        (("Boolean", True), '"V":true'),
        (("Boolean", False), '"V":false'),
        (
            ("DateTime", "2026-11-21T09:17:55.6389981Z"),
            '"V@odata.type":"Edm.DateTime","V":"2026-11-21T09:17:55.6389981Z"',
        ),
        (("String", ""), '"V":""'),
        (("String", 'a"\\\r\n\x00'), '"V":"a\\"\\\\\\r\\n\\u0000"'),
        (("String", "\u00e9\U0001f600"), '"V":"\\u00e9\\ud83d\\ude00"'),
        (("String", "\ud83d\ude00 \udcff"), '"V":"\\ud83d\\ude00 \\ufffd"'),
    ],
)
def test_every_type_keeps_its_mark(value: EdmValue, text: str) -> None:
    assert encode_entity(Row("p", "r", {"V": value})) == '{"PartitionKey":"p","RowKey":"r",' + text + "}"


def test_null_columns_are_left_out() -> None:
    row = Row("p", "r", {"A": ("String", None), "B": ("Int64", None), "C": ("Int32", 1)})
    assert json.loads(encode_entity(row)) == {"PartitionKey": "p", "RowKey": "r", "C": 1}


@given(st.text())
def test_a_key_comes_out_of_the_address_as_it_was(key: str) -> None:
    key = repaired(key)
    shown = key_in_url(key)
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]*", shown)
    assert unquote(shown).replace("''", "'") == key.replace("''", "'")
    assert unquote(shown).count("'") == 2 * key.count("'")


@given(st.text())
def test_repaired_text_is_utf8_and_good_text_is_kept(text: str) -> None:
    repaired(text).encode()
    assert repaired(repaired(text)) == repaired(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert repaired(text) == text


TEXT = st.text(max_size=20)
TIMES = st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.isoformat() + "Z")
VALUES = st.one_of(
    st.tuples(st.just("String"), TEXT),
    st.tuples(st.just("Int32"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("Int64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("Double"), st.floats()),
    st.tuples(st.just("Boolean"), st.booleans()),
    st.tuples(st.just("DateTime"), TIMES),
)
ROWS = st.builds(Row, st.just("p"), TEXT, st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=6))


def plain(value: EdmValue) -> Any:
    """What json reads of a value."""
    kind, content = value
    if kind == "Int64":
        return str(content)
    if kind == "Double" and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return repaired(content) if kind == "String" else content


@given(st.lists(ROWS, min_size=1, max_size=5, unique_by=lambda row: row.row_key))
def test_rows_that_pass_the_check_are_read_back_unchanged(rows: list[Row]) -> None:
    rows = [row for row in rows if check_row(row) is None]
    if not rows:
        return
    assert check_batch("Tab", rows) is None
    parts = parts_of(*encode(ADDRESS, "Tab", rows))
    assert len(parts) == len(rows)
    for row, (_, _, entity) in zip(rows, parts, strict=True):
        found = json.loads(entity)
        assert found.pop("PartitionKey") == "p"
        assert found.pop("RowKey") == row.row_key
        marks = {name: found.pop(f"{name}@odata.type", None) for name in row.columns}
        assert found == {name: plain(value) for name, value in row.columns.items()}
        for name, (kind, _) in row.columns.items():
            assert marks[name] == (f"Edm.{kind}" if kind in ("Int64", "Double", "DateTime") else None)


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.tuples(
            st.sampled_from(["String", "Int32", "Int64", "Double", "Boolean", "DateTime", "?"]),
            st.one_of(
                st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.binary(), st.just(10**5000), TIMES
            ),
        ),
    )
)
def test_whatever_passes_the_check_can_be_encoded(columns: dict[str, EdmValue]) -> None:
    row = Row("p", "r", columns)
    if check_row(row) is None:
        json.loads(encode_entity(row))


def test_a_time_on_a_day_that_does_not_exist_is_refused() -> None:
    for text in ("2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2100-02-29T00:00:00Z"):
        found = check_row(Row("p", "r", {"T": ("DateTime", text)}))
        assert found is not None
        assert found[0] == "InvalidInput"
    now = datetime(2024, 2, 29, tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert check_row(Row("p", "r", {"T": ("DateTime", now)})) is None
