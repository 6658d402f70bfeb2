"""``lad record``: when it samples, what it writes, and how it ends."""

from __future__ import annotations

import argparse
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from extension import record
from omi_queries import recording
from omi_queries.backends.replay import ReplayBackend
from omi_queries.recording_file import Recording
from omi_queries.types import MI_FAILED, QueryError, Reading

ROOT = str(Path(__file__).parent.parent / "fixtures" / "proc" / "vm" / "root")
MEMORY = "SCX_MemoryStatisticalInformation"
DISK = "SCX_DiskDriveStatisticalInformation"


class Time:
    """A clock that waiting moves; ``stop_at`` is when the signal comes."""

    def __init__(self, now: float, stop_at: float = float("inf")) -> None:
        self.now = now
        self.stop_at = stop_at

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now = min(self.now + seconds, max(self.stop_at, self.now))
        return self.now >= self.stop_at


def arguments(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    record.add_parsers(parser.add_subparsers())
    return parser.parse_args(["record", *argv])


def run(time: Time, *argv: str) -> int:
    return record.record(arguments(*argv), time.clock, time.wait)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_times_are_multiples_of_the_interval(tmp_path: Path) -> None:
    out = tmp_path / "r"
    code = run(Time(1_000_003.0), "-o", str(out), "--root", ROOT, "--interval", "10", "--count", "3", "--class", MEMORY)
    assert code == 0
    assert [one["t"][-16:] for one in lines(out)] == ["13:46:50.000000Z", "13:47:00.000000Z", "13:47:10.000000Z"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_the_first_time_leaves_room_for_a_rate(tmp_path: Path) -> None:
    out = tmp_path / "r"
    run(Time(1_000_009.5), "-o", str(out), "--root", ROOT, "--interval", "10", "--count", "1", "--class", DISK)
    assert lines(out)[0]["t"].endswith("13:47:00.000000Z")
    assert lines(out)[0]["instances"][0]["ReadsPerSecond"] == 0


def test_classes_named_once_each_and_bases_by_their_subclasses(tmp_path: Path) -> None:
    out = tmp_path / "r"
    names = ("--class", "scx_StatisticalInformation", "--class", MEMORY.lower())
    assert run(Time(0.0), "-o", str(out), "--root", ROOT, "--count", "1", *names) == 0
    found = [one["class"] for one in lines(out)]
    assert len(found) == len(set(found)) >= 5
    assert {MEMORY, DISK} <= set(found)


def test_the_default_classes_are_recorded_and_can_be_replayed(tmp_path: Path) -> None:
    out = tmp_path / "r"
    assert run(Time(0.0), "-o", str(out), "--root", ROOT, "--count", "2") == 0
    assert sorted({one["class"] for one in lines(out)}) == sorted(record.CLASSES)
    source = ReplayBackend(str(out))
    for name in record.CLASSES:
        live = Recording(str(out)).newest("root/scx", name, 1 << 62)
        assert live is not None
        assert source.open("root/scx", f"SELECT * FROM {name}").read(30.0).instances == live.instances
    source.close()


def test_a_signal_ends_it_with_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r"
    assert run(Time(0.0, stop_at=47.0), "-o", str(out), "--root", ROOT, "--class", MEMORY) == 0
    assert [one["t"][-10:] for one in lines(out)] == ["15.000000Z", "30.000000Z", "45.000000Z"]
    assert capsys.readouterr().err == f"lad record: 3 lines in {out}\n"


def test_times_missed_are_left_out(tmp_path: Path) -> None:
    class Late(Time):
        def wait(self, seconds: float) -> bool:
            self.now += seconds if seconds <= 1 or self.now else seconds + 25  # the first wait takes 25 s too long
            return False

    out = tmp_path / "r"
    run(Late(0.0), "-o", str(out), "--root", ROOT, "--interval", "10", "--count", "2", "--class", MEMORY)
    assert [one["t"][-10:] for one in lines(out)] == ["10.000000Z", "40.000000Z"]


class Failing:
    """A stream that fails at its second reading."""

    def __init__(self) -> None:
        self.read_times = 0

    def prime(self) -> None:
        """Nothing to do."""

    def read(self, tick: float) -> Reading:
        self.read_times += 1
        if self.read_times in (2, 3):
            raise QueryError(MI_FAILED, "the server is away")
        return Reading([{"Name": "Memory"}], {"Name": "string"}, "failing")

    def state(self) -> dict[str, Any] | None:
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:
        return False


class FailingBackend:
    """Its streams fail now and then."""

    name = "failing"

    def open(self, namespace: str, text: str) -> Failing:
        return Failing()

    def close(self) -> None:
        """Nothing is open."""


def test_a_source_that_fails_costs_its_times_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "open_source", lambda args, env, say: FailingBackend())
    out = tmp_path / "r"
    assert run(Time(0.0), "-o", str(out), "--count", "4", "--class", MEMORY) == 0
    assert [one["t"][-10:] for one in lines(out)] == ["15.000000Z", "00.000000Z"]
    assert capsys.readouterr().err.splitlines() == [
        f"lad record: {MEMORY}: the server is away",
        f"lad record: {MEMORY}: no answer at 2 of 4 times",
        f"lad record: 2 lines in {out}",
    ]


def test_nothing_is_overwritten_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r"
    out.write_text("mine")
    options = ("-o", str(out), "--root", ROOT, "--count", "1", "--class", MEMORY)
    assert run(Time(0.0), *options) == 1
    assert out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert run(Time(0.0), *options, "--force") == 0
    assert len(lines(out)) == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--class", "SCX_Memory"], "did you mean SCX_MemoryStatisticalInformation?"),
        (["--class", "SCX_LogFile"], "cannot be listed"),
        (["--namespace", "root/none"], "unknown namespace"),
        (["--root", "/nonexistent"], "--root must name a folder"),
    ],
)
def test_wrong_wishes_leave_no_file(
    argv: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert run(Time(0.0), "-o", str(out), "--root", ROOT, *argv) == 1
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_another_namespace_needs_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["-o", str(tmp_path / "r"), "--root", ROOT, "--namespace", "root/omi", "--count", "1"]
    assert run(Time(0.0), *argv) == 1
    assert capsys.readouterr().err.count("--class") == 1
    assert run(Time(0.0), *argv, "--class", "OMI_Identify") == 0
    assert lines(tmp_path / "r")[0]["class"] == "OMI_Identify"


def test_an_unknown_class_is_named_without_a_place_in_a_query_that_nobody_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Time(0.0), "-o", str(tmp_path / "r"), "--root", ROOT, "--class", "Nope") == 1
    said = capsys.readouterr().err
    assert "has no class 'Nope'" in said
    assert "at character" not in said


@pytest.mark.parametrize("argv", [["--interval", "0"], ["--interval", "nan"], ["--interval", "x"], ["--count", "0"]])
def test_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        arguments("-o", "x", *argv)
    assert caught.value.code == 2


def test_a_full_disk_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(Time(0.0), "-o", "/dev/full", "--force", "--root", ROOT, "--count", "1", "--class", MEMORY)
    assert code == 1
    assert "No space left" in capsys.readouterr().err


def test_what_the_machine_cannot_say_is_absent_in_the_file(tmp_path: Path) -> None:
    out = tmp_path / "r"
    run(Time(0.0), "-o", str(out), "--root", ROOT, "--count", "1", "--class", "SCX_ProcessorStatisticalInformation")
    found = recording.parse_line(out.read_bytes())
    assert isinstance(found, recording.Sample)
    assert "PercentIdleTime" not in found.instances[0]  # the counters of the fixture stand still
