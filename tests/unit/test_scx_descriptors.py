"""Files of processes that stay open: which ones, how many, and what happens when descriptors run out."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omi_queries import descriptors
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.scx.kept import NAMES
from omi_queries.scx.process_files import Files

HANDLES = [str(number) for number in range(1, 11)]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for handle in HANDLES:
        (tmp_path / handle).mkdir()
        for name in ("stat", "cmdline", "wchan"):
            (tmp_path / handle / name).write_text(f"{name} of {handle}")
        (tmp_path / handle / "exe").symlink_to(f"/program/{handle}")
    return tmp_path


def kept(folder: Path) -> list[str]:
    """The files below ``folder`` that this process has open, without it."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if path.startswith(f"{folder}/"):
            found.append(path.removeprefix(f"{folder}/"))
    return sorted(found)


def walk(files: Files) -> list[list[bytes | int] | list[bytes] | list[str | None]]:
    """What :data:`NAMES` are."""
    handles = files.begin()
    stats = files.first("stat", handles, 100)
    return [stats, files.read("cmdline", handles), files.read("wchan", handles), files.links("exe", handles)]


@pytest.fixture
def files_of(proc: Path) -> Iterator[Callable[[int], Files]]:
    made: list[Files] = []

    def make(limit: int) -> Files:
        made.append(Files(str(proc), limit))
        return made[-1]

    yield make
    for files in made:
        files.close()


def test_what_is_read_for_the_second_time_is_kept_until_the_end(proc: Path, files_of: Callable[[int], Files]) -> None:
    files = files_of(100)
    first = walk(files)
    assert kept(proc) == []
    assert walk(files) == first
    all_of_them = sorted(f"{handle}/{name}" for handle in HANDLES for name in NAMES)
    assert kept(proc) == all_of_them
    assert walk(files) == first
    assert kept(proc) == all_of_them
    files.close()
    assert kept(proc) == []


@pytest.mark.parametrize(("limit", "held"), [(0, 0), (1, 1), (10, 10), (13, 13), (40, 40), (41, 40)])
def test_no_more_than_the_limit(proc: Path, files_of: Callable[[int], Files], limit: int, held: int) -> None:
    files = files_of(limit)
    answers = [walk(files) for _ in range(4)]
    assert len(kept(proc)) == held
    assert sum(name.endswith("stat") for name in kept(proc)) == min(held, len(HANDLES))
    assert answers == [walk(files_of(0))] * 4


def test_those_that_are_not_listed_any_more_are_given_up(proc: Path, files_of: Callable[[int], Files]) -> None:
    files = files_of(100)
    for _ in range(3):
        walk(files)
    (proc / "3").rename(proc / "gone")
    walk(files)
    assert [name for name in kept(proc) if name.startswith(("3/", "gone/"))] == []
    assert len(kept(proc)) == 4 * (len(HANDLES) - 1)
    (proc / "gone").rename(proc / "3")  # another one with this number
    walk(files)
    assert len(kept(proc)) == 4 * (len(HANDLES) - 1)
    walk(files)
    assert len(kept(proc)) == 4 * len(HANDLES)


