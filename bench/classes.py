"""CPU cost of a query for each class from procfs, against psutil where it has a counterpart, in one run.

Times are CPU (user + system) of this process. Three parts: each class on this machine (aim: at most 0.25 ms for each
statistical class), and new processes of our omicli; 3,000 processes in a generated tree (aim: 30 ms where
/proc/PID/stat is enough, 120 ms for SELECT *), beside psutil and the mere reading of the files; and what every
further disk, interface and mount costs, in generated trees of growing size, as a ratio to psutil reading the same
tree (aim: at most 0.5) and as a check that it grows linearly.

    python bench/classes.py [--rounds N] [--processes N]
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from omi_queries import classes
from omi_queries.backends.procfs import ProcfsBackend

STATISTICAL_AIM_MS = 0.25
OMICLI_MS = 2.0  # a new process of the original's omicli, without the server's part: 2.0-2.8 ms measured
STAT_ONLY_AIM_MS, EVERYTHING_AIM_MS = 30.0, 120.0
PEER_AIM = 0.5
SIZES = (8, 64, 256)

Sample = Callable[[], object]

PEERS: dict[str, Sample] = {
    "SCX_ProcessorStatisticalInformation": lambda: (psutil.cpu_times(), psutil.cpu_times(percpu=True)),
    "SCX_MemoryStatisticalInformation": lambda: (psutil.virtual_memory(), psutil.swap_memory()),
    "SCX_FileSystemStatisticalInformation": lambda: (
        [psutil.disk_usage(part.mountpoint) for part in psutil.disk_partitions()],
        psutil.disk_io_counters(perdisk=True),
    ),
    "SCX_DiskDriveStatisticalInformation": lambda: psutil.disk_io_counters(perdisk=True),
    "SCX_EthernetPortStatistics": lambda: psutil.net_io_counters(pernic=True),
    "SCX_LANEndpoint": psutil.net_if_addrs,
    "SCX_IPProtocolEndpoint": psutil.net_if_addrs,
    "SCX_FileSystem": lambda: [psutil.disk_usage(part.mountpoint) for part in psutil.disk_partitions()],
    "SCX_UnixProcess": lambda: [
        p.info
        for p in psutil.process_iter(
            ["name", "status", "create_time", "cpu_times", "ppid", "uids", "exe", "cmdline", "nice", "memory_info"]
        )
    ],
    "SCX_UnixProcessStatisticalInformation": lambda: [
        p.info for p in psutil.process_iter(["name", "cpu_times", "memory_info"])
    ],
}


def stream(text: str, root: str = "/") -> Sample:
    """A function that asks ``text`` once more, with a tick of its own."""
    backend = ProcfsBackend(root, statvfs=os.statvfs if root == "/" else (lambda _path: os.statvfs("/")))
    opened = backend.open("root/scx", text)
    opened.prime()
    ticks = iter(range(1, sys.maxsize))
    return lambda: opened.read(float(next(ticks)))


def milliseconds(sample: Sample, rounds: int, repeat: int = 1, between: Callable[[int], None] | None = None) -> float:
    """Median CPU milliseconds of one call over ``rounds``; ``between`` comes before each round and does not count."""
    sample()
    spent: list[float] = []
    for number in range(rounds):
        if between is not None:
            between(number)
        start = time.process_time_ns()
        for _ in range(repeat):
            sample()
        spent.append((time.process_time_ns() - start) / repeat / 1e6)
    return statistics.median(spent)


def verdict(found: float, aim: float) -> str:
    return "reached" if found <= aim else "MISSED"


def each_class(rounds: int) -> bool:
    """Print the cost of each class on this machine; whether the aim was reached."""
    print(f"{'class (SELECT *)':42}{'CPU ms':>9}{'omicli/':>9}{'psutil':>9}{'ratio':>7}")
    reached = True
    for name in classes.names():
        if not classes.get(name).served:
            continue
        process = "Process" in name and "Processor" not in name
        ours = milliseconds(stream(f"SELECT * FROM {name}"), rounds, 1 if process else 20)
        peer = PEERS.get(name)
        theirs = milliseconds(peer, rounds, 1 if process else 20) if peer else None
        shown = f"{theirs:9.3f}{ours / theirs:7.2f}" if theirs else ""
        statistical = "Statistic" in name and not process
        note = f"  aim {STATISTICAL_AIM_MS}: {verdict(ours, STATISTICAL_AIM_MS)}" if statistical else ""
        reached &= not statistical or ours <= STATISTICAL_AIM_MS
        print(f"{name:42}{ours:9.3f}{OMICLI_MS / ours:8.0f}x{shown:16}{note}")
    print(f"omicli/: how many of these a new process of the original omicli ({OMICLI_MS} ms CPU) is worth")
    queried = ["cql", "root/scx", "SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation"]
    print(
        f"our omicli, a new process: noop {new_process('noop'):.0f} ms, id {new_process('id'):.0f} ms, "
        f"a query {new_process(*queried):.0f} ms"
    )
    print()
    return reached


def new_process(*command: str, times: int = 5) -> float:
    """CPU milliseconds of a new process of our omicli command, starting Python included."""
    spent: list[float] = []
    for _ in range(times):
        before = os.times()
        subprocess.run([sys.executable, "-m", "omi_queries.omicli", *command], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        spent.append(1000 * used)
    return statistics.mean(spent)


@contextmanager
def tree() -> Iterator[Path]:
    """An empty root in a temporary folder, in memory where there is such a place."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="bench-classes-", dir=memory))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def add_processes(root: Path, count: int) -> None:
    """``count`` processes that look like this one."""
    own = Path("/proc/self")
    stat = own.joinpath("stat").read_text().split(" ", 1)[1]
    status, statm = own.joinpath("status").read_text(), own.joinpath("statm").read_text()
    write(root, "proc/stat", "cpu 1 2 3 4 5 6 7\nbtime 1700000000\n")
    for pid in range(100, 100 + count):
        write(root, f"proc/{pid}/stat", f"{pid} {stat}")
        write(root, f"proc/{pid}/status", status)
        write(root, f"proc/{pid}/statm", statm)
        write(root, f"proc/{pid}/cmdline", "/usr/bin/python3\0-m\0something\0--with=arguments\0")
        write(root, f"proc/{pid}/wchan", "hrtimer_nanosleep")
        (root / f"proc/{pid}/exe").symlink_to("/usr/bin/python3")


