"""``lad query``: table, JSON, exit codes and one-line messages."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import pytest

from omi_queries import cli, recording

ROOT = Path(__file__).parent.parent / "fixtures" / "proc" / "vm" / "root"
CPU = "SCX_ProcessorStatisticalInformation"


def run(*argv: str) -> tuple[int, list[float]]:
    """Exit code, and how long it waited."""
    parser = argparse.ArgumentParser(prog="lad")
    cli.add_query_parser(parser.add_subparsers())
    args = parser.parse_args(["query", *argv])
    assert args.run is cli.query
    waited: list[float] = []
    return cli.query(args, sleep=waited.append), waited


def test_json_is_a_list_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    code, waited = run("--root", str(ROOT), "--json", "SELECT Name,IsOnline FROM SCX_DiskDriveStatisticalInformation")
    out, err = capsys.readouterr()
    assert code == 0
    assert json.loads(out)[0] == {"Name": "sda", "IsOnline": True}
    assert err == ""
    assert waited == []


def test_a_rate_takes_two_readings_one_second_apart(capsys: pytest.CaptureFixture[str]) -> None:
    text = "SELECT ReadsPerSecond FROM SCX_DiskDriveStatisticalInformation WHERE Name='_Total'"
    code, waited = run("--root", str(ROOT), "--json", text)
    assert code == 0
    assert waited == [1.0]
    assert json.loads(capsys.readouterr().out) == [{"ReadsPerSecond": 0}]


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = "SELECT Name,PercentBusyTime,AverageDiskQueueLength FROM SCX_DiskDriveStatisticalInformation"
    assert run("--root", str(ROOT), text)[0] == 0
    assert capsys.readouterr().out.splitlines() == [
        "Name     PercentBusyTime  AverageDiskQueueLength",
        "sda      NULL             0",
        "nvme0n1  NULL             0",
        "nvme1n1  NULL             0",
        "_Total   NULL             0",
    ]


def test_wide_instances_become_blocks() -> None:
    text = cli.render([{"Name": "a\nb\x1b[31m", "Value": True}, {"Name": "c"}], 8)
    assert text.split("\n") == ["Name   a\\nb\\x1b[31m", "Value  TRUE", "", "Name   c"]


def test_nothing_found_is_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run("--root", str(ROOT), "SELECT Name FROM SCX_DiskDriveStatisticalInformation WHERE Name='sdz'")
    assert code == 0
    assert capsys.readouterr().err == "lad query: note: no instance matches\n"


def test_instances_without_the_selected_properties_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run("--root", str(ROOT), "SELECT name FROM SCX_MemoryStatisticalInformation")
    out, err = capsys.readouterr()
    assert (code, out) == (0, "")
    assert err.splitlines()[-1] == "lad query: note: 1 matched, without any of the selected properties"


def test_warning_for_a_wrongly_cased_property(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run("--root", str(ROOT), "--json", "select name from SCX_MemoryStatisticalInformation")
    out, err = capsys.readouterr()
    assert code == 0
    assert json.loads(out) == [{}]
    assert "write Name" in err


@pytest.mark.parametrize(
    ("namespace", "text", "end"),
    [
        ("root/nope", "SELECT * FROM X", "MI_RESULT_INVALID_NAMESPACE (3)"),
        ("root/scx", "SELECT * FROM Nope", "(at character 15); MI_RESULT_INVALID_CLASS (5)"),
        ("root/scx", "SELECT * FROM SCX_LogFile", "MI_RESULT_NOT_SUPPORTED (7)"),
        ("root/scx", "SELECT Nope FROM SCX_Agent", "(at character 8); MI_RESULT_INVALID_QUERY (15)"),
    ],
)
def test_an_error_names_the_result_of_omi(
    namespace: str, text: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--namespace", namespace, text)[0] == 1
    assert capsys.readouterr().err.endswith(f"{end}\n")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["SELECT Nme FROM SCX_MemoryStatisticalInformation"],
            "did you mean Name? (at character 8); MI_RESULT_INVALID_QUERY (15)",
        ),
        (
            ["SELECT * FROM SCX_Memory"],
            "did you mean SCX_MemoryStatisticalInformation? (at character 15); MI_RESULT_INVALID_CLASS (5)",
        ),
        (["--namespace", "root/cimv2", f"SELECT * FROM {CPU}"], "unknown namespace 'root/cimv2'"),
        (["--namespace", "root/cimv2", f"SELECT * FROM {CPU}"], "MI_RESULT_INVALID_NAMESPACE (3)"),
        (["SELECT Name FROM SCX_LogFile"], "MI_RESULT_NOT_SUPPORTED (7)"),
        (["SELEC Name"], "SELECT expected"),
        (["SELECT * FROM SCX_Agent WHERE Name='it''s'"], "is written with a backslash (at character 40)"),
        (["--root", "/nonexistent\n", f"SELECT * FROM {CPU}"], "--root must name a folder"),
    ],
)
def test_errors_are_one_line_and_exit_1(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(*argv)
    out, err = capsys.readouterr()
    assert code == 1
    assert out == ""
    assert err.startswith("lad query: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    "argv",
    [
        ["--backend", "oracle", "SELECT * FROM X"],
        ["--backend", "replay:", "SELECT * FROM X"],
        [],
        ["--list", "SCX_Agent", "SELECT * FROM X"],
    ],
)
def test_usage_errors_exit_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*argv)
    assert caught.value.code == 2


class TestSources:
    TEXT = "SELECT Name,UsedMemory FROM SCX_MemoryStatisticalInformation"

    def test_a_recording_answers_with_its_end(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = [
            recording.format_sample(at, "root/scx", "SCX_MemoryStatisticalInformation", [{"UsedMemory": at}], {})
            for at in (1, 2)
        ]
        (tmp_path / "r").write_text("\n".join(lines), encoding="utf-8")
        code, waited = run("--backend", f"replay:{tmp_path}/r", "--json", self.TEXT)
        assert (code, waited) == (0, [])
        assert json.loads(capsys.readouterr().out) == [{"UsedMemory": 2}]

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (["--backend", "replay:/nonexistent"], "/nonexistent: No such file"),
            (["--backend", "cimxml"], "give --endpoint URL or set LAD_OMI_ENDPOINT"),
            (["--backend", "cimxml", "--endpoint", "http://127.0.0.1:1", "--password-file", "/none"], "/none: No such"),
        ],
    )
    def test_what_is_missing_is_one_line(
        self, argv: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(cli.ENDPOINT_VARIABLE, raising=False)
        code, _ = run(*argv, self.TEXT)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert words in err

    @pytest.mark.parametrize("source", ["auto", "cimxml"])
    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://u:geheim@h", "give those as --user and --password-file"),
            (
                "ftp://x",
                "argument --endpoint: the address of the CIM-XML server does not begin with http:// or https://",
            ),
        ],
    )
    def test_an_address_that_is_none_is_a_usage_error(
        self, source: str, url: str, words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            run("--backend", source, "--endpoint", url, self.TEXT)
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert "geheim" not in err

    def test_an_answer_from_proc_instead_of_the_better_source_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        code, _ = run("--endpoint", f"http://127.0.0.1:{port}", "--root", str(ROOT), "--json", self.TEXT)
        out, err = capsys.readouterr()
        assert (code, len(json.loads(out))) == (0, 1)
        assert err.startswith("lad query: note: ")
        assert "procfs" in err or "/proc" in err


class TestListing:
    def test_all_classes(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--list")[0] == 0
        lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
        assert "base class" in lines["SCX_StatisticalInformation"]
        assert "CPU usage statistics" in lines[CPU]
        assert "root/omi" in lines["OMI_Identify"]
        assert "methods only" in lines["SCX_LogFile"]

    def test_all_properties_with_unit_and_meaning(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--list")[0] == 0
        lines = capsys.readouterr().out.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("SCX_MemoryStatisticalInformation "))
        end = next(i for i in range(at + 1, len(lines)) if not lines[i].startswith("    "))
        properties = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[at + 1 : end]}
        assert properties["UsedMemory"] == "uint64 MegaBytes memory in use"
        assert "ElementName" not in properties  # it never has a value

    def test_one_namespace(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--namespace", "root/omi", "--list", "--json")[0] == 0
        assert {one["namespace"] for one in json.loads(capsys.readouterr().out)} == {"root/omi"}

    def test_a_class_in_any_case(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--list", "scx_diskdrivestatisticalinformation", "--json")[0] == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["name"], found["base"]) == ("SCX_DiskDriveStatisticalInformation", "SCX_StatisticalInformation")
        by_name = {one["name"]: one for one in found["properties"]}
        assert (by_name["Name"]["key"], by_name["Name"]["type"]) == (True, "string")
        assert (by_name["ReadsPerSecond"]["rate"], by_name["PercentBusyTime"]["null"]) == (True, True)
        assert by_name["AverageReadTime"]["unit"] == "Seconds"

    def test_every_property_of_every_class_has_a_meaning(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--list", "--json")[0] == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found) > 20
        assert [f"{c['name']}.{p['name']}" for c in found for p in c["properties"] if len(p["meaning"]) < 5] == []

    def test_as_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--list", "SCX_StatisticalInformation")[0] == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "SCX_StatisticalInformation in root/scx: base class"
        assert "CIM_StatisticalInformation < CIM_ManagedElement" in lines[1]
        assert CPU in lines[2]
        assert lines[3].split() == ["PROPERTY", "TYPE", "UNIT", "MEANING"]
        assert any(line.startswith("Name") and " key " in line for line in lines)

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (["--list", "SCX_Memory"], "did you mean SCX_MemoryStatisticalInformation?"),
            (["--list", "qqq"], "lad query --list shows all"),
            (["--namespace", "root/none", "--list"], "unknown namespace 'root/none'"),
        ],
    )
    def test_unknown(self, argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
        code, _ = run(*argv)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert words in err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--backend", "procfs", "SELECT * FROM Apache_HTTPDServerStatistics"], "MI_RESULT_INVALID_CLASS (5)"),
        (["--namespace", "root/apache", "SELECT * FROM Apache_X"], "MI_RESULT_INVALID_NAMESPACE (3)"),
    ],
)
def test_a_class_of_another_provider_names_the_cure(
    argv: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv)[0] == 1
    err = capsys.readouterr().err
    assert "to ask an OMI or CIM-XML server that has it, set --endpoint or --backend" in err
    assert err.endswith(f"; {code}\n")
    assert err.count("\n") == 1
