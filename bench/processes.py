"""What whole process trees cost: CPU to the nanosecond, memory, wake-ups. Everything is read from outside."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """MiB. ``pss``: shared pages divided by all processes of the machine that map them; ``private``: pages of nobody
    else; ``alone``: what the tree would hold if nothing else on the machine mapped its files."""

    rss: float
    pss: float
    private: float
    alone: float


def tree(root: int) -> list[int]:
    """``root`` and its descendants that live, parents first."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    found += [int(child) for child in file.read().split()]
    return found


def own_cpu_ns(pid: int) -> int:
    """The POSIX CPU clock of a process: all its threads, ended ones too, without its children."""
    return time.clock_gettime_ns(
        (~pid << 3) | 2
    )  # CPUCLOCK_SCHED of the whole process, as clock_getcpuclockid makes it


def _fields(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def cpu_ns(root: int) -> int:
    """CPU of a tree so far; of children that have ended and been waited for, in clock ticks, which is all there is."""
    return sum(own_cpu_ns(pid) + sum(map(int, _fields(pid)[13:15])) * _TICK_NS for pid in tree(root))


def switches(pid: int) -> int:
    """Voluntary context switches of all threads: how often it woke up to sleep again."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def _mappings(pid: int) -> Iterator[tuple[str, dict[str, int]]]:
    """(file and offset, or "" of anonymous memory; KiB by name) of each mapping."""
    name, sizes = "", dict[str, int]()
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                if sizes:
                    yield name, sizes
                inode = words[4]
                name, sizes = (f"{words[3]} {inode} {words[2]}" if inode != "0" else ""), {}
            elif words[-1] == "kB":
                sizes[words[0][:-1]] = int(words[1])
    if sizes:
        yield name, sizes


def memory(pids: list[int]) -> Memory:
    """Of several processes together."""
    rss = pss = private = 0
    shared: dict[str, int] = {}
    for pid in pids:
        for name, sizes in _mappings(pid):
            rss += sizes["Rss"]
            pss += sizes["Pss"]
            private += sizes["Private_Clean"] + sizes["Private_Dirty"]
            common = sizes["Shared_Clean"] + sizes["Shared_Dirty"]
            key = name or f"{pid} {len(shared)}"
            shared[key] = max(common, shared.get(key, 0))
    return Memory(rss / 1024, pss / 1024, private / 1024, (private + sum(shared.values())) / 1024)
