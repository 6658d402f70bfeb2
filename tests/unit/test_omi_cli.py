"""``lad query``: table, JSON, exit codes and one-line messages."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from omi_queries import cli

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


def test_warning_for_a_wrongly_cased_property(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run("--root", str(ROOT), "--json", "select name from SCX_MemoryStatisticalInformation")
    out, err = capsys.readouterr()
    assert code == 0
    assert json.loads(out) == [{}]
    assert "write Name" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["SELECT Nme FROM SCX_MemoryStatisticalInformation"], "did you mean Name?"),
        (["SELECT * FROM SCX_Memory"], "did you mean SCX_MemoryStatisticalInformation?"),
        (["--namespace", "root/cimv2", f"SELECT * FROM {CPU}"], "unknown namespace 'root/cimv2'"),
        (["SELEC Name"], "SELECT expected"),
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


def test_usage_errors_exit_2() -> None:
    with pytest.raises(SystemExit) as caught:
        run("--backend", "oracle", "SELECT * FROM X")
    assert caught.value.code == 2
