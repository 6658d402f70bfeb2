"""The collector against a scripted source and clock: schedule, windows, restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from extension.collecting import Collector
from extension.collector import health
from extension.plan import Derived, LadQuery, Plan, Query, Target, Unpivot
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from omi_queries.types import QueryError, Reading

MINUTE = 1795252680
TYPES = {"V": "uint64"}


class Stream:
    """Counts up by one each read; its rate is absent until it has a reading before."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._before: int | None = None

    def prime(self) -> None:
        self._source.primed += 1
        self._before = 0

    def read(self, tick: float) -> Reading:
        self._source.ticks.append(tick)
        if self._source.fails:
            raise QueryError(1, "no answer")
        known = self._before is not None
        self._before = 1
        return Reading([{"V": int(tick) % 1000}] if known else [{}], TYPES, "script", self._source.skipped)

    def state(self) -> dict[str, Any] | None:
        return {"n": self._before}

    def restore(self, state: Mapping[str, Any]) -> bool:
        if not self._source.restores:
            return False
        self._source.restored += 1
        self._before = state["n"]
        return True


class Source:
    name = "script"

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.primed = self.restored = 0
        self.fails = False
        self.restores = True
        self.skipped: dict[str, int] = {}

    def open(self, namespace: str, text: str) -> Stream:
        if "Nonsense" in text:
            raise QueryError(5, "class Nonsense is unknown")
        return Stream(self)

    def close(self) -> None:
        pass


