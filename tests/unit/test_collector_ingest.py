"""What clients send: routes, windows, chains, late and future rows, restarts (spec/mdsd.md 2.2-2.5, example D)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extension.collecting import Collector
from extension.collector import health
from extension.pipeline.windows import GRACE_S, consumers
from extension.plan import Derived, LadQuery, Plan, Query, Route, Source, Target, Unpivot
from extension.rows.edm import EdmValue, Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from omi_queries.types import Reading

MINUTE = 1795252680  # 2026-11-21T09:18:00Z
US = 10**6
LAD = LadQuery("CounterName", "Value", "pk")


def _table(event: str) -> Target:
    return Target("table", event, "m", full_name=True, per_nday=False)


class _Stream:
    def prime(self) -> None:
        pass

    def read(self, tick: float) -> Reading:
        return Reading([{"V": int(tick) % 1000}], {"V": "uint64"}, "script", {})

    def state(self) -> dict[str, Any] | None:
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:
        return True


class _Backend:
    name = "script"

    def open(self, namespace: str, text: str) -> _Stream:
        return _Stream()

    def close(self) -> None:
        pass


class Bench:
    """A collector whose clock the test moves."""

    def __init__(self, folder: Path, plan: Plan, now: float = MINUTE + 5.0) -> None:
        self.folder, self.plan, self.now = folder, plan, now
        self.said: list[str] = []
        self.restart()

    def restart(self, plan: Plan | None = None) -> None:
        self.plan = plan or self.plan
        self.store = CollectorStore(str(self.folder), max_bytes=64 << 20)
        self.collector = Collector(
            self.plan, _Backend(), self.store, lambda: self.now, lambda _level, text: self.said.append(text), "h"
        )
        self.collector.start()

    def send(self, source: str, *events: tuple[float, dict[str, EdmValue]]) -> bool:
        return self.collector.ingest([(source, int(at * US), columns) for at, columns in events])

    def run_until(self, end: float) -> None:
        for _ in range(100_000):
            due = self.collector.next_due()
            if due > end:
                break
            self.now = max(self.now, due)
            self.collector.tick()
        else:
            raise AssertionError("the collector is never done")
        self.now = max(self.now, end)

    def rows(self, table: str) -> list[Row]:
        queued = UploaderStore(str(self.folder)).pending("m", 1000)
        return [r for q in queued if q.table == table for r in q.rows]

    def stamps(self, table: str) -> list[str]:
        return [row.columns["TIMESTAMP"][1][11:19] for row in self.rows(table)]


def _msg(text: str = "x") -> dict[str, EdmValue]:
    return {"Msg": ("String", text)}


def _value(name: str, value: float) -> dict[str, EdmValue]:
    return {"CounterName": ("String", name), "Value": ("Double", value)}


ROUTED = Plan(sources=(Source("s"),), routes=(Route("s", 60, _table("Routed")),), identity=(("Host", "h"),))


def test_a_routed_row_has_the_window_s_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.send("s", (MINUTE + 5.25, _msg("a")), (MINUTE + 30, _msg("b")))
    bench.run_until(MINUTE + 60 + GRACE_S - 1)
    assert bench.rows("Routed") == []
    bench.run_until(MINUTE + 60 + GRACE_S)
    first, second = bench.rows("Routed")
    assert first.partition_key.endswith("___0639308494800000000")
    assert first.columns["PreciseTimeStamp"] == ("DateTime", "2026-11-21T09:18:05.250000Z")
    assert first.columns["TIMESTAMP"] == ("DateTime", "2026-11-21T09:18:00Z")
    assert [r.columns["Msg"][1] for r in (first, second)] == ["a", "b"]
    assert first.row_key != second.row_key
    assert list(bench.store.samples.read("s", 0, 1 << 62)) == []  # nobody needs them any more


def test_rows_of_the_window_that_runs_already_count_and_late_ones_are_lost_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED, now=MINUTE + 30.0)
    assert bench.send(
        "s", (MINUTE + 1, _msg("before start")), (MINUTE - 180, _msg("late")), (MINUTE + 90, _msg("soon"))
    )
    assert any("not kept" in text for text in bench.said)
    assert bench.send("s", (MINUTE + 31, _msg("in time")))
    assert any("in time again" in text for text in bench.said)
    bench.run_until(MINUTE + 190)
    assert [(r.columns["Msg"][1], r.columns["TIMESTAMP"][1][11:19]) for r in bench.rows("Routed")] == [
        ("before start", "09:18:00"),
        ("in time", "09:18:00"),
        ("soon", "09:19:00"),
    ]
    assert bench.collector.skipped == {"s: too late for Routed": 1}
    assert ledger.read(str(tmp_path))["Routed"].dropped == {"late: window closed": 1}
    assert ledger.read(str(tmp_path))["Routed"].produced == 4


def test_a_row_that_is_late_for_one_reader_serves_the_other(tmp_path: Path) -> None:
    plan = replace(ROUTED, derived=(Derived("s", 3600, _table("Hourly"), LAD),))
    bench = Bench(tmp_path, plan)
    bench.run_until(MINUTE + 130)
    assert bench.send("s", (MINUTE + 1, _value("c", 4.0)))
    bench.run_until(1795255200 + GRACE_S)
    assert bench.rows("Routed") == []
    assert bench.rows("Hourly")[0].columns["Total"] == ("Double", 4.0)


def test_rows_dated_days_ahead_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.send("s", (MINUTE + 200_000, _msg()), (MINUTE + 3600, _msg()))
    assert bench.collector.skipped == {"s: dated more than a day ahead": 1}
    assert len(list(bench.store.samples.read("s", 0, 1 << 62))) == 1


def test_a_source_that_nobody_reads_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replace(ROUTED, sources=(Source("s"), Source("idle"))))
    assert bench.send("idle", (MINUTE + 6, _msg()))
    assert bench.collector.skipped == {"idle: nothing in the document reads it": 1}
    assert bench.collector.ingest([])


def test_what_was_taken_survives_a_kill_and_is_written_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.send("s", (MINUTE + 6, _msg("a")))
    bench.restart()  # without a word to the first one
    assert bench.send("s", (MINUTE + 7, _msg("b")))
    bench.now = MINUTE + 400.0
    bench.restart()
    assert [r.columns["Msg"][1] for r in bench.rows("Routed")] == ["a", "b"]
    bench.restart()
    bench.run_until(MINUTE + 600)
    assert len(bench.rows("Routed")) == 2
    assert len({r.row_key for r in bench.rows("Routed")}) == 2


def test_worked_example_d_a_second_stage_comes_one_interval_later(tmp_path: Path) -> None:
    plan = Plan(
        sources=(Source("s"),),
        derived=(
            Derived("s", 60, Target("local", "agg", full_name=True), LAD),
            Derived("agg", 60, _table("Second")),
            Derived("s", 60, _table("First"), LAD),
        ),
    )
    bench = Bench(tmp_path, plan, now=MINUTE - 30.0)
    assert bench.send("s", *((MINUTE - 5, _value("\\A\\B", v)) for v in (1.0, 5.0, 3.0)))
    bench.run_until(MINUTE + 59)
    assert bench.stamps("First") == ["09:17:00"] * 2
    assert bench.rows("Second") == []
    bench.run_until(MINUTE + 60 + GRACE_S)
    first, second = bench.rows("Second")
    assert first.row_key == "2516070481799999999__:005CA:005CB"
    assert second.row_key == ":005CA:005CB__2516070481799999999"
    assert bench.stamps("Second") == ["09:18:00"] * 2
    assert [first.columns[k][1] for k in ("Count", "Total", "Minimum", "Maximum", "Last")] == [3, 9.0, 1.0, 5.0, 3.0]


@pytest.mark.parametrize("downtime", [0, 61, 250, 100_000])
def test_a_chain_is_the_same_after_any_downtime(tmp_path: Path, downtime: int) -> None:
    plan = Plan(
        sources=(Source("s"),),
        derived=(
            Derived("s", 60, Target("local", "copy")),
            Derived("copy", 60, Target("local", "agg"), LAD),
            Derived("agg", 60, _table("Out")),
            Derived("agg", 300, _table("Five"), LadQuery("CounterName", "Average", "pk")),
        ),
    )
    bench = Bench(tmp_path, plan)
    for minute in range(5):
        at = MINUTE + 60 * minute + 10.0
        bench.run_until(at)
        assert bench.send("s", (at, _value("c", minute)))
    bench.now += downtime
    bench.restart()
    bench.run_until(bench.now + 700)
    assert bench.stamps("Out")[::2] == ["09:19:00", "09:20:00", "09:21:00", "09:22:00", "09:23:00"]
    fives = [(r.columns["TIMESTAMP"][1][11:16], r.columns["Count"][1]) for r in bench.rows("Five")[::2]]
    assert fives == [("09:15", 2), ("09:20", 8)]  # both mirrored rows count, as in mdsd
    assert bench.collector.skipped == {}


def test_a_copy_keeps_its_times(tmp_path: Path) -> None:
    plan = Plan(
        sources=(Source("s"),),
        derived=(Derived("s", 60, Target("local", "copy")), Derived("copy", 60, _table("Agg"), LAD)),
    )
    bench = Bench(tmp_path, plan)
    assert bench.send("s", (MINUTE + 6, _value("c", 2.0)))
    bench.run_until(MINUTE + 60 + GRACE_S)
    assert bench.stamps("Agg") == ["09:18:00"] * 2


def test_two_events_of_one_name_both_have_their_windows(tmp_path: Path) -> None:
    other = LadQuery("CounterName", "Value", "other")
    plan = Plan(
        sources=(Source("s"),), derived=(Derived("s", 60, _table("T"), LAD), Derived("s", 60, _table("T"), other))
    )
    assert len({c.id for c in consumers(plan)}) == 2
    bench = Bench(tmp_path, plan)
    assert bench.send("s", (MINUTE + 6, _value("c", 2.0)))
    bench.run_until(MINUTE + 70)
    assert sorted(r.partition_key for r in bench.rows("T")) == ["other", "other", "pk", "pk"]


def test_a_reload_keeps_the_open_window_and_forgets_what_nobody_reads(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replace(ROUTED, sources=(Source("s"), Source("t")), routes=(
        *ROUTED.routes, Route("t", 60, _table("Gone")),
    )))  # fmt: skip
    assert bench.send("s", (MINUTE + 6, _msg("a")))
    assert bench.send("t", (MINUTE + 6, _msg("b")))
    bench.restart(replace(ROUTED, routes=(*ROUTED.routes, Route("s", 10, _table("New")))))
    assert list(bench.store.samples.read("t", 0, 1 << 62)) == []
    bench.run_until(MINUTE + 70)
    assert [r.columns["Msg"][1] for r in bench.rows("Routed")] == ["a"]
    assert bench.stamps("New") == ["09:18:00"]  # its first window is the one that was running


def test_the_last_act_writes_open_windows_of_routes_too(tmp_path: Path) -> None:
    plan = replace(
        ROUTED, derived=(Derived("s", 60, Target("local", "agg"), LAD), Derived("agg", 60, _table("Second")))
    )
    bench = Bench(tmp_path, plan)
    assert bench.send("s", (MINUTE + 6, _value("c", 2.0)))
    bench.now = MINUTE + 20.0
    bench.collector.finish()
    assert (bench.stamps("Routed"), bench.stamps("Second")) == (["09:18:00"], ["09:18:00"] * 2)


def test_settling_closes_what_has_ended_without_the_grace(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.send("s", (MINUTE + 6, _msg()))
    bench.now = MINUTE + 60.0
    assert not bench.collector.tick()
    assert bench.collector.settle()
    assert bench.stamps("Routed") == ["09:18:00"]


def test_a_flood_is_written_in_portions_and_all_of_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    events = [("s", int((MINUTE + 6) * US) + i, _msg(str(i))) for i in range(2500)]
    assert bench.collector.ingest(events)
    bench.run_until(MINUTE + 70)
    rows = bench.rows("Routed")
    assert [r.columns["Msg"][1] for r in rows] == [str(i) for i in range(2500)]
    assert len({r.row_key for r in rows}) == 2500


def test_a_store_that_takes_nothing_acknowledges_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    bench.store.close()
    bench.store = CollectorStore(str(tmp_path), max_bytes=300_000)
    bench.collector = Collector(ROUTED, _Backend(), bench.store, lambda: bench.now, lambda *_: None, "h")
    bench.collector.start()
    taken = 0
    for _ in range(100):
        if not bench.send("s", (bench.now, _msg("x" * 30_000))):
            break
        taken += 1
    assert 0 < taken < 100
    assert bench.collector.skipped == {"event refused: store full": 1}
    assert len(list(bench.store.samples.read("s", 0, 1 << 62))) == taken


def test_lone_surrogates_become_text_that_can_be_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.send("s", (MINUTE + 6, {"M\ud800": ("String", "a\ud83d\ude00\udc00")}))
    bench.run_until(MINUTE + 70)
    assert bench.rows("Routed")[0].columns["M_"] == ("String", "a😀\ufffd")


def test_oversize_rows_are_said_once_and_counted_always(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    for minute in range(3):
        at = MINUTE + 60 * minute + 6.0
        bench.run_until(at)
        assert bench.send("s", (at, _msg("x" * 40_000)), (at, _msg("kept")))
    bench.run_until(MINUTE + 200)
    assert len(bench.rows("Routed")) == 3
    assert ledger.read(str(tmp_path))["Routed"].dropped == {"oversize: column over 64 KiB": 3}
    assert len([text for text in bench.said if "oversize" in text]) == 1


def test_queries_and_routes_side_by_side(tmp_path: Path) -> None:
    unpivot = Unpivot("CounterName", "Value", ("V",), {"V": ("\\V", 1.0)})
    query = Query("root/scx", "SELECT V", 15, Target("local", "q"), unpivot)
    plan = replace(ROUTED, queries=(query,), derived=(Derived("q", 60, _table("M"), LAD),))
    bench = Bench(tmp_path, plan)
    assert bench.send("s", (MINUTE + 6, _msg()))
    bench.run_until(MINUTE + 125)
    assert bench.stamps("M") == ["09:18:00"] * 2 + ["09:19:00"] * 2
    assert [r.columns["Count"][1] for r in bench.rows("M")] == [3, 3, 4, 4]
    assert bench.stamps("Routed") == ["09:18:00"]
    assert health(bench.collector)[0] == "ok"


def test_idle_routes_cost_no_writes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replace(ROUTED, routes=(Route("s", 10, _table("Routed")),)))
    bench.run_until(MINUTE + 70)
    before = bench.store.db.total_changes
    bench.run_until(MINUTE + 250)
    assert bench.store.db.total_changes == before
    assert health(bench.collector) == ("ok", "1 source(s) fed by clients")


def test_a_clock_that_goes_back_is_followed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    bench.run_until(MINUTE + 130)
    bench.now = MINUTE - 3000.0
    bench.collector.tick()
    assert any("clock went back" in text for text in bench.said)
    assert bench.send("s", (bench.now, _msg("a")))
    bench.run_until(MINUTE - 2900)
    assert [r.columns["Msg"][1] for r in bench.rows("Routed")] == ["a"]


def test_a_document_without_queries_wakes_for_its_windows_and_an_empty_one_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ROUTED)
    assert bench.collector.next_due() == MINUTE + 60 + GRACE_S
    bench.restart(Plan())
    assert health(bench.collector)[0] == "warning"
