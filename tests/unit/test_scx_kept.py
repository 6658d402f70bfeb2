"""What is kept from one reading to the next is given up when what it was made of changes."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omi_queries.backends.procfs import ProcfsBackend, ProcfsStream
from omi_queries.scx.process_family import ProcessFamily
from omi_queries.types import Instance

TREE = Path(__file__).parent.parent / "fixtures" / "proc" / "server"
BOTH = ("SCX_UnixProcess", "SCX_UnixProcessStatisticalInformation")
SPACE = os.statvfs_result((4096, 4096, 1000, 500, 400, 300, 200, 200, 0, 255))


class Bed:
    """Queries over a copy of a tree, each asked with a new tick, ten seconds after the one before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.space: Callable[[str], os.statvfs_result] = lambda _path: SPACE
        self._now = 1000.0
        self.backend = self.new_backend()

    def new_backend(self) -> ProcfsBackend:
        return ProcfsBackend(
            str(self.root),
            boottime=lambda: self._now,
            wall=lambda: 1_700_000_000.0,
            statvfs=lambda path: self.space(path),
            hz=100,
            page_size=4096,
        )

    def open(self, text: str) -> ProcfsStream:
        return self.backend.open("root/scx", text)

    def read(self, stream: ProcfsStream) -> list[Instance]:
        self._now += 10
        return stream.read(self._now).instances

    def afresh(self, text: str) -> list[Instance]:
        """The answer of a backend that knows nothing from before."""
        with contextlib.closing(self.new_backend()) as backend:
            return backend.open("root/scx", text).read(self._now).instances

    def replace(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert re.search(old, text)
        file.write_text(re.sub(old, new, text, count=1))


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    shutil.copytree(TREE / "root", tmp_path / "root", symlinks=True)
    made = Bed(tmp_path / "root")
    yield made
    made.backend.close()


def without_rates(found: list[Instance]) -> list[Instance]:
    rates = ("PercentBusyTime", "CPUTime", "PercentUserTime", "PercentPrivilegedTime", "PagesReadPerSec")
    return [{name: value for name, value in one.items() if name not in rates} for one in found]


CHANGES = {
    "the host's name": ("proc/sys/kernel/hostname", r"\S+", "renamed"),
    "the time of the boot": ("proc/stat", r"btime \d+", "btime 1600000000"),
    "a command": ("proc/300/stat", r"\(.*\)", "(other)"),
    "a state": ("proc/300/stat", r"\) \w ", ") D "),
    "arguments": ("proc/300/cmdline", r".+", "other\0--arguments\0"),
    "what it waits for": ("proc/300/wchan", r".*", "do_other"),
    "sizes": ("proc/300/statm", r".*", "9 8 7 6 5 4 3"),
}


FEW = "CSName,CreationDate,Name,ExecutionState,Parameters,ProcessWaitingForEvent,Handle"


@pytest.mark.parametrize(
    "text", [f"SELECT {FEW} FROM {BOTH[0]}", *(f"SELECT * FROM {name}" for name in BOTH)], ids=["few", *BOTH]
)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows_in_the_next_reading(bed: Bed, text: str, change: str) -> None:
    stream = bed.open(text)
    seen = [bed.read(stream) for _ in range(3)][-1]
    before = copy.deepcopy(seen)
    path, old, new = CHANGES[change]
    bed.replace(path, old, new)
    after = bed.read(stream)
    assert without_rates(after) == without_rates(bed.afresh(text))
    assert seen == before
    assert bed.read(stream) == after


def test_each_change_is_one_that_an_answer_shows(bed: Bed) -> None:
    answers = [[without_rates(bed.afresh(f"SELECT * FROM {name}")) for name in BOTH]]
    for path, old, new in CHANGES.values():
        bed.replace(path, old, new)
        answers.append([without_rates(bed.afresh(f"SELECT * FROM {name}")) for name in BOTH])
    assert all(one != following for one, following in itertools.pairwise(answers))


def test_rates_of_one_that_was_idle_and_is_again(bed: Bed) -> None:
    stream = bed.open("SELECT CPUTime,Handle FROM SCX_UnixProcessStatisticalInformation WHERE Handle='300'")

    def ask() -> list[Instance]:
        return bed.read(stream)

    ask()
    ask()
    assert ask() == [{"Handle": "300", "CPUTime": 0}]
    bed.replace("proc/300/stat", " 1000 10 ", " 1500 10 ")
    assert ask() == [{"Handle": "300", "CPUTime": 50}]
    assert ask() == [{"Handle": "300", "CPUTime": 0}]


def test_processes_come_and_go_in_the_order_of_their_numbers(bed: Bed) -> None:
    stream = bed.open("SELECT Handle FROM SCX_UnixProcess")
    assert [one["Handle"] for one in [bed.read(stream) for _ in range(3)][-1]] == ["1", "2", "300", "301"]
    shutil.copytree(bed.root / "proc/2", bed.root / "proc/17", symlinks=True)
    shutil.rmtree(bed.root / "proc/300")
    for _ in range(3):
        assert [one["Handle"] for one in bed.read(stream)] == ["1", "2", "17", "301"]


def plans(bed: Bed) -> dict[frozenset[str], Any]:
    family = bed.backend._families.get("SCX_UnixProcess")
    assert isinstance(family, ProcessFamily)
    return dict(family._plans)


def test_no_more_is_kept_than_there_are_processes(bed: Bed) -> None:
    stream = bed.open("SELECT Handle FROM SCX_UnixProcess")
    for number in range(12):
        bed.replace("proc/2/stat", r"\(.*\)", f"(n{number})")
        for _ in range(3):
            bed.read(stream)
    (plan,) = plans(bed).values()
    assert 4 <= len(plan._kept) <= 8


def test_nothing_is_kept_of_all_properties(bed: Bed) -> None:
    stream = bed.open("SELECT * FROM SCX_UnixProcess")
    assert {len(bed.read(stream)) for _ in range(3)} == {4}
    (plan,) = plans(bed).values()
    assert not plan._kept


def test_for_few_queries_only(bed: Bed) -> None:
    names = [
        "Name", "Priority", "ProcessNiceValue", "UsedMemory", "ParentProcessID", "ExecutionState", "KernelModeTime",
        "UserModeTime", "ProcessGroupID", "ProcessSessionID",
    ]  # fmt: skip
    for name in names:
        assert len(bed.read(bed.open(f"SELECT Handle,{name} FROM SCX_UnixProcess"))) == 4
    assert list(plans(bed)) == [{"Handle", name} for name in names[-8:]]


@pytest.mark.parametrize(
    ("where", "read"),
    [
        ("UsedMemory > 0 AND Name = 'systemd'", ["1"]),
        ("NOT PercentBusyTime > 0 AND ParentProcessID = '0'", ["1", "2"]),
        ("Handle = '2'", ["2"]),
        ("ProcessWaitingForEvent = 'none'", []),
    ],
)
def test_other_files_are_read_of_those_only_that_pass(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, where: str, read: list[str]
) -> None:
    stream = bed.open(f"SELECT Handle,Parameters FROM SCX_UnixProcess WHERE {where}")
    stream.prime()
    opened: list[str] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", spy)
    assert [one["Handle"] for one in bed.read(stream)] == read
    assert [path for path in opened if path.endswith("cmdline")] == [
        f"{handle}/cmdline" for handle in (read if "Waiting" not in where else ["1", "2", "300", "301"])
    ]


def test_a_file_system_changes(bed: Bed) -> None:
    text = "SELECT * FROM SCX_FileSystem"
    stream = bed.open(text)
    first = bed.read(stream)
    before = copy.deepcopy(first)
    assert bed.read(stream) == first
    assert len(first) > 1
    full = os.statvfs_result((*SPACE[:3], 0, 0, *SPACE[5:]))
    bed.space = lambda path: full if path == str(bed.root) + "/" else SPACE
    second = bed.read(stream)
    assert [one["AvailableSpace"] for one in second] == [
        0 if one["Name"] == "/" else SPACE.f_bfree * SPACE.f_frsize for one in second
    ]
    bed.replace("proc/sys/kernel/hostname", r"\S+", "renamed")
    assert {one["CSName"] for one in bed.read(stream)} == {"renamed"}
    bed.replace("proc/self/mounts", "/dev/md0 / ext4", "/dev/md0 / f2fs")
    assert next(one["FileSystemType"] for one in bed.read(stream) if one["Name"] == "/") == "f2fs"
    mounts = bed.root / "proc/self/mounts"
    mounts.write_text("".join(line for line in mounts.read_text().splitlines(True) if line.split()[1] != "/"))
    last = bed.read(stream)
    assert [one["Name"] for one in last if not one["IsOnline"]] == ["/"]
    assert first == before


def test_a_file_system_that_fails_is_the_only_one_without_sizes(bed: Bed) -> None:
    def failing(path: str) -> os.statvfs_result:
        if path == str(bed.root) + "/":
            raise PermissionError(13, "Permission denied")
        return SPACE

    streams = [bed.open(f"SELECT * FROM {name}") for name in ("SCX_FileSystem", "SCX_FileSystemStatisticalInformation")]
    bed.read(streams[0])
    bed.space = failing
    for stream, size in zip(streams, ("FileSystemSize", "FreeMegabytes"), strict=True):
        reading = stream.read(5000.0)
        sizes = {one["Name"]: one[size] for one in reading.instances if one["Name"] != "_Total"}
        assert [name for name, value in sizes.items() if value is None] == ["/"]
        assert reading.skipped["file system /: statvfs: Permission denied"] == 1
