"""``omicli --hostname`` against a server that lies: what cannot be is left out and named, all else is shown."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from omi_queries import classes
from tests.cimxml_bed import MEMORY, PASSWORD, USER, FakeServer, Values, memory, message, named_instance, prop, serving
from tests.omicli_bed import omicli

PROCESSOR = "SCX_ProcessorStatisticalInformation"
APACHE = "Apache_HTTPDServerStatistics"
GOOD = "    [Key] Name=Memory\n    AvailableMemory=1234\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer({MEMORY: [(MEMORY, memory())]})) as fake:
        yield fake


def ask(server: FakeServer, *argv: str) -> subprocess.CompletedProcess[str]:
    return omicli("--hostname", "127.0.0.1", "--port", str(server.port), "-u", USER, *argv, secret=PASSWORD)


def answer(server: FakeServer, method: str, inside: str) -> None:
    server.fixed, server.mode = message(method, f"<IRETURNVALUE>{inside}</IRETURNVALUE>"), "fixed"


def instance(class_name: str, values: Values) -> str:
    inside = "".join(prop(name, *given) for name, given in values.items())
    return f'<INSTANCE CLASSNAME="{class_name}">{inside}</INSTANCE>'


def notes(found: subprocess.CompletedProcess[str]) -> list[str]:
    """What follows "omicli: note: " on stderr; there is nothing else, no XML and no secret."""
    lines = found.stderr.splitlines()
    assert all(line.startswith("omicli: note: ") and len(line) < 500 for line in lines), found.stderr
    assert not any(mark in found.stderr for mark in ("<", "Warning", PASSWORD))
    return [line.removeprefix("omicli: note: ") for line in lines]


LIES = [
    (300, "out of the range of uint8"),
    (-1, "out of the range of uint8"),
    ("many", "no integer but a text"),
    ("9" * 6000, "no integer but a text"),
]


@pytest.mark.parametrize(("percent", "said"), LIES)
class TestOneValue:
    def check(self, server: FakeServer, found: subprocess.CompletedProcess[str], said: str) -> None:
        assert (found.returncode, GOOD in found.stdout) == (0, True), found.stderr
        assert "PercentUsedMemory" not in found.stdout
        assert notes(found) == [f"{server.url} gave a {MEMORY}.PercentUsedMemory that is {said}; it is left out"]

    def test_of_an_enumeration(self, server: FakeServer, percent: object, said: str) -> None:
        server.answers[MEMORY] = [(MEMORY, memory(percent=percent)), (MEMORY, memory(percent=percent))]
        found = ask(server, "ei", "root/scx", MEMORY)
        self.check(server, found, said)
        assert found.stdout.count("instance of") == 2

    def test_of_a_query(self, server: FakeServer, percent: object, said: str) -> None:
        server.answers[MEMORY] = [(MEMORY, memory(percent=percent))]
        where = "WHERE AvailableMemory = 1234 OR PercentUsedMemory > 1"
        text = f"SELECT Name,AvailableMemory,PercentUsedMemory FROM {MEMORY} {where}"
        self.check(server, ask(server, "wql", "root/scx", text), said)

    def test_of_one_instance(self, server: FakeServer, percent: object, said: str) -> None:
        answer(server, "GetInstance", instance(MEMORY, memory(percent=percent)))
        self.check(server, ask(server, "gi", "root/scx", "{", MEMORY, "Name", "Memory", "}"), said)

    def test_of_a_class_that_only_the_server_has(self, server: FakeServer, percent: object, said: str) -> None:
        server.answers[APACHE] = [(APACHE, memory(percent=percent))]
        found = ask(server, "ei", "root/scx", APACHE)
        assert (found.returncode, found.stdout) == (0, f"instance of {APACHE}\n{{\n{GOOD}}}\n"), found.stderr
        assert notes(found) == [f"{server.url} gave a {APACHE}.PercentUsedMemory that is {said}; it is left out"]

    def test_of_a_query_on_such_a_class(self, server: FakeServer, percent: object, said: str) -> None:
        inside = f"<VALUE.OBJECT>{instance(APACHE, memory(percent=percent))}</VALUE.OBJECT>"
        answer(server, "ExecQuery", inside)
        found = ask(server, "wql", "root/scx", f"SELECT * FROM {APACHE}")
        assert (found.returncode, "AvailableMemory=1234\n" in found.stdout) == (0, True), found.stderr
        assert notes(found) == [f"{server.url} gave a {APACHE}.PercentUsedMemory that is {said}; it is left out"]


def test_null_is_shown_where_asked_for(server: FakeServer) -> None:
    server.answers[MEMORY] = [(MEMORY, memory(available=-1))]
    found = ask(server, "-n", "ei", "root/scx", MEMORY)
    assert found.returncode == 0
    assert "    AvailableMemory=NULL\n" in found.stdout
    assert "    PercentUsedMemory=40\n" in found.stdout
    assert notes(found) == [
        f"{server.url} gave a {MEMORY}.AvailableMemory that is out of the range of uint64; it is left out"
    ]
    wrong = ask(server, "-s", "ei", "root/scx", MEMORY)
    assert (wrong.returncode, wrong.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("IsAggregate", ("uint8", 7), "no boolean but a number"),
        ("IsAggregate", ("string", "TRUE"), "no boolean but a text"),
        ("UsedMemory", ("boolean", "TRUE"), "no integer but a boolean"),
        ("UsedMemory", ("real64", "1.5"), "no integer but a number"),
        ("UsedMemory", ("uint64", [1, 2]), "no integer but a list"),
        ("Caption", ("uint8", 7), "no text but a number"),
        ("Caption", ("reference", None), ""),
    ],
)
def test_a_value_of_another_type(server: FakeServer, name: str, given: tuple[str, object], said: str) -> None:
    values = {**memory(), name.upper(): given}
    server.answers[MEMORY] = [(MEMORY, values)]
    found = ask(server, "-xml", "ei", "root/scx", MEMORY)
    assert found.returncode == 0
    assert '<PROPERTY NAME="PercentUsedMemory" TYPE="uint8"><VALUE>40</VALUE></PROPERTY>' in found.stdout
    assert found.stdout.lower().count(f'name="{name.lower()}"') == 1
    assert f'NAME="{name}" TYPE="{classes.get(MEMORY).types[name]}"></PROPERTY>' in found.stdout
    assert notes(found) == ([f"{server.url} gave a {MEMORY}.{name} that is {said}; it is left out"] if said else [])


def test_one_bad_value_changes_no_other(server: FakeServer) -> None:
    more: Values = {
        "UsedMemory": ("uint64", "0x1F"),
        "IsAggregate": ("boolean", "TRUE"),
        "Since": ("datetime", "20261121091618.000000+000"),
        "Shares": ("real64", ["0.5", "1e3"]),
        "Ports": ("uint16", [80, 443]),
    }
    server.answers[MEMORY] = [(MEMORY, {**memory(), **more})]
    honest = ask(server, "ei", "root/scx", MEMORY)
    assert (honest.returncode, honest.stderr) == (0, "")
    assert "    UsedMemory=31\n" in honest.stdout
    assert "    Since=20261121091618.000000+000\n    Shares={0.5, 1000}\n    Ports={80, 443}\n" in honest.stdout
    server.answers[MEMORY] = [(MEMORY, {**memory(percent="many"), **more})]
    lying = ask(server, "ei", "root/scx", MEMORY)
    assert lying.stdout == honest.stdout.replace("    PercentUsedMemory=40\n", "")
    assert len(notes(lying)) == 1


def test_an_embedded_object_is_no_text(server: FakeServer) -> None:
    embedded = '<PROPERTY NAME="Caption" TYPE="string" EmbeddedObject="instance"><VALUE>x</VALUE></PROPERTY>'
    answer(server, "GetInstance", instance(MEMORY, memory()).replace("</INSTANCE>", f"{embedded}</INSTANCE>"))
    found = ask(server, "gi", "root/scx", "{", MEMORY, "Name", "Memory", "}")
    assert (found.returncode, GOOD in found.stdout, "Caption" in found.stdout) == (0, True, False)
    assert notes(found) == [f"{server.url} gave a {MEMORY}.Caption that is of the type 'instance'; it is left out"]


def test_a_small_type_for_a_number_is_no_lie(server: FakeServer) -> None:
    server.answers[MEMORY] = [(MEMORY, {**memory(), "UsedMemory": ("uint8", 7)})]
    found = ask(server, "-xml", "ei", "root/scx", MEMORY)
    assert '<PROPERTY NAME="UsedMemory" TYPE="uint64"><VALUE>7</VALUE></PROPERTY>' in found.stdout
    assert notes(found) == []


class TestOtherClasses:
    @pytest.mark.parametrize("other", ["Some_Other", PROCESSOR, "CIM_StatisticalInformation"])
    def test_of_a_known_class(self, server: FakeServer, other: str) -> None:
        server.answers[MEMORY] = [(other, memory(7, 7)), (MEMORY, memory()), (other, memory(7, 7))]
        said = [f"{server.url} gave an instance of {other}, which was not asked for; it is left out"]
        for argv in (["ei", "root/scx", MEMORY], ["wql", "root/scx", f"SELECT * FROM {MEMORY}"]):
            found = ask(server, *argv)
            assert (found.returncode, found.stdout.count("instance of")) == (0, 1)
            assert f"instance of {MEMORY}\n" in found.stdout
            assert notes(found) == said

    def test_a_subclass_is_asked_for_too(self, server: FakeServer) -> None:
        server.answers["SCX_StatisticalInformation"] = [(MEMORY, memory()), (PROCESSOR, {"Name": ("string", "0")})]
        found = ask(server, "ei", "root/scx", "SCX_StatisticalInformation")
        assert (found.returncode, found.stdout.count("instance of")) == (0, 2)
        assert notes(found) == []

    def test_of_a_base_that_has_no_instances_of_its_own(self, server: FakeServer) -> None:
        base = "SCX_StatisticalInformation"
        server.answers[base] = [(base, memory()), (base, memory()), (MEMORY, memory())]
        found = ask(server, "wql", "root/scx", f"SELECT Name FROM {base}")
        assert (found.returncode, found.stdout) == (0, f"instance of {MEMORY}\n{{\n    [Key] Name=Memory\n}}\n")
        assert notes(found) == [f"{server.url} gave an instance of {base}, which has none of its own; it is left out"]

    def test_of_a_declaration(self, server: FakeServer) -> None:
        answer(server, "GetClass", f'<CLASS NAME="{PROCESSOR}"/>')
        found = ask(server, "gc", "root/scx", MEMORY)
        assert (found.returncode, found.stdout) == (1, "")
        assert f"{server.url} gave the class {PROCESSOR}, which was not asked for\n" in found.stderr

    def test_of_a_class_that_only_the_server_has(self, server: FakeServer) -> None:
        server.answers[APACHE] = [(APACHE, memory()), ("Apache_Sub", memory()), (MEMORY, memory())]
        found = ask(server, "ei", "root/scx", APACHE)
        assert (found.returncode, found.stdout.count("instance of Apache_")) == (0, 2)
        assert notes(found) == [f"{server.url} gave an instance of {MEMORY}, which was not asked for; it is left out"]

    def test_of_names(self, server: FakeServer) -> None:
        named = [
            f'<INSTANCENAME CLASSNAME="{name}"><KEYBINDING NAME="Name">'
            f'<KEYVALUE VALUETYPE="{kind}">{value}</KEYVALUE></KEYBINDING></INSTANCENAME>'
            for name, kind, value in (
                (MEMORY, "string", "Memory"), (PROCESSOR, "string", "0"), (MEMORY, "numeric", "many"),
                (MEMORY, "numeric", "3"),
            )
        ]  # fmt: skip
        answer(server, "EnumerateInstanceNames", "".join(named))
        found = ask(server, "ein", "root/scx", MEMORY)
        assert found.returncode == 0
        assert found.stdout.startswith(f"instance of {MEMORY}\n{{\n    [Key] Name=Memory\n}}\n")
        assert "=3" not in found.stdout
        assert notes(found) == [
            f"{server.url} gave an instance of {PROCESSOR}, which was not asked for; it is left out",
            f"{server.url} gave a {MEMORY}.Name that is no text but a number; it is left out",
        ]

    def test_of_one_instance(self, server: FakeServer) -> None:
        answer(server, "GetInstance", instance(PROCESSOR, memory()))
        found = ask(server, "gi", "root/scx", "{", MEMORY, "Name", "Memory", "}")
        assert (found.returncode, found.stdout) == (1, "")
        assert found.stderr.splitlines() == [
            "omicli: result: MI_RESULT_FAILED",
            f"omicli: result: {server.url} gave an instance of {PROCESSOR}, which was not asked for",
        ]


def test_an_answer_without_keys_is_no_cause_for_warnings(server: FakeServer) -> None:
    inside = (
        f'<VALUE.NAMEDINSTANCE><INSTANCENAME CLASSNAME="{MEMORY}"/>{instance(MEMORY, memory())}</VALUE.NAMEDINSTANCE>'
    )
    answer(server, "EnumerateInstances", inside)
    found = ask(server, "ei", "root/scx", MEMORY)
    assert (found.returncode, GOOD in found.stdout, found.stderr) == (0, True, "")


def test_what_is_missing_is_named_to_those_who_want_reasons(server: FakeServer) -> None:
    text = f"SELECT Name,AvailableMemory,UsedMemory,PercentUsedSwap FROM {MEMORY}"
    assert ask(server, "wql", "root/scx", text).stderr == ""
    assert (
        f"omicli: note: {server.url} gave no {MEMORY}.UsedMemory, PercentUsedSwap\n"
        in ask(server, "-t", "wql", "root/scx", text).stderr
    )


def test_a_hostile_number_of_lies_is_named_shortly(server: FakeServer) -> None:
    server.answers[MEMORY] = [(f"Other_{n}", memory()) for n in range(500)] + [(MEMORY, memory())]
    said = notes(ask(server, "ei", "root/scx", MEMORY))
    assert len(said) == 21
    assert said[-1] == f"{server.url} gave more that cannot be; it is left out"


@pytest.mark.parametrize(
    ("method", "inside"),
    [
        ("EnumerateInstances", "<IRETURNVALUE><CLASS NAME='SecretTag'/></IRETURNVALUE>"),
        ("EnumerateInstances", "<IRETURNVALUE>SecretTag \x01</IRETURNVALUE>"),
        ("EnumerateInstances", "<IRETURNVALUE>SecretTag</IRETURNVALUE>"),
        ("GetInstance", "<IRETURNVALUE><SecretTag/></IRETURNVALUE>"),
        ("Other", f"<IRETURNVALUE>{named_instance(MEMORY, memory(percent='SecretTag'))}</IRETURNVALUE>"),
    ],
)
def test_no_error_quotes_the_answer(server: FakeServer, method: str, inside: str) -> None:
    server.fixed, server.mode = message(method, inside), "fixed"
    found = ask(server, "ei", "root/scx", MEMORY)
    assert (found.returncode, found.stdout) == (1, "")
    first, second = found.stderr.splitlines()
    assert first == "omicli: result: MI_RESULT_FAILED"
    assert second.startswith(f"omicli: result: {server.url}: the reply is not valid CIM-XML (")
    assert "<" not in second
    assert len(second) < 300


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("503", "HTTP 503 Service Unavailable; is this a CIM-XML server?"),
        ("html", "the reply is not valid CIM-XML (HeaderParseError)"),
        ("truncated", "the reply is not valid CIM-XML (XMLParseError)"),
        ("redirect", "set --hostname and --port to where the server is"),
    ],
)
def test_what_is_no_answer_is_one_line(server: FakeServer, mode: str, said: str) -> None:
    server.mode = mode
    found = ask(server, "ei", "root/scx", MEMORY)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 2)
    assert said in found.stderr
    assert not any(mark in found.stderr for mark in ("<", "omiEndpoint", "\\n"))
