"""Real processes whose files stay open: they end, are executed, give their number to others, and there are too many."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.plan import Account
from omi_queries import descriptors
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.types import Instance
from tests.daemon_bed import daemon, document, until

ROOT = Path(__file__).parents[2]
BOTH = ("SCX_UnixProcess", "SCX_UnixProcessStatisticalInformation")
FEW = "SELECT Handle,Name,Parameters,ExecutionState FROM SCX_UnixProcess"
LAST_PID = "/proc/sys/kernel/ns_last_pid"


class Processes:
    """Children of this process, which end with it."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def start(self, *argv: str) -> str:
        """The handle of a new one."""
        pid = os.posix_spawn(argv[0], argv, {})
        self._pids.add(pid)
        end = time.monotonic() + 10
        while argv[-1].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():  # it may be a copy of us still
            assert time.monotonic() < end
        return str(pid)

    def sleepers(self, count: int, seconds: int = 600) -> list[str]:
        return [self.start("/bin/sleep", str(seconds)) for _ in range(count)]

    def kill(self, handle: str) -> None:
        """It has ended and is not waited for."""
        os.kill(int(handle), signal.SIGKILL)
        os.waitid(os.P_PID, int(handle), os.WEXITED | os.WNOWAIT)

    def end(self, handle: str) -> None:
        """Nothing of it is left."""
        self.kill(handle)
        os.waitpid(int(handle), 0)
        self._pids.remove(int(handle))

    def end_all(self) -> None:
        for pid in list(self._pids):
            self.end(str(pid))


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.end_all()


class Asked:
    """A query that is asked again and again."""

    def __init__(self, backend: ProcfsBackend, text: str) -> None:
        self._stream = backend.open("root/scx", text)
        self._tick = 0.0

    def __call__(self) -> dict[str, Instance]:
        self._tick += 1
        return {str(one["Handle"]): one for one in self._stream.read(self._tick).instances}


@pytest.fixture
def backend() -> Iterator[ProcfsBackend]:
    with contextlib.closing(ProcfsBackend(descriptors=lambda: 1000)) as made:
        yield made


