"""The omicli command beyond the recorded runs: options, usage errors, output forms, hints."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import recording
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.backends.replay import ReplayBackend
from omi_queries.omicli import instances
from omi_queries.omicli.arguments import UsageError, instance_name, parse, remote_problem
from omi_queries.omicli.command import World, run
from omi_queries.omicli.instances import Shown, Slot
from omi_queries.types import Backend, Instance

ROOT = Path(__file__).parent.parent / "fixtures" / "proc" / "vm" / "root"
AT_US = 1_795_253_880_000_000
LOG_FILE_KEYS = [
    word
    for key in ("Name", "CSCreationClassName", "CSName", "FSCreationClassName", "FSName", "CreationClassName")
    for word in (key, "x")
]
SUBSCRIBE = "sub NAMESPACE --querylang 'WQL/CQL'  --queryexpr=\"select * from Indication_ClassName\""


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        return True


class Ran:
    """One run of the command with what it did."""

    def __init__(
        self, *argv: str, backend: Backend | None = None, env: dict[str, str] | None = None, terminal: bool = False
    ) -> None:
        self.waited: list[float] = []
        out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
        world = World(
            out, err, env or {}, sleep=self.waited.append, clock=lambda: 0.0,
            backend=lambda: backend or ProcfsBackend(str(ROOT)),
        )  # fmt: skip
        self.code = run(["omicli", *argv], world)
        self.out, self.err = out.getvalue(), err.getvalue()


def replay(folder: Path, **tables: list[Instance]) -> ReplayBackend:
    lines = [recording.format_sample(AT_US, "root/scx", name, rows, {}) for name, rows in tables.items()]
    (folder / "r.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ReplayBackend(str(folder / "r.ndjson"), clock=lambda: AT_US / 1e6)


class TestRates:
    DISK = "SCX_DiskDriveStatisticalInformation"

    def test_a_rate_takes_two_readings_one_second_apart(self) -> None:
        ran = Ran("cql", "root/scx", f"SELECT ReadsPerSecond FROM {self.DISK} WHERE Name='_Total'")
        assert (ran.code, ran.waited) == (0, [1.0])
        assert ran.out == f"instance of {self.DISK}\n{{\n    ReadsPerSecond=0\n}}\n"

    def test_no_rate_no_wait(self) -> None:
        ran = Ran("cql", "root/scx", f"SELECT Name FROM {self.DISK}")
        assert ran.waited == []
        assert "    [Key] Name=_Total\n" in ran.out

    def test_each_repetition_is_a_second_after_the_last(self) -> None:
        ran = Ran("-R", "3", "wql", "root/scx", f"SELECT ReadsPerSecond FROM {self.DISK} WHERE Name='_Total'")
        assert ran.waited == [1.0] * 3
        assert ran.out.count("instance of") == 3


class TestForms:
    MEMORY = "SCX_MemoryStatisticalInformation"

    def test_a_selected_null_shows_with_n_only(self, tmp_path: Path) -> None:
        text = "SELECT Name,PercentBusyTime FROM SCX_DiskDriveStatisticalInformation WHERE Name='sda'"
        plain, nulls = Ran("cql", "root/scx", text), Ran("-n", "cql", "root/scx", text)
        assert plain.out.splitlines()[2:] == ["    [Key] Name=sda", "}"]
        assert nulls.out.splitlines()[2:] == ["    [Key] Name=sda", "    PercentBusyTime=NULL", "}"]

    def test_a_rate_that_is_not_known_is_null(self, tmp_path: Path) -> None:
        source = replay(tmp_path, SCX_DiskDriveStatisticalInformation=[{"Name": "sda"}])
        text = "SELECT Name,ReadsPerSecond FROM SCX_DiskDriveStatisticalInformation"
        assert "ReadsPerSecond" not in Ran("cql", "root/scx", text, backend=source).out
        source = replay(tmp_path, SCX_DiskDriveStatisticalInformation=[{"Name": "sda"}])
        assert "    ReadsPerSecond=NULL\n" in Ran("-n", "cql", "root/scx", text, backend=source).out

    def test_xml_is_one_well_formed_line_for_each_instance(self, tmp_path: Path) -> None:
        source = replay(
            tmp_path,
            SCX_UnixProcess=[
                {"Name": "a<b>&\"\x01'", "Handle": "7", "Parameters": ["x y", "]]>"], "PercentBusyTime": 3},
                {"Name": "c", "Handle": "8", "Parameters": []},
            ],
        )
        ran = Ran("-xml", "ei", "root/scx", "SCX_UnixProcess", backend=source)
        lines = ran.out.splitlines()
        assert len(lines) == 2
        first = ElementTree.fromstring(lines[0])
        assert (first.tag, first.get("CLASSNAME")) == ("INSTANCE", "SCX_UnixProcess")
        by_name = {one.get("NAME"): one for one in first}
        assert by_name["Name"].findtext("VALUE") == "a<b>&\"'"
        assert [one.text for one in by_name["Parameters"].iterfind("VALUE.ARRAY/VALUE")] == ["x y", "]]>"]
        assert by_name["Parameters"].tag == "PROPERTY.ARRAY"
        assert list(by_name["Priority"]) == []
        second = {one.get("NAME"): one for one in ElementTree.fromstring(lines[1])}
        assert [one.tag for one in second["Parameters"]] == ["VALUE.ARRAY"]

    def test_reals_have_all_their_digits_in_xml(self, tmp_path: Path) -> None:
        rows: list[Instance] = [{"Name": "sda", "AverageReadTime": 0.5}]
        ran = Ran("-xml", "ei", "root/scx", TestRates.DISK, backend=replay(tmp_path, **{TestRates.DISK: rows}))
        assert '<PROPERTY NAME="AverageReadTime" TYPE="real64"><VALUE>5.0000000000000000e-01</VALUE>' in ran.out

    def test_names_are_the_keys_alone_and_take_one_reading(self) -> None:
        ran = Ran("ein", "root/scx", "SCX_StatisticalInformation")
        assert (ran.code, ran.waited) == (0, [])
        assert "instance of SCX_MemoryStatisticalInformation\n{\n    [Key] Name=Memory\n}\n" in ran.out
        assert {line for line in ran.out.splitlines() if line.startswith("    ") and "[Key] Name=" not in line} == set()

    def test_an_error_is_xml_too(self) -> None:
        ran = Ran("-xml", "ei", "root/nope", "X")
        error = ElementTree.fromstring(ran.out)
        assert (ran.code, error.get("CLASSNAME"), len(error)) == (3, "OMI_Error", 19)

    def test_a_value_of_several_lines_is_printed_as_it_is(self, tmp_path: Path) -> None:
        source = replay(tmp_path, SCX_UnixProcess=[{"Name": "a\nb", "Handle": "7"}])
        ran = Ran("cql", "root/scx", "SELECT Name FROM SCX_UnixProcess", backend=source)
        assert ran.out == "instance of SCX_UnixProcess\n{\n    Name=a\nb\n}\n"

    def test_quiet_prints_errors_only(self) -> None:
        assert Ran("-q", "ei", "root/scx", self.MEMORY).out == ""
        assert "OMI_Error" in Ran("-q", "ei", "root/scx", "Nope").out

    def test_suppressed_errors_still_have_their_code(self) -> None:
        ran = Ran("-s", "ei", "root/scx", "Nope")
        assert (ran.code, ran.out, ran.err) == (5, "", "")

    def test_summary(self) -> None:
        ran = Ran("-q", "-S", "ei", "root/scx", self.MEMORY)
        assert ran.out.splitlines()[0] == "number of instances: 1"

    def test_output_to_files(self, tmp_path: Path) -> None:
        ran = Ran("--stdout", f"{tmp_path}/o", f"--stderr={tmp_path}/e", "ei", "root/scx", "Nope")
        assert (ran.code, ran.out, ran.err) == (5, "", "")
        assert "OMI_Code=5" in (tmp_path / "o").read_text()
        assert "MI_RESULT_INVALID_CLASS" in (tmp_path / "e").read_text()

    def test_a_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        ran = Ran("--stdout", f"{tmp_path}/none/o", "noop")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.count("\n") == 1
        assert "failed to open" in ran.err

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.000440348, "0.000440348"), (1e-5, "1e-05"), (12345678.0, "1.23457e+07"), (0.0, "0"), (2.5, "2.5")],
    )
    def test_reals_have_six_digits(self, value: float, text: str) -> None:
        shown = instances.text(Shown("C", (Slot("R", "real64", False, value),)), nulls=False)
        assert shown == f"instance of C\n{{\n    R={text}\n}}\n"


class TestErrors:
    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (["ei", "root/scx", "SCX_Nope"], 5),
            (["ei", "root/nope", "SCX_Nope"], 3),
            (["ei", "root/scx", "not a class"], 5),
            (["ei", "root/scx", "OMI_Identify"], 5),
            (["gc", "root/scx", "SELECT"], 5),
            (["gc", "root/nope", "SCX_Agent"], 3),
            (["gi", "root/scx", "{", "SCX_Nope", "Name", "x", "}"], 5),
            (["gi", "root/scx", "{", "SCX_ProcessorStatisticalInformation", "}"], 12),
            (["gi", "root/scx", "{", "SCX_ProcessorStatisticalInformation", "Caption", "x", "}"], 12),
            (["gi", "root/scx", "{", "SCX_FileSystem", "Name", "/", "}"], 12),
            (["gi", "root/scx", "{", "SCX_ProcessorStatisticalInformation", "Name", "0", "Foo", "bar", "}"], 12),
            (["gi", "root/scx", "{", "SCX_StatisticalInformation", "Name", "x", "}"], 5),
            (["gi", "root/scx", "{", "CIM_StatisticalInformation", "}"], 5),
            (["gi", "root/scx", "{", "SCX_LogFile", "Name", "x", "}"], 12),
            (["gi", "root/scx", "{", "SCX_LogFile", *LOG_FILE_KEYS, "}"], -7),
            (["ei", "root/scx", "CIM_LogicalFile"], 7),
            (["ein", "root/scx", "CIM_LogicalFile"], 7),
            (["cql", "root/scx", "SELECT Name FROM CIM_LogicalFile"], 7),
            (["cql", "root/nope", "SELEC"], 15),
            (["cql", "root/nope", "SELECT * FROM SCX_Agent"], 3),
            (["ei", "root/scx", "SCX_Agent", "--queryexpr", "SELECT Nope FROM SCX_Agent"], 15),
            (["ei", "root/scx", "SCX_Agent", "--querylang", "sql", "--queryexpr", "SELECT 1"], 14),
            (["ei", "root/scx", "X", "--querylang=CQL", "--queryexpr=SELECT * FROM SCX_Agent WHERE Name LIKE 'a'"], 15),
            (["gi", "root/scx", "{", "SCX_MemoryStatisticalInformation", "Name", "}"], -6),
            (["ein", "root/scx", "SCX_LogFile"], 7),
            (["ein", "root/nope", "X"], 3),
            (["ein", "root/scx", "X"], 5),
            (["ein", "-shallow", "root/scx", "SCX_StatisticalInformation"], 7),
            (["iv", "root/scx", "{", "SCX_OperatingSystem", "}", "ExecuteCommand"], 7),
            (["iv", "root/scx", "{", "SCX_OperatingSystem", "}", "X", "{", "Command", "x", "timeout", "0", "}"], 7),
            (["iv", "root/nope", "{", "SCX_OperatingSystem", "}", "X"], 3),
            (["iv", "root/scx", "{", "SCX_Nope", "}", "X", "{", "}"], 5),
            (["ci", "root/scx", "{", "SCX_Agent", "}"], 7),
            (["enc", "{", "X", "}"], 7),
            (["sub", "root/scx", "--queryexpr", "select * from X"], 7),
        ],
    )  # fmt: skip
    def test_the_code_is_on_all_three(self, argv: list[str], code: int) -> None:
        lines, code = (2, code) if code > 0 else (1, -code)
        ran = Ran(*argv)
        assert ran.code == code
        assert f"\n    OMI_Code={code}\n" in ran.out
        assert ran.err.startswith("omicli: result: MI_RESULT_")
        assert ran.err.count("\n") == lines

    def test_filtered_enumeration(self) -> None:
        argv = ("ei", "root/scx", "SCX_FileSystemStatisticalInformation", "--querylang", "cql", "--queryexpr")
        text = "SELECT Name FROM SCX_MemoryStatisticalInformation"
        assert Ran(*argv, text).out == "instance of SCX_MemoryStatisticalInformation\n{\n    [Key] Name=Memory\n}\n"

    def test_what_cannot_be_read_at_all_has_failed(self, tmp_path: Path) -> None:
        (tmp_path / "proc").mkdir()
        argv = ("-t", "ei", "root/scx", "SCX_ProcessorStatisticalInformation")
        ran = Ran(*argv, backend=ProcfsBackend(str(tmp_path)))
        assert ran.code == 1
        assert "    OMI_Code=1\n" in ran.out
        assert "stat" in ran.err

    @pytest.mark.parametrize(
        ("argv", "code", "err"),
        [
            (["-v"], 4, "error: unknown option: -v\nTry -h for help\n"),
            (["ei", "--what=1"], 4, "error: unknown option: --what=1\nTry -h for help\n"),
            (["noop", "-u"], 4, "error: missing option argument: -u\nTry -h for help\n"),
            (["-R", "0", "noop"], 4, "omicli: bad value for -R: 0\n"),
            (["-R", "many", "noop"], 4, "omicli: bad value for -R: many\n"),
            (["enumerate", "root/scx", "X"], 4, "omicli: unknown command: enumerate\n"),
            (["ei", "root/scx"], 4, "Usage: omicli ei NAMESPACE CLASSNAME\n\n"),
            (["noop", "x"], 4, "Usage: omicli noop\n\n"),
            (["cql", "root/scx"], 4, "Usage: omicli cql NAMESPACE QUERY\n\n"),
            (["gi", "root/scx"], 4, "Usage: omicli gi NAMESPACE INSTANCENAME\n\n"),
            (["gi", "root/scx", "{", "C", "N", "a", "}", "b"], 4, "omicli: extraneous arguments after instance name\n"),
            (["gi", "root/scx", "{", "C", "N", "a", "n", "b", "}"], 1, "omicli: invalid instance name specification\n"),
            (["gi", "root/scx", "{", "a-b", "N", "a", "}"], 1, "omicli: invalid instance name specification\n"),
            (["ein", "root/scx"], 4, "Usage: omicli ein NAMESPACE CLASSNAME\n\n"),
            (["iv", "root/scx", "{"], 4, "Usage: omicli iv NAMESPACE INSTANCENAME METHODNAME PARAMETERS\n\n"),
            (["ci", "root/scx"], 4, "Usage: omicli ci NAMESPACE INSTANCE\n\n"),
            (["sub", "root/scx"], 4, f"Usage: omicli {SUBSCRIBE}\n\n"),
            (["gi", "root/scx", "{", "C"], 1, "omicli: invalid instance name specification\n"),
            (["iv", "root/scx", "{C}", "X", "{", "}"], 1, "omicli: invalid instance name specification\n"),
            (["iv", "root/scx", "{", "C", "X"], 1, "omicli: invalid instance name specification\n"),
            (["--encryption", "ssh", "--hostname", "h", "noop"], 4,
             "omicli: invalid value for encryption. allowed values are : http, https, none\n"),
        ],
    )  # fmt: skip
    def test_usage(self, argv: list[str], code: int, err: str) -> None:
        ran = Ran(*argv)
        assert (ran.code, ran.out, ran.err) == (code, "", err)

    @pytest.mark.parametrize("name", ["encryption", "auth", "port"])
    def test_network_options_need_a_host(self, name: str) -> None:
        value = {"encryption": "none", "auth": "Basic", "port": "1"}[name]
        ran = Ran(f"--{name}", value, "noop")
        assert (ran.code, ran.out) == (1, f"omicli: --{name} option specified, but not --hostname.\n")

    def test_no_command_is_the_help_and_a_usage_error(self) -> None:
        assert Ran().code == 4
        assert Ran().out == Ran("-h").out
        assert Ran("-h").code == 0

    def test_ignored_options_of_the_original(self) -> None:
        assert Ran("--socketfile", "/x", "-t", "-synchronous", "noop").out == "got noop response\n"


class TestPeople:
    WRONG = ("cql", "root/scx", "SELECT PercentIdle FROM SCX_ProcessorStatisticalInformation")

    def test_a_terminal_gets_the_reason_and_its_place(self) -> None:
        ran = Ran(*self.WRONG, terminal=True)
        assert "did you mean PercentIdleTime?" in ran.err
        assert "(at character 8)" in ran.err

    def test_tracing_gets_it_too_and_a_script_does_not(self) -> None:
        assert "did you mean" in Ran("-t", *self.WRONG).err
        assert "did you mean" not in Ran(*self.WRONG).err

    def test_a_wrongly_cased_property_is_pointed_out(self) -> None:
        ran = Ran("-t", "cql", "root/scx", "select name from scx_memorystatisticalinformation")
        assert ran.out == "instance of SCX_MemoryStatisticalInformation\n{\n}\n"
        assert "write Name" in ran.err

    def test_a_password_in_the_arguments_is_warned_about_and_not_shown(self) -> None:
        ran = Ran("-t", "-u", "root", "-p", "hunter2", "ei", "root/scx", "Nope")
        assert "OMI_PASSWORD" in ran.err
        assert "hunter2" not in ran.err + ran.out
        assert "hunter2" not in repr(parse("omicli", ["-p", "hunter2"]))


class TestInstanceNames:
    def test_keys(self) -> None:
        found = instance_name(["{", "C", "Name", "a b", "*Other", "x", "}"])
        assert (found.class_name, found.keys) == ("C", {"Name": "a b"})  # the other is no key

    def test_without_the_closing_brace_as_the_original(self) -> None:
        assert instance_name(["{", "C", "Name", "x"]).keys == {"Name": "x"}

    @pytest.mark.parametrize("words", [[], ["C"], ["{C", "Name", "x}"], ["{", "C", "Name", "{", "D", "}", "}"]])
    def test_wrong(self, words: list[str]) -> None:
        with pytest.raises(UsageError) as caught:
            instance_name(words)
        assert caught.value.code == 1

    def test_key_values_are_told_apart_by_case(self) -> None:
        name = "SCX_FileSystemStatisticalInformation"
        assert Ran("gi", "root/scx", "{", name, "Name", "_Total", "}").code == 0
        assert Ran("gi", "root/scx", "{", name, "name", "_total", "}").code == 6

    @pytest.mark.parametrize("more", [["IsAggregate", "false"], ["*Foo", "bar"], ["*IsAggregate", "x"]])
    def test_what_is_no_key_does_not_count(self, more: list[str]) -> None:
        ran = Ran("gi", "root/scx", "{", "SCX_ProcessorStatisticalInformation", "Name", "0", *more, "}")
        assert (ran.code, "Name=0\n" in ran.out) == (0, True)

    @pytest.mark.parametrize(("name", "code"), [("scx_operatingsystem", 0), ("SCX_Other", 6)])
    def test_names_of_classes_in_keys_have_no_case(self, name: str, code: int) -> None:
        _, *lines, _, _ = Ran("ein", "root/scx", "SCX_OperatingSystem").out.splitlines()
        keys = dict(line.strip().removeprefix("[Key] ").split("=", 1) for line in lines if "=" in line)
        words = [word for key, value in (keys | {"CreationClassName": name}).items() for word in (key, value)]
        assert Ran("gi", "root/scx", "{", "SCX_OperatingSystem", *words, "}").code == code


@given(st.lists(st.text(min_size=0, max_size=12), max_size=8))
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    code = 0
    try:
        remote_problem(parse("omicli", words))
    except UsageError as error:
        code = error.code
    assert code in (0, 4)


@given(st.dictionaries(st.from_regex(r"[A-Z][a-z]{0,8}", fullmatch=True), st.text(), max_size=5))
def test_xml_is_always_well_formed(values: dict[str, str]) -> None:
    slots = tuple(Slot(name, "string", False, value) for name, value in values.items())
    found = ElementTree.fromstring(instances.xml(Shown("C", slots)))
    assert [one.get("NAME") for one in found] == list(values)
