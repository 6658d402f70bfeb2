"""Steps of the wall clock: no row twice, none in a wrong place, a gap is a gap, rates by the time since boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension import steps
from extension.rows import ticks
from extension.steps import Elapsed, span
from omi_queries.backends.procfs import ProcfsBackend
from tests.collector_bed import MINUTE, Bench, metrics, plan_of


def _counts(bench: Bench) -> dict[str, list[int]]:
    """Count of each row of \\A by its TIMESTAMP; the rows of one window would stand beside each other."""
    found: dict[str, list[int]] = {}
    for row in bench.rows():
        if row.columns.get("CounterName") == ("String", "\\A"):
            found.setdefault(str(row.columns["TIMESTAMP"][1])[:16], []).append(int(row.columns["Count"][1]))
    return found


def _at(seconds: float) -> str:
    return ticks.iso(int(MINUTE + seconds) * ticks.SECOND_US)[:16]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_three_hours_forward_is_a_gap(bench: Bench) -> None:
    bench.run(120)
    bench.step(3 * 3600)
    bench.run(140)
    bench.deliver()
    counts = _counts(bench)
    assert all(len(c) == 1 for c in counts.values())
    assert set(counts) == {_at(s) for s in (-60, 0, 60, 3 * 3600 + 60, 3 * 3600 + 120)}
    assert any("set forward by 3 h" in text for text in bench.said)
    assert any("no samples for 3 h" in text and steps.SET_FORWARD in text for text in bench.said)
    found = bench.audit()
    assert found["ok"]
    assert found["events"][0]["explained"].keys() == {steps.SET_FORWARD}


def test_two_hours_back_writes_each_window_once(bench: Bench) -> None:
    bench.run(150)
    first = bench.now
    bench.step(-2 * 3600)
    bench.run(2 * 3600 + 200)
    bench.deliver()
    counts = _counts(bench)
    assert all(len(c) == 1 for c in counts.values())
    begin = MINUTE - 7200 + 180  # the second pass began in the window before
    full = [ticks.iso(t * ticks.SECOND_US)[:16] for t in range(begin, int(first) + 60, 60)]
    assert [counts[t] for t in full] == [[4]] * len(full)  # no window mixes two passes
    assert sum("set back by 2 h" in text for text in bench.said) == 1
    assert bench.audit(begin)["ok"]


def test_the_window_in_progress_is_kept_when_the_clock_goes_back(bench: Bench) -> None:
    bench.run(110)  # up to the middle of the window at +60
    bench.step(-2 * 3600)
    bench.run(100)
    bench.deliver()
    assert _counts(bench)[_at(60)] == [2]


@pytest.mark.parametrize("step", [-10.0, 10.0, -1.0, 40.0, -50.0])
def test_small_steps_sample_no_interval_twice(bench: Bench, step: float) -> None:
    bench.run(83)  # just after a window's end
    bench.step(step)
    bench.run(300)
    bench.deliver()
    counts = _counts(bench)
    assert all(len(c) == 1 and c[0] <= 4 for c in counts.values())
    assert all(counts[_at(s)] == [4] for s in (0, 120, 180, 240))
    found = bench.audit()
    assert found["ok"]
    assert found["events"][0]["present"] == found["events"][0]["expected"]


def test_repeated_steps_around_a_window_end(bench: Bench) -> None:
    bench.run(75)
    for _ in range(12):
        bench.run(7)
        bench.step(-10)
        bench.run(7)
        bench.step(10)
    bench.run(200)
    bench.deliver()
    counts = _counts(bench)
    assert all(len(c) == 1 and c[0] <= 4 for c in counts.values())
    assert counts[_at(0)] == [4]
    assert bench.audit()["ok"]


def test_a_restart_after_the_clock_went_back(bench: Bench) -> None:
    bench.run(150)
    bench.step(-20)
    bench.start()
    bench.run(200)
    bench.step(-7200)
    bench.start()
    bench.run(7200 + 300)
    bench.deliver()
    counts = _counts(bench)
    assert all(len(c) == 1 and c[0] <= 4 for c in counts.values())


def test_an_hour_and_a_minute_go_back_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(tmp_path, derived=(metrics(), metrics(duration=3600, event="Hour"))))
    bench.run(3600)
    bench.step(-300)
    bench.run(3 * 3600)
    bench.deliver()
    hours = [r for r in bench.rows() if int(r.columns["Count"][1]) > 4]
    assert len(hours) >= 2 * 3
    assert all(int(r.columns["Count"][1]) <= 240 for r in hours)
    assert bench.audit()["ok"]


def test_suspend_is_a_gap_and_no_step(bench: Bench) -> None:
    bench.run(120)
    bench.wait(3 * 3600)
    bench.run(140)
    bench.deliver()
    assert not any("clock was set" in text for text in bench.said)
    assert sum("no samples for 3 h" in text and steps.HELD_UP in text for text in bench.said) == 1
    found = bench.audit()
    assert found["ok"]
    assert steps.HELD_UP in found["events"][0]["explained"]


@pytest.mark.parametrize("step", [3 * 3600.0, -2 * 3600.0, 10.0])
def test_rates_after_a_step_are_of_the_time_that_went_by(tmp_path: Path, step: float) -> None:
    """As many ticks busy as idle: the processor is busy half of the time, and a page a second is read."""
    proc = tmp_path / "root" / "proc"
    proc.mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 600 kB\n")

    def write(ticks_each: int, read_kb: int) -> None:
        line = f"{ticks_each} 0 0 {ticks_each} 0 0 0 0 0 0"
        (proc / "stat").write_text(f"cpu  {line}\ncpu0 {line}\n")
        (proc / "vmstat").write_text(f"pgpgin {read_kb}\npgpgout 0\n")

    wall, boot = [1795252680.0], [1000.0]
    backend = ProcfsBackend(str(tmp_path / "root"), boottime=lambda: boot[0], wall=lambda: wall[0], hz=100)
    queries = {
        "PercentProcessorTime": "SCX_ProcessorStatisticalInformation",
        "PagesReadPerSec": "SCX_MemoryStatisticalInformation",
    }
    streams = {name: backend.open("root/scx", f"SELECT {name} FROM {cls}") for name, cls in queries.items()}
    write(1000, 0)
    for stream in streams.values():
        stream.read(wall[0])
    wall[0] += 15 + step
    boot[0] += 15
    write(1750, 600)
    found = {n: {i.get(n) for i in stream.read(wall[0]).instances} for n, stream in streams.items()}
    assert found["PercentProcessorTime"] == {50}
    (pages,) = found["PagesReadPerSec"]
    assert pages == 10, "600 KiB in 15 s are 10 pages of 4 KiB a second"


def test_small_corrections_are_not_steps() -> None:
    elapsed = Elapsed()
    assert elapsed.step(100.0, 1.0) == 0.0
    assert elapsed.step(116.5, 16.0) == 0.0
    assert elapsed.step(140.0, 31.0) == pytest.approx(8.5)
    assert elapsed.step(130.0, 46.0) == pytest.approx(-25.0)
    without = Elapsed()
    assert [without.step(t, None) for t in (5.0, 500.0, 490.0)] == [0.0, 0.0, -10.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (-7325, "2 h 2 min"), (90061, "1 d 1 h"), (86400, "1 d"), (45, "45 s")],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text
