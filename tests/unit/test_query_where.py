"""WHERE and SELECT against classes: types, NULL, case, LIKE, and random conditions against a tiny reference."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import classes
from omi_queries.binding import Bound, bind
from omi_queries.condition import compile_condition
from omi_queries.like import matches_like
from omi_queries.query import parse
from omi_queries.types import Instance, QueryError

DISK = "SCX_DiskDriveStatisticalInformation"
ROWS: list[Instance] = [
    {"Name": "sda", "IsAggregate": False, "IsOnline": True, "ReadsPerSecond": 5, "AverageReadTime": 0.5,
     "PercentBusyTime": None},
    {"Name": "_Total", "IsAggregate": True, "IsOnline": True, "ReadsPerSecond": 7, "AverageReadTime": 0.0,
     "PercentBusyTime": None},
    {"Name": "sdb", "IsAggregate": False, "IsOnline": False, "PercentBusyTime": None},
]  # fmt: skip


def chosen(where: str) -> list[object]:
    condition = compile_condition(parse(f"SELECT * FROM {DISK} WHERE {where}").condition, classes.get(DISK))
    return [row["Name"] for row in ROWS if condition(row)]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Name='_TOTAL'", ["_Total"]),
        ('name = "_total"', ["_Total"]),
        ("'_Total' = NAME", ["_Total"]),
        ("IsAggregate=TRUE", ["_Total"]),
        ("IsAggregate='true'", ["_Total"]),
        ("IsAggregate <> TRUE", ["sda", "sdb"]),
        ("NOT (IsAggregate=TRUE)", ["sda", "sdb"]),
        ("ReadsPerSecond='5'", ["sda"]),
        ("ReadsPerSecond >= 5 AND ReadsPerSecond < 7", ["sda"]),
        ("AverageReadTime > 0", ["sda"]),
        ("AverageReadTime = '0.5'", ["sda"]),
        ("ReadsPerSecond > 4.5", ["sda", "_Total"]),
        ("PercentBusyTime = NULL", ["sda", "_Total", "sdb"]),
        ("PercentBusyTime <> NULL", []),
        ("NULL = NULL", ["sda", "_Total", "sdb"]),
        ("ReadsPerSecond = NULL", ["sdb"]),  # a rate that is not known yet
        ("ReadsPerSecond > 0", ["sda", "_Total"]),
        ("NOT ReadsPerSecond > 0", []),
        ("ReadsPerSecond > 0 OR Name='sdb'", ["sda", "_Total", "sdb"]),
        ("Name > 'sda'", ["sdb"]),
        ("Name LIKE 'SD%'", ["sda", "sdb"]),
        ("Name LIKE '_d[a]'", ["sda"]),
        ("Name LIKE 's_[^a]'", ["sdb"]),
        ("ReadsPerSecond LIKE '5'", []),
        ("Name ISA CIM_Thing", []),
        ("NOT Name ISA CIM_Thing", []),
        ("Name.Inner = 'x'", []),
        ("Name.Inner <> 'x'", []),
        ("NOT Name.Inner = 'x'", []),
        ("Name.A::B = NULL", []),
        ("ReadsPerSecond = ' 5'", ["sda"]),
        ("ReadsPerSecond = '+5'", ["sda"]),
        ("1 = 1", ["sda", "_Total", "sdb"]),
        ("1 = '2' OR FALSE = 'false'", ["sda", "_Total", "sdb"]),
    ],
)
def test_conditions(where: str, names: list[object]) -> None:
    assert chosen(where) == names


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("Name=0", "Name (a string) cannot be compared with an integer"),
        ("IsAggregate=1", "IsAggregate (a boolean) cannot be compared with an integer"),
        ("ReadsPerSecond=Name", "cannot be compared"),
        ("ReadsPerSecond='many'", "'many' cannot be read as ReadsPerSecond (an integer)"),
        ("ReadsPerSecond='1_0'", "cannot be read as"),
        ("ReadsPerSecond='5 '", "'5 ' cannot be read as"),
        ("AverageReadTime='0.5s'", "cannot be read as AverageReadTime (a real)"),
        ("IsAggregate=' true'", "cannot be read as"),
        ("ReadsPerSecond.Inner='x'", "cannot be read as"),
        ("IsAggregate='yes'", "cannot be read as IsAggregate (a boolean)"),
        ("PercentBusyTime < NULL", "NULL has no order"),
        ("Nme='x'", "no property 'Nme'; did you mean Name?"),
        ("Nope ISA X", "no property 'Nope'"),
    ],
)
def test_wrong_types_and_names_are_errors(where: str, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        chosen(where)
    assert caught.value.code == 15
    assert caught.value.position is not None
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("namespace", "text", "code", "words"),
    [
        ("root/cimv2", f"SELECT * FROM {DISK}", 3, "root/scx"),
        ("root/scx", "SELECT * FROM SCX_DiskDriveStatistics", 5, "did you mean"),
        ("root/scx", "SELECT * FROM SCX_MemoryStatisticalInformatio", 5, "SCX_MemoryStatisticalInformation?"),
        ("root/scx", "SELECT * FROM Qwertyuiop", 5, "there are SCX_RTProcessor"),
        ("root/scx", f"SELECT Nope FROM {DISK}", 15, "no property 'Nope'"),
        ("root/scx", f"SELECT ReadPerSecond FROM {DISK}", 15, "did you mean ReadsPerSecond?"),
    ],
)
def test_refused_queries(namespace: str, text: str, code: int, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        bind(namespace, text)
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize("namespace", ["root/scx", "ROOT/SCX", "/root/scx/", "Root/Scx"])
def test_namespace_has_no_case(namespace: str) -> None:
    assert bind(namespace, f"SELECT * FROM {DISK.upper()}").selections[0].cim_class.name == DISK


def test_wrongly_cased_property_selects_nothing_and_warns() -> None:
    bound = bind("root/scx", f"SELECT name, IsOnline, name FROM {DISK}")
    assert len(bound.warnings) == 1
    assert "write Name" in bound.warnings[0]
    assert bound.selections[0].apply([dict(ROWS[0])]) == [{"IsOnline": True}]


def test_projection_is_in_declaration_order_and_absent_stays_absent() -> None:
    selection = bind("root/scx", f"SELECT ReadsPerSecond,Name,Name,PercentBusyTime FROM {DISK}").selections[0]
    assert [list(one.items()) for one in selection.apply([dict(r) for r in ROWS[1:]])] == [
        [("Name", "_Total"), ("PercentBusyTime", None), ("ReadsPerSecond", 7)],
        [("Name", "sdb"), ("PercentBusyTime", None)],
    ]


def test_base_class_means_all_its_subclasses() -> None:
    bound = bind("root/scx", "SELECT Name FROM SCX_StatisticalInformation WHERE IsAggregate=TRUE")
    assert [s.cim_class.name for s in bound.selections] == [
        "SCX_RTProcessorStatisticalInformation",
        "SCX_ProcessorStatisticalInformation",
        "SCX_MemoryStatisticalInformation",
        "SCX_FileSystemStatisticalInformation",
        "SCX_DiskDriveStatisticalInformation",
    ]
    with pytest.raises(QueryError, match="no property 'ReadsPerSecond'"):
        bind("root/scx", "SELECT ReadsPerSecond FROM SCX_StatisticalInformation")


def test_needs_a_rate() -> None:
    assert bind("root/scx", f"SELECT * FROM {DISK}").needs_rate()
    assert bind("root/scx", f"SELECT Name FROM {DISK} WHERE ReadsPerSecond > 1").needs_rate()
    assert not bind("root/scx", f"SELECT Name,PercentBusyTime FROM {DISK}").needs_rate()


# A condition as a tree of tuples, its text, and what it means by the definition of three-valued logic.
_COMPARE = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_LEAF = st.one_of(
    st.tuples(st.just("ReadsPerSecond"), st.sampled_from(sorted(_COMPARE)), st.integers(0, 9)),
    st.tuples(st.just("Name"), st.sampled_from(sorted(_COMPARE)), st.sampled_from(["sda", "SDB", "_total", ""])),
    st.tuples(st.just("IsAggregate"), st.sampled_from(["=", "<>"]), st.booleans()),
)
_TREE = st.recursive(
    _LEAF,
    lambda inner: st.one_of(st.tuples(st.just("NOT"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)),
    max_leaves=12,
)


def written(tree: Any) -> str:
    if tree[0] == "NOT":
        return f"NOT ({written(tree[1])})"
    if tree[0] in ("AND", "OR"):
        return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"
    name, op, value = tree
    return f"{name} {op} {value!r}" if isinstance(value, str) else f"{name}{op}{str(value).upper()}"


def meant(tree: Any, row: Instance) -> bool | None:
    if tree[0] == "NOT":
        inner = meant(tree[1], row)
        return None if inner is None else not inner
    if tree[0] in ("AND", "OR"):
        sides = [meant(tree[1], row), meant(tree[2], row)]
        deciding = bool(tree[0] == "OR")
        if deciding in sides:
            return deciding
        return None if None in sides else not deciding
    name, op, value = tree
    found = row.get(name)
    if found is None:
        return {"=": False, "<>": True}.get(str(op))
    if isinstance(found, str):
        found, value = found.lower(), value.lower()
    return bool(_COMPARE[op](found, value))


@given(_TREE)
def test_random_conditions_mean_what_the_reference_says(tree: Any) -> None:
    condition = compile_condition(parse(f"SELECT * FROM {DISK} WHERE {written(tree)}").condition, classes.get(DISK))
    for row in ROWS:
        assert condition(row) == meant(tree, row), written(tree)


@given(st.text("ab%_", max_size=8), st.text("ab", max_size=10))
def test_like_agrees_with_globbing(pattern: str, text: str) -> None:
    glob = pattern.replace("%", "*").replace("_", "?")
    assert matches_like(pattern, text) == fnmatch.fnmatchcase(text, glob)


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        ("", "", True), ("%", "", True), ("", "x", False), ("[a-c]%", "bcd", True), ("[a-c]", "d", False),
        ("[^a-c]", "d", True), ("[a", "a", False), ("[]", "a", False), ("[a-]", "-", False), ("[-a]", "-", True),
        ("[a-c-e]", "d", True), ("[b-_]", "x", True), ("[b-_]", "a", False), ("100[%]", "100%", True),
    ],
)  # fmt: skip
def test_like_patterns(pattern: str, text: str, answer: bool) -> None:
    assert matches_like(pattern, text) is answer


def test_like_with_many_wildcards_ends() -> None:
    """With a matcher that goes back for each wildcard these would take minutes."""
    assert not matches_like("%a" * 200 + "b", "a" * 300)
    assert not matches_like("%" + "a" * 20000 + "b", "a" * 40000)
    assert matches_like("%_" * 15000, "a" * 60000)
    assert not matches_like("%[^b]" * 2000 + "b%c", "a" * 60000)


@given(st.text("ab%_[]^-", max_size=12), st.text("ab^-]", max_size=12))
def test_like_agrees_with_its_definition(pattern: str, text: str) -> None:
    assert matches_like(pattern, text) is like_by_definition(pattern, text)


def like_by_definition(pattern: str, text: str) -> bool:
    """Character by character, each % tried with every length."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "%":
        if "[" in rest and not closed(rest):
            return False
        return any(like_by_definition(rest, text[n:]) for n in range(len(text) + 1))
    if not closed(pattern):
        return False
    if head == "[":
        end = rest.index("]")
        body, rest = rest[:end], rest[end + 1 :]
        if not text:
            return False
        return takes(body, text[0]) and like_by_definition(rest, text[1:])
    return bool(text) and (head == "_" or head == text[0]) and like_by_definition(rest, text[1:])


