"""Classes that only a server knows: their types come with the answer, and nothing stands in for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omi_queries.backends import foreign, omicli_text
from omi_queries.backends.direct import DirectBackend
from omi_queries.backends.foreign import accept_foreign
from omi_queries.backends.source import Exchange, Question, RawInstance, RefusedError, SourceError
from omi_queries.types import Instance, QueryError, Reading
from tests.unit.test_backends_fallback import ANSWER, ASKED, Bench, Call

SERVER = "Apache_HTTPDServerStatistics"
TYPES = {"InstanceID": "string", "TotalPctCPU": "uint32", "IdleWorkers": "uint32", "Started": "datetime"}


def apache(name: str, cpu: object, idle: object = 5, **more: str) -> RawInstance:
    values = {"InstanceID": name, "TotalPctCPU": cpu, "IdleWorkers": idle, "Started": "20261121091618.000000+000"}
    return RawInstance(SERVER, {**values, **dict.fromkeys(more)}, {**TYPES, **more})


class Fixed:
    """A source with one answer for everything; it notes the questions."""

    name = "fixed"
    where = "there"
    probe_s = 0.0

    def __init__(self, outcome: list[RawInstance] | Exception) -> None:
        self.outcome = outcome
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Exchange:
        self.asked.append(question)
        return self

    def probe(self) -> Exchange:
        return self

    def close(self) -> None:
        pass

    def sent_at(self) -> float | None:
        return 0.0

    def advance(self, timeout: float) -> bool:
        return timeout >= 0

    def result(self) -> list[RawInstance]:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def abandon(self) -> None:
        pass


def ask(outcome: list[RawInstance] | Exception, text: str, namespace: str = "root/apache") -> Reading:
    return DirectBackend(Fixed(outcome)).open(namespace, text).read(0.0)


def test_rows_with_the_types_of_the_server() -> None:
    source = Fixed([apache("a", 7), apache("b", 90, None)])
    stream = DirectBackend(source).open("root/apache/", f"SELECT IdleWorkers, TotalPctCPU FROM {SERVER}")
    reading = stream.read(0.0)
    assert source.asked == [Question("root/apache", SERVER, (), foreign=True)]
    assert reading.instances == [{"TotalPctCPU": 7, "IdleWorkers": 5}, {"TotalPctCPU": 90, "IdleWorkers": None}]
    assert (reading.source, dict(reading.types), dict(reading.skipped)) == ("fixed", TYPES, {})
    assert stream.state() is None


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("InstanceID = 'A'", ["a"]),
        ("TotalPctCPU > 50", ["b"]),
        ("totalpctcpu = '7' OR IdleWorkers = NULL", ["a", "b"]),
        ("InstanceID LIKE '%z'", []),
    ],
)
def test_where_is_decided_here(where: str, names: list[str]) -> None:
    reading = ask([apache("a", 7), apache("b", 90, None)], f"SELECT InstanceID FROM {SERVER} WHERE {where}")
    assert [one["InstanceID"] for one in reading.instances] == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"SELECT TotalPctCpus FROM {SERVER}", "did you mean TotalPctCPU"),
        (f"SELECT * FROM {SERVER} WHERE Nope = 1", "no property 'Nope'"),
        (f"SELECT * FROM {SERVER} WHERE InstanceID = 1", "cannot be compared"),
    ],
)
def test_a_query_that_does_not_fit_the_class(text: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        ask([apache("a", 7)], text)
    assert caught.value.code == 15


def test_one_missing_property_costs_that_property() -> None:
    reading = ask([apache("a", 7)], f"SELECT TotalPctCPU, Nope FROM {SERVER}")
    assert reading.instances == [{"TotalPctCPU": 7}]
    assert dict(reading.skipped) == {f"fixed gave no {SERVER}.Nope": 1}


def test_a_wrongly_cased_name_selects_nothing_and_says_so() -> None:
    reading = ask([apache("a", 7)], f"SELECT totalpctcpu, InstanceID FROM {SERVER}")
    assert reading.instances == [{"InstanceID": "a"}]
    assert "write TotalPctCPU" in reading.warnings[0]


def test_no_instance_is_an_answer() -> None:
    reading = ask([], f"SELECT Whatever FROM {SERVER} WHERE Unheard > 3")
    assert (reading.instances, dict(reading.skipped)) == ([], {})


@pytest.mark.parametrize("text", [f"SELECT FROM {SERVER}", f"SELECT * FROM {SERVER} WHERE", "SELECT * FROM 1"])
def test_bad_syntax_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        DirectBackend(Fixed([])).open("root/apache", text)
    assert caught.value.code == 15


def test_what_is_declared_here_is_checked_here() -> None:
    source = Fixed([])
    for text in ("SELECT Nope FROM SCX_Agent", "SELECT * FROM SCX_LogFile"):
        with pytest.raises(QueryError):
            DirectBackend(source).open("root/scx", text)
    assert source.asked == []


@pytest.mark.parametrize(
    ("name", "namespace", "said"),
    [
        ("SCX_MemoryStatistcalInformation", "root/scx", "did you mean SCX_MemoryStatisticalInformation?"),
        ("OMI_Identify", "root/scx", "it is in root/omi"),
        (SERVER, "root/apache", "no such class$"),
    ],
)
def test_a_class_that_the_server_has_not_either(name: str, namespace: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        ask(RefusedError(5, "no such class"), f"SELECT * FROM {name}", namespace)
    assert caught.value.code == 5


# -- replies that lie


def believe(*raw: RawInstance) -> tuple[dict[str, str], list[Instance], dict[str, int]]:
    skipped: dict[str, int] = {}

    def skip(reason: str) -> None:
        skipped[reason] = skipped.get(reason, 0) + 1

    types, found = accept_foreign(raw, "X", "fixed", skip)
    return types, found, skipped


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("uint8", 300, "out of the range of uint8"),
        ("uint32", "many", "no integer but a text"),
        ("real64", float("inf"), "out of the range"),
        ("string", "x" * 70_000, "longer than"),
        ("string[]", ["x"] * 5000, "more than 4096"),
        ("datetime", "yesterday", "no CIM datetime"),
        ("reference", "X.A=1", "the type 'reference', which no row can hold"),
        ("instance", {}, "which no row can hold"),
        ("", 1, "which no row can hold"),
        ("boolean", 1, "no boolean"),
    ],
)
def test_a_value_that_lies_costs_that_value(kind: str, value: object, said: str) -> None:
    _, found, skipped = believe(RawInstance("X", {"A": 1, "B": value}, {"A": "uint8", "B": kind}))
    assert found == [{"A": 1}]
    [(reason, n)] = skipped.items()
    assert reason.startswith("fixed gave a X.B that is ")
    assert said in reason
    assert n == 1


def test_characters_are_numbers() -> None:
    values = {"A": "a", "B": ["a", "b"], "C": 7, "D": None}
    types = {"A": "char16", "B": "char16[]", "C": "char16", "D": "char16"}
    assert believe(RawInstance("X", dict(values), types)) == (types, [{"A": 97, "B": [97, 98], "C": 7, "D": None}], {})


def test_null_is_null_of_any_type_and_nothing_else_is() -> None:
    types, found, skipped = believe(
        RawInstance("X", {"A": None, "B": 1}, {"A": "reference", "B": "uint8"}),
        RawInstance("X", {"A": "X.B=1", "B": 2}, {"A": "reference", "B": "uint8"}),
    )
    assert (types["A"], found) == ("reference", [{"A": None, "B": 1}, {"B": 2}])
    assert list(skipped) == ["fixed gave a X.A that is of the type 'reference', which no row can hold"]


def test_one_property_has_one_type() -> None:
    types, found, skipped = believe(
        RawInstance("X", {"A": 1}, {"A": "uint8"}), RawInstance("X", {"A": "x", "B": 2}, {"A": "string", "B": "uint8"})
    )
    assert (types, found) == ({"A": "uint8", "B": "uint8"}, [{"A": 1}, {"B": 2}])
    assert list(skipped) == ["fixed gave a X.A that is of the type 'string' here and uint8 in an earlier instance"]


def test_names_that_are_none() -> None:
    odd = RawInstance("X", {"A\n": 1, "": 1, "1A": 1, "a" * 300: 1, "OK": 1}, {})
    _, found, skipped = believe(odd._replace(types=dict.fromkeys(odd.values, "uint8")))
    assert found == [{"OK": 1}]
    assert sum(skipped.values()) == 4
    assert all("\n" not in reason and len(reason) < 120 for reason in skipped)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MAX_PROPERTIES", 3)
    monkeypatch.setattr(foreign, "MAX_INSTANCES", 2)
    wide = RawInstance("X", {f"P{i}": i for i in range(200)}, {f"P{i}": "uint8" for i in range(200)})
    _, found, skipped = believe(wide, wide, wide)
    assert found == [{"P0": 0, "P1": 1, "P2": 2}] * 2
    assert skipped["fixed gave more than 2 instances of X"] == 1
    reading = ask([wide], "SELECT * FROM X")
    assert len(reading.skipped) == foreign.MAX_REASONS + 1
    assert sum(reading.skipped.values()) == 197


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))
_KINDS = st.sampled_from(["uint8", "string", "datetime", "char16", "char16[]", "real32", "boolean[]", "reference", ""])
_INSTANCES = st.lists(
    st.tuples(st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.tuples(_VALUES, _KINDS), max_size=4)),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_INSTANCES)
def test_nothing_breaks_it(given_instances: list[tuple[str, dict[str, tuple[Any, str]]]]) -> None:
    raw = [
        RawInstance(name, {k: v for k, (v, _) in values.items()}, {k: t for k, (_, t) in values.items()})
        for name, values in given_instances
    ]
    types, found, _ = believe(*raw)
    assert all(set(one) <= set(types) for one in found)


# -- with /proc behind the source, which has no such class


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.backend.close()


def test_rows_and_no_rows_beside_a_class_that_falls_back(bench: Bench) -> None:
    bench.script.outcome = [apache("a", 7)]
    ours = bench.backend.open("root/scx", ASKED)
    theirs = bench.backend.open("root/apache", f"SELECT TotalPctCPU FROM {SERVER}")
    ours.prime()
    theirs.prime()
    assert theirs.read(1.0).instances == [{"TotalPctCPU": 7}]
    bench.script.outcome = SourceError("connection refused")
    with pytest.raises(QueryError, match=f"no {SERVER}, which /proc does not have: script .there.: connection refused"):
        theirs.read(2.0)
    assert ours.read(2.0).source == "procfs"
    bench.script.outcome = [apache("a", 8)]
    bench.now.at += 60
    bench.backend.attend()
    assert theirs.read(3.0).instances == [{"TotalPctCPU": 8}]
    bench.script.outcome = ANSWER
    assert ours.read(3.0).source == "script"
    assert theirs.restore({"version": 1}) is False


def test_a_class_that_the_server_has_not_leaves_the_others_alone(bench: Bench) -> None:
    theirs = bench.backend.open("root/apache", f"SELECT TotalPctCPU FROM {SERVER}")
    ours = bench.backend.open("root/scx", ASKED)
    bench.script.outcome = RefusedError(5, "no such class")
    with pytest.raises(QueryError, match="no such class") as caught:
        theirs.read(1.0)
    assert caught.value.code == 5
    asked = len(bench.script.asked)
    with pytest.raises(QueryError, match="no such class"):
        theirs.read(2.0)
    assert len(bench.script.asked) == asked  # not before its delay is over
    bench.script.outcome = ANSWER
    assert ours.read(2.0).source == "script"
    bench.now.at += 11
    bench.script.outcome = [apache("a", 9)]
    assert theirs.read(3.0).instances == [{"TotalPctCPU": 9}]
    assert [line for line in bench.said if SERVER in line] == []  # whoever asked says it


def test_a_source_that_is_not_ready_yet(bench: Bench) -> None:
    bench.script.started = False
    theirs = bench.backend.open("root/apache", f"SELECT * FROM {SERVER}")
    with pytest.raises(QueryError, match="has not answered yet"):
        theirs.read(1.0)
    assert isinstance(Call(bench.script), Call)


# -- how omicli prints a class


def test_a_declaration() -> None:
    text = (
        "class of X\n{\n    [MI_STRING] [Key] Name=NULL\n    [MI_UINT16A] Codes={1, 2}\n    [MI_STRING] Text=one\n"
        "two [MI_UINT8] Three=3\n    [MI_BOOLEAN] On=true\n}\n"
    )
    assert omicli_text.parse_class(text) == (
        "X", {"Name": "string", "Codes": "uint16[]", "Text": "string", "On": "boolean"}
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "class of X\n", "class of X\n{\n", "instance of X\n{\n}\n", "class of a b\n{\n}\n"]
)
def test_no_declaration(text: str) -> None:
    with pytest.raises(omicli_text.TextError):
        omicli_text.parse_class(text)
