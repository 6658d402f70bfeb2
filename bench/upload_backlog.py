"""A backlog through the real uploader process: its CPU, its memory before, during and after.

The store is filled as a collector does; then an uploader of its own process drains it into the server of
``bench/draining_sink.py`` while this process plays the collector that deletes what was acknowledged.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import processes
from bench.daemon_files import KEY, configure
from extension import component, demo, spawn
from extension.pipeline.batches import Batch
from extension.rows.edm import Row
from extension.store.collector_db import CollectorStore

AIM_S = 12.0
"""CPU seconds for the rows of a day, 288,000."""
DAY_ROWS = 288_000
AIM_MIB = 42.0
FLAT_MIB = 1.0
DEADLINE_S = 600.0
STORE_BYTES = 1 << 30


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, without its children's."""
    return processes.own_cpu_ns(pid) / 1e9


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def drain(
    port: int,
    batches: int,
    make_rows: Callable[[int], list[Row]],
    floor: Callable[[], float],
    aim_floor_us: float,
) -> bool:
    """Fill, drain, print; whether CPU and memory are within the aims.

    ``floor()`` gives the µs per row of the barest client now, ``aim_floor_us`` is what it gave where the aim was set.
    """
    with tempfile.TemporaryDirectory() as folder:
        protected = {"storageAccountName": "acct", "storageAccountKey": KEY}
        protected["storageAccountEndPoint"] = f"http://127.0.0.1:{port}/acct"
        path = configure(folder, demo.settings(folder).public, protected)
        state = os.path.join(folder, "state")
        plan, _ = component.load_plan(os.path.join(folder, "xmlCfg.xml"), os.path.join(folder, "options.json"))
        store = CollectorStore(state, max_bytes=STORE_BYTES)
        rows = 0
        for n in range(batches):
            with store.transaction():
                rows += store.queue([Batch(plan.accounts[0].moniker, "Bench", make_rows(n))], time.time())
        uploader = subprocess.Popen(
            spawn.module_argv("extension.uploader", path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        floors: list[float] = []
        try:
            used, memory = _watch(uploader, store, lambda: floors.append(floor()))
        finally:
            uploader.send_signal(signal.SIGTERM)
            uploader.wait(20)
            store.close()
    return _report(rows, used, memory, statistics.median(floors), aim_floor_us)


def _watch(
    uploader: subprocess.Popen[bytes], store: CollectorStore, look: Callable[[], None]
) -> tuple[float, list[float]]:
    """(CPU seconds from the first acknowledged batch on, memory) until the store is empty; ``look`` is called now and
    then meanwhile, and once at least."""
    memory: list[float] = []
    begun, full = None, store.outbox_rows()
    deadline = time.monotonic() + DEADLINE_S
    look()
    while (left := store.outbox_rows()) and uploader.poll() is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{left} rows were still queued after {DEADLINE_S:g} s")
        time.sleep(0.25)
        store.forget_delivered()
        if begun is None and left < full:
            begun = cpu_s(uploader.pid)
            full = left
        if begun is not None:
            memory.append(rss_mib(uploader.pid))
            look()
    if uploader.poll() is not None:
        raise SystemExit(f"the uploader ended with {uploader.returncode}")
    used = cpu_s(uploader.pid) - (begun or 0.0)
    time.sleep(1.0)
    return used, [*memory, rss_mib(uploader.pid)]


def _report(rows: int, used: float, memory: list[float], floor: float, aim_floor: float) -> bool:
    settled = memory[len(memory) // 10 :] or memory
    spread = max(settled) - min(settled)
    day = used * DAY_ROWS / rows
    print(f"backlog of {rows} rows through the uploader: {used:.2f} s CPU, {used / rows * 1e6:.1f} µs/row in all")
    ratio, aim = day / DAY_ROWS * 1e6 / floor, AIM_S / DAY_ROWS * 1e6 / aim_floor
    fine = ratio <= aim
    print(f"  {ratio:.2f} times bare http.client ({floor:.1f}); aim {aim:.2f}: {'met' if fine else 'missed'}")
    print(f"  a day's {DAY_ROWS} rows: {day:.1f} s; {day * aim_floor / floor:.1f} where the aim of {AIM_S:g} was set")
    print(f"  memory {memory[0]:.1f} MiB at first, at most {max(memory):.1f}, {memory[-1]:.1f} after; aim {AIM_MIB:g}")
    print(f"  spread after the first tenth {spread:.2f} MiB; aim ±{FLAT_MIB:g}")
    return fine and max(memory) <= AIM_MIB and spread <= 2 * FLAT_MIB
