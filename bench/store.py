"""CPU of the store per sampling tick: all 48 counters every 15 s, an hour of them, windows and uploads included.

The real collector runs over this machine's /proc on a clock that leaps from tick to tick. What is counted is the time
inside ``collector.db`` (its methods and statements), without the work of the pipeline between them. The uploader's
side is played beside it and not counted. Three ticks in four only sample, the fourth closes the windows of a minute.
Between ticks there is a pause, without which the counters of the processor would not move; the longer it is, the colder
are the caches.

The aim, 0.5 ms per tick, was set where a body of a hundred rows takes 1.03 ms to make by plain means
(``bench/upload.py``, without the sending); other machines are judged by the ratio to that.

    python bench/store.py [--ticks N] [--pauses S ...]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import config
from bench.daemon_files import configure
from bench.upload import bare_body, cost_us, make_rows
from extension import component
from extension.collecting import Collector
from extension.plan import Plan
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from omi_queries.backends.procfs import ProcfsBackend, boottime_now

AIM_US, BODY_US = 500.0, 1030.0
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
    for part in (store, store.samples):
        for name in dir(part):
            found = getattr(part, name)
            if callable(found) and not name.startswith("_") and name not in ("db", "commit", "transaction"):
                setattr(part, name, meter.inside(found))
    store.commit = meter.inside(lambda change: commit(meter.outside(change)))  # type: ignore[method-assign]
    store.db = store.samples._db = MeteredConnection(store.db, meter)  # type: ignore[assignment]


def deliver(uploads: UploaderStore, plan: Plan) -> None:
    """What the uploader does to the files when everything is taken."""
    for batch in uploads.pending(plan.accounts[0].moniker):
        uploads.acknowledge(batch.id, batch.table, batch.count, {}, time.time())
    uploads.prune()


@dataclass
class Costs:
    """CPU µs of each tick inside the store: of those that only sample, of those that queue rows; of each body made
    beside them; of whole ticks, all together."""

    sampling: list[float] = field(default_factory=list)
    closing: list[float] = field(default_factory=list)
    bodies: list[float] = field(default_factory=list)
    whole: float = 0.0

    def mean(self) -> float:
        """Per tick, of all."""
        return statistics.mean([*self.sampling, *self.closing])

    def ratio(self) -> float:
        """The mean, in bodies of a hundred rows."""
        return self.mean() / statistics.mean(self.bodies)


def run(ticks: int, pause: float) -> Costs:
    """An hour or so of ticks, with ``pause`` seconds before each."""
    with tempfile.TemporaryDirectory(prefix="lad-store-") as folder:
        configure(folder, *config.lad30())
        plan, _ = component.load_plan(os.path.join(folder, "xmlCfg.xml"), os.path.join(folder, "options.json"))
        meter, now, costs = Meter(), [float(int(time.time()) // 60 * 60)], Costs()
        store = CollectorStore(os.path.join(folder, "state"), max_bytes=STORE_BYTES)
        uploads = UploaderStore(os.path.join(folder, "state"))
        metered(store, meter)
        ahead = boottime_now() - now[0]
        backend = ProcfsBackend(boottime=lambda: now[0] + ahead)
        collector = Collector(plan, backend, store, lambda: now[0], lambda _level, _text: None, "bench")
        collector.start()
        rows = make_rows(0)
        for number in range(-8, ticks):
            now[0] = max(now[0], collector.next_due()) + 0.001
            time.sleep(pause)
            meter.spent, begun = 0, time.process_time_ns()
            collector.tick()
            took = time.process_time_ns() - begun
            queued = collector.take_upload()
            if number >= 0:
                (costs.closing if queued else costs.sampling).append(meter.spent / 1000)
                costs.whole += took / ticks / 1000
            if number % 4 == 0:
                costs.bodies.append(cost_us(lambda: bare_body(1, "Bench", rows), 1))
            if queued:
                deliver(uploads, plan)
        store.close()
        uploads.close()
    return costs


def main() -> int:
    """Print the figures; 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=240, help="an hour by default")
    parser.add_argument("--pauses", type=float, nargs="+", default=[0.02, 0.1], help="seconds between ticks")
    args = parser.parse_args()
    found = {f"one every {pause * 1000:.0f} ms": run(args.ticks, pause) for pause in args.pauses}
    print(
        f"{'CPU µs per tick':20}{'sampling':>10}{'closing':>10}{'all':>10}{'whole tick':>12}{'a body':>10}{'ratio':>8}"
    )
    for name, costs in found.items():
        figures = (statistics.mean(part or [0.0]) for part in (costs.sampling, costs.closing))
        print(f"{name:20}" + "".join(f"{figure:10.0f}" for figure in (*figures, costs.mean())), end="")
        print(f"{costs.whole:12.0f}{statistics.mean(costs.bodies):10.0f}{costs.ratio():8.2f}")
    worst, aim = max(costs.ratio() for costs in found.values()), AIM_US / BODY_US
    print(f"aim: at most {AIM_US:.0f} µs in the store per tick, {aim:.2f} of a body of a hundred rows: ", end="")
    print(
        f"{'met' if worst <= aim else 'missed'} ({worst:.2f}, which is {worst * BODY_US:.0f} µs where the aim was set)"
    )
    plain = max(statistics.mean(costs.sampling) for costs in found.values())
    print(f"  as it is, {plain:.0f} µs for a tick that only samples: {'met' if plain <= AIM_US else 'missed'}")
    return 0 if worst <= aim else 1


if __name__ == "__main__":
    sys.exit(main())
