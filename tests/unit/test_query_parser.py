"""The query language: what parses, what does not and where, and that no text makes it crash or take long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries.query import MAX_PROPERTIES, MAX_SYMBOLS, MAX_TEXT, Literal, Name, Operator, parse, scan
from omi_queries.types import QueryError


def refusal(text: str) -> QueryError | None:
    """The error that ``text`` is refused with, None if it parses."""
    try:
        parse(text)
    except QueryError as error:
        return error
    return None


def postfix(text: str) -> list[object]:
    """The condition of ``text`` without positions."""
    shown: list[object] = []
    for symbol in parse(f"SELECT * FROM C WHERE {text}").condition:
        if isinstance(symbol, Name):
            shown.append("::".join(filter(None, (symbol.name, symbol.embedded_class, symbol.embedded_property))))
        else:
            shown.append(symbol.op if isinstance(symbol, Operator) else ("lit", symbol.value))
    return shown


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM SCX_MemoryStatisticalInformation",
        "select AvailableMemory from scx_memorystatisticalinformation ",
        " SELECT BytesTransmitted,BytesReceived from SCX_EthernetPortStatistics  ",
        "SELECT BytesPerSecond ,ReadBytesPerSecond\n from\tSCX_DiskDriveStatisticalInformation  where Name='_Total' ",
        "SELECT A FROM  B WHERE Name='_TOTAL'",
    ],
)
def test_what_diagnostics_ask_parses(text: str) -> None:
    assert parse(text).class_name


def test_parts_of_a_query() -> None:
    text = 'SELECT a, B_2 FROM Klass WHERE x >= -5 AND NOT (y = "it\\"s" OR z <> NULL)'
    query = parse(text)
    assert [p.name for p in query.properties] == ["a", "B_2"]
    assert query.class_name == "Klass"
    assert query.class_at == text.index("Klass")
    assert [type(s).__name__ for s in query.condition[:2]] == ["Name", "Literal"]
    assert query.condition[1] == Literal("integer", -5, text.index("-5"))
    assert query.condition[4] == Literal("string", 'it"s', text.index('"it'))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1 OR b=2 AND c=3", ["a", ("lit", 1), "=", "b", ("lit", 2), "=", "c", ("lit", 3), "=", "and", "or"]),
        ("NOT a=1 AND b=2", ["a", ("lit", 1), "=", "not", "b", ("lit", 2), "=", "and"]),
        ("NOT NOT a=1", ["a", ("lit", 1), "=", "not", "not"]),
        ("(a=1 OR b=2) AND c=3", ["a", ("lit", 1), "=", "b", ("lit", 2), "=", "or", "c", ("lit", 3), "=", "and"]),
        ("a=1 AND b=2 AND c=3", ["a", ("lit", 1), "=", "b", ("lit", 2), "=", "and", "c", ("lit", 3), "=", "and"]),
        ("5 < a", [("lit", 5), "a", "<"]),
        ("a != TRUE", ["a", ("lit", True), "<>"]),
        ("a = 1.5e3", ["a", ("lit", 1500.0), "="]),
        ("a = 'x\\ny'", ["a", ("lit", "x\ny"), "="]),
        ("a.b::c = 1", ["a::b::c", ("lit", 1), "="]),
        ("a ISA CIM_Thing", ["a", ("lit", "CIM_Thing"), "isa"]),
        ("a LIKE '_T%'", ["a", ("lit", "_T%"), "like"]),
        ("a = 99999999999999999999999", ["a", ("lit", 2**63 - 1), "="]),
        ("a = -99999999999999999999999", ["a", ("lit", -(2**63)), "="]),
        ("((((a=1))))", ["a", ("lit", 1), "="]),
    ],
)
def test_conditions(text: str, expected: list[object]) -> None:
    assert postfix(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "SELECT expected, found the end"),
        ("SELEC Name", 0, "SELECT expected, found 'SELEC'"),
        ("SELECT FROM C", 7, "'*' or a property name"),
        ("SELECT a, FROM C", 10, "a property name expected"),
        ("SELECT a b FROM C", 9, "',' or FROM"),
        ("SELECT * FROM", 13, "class name expected, found the end"),
        ("SELECT * FROM C;", 15, "';' has no meaning"),
        ("SELECT * FROM C WHERE", 21, "property name or a value"),
        ("SELECT * FROM C WHERE a", 23, "comparison expected"),
        ("SELECT * FROM C WHERE a = ", 26, "property name or a value"),
        ("SELECT * FROM C WHERE a IS NULL", 24, "comparison expected, found 'IS'"),
        ("SELECT * FROM C WHERE a IN (1)", 24, "comparison expected"),
        ("SELECT COUNT(a) FROM C", 12, "',' or FROM"),
        ("SELECT * FROM C ORDER BY a", 16, "WHERE or the end"),
        ("SELECT * FROM C WHERE (a=1", 22, "'(' is not closed"),
        ("SELECT * FROM C WHERE a=1)", 25, "')' closes nothing"),
        ("SELECT * FROM C WHERE a='x", 24, "no closing '"),
        ("SELECT * FROM C WHERE a='x\\", 24, "no closing '"),
        ("SELECT * FROM C WHERE a=-", 24, "'-' must be followed by a number"),
        ("SELECT * FROM C WHERE a=1 b=2", 26, "AND, OR or the end"),
        ("SELECT * FROM C WHERE 5 ISA D", 24, "ISA needs a property name"),
        ("SELECT * FROM C WHERE a=\u20ac", 24, "'\\u20ac' has no meaning"),
        ("SELECT * FROM C WHERE ()", 23, "property name or a value"),
    ],
)
def test_errors_say_what_and_where(text: str, position: int, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert caught.value.code == 15
    assert caught.value.position == position
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_like_is_wql_only() -> None:
    text = "SELECT * FROM C WHERE Name LIKE '_T%'"
    assert parse(text, "wql").condition
    with pytest.raises(QueryError, match="LIKE exists in WQL only"):
        parse(text, "cql")


def test_limits() -> None:
    names = ",".join(f"p{i}" for i in range(MAX_PROPERTIES))
    assert len(parse(f"SELECT {names} FROM C").properties) == MAX_PROPERTIES
    with pytest.raises(QueryError, match="128 properties"):
        parse(f"SELECT {names},q FROM C")
    many = (MAX_SYMBOLS + 1) // 4
    fits = " AND ".join(["a=1"] * many)
    assert len(parse(f"SELECT * FROM C WHERE {fits}").condition) == 4 * many - 1 <= MAX_SYMBOLS
    with pytest.raises(QueryError, match="256 symbols"):
        parse(f"SELECT * FROM C WHERE {fits} AND a=1")
    with pytest.raises(QueryError, match="longer than"):
        parse("SELECT * FROM C" + " " * MAX_TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM C WHERE " + "(" * 60000,
        "SELECT * FROM C WHERE " + "(" * 30000 + "a=1" + ")" * 30000,
        "SELECT * FROM C WHERE " + "NOT " * 15000 + "a=1",
        "SELECT * FROM C WHERE a=" + "9" * 60000,
        "SELECT * FROM C WHERE a=" + "9" * 60000 + ".5",
        "SELECT * FROM C WHERE a='" + "\\" * 60000,
        "'" * 65536,
    ],
)
def test_deep_and_long_texts_end_in_an_answer(text: str) -> None:
    error = refusal(text)
    assert error is None or len(str(error)) < 300


_WORDS = st.sampled_from(
    ["SELECT", "FROM", "WHERE", "NOT", "AND", "OR", "NULL", "TRUE", "LIKE", "ISA", "*", ",", "(", ")", "=", "<>", "!=",
     "<", ">=", ".", "::", "a", "B_", "''", "'x'", '"y"', "1", "-2", "3.5", ";", "\\", "+", "[", "%"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_WORDS).map(" ".join), st.lists(_WORDS).map("".join)))
def test_any_text_is_parsed_or_refused_with_a_place_in_it(text: str) -> None:
    error = refusal(text)
    if error is None:
        assert len(parse(text).condition) <= MAX_SYMBOLS
    else:
        assert error.code == 15
        assert error.position is not None
        assert 0 <= error.position <= len(text)


@given(st.lists(_WORDS).map(" ".join))
def test_tokens_cover_the_text_once_and_in_order(text: str) -> None:
    try:
        tokens = scan(text)
    except QueryError:
        return
    places = [token.at for token in tokens]
    assert places == sorted(set(places))
    assert places[-1] == len(text)