def work(root: Path, count: int, number: int) -> None:
    """Every one of the processes has used the processor since the last time."""
    for pid in range(100, 100 + count):
        path = root / f"proc/{pid}/stat"
        head, _, tail = path.read_text().rpartition(") ")
        fields = tail.split(" ")
        fields[11] = str(1000 + number)  # utime
        path.write_text(f"{head}) {' '.join(fields)}")


def many_processes(rounds: int, count: int) -> bool:
    """Print the cost of ``count`` processes; whether the aims were reached."""
    queries = {
        "stat only: Handle, Name, CPU times, memory": (
            "SELECT Handle,Name,KernelModeTime,UserModeTime,PercentBusyTime,UsedMemory FROM SCX_UnixProcess",
            STAT_ONLY_AIM_MS,
        ),
        "SELECT * FROM SCX_UnixProcess": ("SELECT * FROM SCX_UnixProcess", EVERYTHING_AIM_MS),
        "SELECT * FROM SCX_UnixProcessStatistical...": (
            "SELECT * FROM SCX_UnixProcessStatisticalInformation",
            EVERYTHING_AIM_MS,
        ),
    }
    reached = True
    with tree() as root:
        add_processes(root, count)
        print(f"{count} processes in a generated tree: all idle, all busy since the reading before")
        for title, (text, aim) in queries.items():
            idle = milliseconds(stream(text, str(root)), rounds)
            busy = milliseconds(stream(text, str(root)), rounds, between=lambda number: work(root, count, number))
            reached &= busy <= aim
            print(f"  {title:46}{idle:8.1f} {busy:8.1f} ms   aim {aim:.0f}: {verdict(busy, aim)}")
        psutil.PROCFS_PATH = str(root / "proc")
        for title, baseline in {
            "for comparison: the stat files, read only": lambda: read_stat_files(root),
            "for comparison: psutil, what stat says": lambda: list(psutil.process_iter(["name", "cpu_times"])),
            "for comparison: psutil, as SCX_UnixProcess": PEERS["SCX_UnixProcess"],
        }.items():
            print(f"  {title:46}{milliseconds(baseline, rounds):8.1f}")
        psutil.PROCFS_PATH = "/proc"
    print()
    return reached


def read_stat_files(root: Path) -> None:
    """The least that a walk in Python can do: what this costs tells how fast the machine is at the moment."""
    directory = os.open(root / "proc", os.O_RDONLY | os.O_DIRECTORY)
    for name in os.listdir(directory):
        if name.isdecimal():
            descriptor = os.open(name + "/stat", os.O_RDONLY, dir_fd=directory)
            os.read(descriptor, 1500)
            os.close(descriptor)
    os.close(directory)


