"""Any history of samples, gaps, clock steps, restarts and failures: rows once, and every missing one explained."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extension.store import ledger
from tests.collector_bed import MINUTE, QUERY, Bench, metrics, plan_of

WHOLE = st.integers(1, 200)
Move = tuple[str, float]
QUIET = st.one_of(
    st.tuples(st.just("run"), WHOLE.map(float)),
    st.tuples(st.just("run"), st.floats(1, 100)),
    st.tuples(st.just("wait"), st.sampled_from([3.0, 20.0, 70.0, 400.0])),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 5.0, 65.0])),
    st.tuples(st.sampled_from(["fails", "recovers", "no B", "both", "none", "deliver", "full"]), st.just(0.0)),
)
STEPS = st.tuples(
    st.just("step"), st.sampled_from([-7200.0, -400.0, -61.0, -20.0, -10.0, -1.5, 1.0, 10.0, 50.0, 9000.0])
)


def _play(bench: Bench, moves: list[Move]) -> None:
    def restart(seconds: float) -> None:
        bench.wait(seconds)
        bench.store.close()
        bench.start()

    def full(_: float) -> None:
        bench.store.drop_oldest(1, "store full")

    acts: dict[str, Callable[[float], None]] = {
        "run": bench.run,
        "wait": bench.wait,
        "step": bench.step,
        "restart": restart,
        "fails": lambda _: setattr(bench.source, "fails", True),
        "recovers": lambda _: setattr(bench.source, "fails", False),
        "no B": lambda _: setattr(bench.source, "values", {"A": 1}),
        "both": lambda _: setattr(bench.source, "values", {"A": 1, "B": 2}),
        "none": lambda _: setattr(bench.source, "values", {}),
        "deliver": lambda _: bench.deliver(),
        "full": full,
    }
    for name, value in moves:
        acts[name](value)


def _end(bench: Bench) -> None:
    bench.source.fails, bench.source.values = False, {"A": 1, "B": 2}
    bench.run(200)
    bench.deliver()
    for table, b in ledger.read(str(bench.folder / "state")).items():
        assert b.produced == b.delivered + b.queued + sum(b.dropped.values()), (table, b)


class _Folder:
    """A folder that is gone afterwards: hypothesis would share pytest's."""

    def __enter__(self) -> Path:
        self.path = tempfile.mkdtemp()
        return Path(self.path)

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(st.lists(st.one_of(QUIET, STEPS), max_size=12))
def test_no_history_leaves_a_row_unexplained_or_mixed(moves: list[Move]) -> None:
    with _Folder() as folder:
        plan = plan_of(folder, derived=(metrics(), metrics(duration=300, event="Five")))
        bench = Bench(folder, plan)
        _play(bench, moves)
        _end(bench)
        found = bench.audit(MINUTE - 86400)
        assert found["ok"], found["events"]
        reader = bench.reader()
        for table in reader.tables():
            most = (300 if table.startswith("Five") else 60) // QUERY.rate
            assert all(int(row.columns["Count"][1]) <= most for row in reader.query(table))
        reader.close()
        bench.store.close()


@SETTINGS
@given(st.lists(QUIET, max_size=8), st.integers(0, 1000))
@example([("wait", 20.0), ("run", 1.0), ("wait", 70.0), ("run", 1.0), ("restart", 65.0)], 26)  # a late last sample
def test_a_row_that_was_made_and_vanished_is_always_missed(moves: list[Move], number: int) -> None:
    with _Folder() as folder:
        bench = Bench(folder)
        _play(bench, [m for m in moves if m[0] != "full"])
        _end(bench)
        keys = sorted(row.row_key for row in bench.rows())
        gone = keys[number % len(keys)]
        with closing(sqlite3.connect(folder / "tables.db", isolation_level=None)) as db:
            assert db.execute("DELETE FROM entities WHERE row_key=?", (gone,)).rowcount == 1
        found = bench.audit(MINUTE - 600)
        assert sum(e["unexplained"] for e in found["events"]) == 1, (gone, found["events"])
        bench.store.close()
