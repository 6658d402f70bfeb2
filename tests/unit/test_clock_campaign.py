"""Random steps of the clock, kills, suspends and dead sources: every row once, every gap with its cause."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from extension import steps
from extension.store import ledger
from tests.collector_bed import MINUTE, Bench, metrics, plan_of

EVENTS = 40
STEPS = (0.4, 3, 10, 44, 61, 600, 3600, 3 * 3600)


@pytest.mark.parametrize("seed", [*range(1, 9), 34, 49, 188, 263])
def test_no_step_doubles_or_misplaces_a_row(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench(tmp_path, plan_of(tmp_path, derived=(metrics(event="Min"), metrics(duration=300, event="Five"))))
    earliest = bench.now
    done = []
    for _ in range(EVENTS):
        kind = chance.choices(("run", "step", "kill", "suspend", "source", "deliver"), (8, 5, 3, 2, 1, 2))[0]
        seconds = chance.choice(STEPS) * chance.uniform(0.5, 1.5)
        if kind == "run":
            bench.run(chance.uniform(1, 400))
        elif kind == "step":
            seconds *= chance.choice((1, -1))
            bench.step(seconds)
            earliest = min(earliest, bench.now)
        elif kind == "kill":
            bench.wait(chance.uniform(0, 90))
            bench.store.close()
            bench.start()
        elif kind == "suspend":
            bench.wait(seconds)
        elif kind == "source":
            bench.source.fails = not bench.source.fails
        else:
            bench.deliver()
        done.append(f"{kind} {seconds:.1f}")
    bench.source.fails = False
    bench.run(700)
    bench.deliver()
    story = f"seed {seed}: {done}"
    for table, b in ledger.read(str(tmp_path / "state")).items():
        assert b.produced == b.delivered + b.queued + sum(b.dropped.values()), (table, b, story)
        assert b.queued == 0
    reader = bench.reader()
    for event, most in (("Min", 4), ("Five", 20)):
        rows = [row for table in reader.tables() if table.startswith(event) for row in reader.query(table)]
        assert len(rows) == len({(r.partition_key, r.row_key) for r in rows})
        counts = {int(r.columns["Count"][1]) for r in rows}
        assert max(counts) <= most, (event, counts, story)
        assert most in counts
    reader.close()
    found = bench.audit(min(earliest, MINUTE) - 600)
    assert found["ok"], f"{story}\n{found}\n" + "\n".join(bench.said)


def test_a_collector_that_ended_before_its_first_sample_explains_its_windows(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wait(150)
    bench.store.close()
    bench.start()
    bench.run(200)
    bench.deliver()
    assert bench.audit()["ok"]


def test_a_step_back_before_the_first_sample_of_a_process_is_noticed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(tmp_path, derived=(metrics(), metrics(duration=300, event="Five"))))
    bench.run(200)
    bench.wait(60)
    bench.store.close()
    bench.start()
    bench.step(-600)
    bench.run(1200)
    bench.deliver()
    counts = [int(row.columns["Count"][1]) for row in bench.rows()]
    assert max(counts) == 20  # of five minutes; no sample of the first pass is left in the second
    reader = bench.reader()
    minutes = [row for table in reader.tables() if table.startswith("M") for row in reader.query(table)]
    assert max(int(row.columns["Count"][1]) for row in minutes) == 4


def test_a_small_step_into_a_written_window_has_its_cause(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    bench.wait(600 + (MINUTE + 35 - bench.now) % 60)  # to the second half of a minute
    bench.store.close()
    bench.start()  # closes what is over
    bench.step(-71)
    bench.run(10)
    bench.wait(60)
    bench.run(200)
    bench.deliver()
    found = bench.audit()
    assert found["ok"], found
    assert any(steps.WRITTEN in cause for cause in found["events"][0]["explained"]), found
