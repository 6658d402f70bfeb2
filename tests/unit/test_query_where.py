"""WHERE and SELECT against classes: types, NULL, case, LIKE, and random conditions against a tiny reference."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import classes
from omi_queries.binding import bind
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
        ("[^a-c]", "d", True), ("[a", "a", False), ("[]", "a", False), ("[a-]", "-", True), ("100[%]", "100%", True),
    ],
)  # fmt: skip
def test_like_patterns(pattern: str, text: str, answer: bool) -> None:
    assert matches_like(pattern, text) is answer


def test_like_with_many_wildcards_ends() -> None:
    assert not matches_like("%a" * 200 + "b", "a" * 300)
