"""Generated trees: processes that look like this one, disks, interfaces and mounts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def work(root: Path, count: int, number: int, every: int = 1) -> None:
    """Each process, or one of so many, has used the processor since the last time."""
    for pid in range(100, 100 + count, every):
        path = root / f"proc/{pid}/stat"
        head, _, tail = path.read_text().rpartition(") ")
        fields = tail.split(" ")
        fields[11] = str(1000 + number)  # utime
        path.write_text(f"{head}) {' '.join(fields)}")


def read_stat_files(root: Path) -> None:
    """The least that a walk in Python can do: what this costs tells how fast the machine is at the moment."""
    directory = os.open(root / "proc", os.O_RDONLY | os.O_DIRECTORY)
    for name in os.listdir(directory):
        if name.isdecimal():
            try:
                descriptor = os.open(name + "/stat", os.O_RDONLY, dir_fd=directory)
            except FileNotFoundError:  # it has ended, in a /proc that lives
                continue
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