def closed(pattern: str) -> bool:
    """Whether each set of the pattern has its end."""
    at = pattern.find("[")
    while at >= 0:
        end = pattern.find("]", at)
        if end < 0:
            return False
        at = pattern.find("[", end)
    return True


def takes(body: str, character: str) -> bool:
    if body.startswith("^"):
        return not takes_one(body[1:], character)
    return takes_one(body, character)


def takes_one(body: str, character: str, before: str = "") -> bool:
    if not body:
        return False
    if body[0] == "-" and before:
        if len(body) == 1:
            return False
        return before.upper() <= character.upper() <= body[1].upper() or takes_one(body[2:], character, body[1])
    return body[0] == character or takes_one(body[1:], character, body[0])


@pytest.mark.parametrize("where", ["Name LIKE '{}'", "'{}' LIKE Name", "'{}' LIKE '%a%a%a'", "NOT 'x' LIKE '{}'"])
def test_texts_of_like_are_bounded(where: str) -> None:
    assert chosen(where.format("%" * 1024)) is not None
    with pytest.raises(QueryError, match="longer than 1024 characters") as caught:
        chosen(where.format("%a" * 10000))
    assert caught.value.code == 15
    assert caught.value.position is not None


def test_like_with_null_is_false_unless_both_are() -> None:
    stands_for_null = "ElementName LIKE '%'"
    assert chosen(stands_for_null) == []
    assert chosen(f"NOT {stands_for_null}") == ["sda", "_Total", "sdb"]
    assert chosen("ElementName LIKE InstanceID") == ["sda", "_Total", "sdb"]
    assert chosen("ElementName LIKE NULL") == ["sda", "_Total", "sdb"]
    assert chosen("Name LIKE ElementName") == []
    assert chosen("PercentBusyTime LIKE ElementName") == ["sda", "_Total", "sdb"]
    assert chosen("ReadsPerSecond LIKE ElementName") == ["sdb"]
    assert chosen("'x' LIKE '_'") == ["sda", "_Total", "sdb"]
    assert chosen("Name LIKE Name") == ["sda", "_Total", "sdb"]


