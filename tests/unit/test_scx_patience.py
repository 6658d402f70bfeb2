"""statvfs of file systems that do not answer: counted for that sample, and nothing waits for them twice."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.mounts import FileSystem
from omi_queries.scx.family import Ask
from omi_queries.scx.patience import MAX_HUNG, NO_ANSWER, Patience
from omi_queries.scx.space import Space

GOOD = os.statvfs("/")
MNT_DETACH = 2


class Server:
    """Answers for every path but those in ``hung``, which wait."""

    def __init__(self, *hung: str) -> None:
        self.hung = set(hung)
        self.asked: list[tuple[str, int]] = []
        self.mended = threading.Event()

    def statvfs(self, path: str) -> os.statvfs_result:
        self.asked.append((path, threading.get_ident()))
        if path in self.hung:
            self.mended.wait(60)
        return GOOD


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("/a", *(f"/{n}" for n in range(20)))
    yield made
    made.mended.set()


def test_one_that_hangs_is_asked_once_until_it_has_answered(server: Server) -> None:
    patience = Patience(server.statvfs, 0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError, match="no answer"):
            patience.ask("/a")
    assert patience.ask("/b") is GOOD
    assert [path for path, _ in server.asked] == ["/a", "/b"]
    server.mended.set()
    for _ in range(600):
        with contextlib.suppress(TimeoutError):
            assert patience.ask("/a") is GOOD
            break
        time.sleep(0.01)
    else:
        pytest.fail("it never answers")


def test_few_threads_wait_at_a_time(server: Server) -> None:
    patience = Patience(server.statvfs, 0.01)
    for n in range(20):
        with pytest.raises(TimeoutError):
            patience.ask(f"/{n}")
    assert len(server.asked) == MAX_HUNG


def test_errors_are_those_of_statvfs() -> None:
    patience = Patience(os.statvfs)
    with pytest.raises(FileNotFoundError):
        patience.ask("/nonexistent/path")
    with pytest.raises(ValueError, match="null"):
        patience.ask("/a\0b")


def test_the_others_are_answered_and_local_ones_need_no_thread(server: Server) -> None:
    space = Space(server.statvfs)
    space._patience._patience_s = 0.05
    skipped: list[str] = []
    mounts = [FileSystem(p, p, "", p, fstype=t) for p, t in (("/x", "ext4"), ("/a", "fuse.sshfs"), ("/b", "fuse"))]
    for tick in (1.0, 2.0):
        found = space.get(Ask(tick, None, frozenset(), lambda _name, _total: True, skipped.append), mounts)
        assert found.keys() == {"/x", "/b"}
    assert skipped == [f"file system /a: statvfs: {NO_ANSWER}"] * 2
    threads = dict(server.asked)
    assert threads["/x"] == threading.get_ident()
    assert threads["/b"] != threading.get_ident()


@contextlib.contextmanager
def hung_mount(point: Path) -> Iterator[None]:
    """A FUSE file system whose daemon never answers."""
    if os.geteuid() != 0:
        pytest.skip("not root: no FUSE file system can be mounted")
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        daemon = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    try:
        options = f"fd={daemon},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"/data/source", os.fsencode(point), b"fuse.hung", 0, options):
            pytest.skip(f"no FUSE file system can be mounted: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(point), MNT_DETACH)
    finally:
        os.close(daemon)


def test_a_hung_fuse_daemon_costs_its_own_space_only(tmp_path: Path) -> None:
    with hung_mount(tmp_path):
        backend = ProcfsBackend()
        stream = backend.open("root/scx", "SELECT Name, FreeMegabytes FROM SCX_FileSystemStatisticalInformation")
        readings = [stream.read(float(tick)) for tick in range(2)]
        backend.close()
    for reading in readings:
        space = {one["Name"]: one["FreeMegabytes"] for one in reading.instances}
        assert space.pop(str(tmp_path)) is None
        assert space.pop("_Total") is not None or not any(v is not None for v in space.values())
        assert f"file system {tmp_path}: statvfs: {NO_ANSWER}" in reading.skipped
