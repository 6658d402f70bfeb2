"""CPU of the store per sampling tick: all 48 counters every 15 s, an hour of them, windows and uploads included.

The real collector runs over this machine's /proc on a clock that leaps from tick to tick. What is counted is the time
inside ``collector.db`` (its methods and statements), without the work of the pipeline between them. The uploader's
side is played beside it and not counted. Aim: at most 0.5 ms per tick.

    python bench/store.py [--ticks N] [--pause S]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from types import GeneratorType
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import config
from bench.daemon_files import configure
from extension import component
from extension.collecting import Collector
from extension.plan import Plan
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from omi_queries.backends.procfs import ProcfsBackend

AIM_US = 500.0
STORE_BYTES = 256 << 20


class Meter:
    """CPU nanoseconds spent inside one thing and not in what it calls back."""

    def __init__(self) -> None:
        self.spent = 0
        self._since: int | None = None

    def inside(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """``work`` counts, and what it gives step by step."""

        def call(*args: Any, **named: Any) -> Any:
            if self._since is not None:
                return work(*args, **named)
            self._since = time.process_time_ns()
            try:
                found = work(*args, **named)
                return iter(list(found)) if isinstance(found, GeneratorType) else found
            finally:
                self.spent += time.process_time_ns() - self._since
                self._since = None

        return call

    def outside(self, work: Callable[[], None]) -> Callable[[], None]:
        """``work`` does not count although something that counts calls it."""

        def call() -> None:
            assert self._since is not None
            self.spent += time.process_time_ns() - self._since
            self._since = None
            try:
                work()
            finally:
                self._since = time.process_time_ns()

        return call


class MeteredConnection:
    """A connection whose statements count: the record of gaps goes to it directly."""

    def __init__(self, db: sqlite3.Connection, meter: Meter) -> None:
        self._db, self._meter = db, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._db, name)
        return self._meter.inside(found) if callable(found) else found


def metered(store: CollectorStore, meter: Meter) -> None:
    """Let ``meter`` count what ``store`` does."""
    commit = store.commit
    for name in dir(store):
        found = getattr(store, name)
        if callable(found) and not name.startswith("_") and name not in ("db", "commit", "transaction"):
            setattr(store, name, meter.inside(found))
    store.commit = meter.inside(lambda change: commit(meter.outside(change)))  # type: ignore[method-assign]
    store.db = MeteredConnection(store.db, meter)  # type: ignore[assignment]


def deliver(uploads: UploaderStore, plan: Plan) -> None:
    """What the uploader does to the files when everything is taken."""
    for batch in uploads.pending(plan.accounts[0].moniker):
        uploads.acknowledge(batch.id, batch.table, batch.count, {}, time.time())
    uploads.prune()


def run(ticks: int, pause: float) -> tuple[float, float]:
    """(µs per tick inside the store, µs per tick in all)."""
    with tempfile.TemporaryDirectory(prefix="lad-store-") as folder:
        configure(folder, *config.lad30())
        plan, _ = component.load_plan(os.path.join(folder, "xmlCfg.xml"), os.path.join(folder, "options.json"))
        meter, now = Meter(), [float(int(time.time()) // 60 * 60)]
        store = CollectorStore(os.path.join(folder, "state"), max_bytes=STORE_BYTES)
        uploads = UploaderStore(os.path.join(folder, "state"))
        metered(store, meter)
        collector = Collector(plan, ProcfsBackend(), store, lambda: now[0], lambda _level, _text: None, "bench")
        collector.start()
        whole, counted = 0, 0
        for number in range(-8, ticks):
            if number == 0:
                meter.spent, whole = 0, 0
            now[0] = max(now[0], collector.next_due()) + 0.001
            if pause:
                time.sleep(pause)
            begun = time.process_time_ns()
            collector.tick()
            whole += time.process_time_ns() - begun
            counted += number >= 0
            if collector.take_upload():
                deliver(uploads, plan)
        store.close()
        uploads.close()
    return meter.spent / counted / 1000, whole / counted / 1000


def main() -> int:
    """Print the figures; 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=240, help="an hour by default")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between ticks in the second part")
    args = parser.parse_args()
    print(f"{'':26}{'store µs/tick':>14}{'whole tick':>12}")
    spent = {"in a loop": run(args.ticks, 0.0), f"one every {args.pause * 1000:.0f} ms": run(args.ticks, args.pause)}
    for name, (inside, whole) in spent.items():
        print(f"{name:26}{inside:14.0f}{whole:12.0f}")
    worst = max(inside for inside, _ in spent.values())
    print(f"aim: at most {AIM_US:.0f} µs in the store per tick: {'met' if worst <= AIM_US else 'missed'} ({worst:.0f})")
    return 0 if worst <= AIM_US else 1


if __name__ == "__main__":
    sys.exit(main())