def add_devices(root: Path, count: int) -> None:
    """``count`` disks with a partition and a mounted file system each, and as many interfaces."""
    disks, mounts, ports = [], [], []
    for n in range(count):
        disk = f"sd{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{chr(97 + n // 676)}"
        for name in (disk, f"{disk}1"):
            disks.append(f"   8 {n:7} {name} 1000{n} 11 20000 500 2000 22 40000 1000 0 33 44 0 0 0 0 0 0\n")
            write(root, f"sys/block/{name}/stat", "1 2 3\n")
        shutil.rmtree(root / f"sys/block/{disk}1")
        write(root, f"sys/block/{disk}/{disk}1/partition", "1\n")
        mounts.append(f"/dev/{disk}1 /data{n} ext4 rw,relatime 0 0\n")
        ports.append(f" eth{n}: {n} 10 0 0 0 0 0 0 {n} 20 0 0 0 0 0 0\n")
        write(root, f"sys/class/net/eth{n}/flags", "0x1003\n")
    write(root, "proc/diskstats", "".join(disks))
    write(root, "proc/self/mounts", "".join(mounts))
    write(root, "proc/mounts", "".join(mounts))
    write(root, "proc/filesystems", "\text4\n")
    write(root, "proc/net/dev", "Inter-| x\n face | y\n" + "".join(ports))


def psutil_at(root: Path) -> dict[str, Sample]:
    """psutil's counterparts over the generated tree; the system's statvfs for each mount as ours."""
    psutil.PROCFS_PATH = str(root / "proc")

    def file_systems() -> object:
        return [psutil.disk_usage("/") for _ in psutil.disk_partitions()], psutil.disk_io_counters(perdisk=True)

    return {
        "SCX_DiskDriveStatisticalInformation": lambda: psutil.disk_io_counters(perdisk=True),
        "SCX_FileSystemStatisticalInformation": file_systems,
        "SCX_FileSystem": lambda: [psutil.disk_usage("/") for _ in psutil.disk_partitions()],
        "SCX_EthernetPortStatistics": lambda: psutil.net_io_counters(pernic=True),
    }


def growing(rounds: int) -> bool:
    """Print what a further device costs; whether that is linear and at most half of psutil's."""
    cost: dict[str, list[tuple[float, float]]] = {}
    for size in SIZES:
        with tree() as root:
            add_devices(root, size)
            for name, peer in psutil_at(root).items():
                ours = milliseconds(stream(f"SELECT * FROM {name}", str(root)), rounds, 3)
                cost.setdefault(name, []).append((ours, milliseconds(peer, rounds, 3)))
            psutil.PROCFS_PATH = "/proc"
    steps_named = "".join(f"{f'{a} to {b}':>12}" for a, b in itertools.pairwise(SIZES))
    print(f"{'us per further device':42}{steps_named}  psutil  ratio")
    reached = True
    for name, found in cost.items():
        steps = [1000 * (found[i + 1][0] - found[i][0]) / (SIZES[i + 1] - SIZES[i]) for i in range(len(SIZES) - 1)]
        theirs = 1000 * (found[-1][1] - found[0][1]) / (SIZES[-1] - SIZES[0])
        ours = 1000 * (found[-1][0] - found[0][0]) / (SIZES[-1] - SIZES[0])
        linear = steps[-1] <= 1.6 * max(steps[0], 0.1)
        judged = "Statistic" in name  # the others have ten times as many properties as their counterpart
        reached &= linear and (ours / theirs <= PEER_AIM or not judged)
        print(
            f"{name:42}" + "".join(f"{step:12.2f}" for step in steps) + f"{theirs:8.2f}{ours / theirs:7.2f}"
            f"  {'linear' if linear else 'NOT LINEAR'}"
            + (f", aim {PEER_AIM}: {verdict(ours / theirs, PEER_AIM)}" if judged else "")
        )
    print()
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds per measurement (default 15)")
    parser.add_argument("--processes", type=int, default=3000, help="processes in the generated tree (default 3000)")
    args = parser.parse_args()
    parts = [each_class(args.rounds), many_processes(max(3, args.rounds // 3), args.processes), growing(args.rounds)]
    print("all aims reached" if all(parts) else "not all aims were reached")
    return 0 if all(parts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