def kept() -> set[tuple[str, str]]:
    """Handle and name of the files of processes that this one has open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            match = re.fullmatch(r"/proc/(\d+)/(\w+)", os.readlink(f"/proc/self/fd/{descriptor}"))
            if match:
                found.add((match[1], match[2]))
    return found


def kept_of(handle: str) -> set[str]:
    return {name for one, name in kept() if one == handle}


@pytest.mark.parametrize("class_name", BOTH)
def test_the_answer_is_the_same(processes: Processes, backend: ProcfsBackend, class_name: str) -> None:
    long = "x" * 10_000
    handles = processes.sleepers(5)
    with subprocess.Popen(["/bin/sh", "-c", "read x", long], stdin=subprocess.PIPE) as reader:
        handles.append(str(reader.pid))
        text = f"SELECT * FROM {class_name}"
        ours = Asked(backend, text)
        for _ in range(3):
            ours()
        with contextlib.closing(ProcfsBackend(descriptors=lambda: 0)) as other:
            theirs = Asked(other, text)
            theirs()
            there = theirs()
        here = ours()
        assert [here[handle] for handle in handles] == [there[handle] for handle in handles]
        assert all(kept_of(handle) >= {"stat"} for handle in handles)
        if "Parameters" in here[handles[-1]]:
            assert here[handles[-1]]["Parameters"] == ["/bin/sh", "-c", "read x", long]
            assert kept_of(handles[-1]) == {"stat", "cmdline", "wchan", "exe"}
        reader.communicate(b"\n")


def test_one_reading_keeps_nothing_and_the_end_gives_up_all(processes: Processes) -> None:
    handle = processes.start("/bin/sleep", "600")
    with contextlib.closing(ProcfsBackend(descriptors=lambda: 1000)) as backend:
        ask = Asked(backend, FEW)
        ask()
        assert kept() == set()
        ask()
        assert kept_of(handle) == {"stat", "cmdline"}
    assert kept() == set()


def test_ends_between_readings(processes: Processes, backend: ProcfsBackend) -> None:
    stays, ends = processes.sleepers(2)
    ask = Asked(backend, FEW)
    for _ in range(3):
        assert {stays, ends} <= ask().keys()
    processes.kill(ends)
    one = ask()[ends]
    assert (one["Name"], one["Parameters"]) == ("[sleep] <defunct>", None)
    processes.end(ends)
    found = ask()
    assert stays in found
    assert ends not in found
    assert kept_of(ends) == set()


def test_a_program_that_is_executed_shows_at_once(backend: ProcfsBackend) -> None:
    script = 'read x; exec /bin/sleep "$0"'
    with subprocess.Popen(["/bin/sh", "-c", script, "600"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        handle, ask = str(child.pid), Asked(backend, FEW)
        for _ in range(3):
            assert ask()[handle]["Parameters"] == ["/bin/sh", "-c", script, "600"]
        assert kept_of(handle) == {"stat", "cmdline"}
        child.stdin.write(b"\n")
        child.stdin.flush()
        until(lambda: Path(f"/proc/{handle}/cmdline").read_bytes() == b"/bin/sleep\x00600\0", 10)
        one = ask()[handle]
        assert (one["Name"], one["Parameters"]) == ("sleep", ["/bin/sleep", "600"])
        assert kept_of(handle) == {"stat", "cmdline"}
        child.kill()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may see where processes wait")
def test_where_a_process_waits_and_its_program_show_at_once(backend: ProcfsBackend) -> None:
    with subprocess.Popen(["/bin/sh", "-c", 'read x; exec /bin/sleep "$0"', "600"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        handle, file = str(child.pid), Path(f"/proc/{child.pid}/wchan")
        until(lambda: "read" in file.read_text(), 10)
        ask = Asked(backend, "SELECT Handle,ProcessWaitingForEvent,ModulePath FROM SCX_UnixProcess")
        for _ in range(3):
            one = ask()[handle]
            assert one["ProcessWaitingForEvent"] == file.read_text()
            assert one["ModulePath"] == os.path.realpath("/bin/sh")
        assert kept_of(handle) == {"stat", "wchan", "exe"}
        child.stdin.write(b"\n")
        child.stdin.flush()
        until(lambda: "sleep" in file.read_text(), 10)
        one = ask()[handle]
        assert one["ProcessWaitingForEvent"] == file.read_text()
        assert one["ModulePath"] == os.path.realpath("/bin/sleep")
        assert kept_of(handle) == {"stat", "wchan", "exe"}
        child.kill()


def with_number(processes: Processes, number: int, seconds: str) -> bool:
    """Start a sleeper of that number; False if another process took it."""
    Path(LAST_PID).write_text(str(number - 1))
    handle = processes.start("/bin/sleep", seconds)
    if handle == str(number):
        return True
    processes.end(handle)
    return False


@pytest.mark.skipif(not os.access(LAST_PID, os.W_OK) or os.getuid() != 0, reason="needs root to choose a pid")
def test_another_process_with_the_same_number(processes: Processes, backend: ProcfsBackend, tmp_path: Path) -> None:
    ask = Asked(backend, "SELECT Handle,CreationDate,Parameters,KernelModeTime,ModulePath FROM SCX_UnixProcess")
    program = str(shutil.copy("/bin/sleep", tmp_path / "program"))
    for attempt in range(50):
        handle = processes.start(program, str(1000 + attempt))
        for _ in range(3):
            one = ask()[handle]
            assert (one["Parameters"], one["ModulePath"]) == ([program, str(1000 + attempt)], program)
        assert kept_of(handle) == {"stat", "cmdline", "exe"}
        processes.end(handle)
        if with_number(processes, int(handle), "2000"):
            break
    else:
        pytest.skip("others were faster each time")
    one = ask()[handle]
    assert (one["Parameters"], one["ModulePath"]) == (["/bin/sleep", "2000"], os.path.realpath("/bin/sleep"))
    assert kept_of(handle) == set()  # the new one was met once
    assert ask()[handle] == one
    assert kept_of(handle) == {"stat", "cmdline", "exe"}


def test_a_program_that_is_deleted_shows_at_once(processes: Processes, backend: ProcfsBackend, tmp_path: Path) -> None:
    program = Path(shutil.copy("/bin/sleep", tmp_path / "program"))
    handle = processes.start(str(program), "600")
    ask = Asked(backend, "SELECT Handle,ModulePath FROM SCX_UnixProcess")
    for _ in range(3):
        assert ask()[handle]["ModulePath"] == str(program)
    program.rename(tmp_path / "other")
    assert ask()[handle]["ModulePath"] == str(tmp_path / "other")
    (tmp_path / "other").unlink()
    assert ask()[handle]["ModulePath"] == f"{tmp_path / 'other'} (deleted)"
    assert kept_of(handle) == {"stat", "exe"}


def test_descriptors_do_not_grow_with_processes_that_come_and_go(processes: Processes, backend: ProcfsBackend) -> None:
    ask = Asked(backend, FEW)
    alive: list[str] = []
    found = ask()
    for turn in range(60):
        alive += processes.sleepers(8)
        for _ in range(1 + turn % 3):
            before, found = found.keys(), ask()
            assert set(alive) <= found.keys()
            assert {handle for handle, name in kept() if name == "stat"} <= found.keys()
            assert {handle for handle, _ in kept()} <= found.keys() | before  # one may end after it was listed
        while len(alive) > 10:
            processes.end(alive.pop(turn % len(alive)))
    for _ in range(2):
        ask()
    assert {handle for handle in alive if kept_of(handle) == {"stat", "cmdline"}} == set(alive)


def test_no_more_than_the_bound_and_no_process_is_missing(processes: Processes) -> None:
    handles = processes.sleepers(20)
    with contextlib.closing(ProcfsBackend(descriptors=lambda: 9)) as backend:
        ask = Asked(backend, FEW)
        for _ in range(4):
            found = ask()
            assert all(found[handle]["Parameters"] == ["/bin/sleep", "600"] for handle in handles)
            assert len(kept()) <= 9
        assert len(kept()) == 9


PROGRAM = """
import os, resource, sys
from omi_queries.backends.procfs import ProcfsBackend

resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
handles = sys.argv[1:]
backend = ProcfsBackend(descriptors=lambda: 1000)  # more than there are
stream = backend.open("root/scx", "SELECT * FROM SCX_UnixProcess")

def ask(tick):
    reading = stream.read(tick)
    found = {one["Handle"]: one for one in reading.instances}
    assert not any(reason.startswith("/proc") for reason in reading.skipped), reading.skipped
    for handle in handles:
        one = found[handle]
        assert one["Parameters"] == ["/bin/sleep", "600"], one
        assert one["RealUserID"] is not None, one
        assert one["ProcessWaitingForEvent"] is not None, one

def fill():
    filled = []
    while True:
        try:
            filled.append(os.dup(0))
        except OSError:
            return filled

for tick in range(5):
    ask(float(tick))
before = len(os.listdir("/proc/self/fd"))
filled = fill()
assert before + len(filled) == 61, (before, len(filled))  # the listing took one
for tick in range(5, 10):
    ask(float(tick))
backend.close()
for descriptor in filled:
    os.close(descriptor)
print(before, len(os.listdir("/proc/self/fd")))
"""


def test_no_process_is_missing_where_descriptors_run_out(processes: Processes) -> None:
    handles = processes.sleepers(80)
    argv = [sys.executable, "-c", PROGRAM, *handles]
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert 10 < before < 60
    assert after <= 4


LIMITS = """
import resource
import shutil
from extension.open_files import OpenFiles

for soft, hard in ((17000, 17500), (800, 17000), (100, 700)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = OpenFiles()
    print(files.for_kept(), *resource.getrlimit(resource.RLIMIT_NOFILE))
    files.put_back()
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_as_far_as_the_hard_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    raised, put_back = done.stdout.splitlines()[::2], done.stdout.splitlines()[1::2]
    assert raised == ["16384 17000 17500", "16384 16896 17000", "188 700 700"]
    assert put_back == ["17000 17500", "800 17000", "100 700"]


@contextlib.contextmanager
def soft_limit(soft: int) -> Iterator[None]:
    """For what is started meanwhile."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


PROCESS_QUERY = (
    '<OMIQuery cqlQuery="SELECT UsedMemory FROM SCX_UnixProcess WHERE Handle=\'1\'" eventName="Init" '
    'omiNamespace="root/scx" sampleRateInSeconds="1" dontUsePerNDayTable="true"/>'
)


@pytest.mark.parametrize("asked", [True, False], ids=["processes", "none"])
def test_a_collector_that_asks_for_processes_may_open_more(tmp_path: Path, asked: bool) -> None:
    account = Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{tmp_path}/tables.db", True)
    text = document(account, rate=1, period=5)
    with daemon(tmp_path) as bed:
        bed.configure(text.replace("<OMI>", f"<OMI>{PROCESS_QUERY}") if asked else text)
        with soft_limit(900):
            bed.start()
        bed.wait_healthy()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limits = {name: resource.prlimit(bed.pid(name), resource.RLIMIT_NOFILE) for name in ("watchdog", "collector")}
        enough = min(descriptors.MOST + descriptors.RESERVE, hard)
        assert limits == {"watchdog": (900, hard), "collector": (enough if asked else 900, hard)}
        bed.stop()