@pytest.mark.parametrize("name", ["stat", "cmdline", "wchan"])
def test_one_that_ended_while_it_was_kept_is_opened_anew(
    proc: Path, files_of: Callable[[int], Files], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = files_of(100)
    for _ in range(3):
        walk(files)
    old = proc / "5" / name
    new = old.with_name("new")
    new.write_text("of another")
    new.rename(old)
    real, dead = os.pread, f"{old} (deleted)"

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{descriptor}") == dead:
            raise OSError(errno.ESRCH, "No such process")
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    answer = walk(files)
    assert answer[NAMES.index(name)][4] == b"of another"
    assert f"5/{name}" not in kept(proc)
    assert len(kept(proc)) == 4 * len(HANDLES) - 1
    assert walk(files) == answer
    assert f"5/{name}" in kept(proc)
    old.unlink()
    again = walk(files)
    assert again[NAMES.index(name)][4] == (errno.ENOENT if name == "stat" else b"")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("at", ["proc", "4/stat", "4/cmdline", "4/wchan"])
def test_kept_ones_are_given_back_where_descriptors_run_out(
    proc: Path, files_of: Callable[[int], Files], monkeypatch: pytest.MonkeyPatch, code: int, at: str
) -> None:
    expected = walk(files_of(0))
    files = files_of(12)
    for _ in range(3):
        assert walk(files) == expected
    assert len(kept(proc)) == 12
    if at == "4/stat":  # it is kept: of one that is not, a file is opened
        (proc / "4").rename(proc / "gone")
        walk(files)
        (proc / "gone").rename(proc / "4")
    real, path = os.open, str(proc) if at == "proc" else at

    def opened(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == path and len(kept(proc)) > 3:
            raise OSError(code, "out of descriptors")
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    assert walk(files) == expected
    assert 1 <= len(kept(proc)) <= 3
    monkeypatch.undo()
    for _ in range(3):
        assert walk(files) == expected
    assert len(kept(proc)) <= 3  # from now on


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES])
def test_a_link_that_cannot_be_kept_is_read_all_the_same(
    proc: Path, files_of: Callable[[int], Files], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    files = files_of(100)
    expected = walk(files)
    real = os.open

    def opened(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "4/exe":
            raise OSError(code, "no descriptor")
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    for _ in range(4):
        assert walk(files) == expected
    names = kept(proc)
    assert "4/exe" not in names
    assert len(names) == (39 if code == errno.EACCES else 16)  # half of those that were open: 30, and three links


def test_with_nothing_to_give_back_the_error_is_the_answer(
    proc: Path, files_of: Callable[[int], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(2)
    handles = files.begin()

    def opened(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        raise OSError(errno.EMFILE, "out of descriptors")

    monkeypatch.setattr(os, "open", opened)
    assert files.first("stat", handles, 100) == [errno.EMFILE] * len(handles)
    assert files.read("wchan", handles) == [b""] * len(handles)
    with pytest.raises(OSError, match="out of descriptors"):
        files.begin()


def test_an_interruption_leaves_nothing_open(
    proc: Path, files_of: Callable[[int], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(100)
    walk(files)
    real, left = os.pread, [7]

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(KeyboardInterrupt):
        walk(files)
    assert len(kept(proc)) == 6
    files.close()
    assert kept(proc) == []


@pytest.mark.parametrize("size", [4095, 4096, 4097, 9000, 128 * 1024, 128 * 1024 + 1])
def test_long_files_are_read_as_far_as_the_limit(proc: Path, files_of: Callable[[int], Files], size: int) -> None:
    data = os.urandom(size)
    (proc / "7" / "cmdline").write_bytes(data)
    for limit in (0, 100):
        files = files_of(limit)
        for _ in range(3):
            assert files.read("cmdline", files.begin())[6] == data[: 128 * 1024]


def test_nothing_is_kept_where_files_may_be_replaced(proc: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "proc").symlink_to(proc)
    for handle in HANDLES:
        (proc / handle / "stat").write_text(f"{handle} (x) S " + " ".join("1" * 49) + "\n")
    backend = ProcfsBackend(str(root), descriptors=lambda: 100)
    stream = backend.open("root/scx", "SELECT Handle,Parameters FROM SCX_UnixProcess")
    for tick in range(4):
        assert len(stream.read(float(tick)).instances) == len(HANDLES)
        assert kept(proc) == []
    backend.close()


@pytest.mark.parametrize(
    ("soft", "found"), [(0, 0), (512, 0), (513, 1), (1024, 512), (16_896, 16_384), (1_000_000, 16_384), (-1, 16_384)]
)
def test_most_of_what_may_be_open_is_left_to_others(soft: int, found: int) -> None:
    assert descriptors.allowance(soft) == found


def test_the_soft_limit_is_that_of_this_process() -> None:
    assert descriptors.soft_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