_PROPERTIES = ["Name", "IsAggregate", "ReadsPerSecond", "AverageReadTime", "PercentBusyTime", "ElementName", "Nope"]
_OPERANDS = [*_PROPERTIES, "name.Inner", "Name.A::B", "'sda'", '"5"', "'true'", "''", "5", "-1", "0.5", "TRUE", "NULL"]
_OPERAND = st.sampled_from(_OPERANDS)
_PREDICATE = st.one_of(
    st.tuples(_OPERAND, st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">=", "LIKE"]), _OPERAND).map(" ".join),
    _OPERAND.map(lambda name: f"{name} ISA CIM_Thing"),
)
_CONDITION = st.recursive(
    _PREDICATE,
    lambda inner: st.one_of(
        inner.map("NOT {}".format),
        inner.map("({})".format),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
    ),
    max_leaves=10,
)


def bound_or_refused(query: str, dialect: str) -> tuple[Bound | None, QueryError | None]:
    try:
        return bind("root/scx", query, dialect), None
    except QueryError as error:
        return None, error


@given(_CONDITION, st.sampled_from(["wql", "cql"]), st.sampled_from([DISK, "SCX_StatisticalInformation"]))
def test_any_condition_is_answered_for_every_row_or_refused_with_a_place(text: str, dialect: str, name: str) -> None:
    query = f"SELECT * FROM {name} WHERE {text}"
    bound, error = bound_or_refused(query, dialect)
    if error is not None:
        assert error.code == 15
        assert error.position is not None
        assert 0 <= error.position <= len(query)
        assert "\n" not in str(error)
    for selection in bound.selections if bound is not None else ():
        assert selection.matches is not None
        for row in ROWS:
            assert selection.matches(row) in (True, False, None)


@pytest.mark.parametrize("depth", [1, 2, 240, 251])
def test_conditions_as_deep_as_the_limit_allows_are_answered(depth: int) -> None:
    assert chosen("NOT " * depth + "Name='sda'") == (["sda"] if depth % 2 == 0 else ["_Total", "sdb"])
    assert chosen("(" * 10000 + "Name='sda'" + ")" * 10000) == ["sda"]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "a," * 500_000 + "a FROM C",
        "SELECT * FROM " + "C" * 1_000_000,
        f"SELECT * FROM {DISK} WHERE " + "(" * 1_000_000,
        f"SELECT * FROM {DISK} WHERE " + "NOT " * 250_000 + "Name=1",
        f"SELECT * FROM {DISK} WHERE Name='" + "x" * 1_000_000 + "'",
        f"SELECT * FROM {DISK} WHERE Name='" + "x" * 60_000 + "' AND Nope=1",
        f"SELECT {'N' * 60_000} FROM {DISK}",
        f"SELECT * FROM {'S' * 60_000}",
        f"SELECT * FROM {DISK} WHERE {'N' * 60_000}=1",
    ],
)
def test_a_megabyte_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        bind("root/scx", text)
    assert caught.value.code in (5, 15)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