class Bench:
    """A collector whose clock the test moves; ``restart`` makes a new one on the same store."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.now = float(MINUTE - 20)
        self.source = Source()
        self.said: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.store = CollectorStore(str(self.folder), max_bytes=64 << 20)
        self.collector = Collector(
            self.plan, self.source, self.store, lambda: self.now, lambda level, text: self.said.append(text), "h"
        )
        self.collector.start()

    def run_until(self, end: float) -> None:
        while self.collector.next_due() <= end:
            self.now = max(self.now, self.collector.next_due()) + 0.0003
            self.collector.tick()
        self.now = max(self.now, end)

    def rows(self) -> list[Row]:
        return [r for q in UploaderStore(str(self.folder)).pending("m", 1000) for r in q.rows]


def _plan(*, rates: tuple[int, ...] = (15,), durations: tuple[int, ...] = (60,), text: str = "SELECT V") -> Plan:
    unpivot = Unpivot("CounterName", "Value", ("V",), {"V": ("\\V", 1.0)})
    queries = [Query("root/scx", text, r, Target("local", f"s{r}"), unpivot) for r in rates]
    derived = [
        Derived(f"s{r}", d, Target("table", f"M{d}", "m", full_name=True), LadQuery("CounterName", "Value", "pk"))
        for r in rates
        for d in durations
    ]
    return Plan(event_version=2, queries=tuple(queries), derived=tuple(derived))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, _plan())


def _values(row: Row) -> tuple[object, object, object]:
    return row.columns["TIMESTAMP"][1], row.columns["Count"][1], row.columns["Last"][1]


def test_samples_on_wall_clock_multiples_and_one_row_pair_a_window(bench: Bench) -> None:
    bench.run_until(MINUTE + 125)
    assert bench.source.ticks == [MINUTE - 15 + 15 * i for i in range(10)]
    rows = [_values(r) for r in bench.rows()]
    assert rows == [
        ("2026-11-21T09:17:00Z", 1, float((MINUTE - 15) % 1000)),
        ("2026-11-21T09:17:00Z", 1, float((MINUTE - 15) % 1000)),
        ("2026-11-21T09:18:00Z", 4, float((MINUTE + 45) % 1000)),
        ("2026-11-21T09:18:00Z", 4, float((MINUTE + 45) % 1000)),
        ("2026-11-21T09:19:00Z", 4, float((MINUTE + 105) % 1000)),
        ("2026-11-21T09:19:00Z", 4, float((MINUTE + 105) % 1000)),
    ]


def test_a_restart_in_a_window_keeps_its_samples_and_has_rates_at_once(bench: Bench) -> None:
    bench.run_until(MINUTE + 20)
    bench.restart()  # the first process is simply gone: nothing was closed
    bench.run_until(MINUTE + 61)
    assert bench.source.restored == 1
    last = bench.rows()[-1]
    assert _values(last) == ("2026-11-21T09:18:00Z", 4, float((MINUTE + 45) % 1000))


def test_windows_that_ended_while_down_are_closed_at_the_start(bench: Bench) -> None:
    bench.run_until(MINUTE + 50)
    bench.now = MINUTE + 400
    bench.restart()
    assert [_values(r)[:2] for r in bench.rows()][2:] == [("2026-11-21T09:18:00Z", 4)] * 2
    bench.restart()
    assert len(bench.rows()) == 4  # and only once


def test_the_first_window_is_not_lost_to_a_process_that_closed_none(bench: Bench) -> None:
    bench.run_until(MINUTE - 5)  # one sample, killed before its window ended
    bench.now = MINUTE + 3
    bench.restart()
    assert [_values(r)[:2] for r in bench.rows()] == [("2026-11-21T09:17:00Z", 1)] * 2


def test_old_raw_counters_are_not_used_and_forgotten(bench: Bench) -> None:
    bench.run_until(MINUTE + 20)
    bench.now += 3600
    bench.plan = _plan(rates=(30,))
    bench.restart()
    assert (bench.source.restored, bench.source.primed) == (0, 2)
    assert bench.store.raw() == {}


def test_a_query_that_was_changed_goes_on_from_the_raw_counters_of_the_one_before(bench: Bench) -> None:
    bench.run_until(MINUTE + 16)
    bench.plan = _plan(rates=(10,), text="SELECT V, W")
    bench.now = MINUTE + 20.5
    bench.restart()
    assert (bench.source.restored, bench.source.primed) == (1, 1)
    bench.run_until(MINUTE + 25)  # a sample was due during the reload: it is taken, with rates
    assert bench.source.ticks[-1] == MINUTE + 20
    bench.plan, bench.source.restores = _plan(rates=(30,)), False
    bench.restart()  # those of another class are of no use
    assert bench.source.primed == 2
    bench.plan, bench.source.restores = _plan(rates=(4,)), True
    bench.restart()  # and those before the last interval are not of this time
    assert bench.source.primed == 3


def test_finish_writes_the_open_windows_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, _plan(durations=(60, 3600)))
    bench.run_until(MINUTE + 20)
    bench.collector.finish()
    bench.collector.finish()
    found = sorted((_values(r)[0], _values(r)[1]) for r in bench.rows())
    assert found == sorted(
        [("2026-11-21T09:17:00Z", 1)] * 2 + [("2026-11-21T09:18:00Z", 2)] * 2 + [("2026-11-21T09:00:00Z", 3)] * 2
    )


def test_samples_are_forgotten_when_every_window_has_had_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, _plan(durations=(60, 120)))
    bench.run_until(MINUTE + 600)
    times = [t for t, _ in bench.store.samples.read("s15", 0, 2**62)]
    assert min(times) >= (MINUTE + 600) // 120 * 120 * 10**6


def test_queries_of_different_rates_share_their_common_instants(tmp_path: Path) -> None:
    bench = Bench(tmp_path, _plan(rates=(15, 60)))
    bench.run_until(MINUTE + 61)
    assert bench.source.ticks.count(MINUTE) == 2
    assert bench.source.ticks.count(MINUTE + 60) == 2
    assert bench.source.ticks.count(MINUTE + 15) == 1


def test_a_refused_query_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    good = _plan()
    bad = Query("root/scx", "SELECT * FROM Nonsense", 15, Target("table", "Bad", "m"))
    bench = Bench(tmp_path, Plan(queries=(bad, *good.queries), derived=good.derived, event_version=2))
    assert bench.collector.refused == {"Bad": "class Nonsense is unknown"}
    assert any("Nonsense" in text for text in bench.said)
    bench.run_until(MINUTE + 61)
    assert bench.rows()
    bench.source.fails = True
    bench.run_until(MINUTE + 80)
    level, message = health(bench.collector)  # the one does not hide the other
    assert level == "warning"
    assert "1 of 2 queries refused: Bad: class Nonsense is unknown" in message
    assert "query failed" in message


def test_a_failing_source_is_said_once_and_its_recovery_too(bench: Bench) -> None:
    bench.source.fails = True
    bench.run_until(MINUTE + 40)
    assert sum("no answer" in text for text in bench.said) == 1
    bench.source.fails = False
    bench.run_until(MINUTE + 61)
    assert sum("complete again" in text for text in bench.said) == 1


def test_what_health_says_changes_with_what_is_counted_as_a_change(bench: Bench) -> None:
    seen: list[tuple[int, tuple[str, str]]] = []

    def after(until: float) -> None:
        bench.run_until(until)
        seen.append((bench.collector.changes, health(bench.collector)))

    after(MINUTE + 16)
    after(MINUTE + 31)
    assert seen[0] == seen[1]
    bench.source.fails = True
    after(MINUTE + 46)
    after(MINUTE + 61)
    bench.source.fails, bench.source.skipped = False, {"half of it is missing": 1}
    after(MINUTE + 76)
    bench.source.skipped = {}
    after(MINUTE + 91)
    assert [level for _, (level, _) in seen] == ["ok", "ok", "warning", "warning", "warning", "ok"]
    assert seen[2] == seen[3]
    assert len({changes for changes, _ in seen}) == len({found for _, found in seen}) + 1  # well again is a change too


def test_reasons_are_counted_and_logged_once(bench: Bench) -> None:
    bench.source.skipped = {"cpu 1 went away": 1}
    bench.run_until(MINUTE + 61)
    assert bench.collector.skipped == {"s15: cpu 1 went away": 6}
    assert sum("cpu 1" in text for text in bench.said) == 1


def test_a_clock_that_goes_back_does_not_stop_the_schedule(bench: Bench) -> None:
    bench.run_until(MINUTE + 130)
    bench.now -= 3600
    before = len(bench.source.ticks)
    bench.run_until(bench.now + 120)
    assert len(bench.source.ticks) >= before + 7
    assert any("clock went back" in text for text in bench.said)
    assert any(_values(r)[0] == "2026-11-21T08:20:00Z" for r in bench.rows())


def test_row_indexes_never_repeat_over_restarts(tmp_path: Path) -> None:
    query = Query("root/scx", "SELECT V", 15, Target("table", "Raw", "m", per_nday=False))
    bench = Bench(tmp_path, Plan(queries=(query,), event_version=2))
    bench.run_until(MINUTE + 20)
    bench.now -= 5  # a restart that would seed the same number again
    bench.restart()
    bench.run_until(MINUTE + 61)
    keys = [r.row_key for r in bench.rows() if "RowIndex" in r.columns]
    assert len(keys) == len(set(keys)) >= 5


def test_the_balance_holds(bench: Bench) -> None:
    bench.run_until(MINUTE + 300)
    balance = ledger.read(str(bench.folder))
    assert balance["M6020261119"].produced == balance["M6020261119"].queued == len(bench.rows())


def test_samples_are_forgotten_once_when_no_window_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, _plan(durations=(60, 180)))
    bench.run_until(MINUTE - 1)
    begin = MINUTE // 180 * 180  # all windows of both end at its multiples
    trimmed: list[int] = []
    trim = bench.store.samples.trim

    def counted(source: str, before_us: int) -> None:
        trimmed.append(before_us)
        trim(source, before_us)

    monkeypatch.setattr(bench.store.samples, "trim", counted)
    put, fails = bench.store.queue, [True]

    def queue(*args: Any) -> int:
        if trimmed and fails and args[0]:
            fails.clear()
            raise OSError("the disk went away")
        return put(*args)

    monkeypatch.setattr(bench.store, "queue", queue)
    with pytest.raises(OSError, match="went away"):
        bench.run_until(begin + 900)
    bench.run_until(begin + 930)
    (undone, *kept) = [us // 1_000_000 for us in trimmed]
    assert kept[0] == undone  # what was undone is done again
    assert kept == sorted(set(kept))  # and what was done is not
    held = [at for source in bench.store.samples.sources() for at, _ in bench.store.samples.read(source, 0, 1 << 62)]
    assert min(held) >= kept[-1] * 1_000_000
    assert kept[-1] == bench.collector._pipelines.closed[bench.collector._pipelines.consumers[1].id]


def test_what_is_counted_is_shown_within_two_minutes_and_written_only_then(bench: Bench) -> None:
    def shown() -> object:
        return json.loads(bench.store.db.execute("SELECT value FROM meta WHERE key='report'").fetchone()[0])["skipped"]

    written: list[object] = []
    bench.store.put_report = written.append  # type: ignore[method-assign, assignment]
    bench.run_until(MINUTE + 300)
    assert len(written) <= 2  # what there is to say at first
    del bench.store.put_report
    for number in (3, 7):
        bench.collector.refuse("message refused", 3 if number == 3 else 4)
        bench.run_until(bench.now + 120)
        assert shown() == {"message refused": number}
