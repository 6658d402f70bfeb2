"""Processes: what of /proc/PID is read, odd commands, processes that come, go and change their number."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.scx.process import arguments, priority
from omi_queries.scx.processes import parse_stat, real_uid
from omi_queries.types import Reading

TREE = Path(__file__).parent.parent / "fixtures" / "proc" / "server"
STAT_ONLY = "Handle,Name,Priority,ExecutionState,CreationDate,KernelModeTime,PercentBusyTime,UsedMemory,ParentProcessID"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(TREE / "root", tmp_path / "root", symlinks=True)
    return tmp_path / "root"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(root: Path, text: str, tick: float = 1.0) -> Reading:
    return ProcfsBackend(str(root), boottime=lambda: 1000.0, hz=100).open("root/scx", text).read(tick)


def test_only_stat_is_read_where_it_suffices(root: Path) -> None:
    expected = ask(root, f"SELECT {STAT_ONLY} FROM SCX_UnixProcess").instances
    for name in ("status", "cmdline", "wchan", "statm", "exe"):
        for file in root.glob(f"proc/[0-9]*/{name}"):
            file.unlink()
    reading = ask(root, f"SELECT {STAT_ONLY} FROM SCX_UnixProcess")
    assert reading.instances == expected
    assert len(expected) == 4
    assert expected[2]["Name"] == "we (ird) )"


def test_files_that_are_gone_are_null(root: Path) -> None:
    for name in ("status", "cmdline", "wchan", "exe"):
        for file in root.glob(f"proc/1/{name}"):
            file.unlink()
    text = "SELECT RealUserID,Parameters,ProcessWaitingForEvent,ModulePath FROM SCX_UnixProcess WHERE Handle='1'"
    assert ask(root, text).instances == [
        {"RealUserID": None, "ModulePath": None, "Parameters": None, "ProcessWaitingForEvent": None}
    ]


@pytest.mark.parametrize(
    ("target", "shown"),
    [(b"/opt/a b", "/opt/a b"), ("/opt/größe".encode(), "/opt/größe"), (b"/opt/\xff\xc3\xa9", "/opt/\\xffé")],
)
def test_the_path_of_the_program(root: Path, target: bytes, shown: str) -> None:
    link = root / "proc/1/exe"
    link.unlink()
    os.symlink(target, bytes(link))
    assert ask(root, "SELECT ModulePath FROM SCX_UnixProcess WHERE Handle='1'").instances == [{"ModulePath": shown}]


def test_unreadable_processes_are_counted(root: Path) -> None:
    (root / "proc/1/stat").write_text("1 (cut")
    (root / "proc/2/stat").write_text((root / "proc/2/stat").read_text().replace(" 0 ", " x ", 1))
    (root / "proc/300/stat").unlink()
    reading = ask(root, "SELECT Handle FROM SCX_UnixProcess")
    assert reading.instances == [{"Handle": "301"}]
    assert reading.skipped == {"/proc: stat of 2 processes is unreadable": 1}


def test_processes_that_may_not_be_read_are_counted(root: Path) -> None:
    for pid in ("4000", "4001"):
        (root / "proc" / pid).mkdir()
        (root / "proc" / pid / "stat").symlink_to("stat")  # any refusal; root would be let past a mode
    (root / "proc" / "4002").mkdir()  # one that ends meanwhile is none of them
    reading = ask(root, "SELECT Handle FROM SCX_UnixProcess")
    assert reading.instances
    assert dict(reading.skipped) == {"/proc: stat of 2 processes may not be read": 1}


def test_without_proc_there_is_nothing_and_a_reason(tmp_path: Path) -> None:
    reading = ask(tmp_path, "SELECT Handle FROM SCX_UnixProcess")
    assert reading.instances == []
    assert reading.skipped == {"/proc: No such file or directory": 1}


def test_both_classes_share_the_walk_of_a_tick(root: Path) -> None:
    backend = ProcfsBackend(str(root), boottime=lambda: 1000.0)
    first = backend.open("root/scx", "SELECT Handle FROM SCX_UnixProcess")
    second = backend.open("root/scx", "SELECT Handle FROM SCX_UnixProcessStatisticalInformation")
    before = first.read(1.0).instances
    shutil.rmtree(root / "proc/2")
    assert second.read(1.0).instances == before
    assert len(second.read(2.0).instances) == len(before) - 1
    backend.close()


def test_rates_of_a_reused_number_begin_from_nothing(root: Path) -> None:
    clock = Clock()
    backend = ProcfsBackend(str(root), boottime=clock, hz=100)
    stream = backend.open("root/scx", "SELECT Handle,CPUTime FROM SCX_UnixProcessStatisticalInformation")
    stream.prime()
    clock.now += 10
    path = root / "proc/1/stat"
    other = path.read_text().replace(" 1 0 5 171360256", " 1 0 100600 171360256")  # began at 1006 s
    path.write_text(other)
    (root / "proc/2/stat").write_text((root / "proc/2/stat").read_text().replace(" 1 0 5 0 0", " 1 0 6 0 0"))
    backwards = root / "proc/300/stat"
    backwards.write_text(backwards.read_text().replace(" 1000 10 ", " 900 10 "))
    reading = stream.read(1.0)
    found = {one["Handle"]: one.get("CPUTime") for one in reading.instances}
    assert found == {"1": 80, "2": None, "300": None, "301": 0}
    assert reading.skipped == {
        "processes without an earlier reading, rates are not known yet": 1,
        "processes whose counters went backwards": 1,
    }


def test_first_reading_has_no_rates_and_says_so(root: Path) -> None:
    reading = ask(root, "SELECT Handle,PercentBusyTime FROM SCX_UnixProcess WHERE Handle='1'")
    assert reading.instances == [{"Handle": "1"}]
    assert reading.skipped == {"no earlier reading, rates are not known yet": 1}


def test_page_size_and_hz_are_those_of_the_machine(root: Path) -> None:
    backend = ProcfsBackend(str(root), boottime=lambda: 1.0, page_size=65536, hz=250)
    text = "SELECT UsedMemory,UserModeTime FROM SCX_UnixProcess WHERE Handle='1'"
    assert backend.open("root/scx", text).read(1.0).instances == [{"UserModeTime": 2000, "UsedMemory": 3200 * 64}]


def test_a_process_that_changes_its_user_and_its_stat_is_read_anew(root: Path) -> None:
    stream = ProcfsBackend(str(root), boottime=Clock(), hz=100).open("root/scx", "SELECT * FROM SCX_UnixProcess")
    before = {one["Handle"]: one["RealUserID"] for one in stream.read(1.0).instances}
    assert stream.read(2.0).instances == stream.read(1.0).instances
    status, stat = root / "proc/300/status", root / "proc/300/stat"
    status.write_text("Name:\tx\nUid:\t4711\t0\t0\t0\n")
    head, _, tail = stat.read_text().rpartition(") ")
    fields = tail.split(" ")
    fields[7] = str(int(fields[7]) + 1)  # a page fault
    stat.write_text(f"{head}) {' '.join(fields)}")
    after = {one["Handle"]: one["RealUserID"] for one in stream.read(3.0).instances}
    assert after == {**before, "300": 4711}
    assert before["300"] != 4711


def test_where_by_any_property(root: Path) -> None:
    text = "SELECT Handle FROM SCX_UnixProcess WHERE Name LIKE '%defunct%' OR ParentProcessID = '0'"
    assert [one["Handle"] for one in ask(root, text).instances] == ["1", "2", "301"]


def test_an_ended_process_keeps_the_time_it_was_first_seen(root: Path) -> None:
    wall = [1_700_000_000.0]
    backend = ProcfsBackend(str(root), boottime=lambda: 1.0, wall=lambda: wall[0])
    stream = backend.open("root/scx", "SELECT TerminationDate FROM SCX_UnixProcess WHERE Handle='301'")
    first = stream.read(1.0).instances
    wall[0] += 100
    assert stream.read(2.0).instances == first == [{"TerminationDate": "20231114221320.000000+000"}]


@pytest.mark.parametrize(
    ("value", "scaled"),
    [(0, 15), (20, 7), (39, 0), (-2, 16), (-51, 23), (-100, 31), (-1, None), (40, None), (-101, None)],
)
def test_priority(value: int, scaled: int | None) -> None:
    assert priority(value) == scaled


def test_arguments_and_user() -> None:
    assert arguments(b"") is None
    assert arguments(b"a\0\0b\0") == ["a", "", "b"]
    assert arguments(b"set title") == ["set title"]
    assert arguments(b"\xff\0") == ["\\xff"]
    assert real_uid(b"Name:\tUid:\nUid:\t1000\t0\t0\t0\n") == 1000
    assert real_uid(b"Name:\tx\n") is None
    assert real_uid(b"\nUid:\t-1\n") is None


@given(st.binary(max_size=300))
def test_any_stat_is_parsed_or_refused(data: bytes) -> None:
    found = parse_stat(data)
    if found is not None:
        _command, state, numbers = found
        assert len(state) == 1
        assert state.isalpha()
        assert len(numbers) == 13
        assert all(type(number) is int for number in numbers)


@given(st.binary(max_size=64).filter(lambda b: b") " not in b), st.lists(st.integers(-(2**63), 2**64), min_size=21))
def test_a_command_may_hold_anything(command: bytes, numbers: list[int]) -> None:
    line = b"1 (" + command + b") S " + b" ".join(b"%d" % n for n in numbers) + b"\n"
    assert parse_stat(line) == (command, b"S", (*numbers[:3], numbers[8], *numbers[10:16], *numbers[18:21]))
