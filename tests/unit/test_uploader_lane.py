"""One lane of the uploader: retries, halves, refused rows, stops. The sink is scripted: no service fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tenacity

from extension.attempts import worth_retrying
from extension.lane import DAMAGED, Lane, wait_for_sink
from extension.pipeline.engine import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore

ACCOUNT = Account("m", "acct", "key", "c2VjcmV0", "file:///nowhere", True)


class ScriptedSink:
    """Answers each attempt with the next step: an error to raise, or None to take the rows."""

    def __init__(self, script: Callable[[int, Sequence[Row]], SinkError | None]) -> None:
        self.script = script
        self.taken: dict[str, list[str]] = {}
        self.attempts: list[int] = []

    def send(self, table: str, rows: Sequence[Row]) -> None:
        self.attempts.append(len(rows))
        error = self.script(len(self.attempts), rows)
        if error is not None:
            raise error
        self.taken.setdefault(table, []).extend(r.row_key for r in rows)

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, folder: Path, script: Callable[[int, Sequence[Row]], SinkError | None]) -> None:
        self.folder = folder
        store = CollectorStore(str(folder), max_bytes=64 << 20)
        rows = [Row("pk", f"r{i}", {"V": ("Int32", i)}) for i in range(8)]
        with store.transaction():
            store.queue([Batch("m", "T", rows)], 1.0)
        self.sink = ScriptedSink(script)
        self.said: list[tuple[str, str]] = []
        self.published: list[str] = []
        self.lane = Lane(
            ACCOUNT,
            UploaderStore(str(folder)),
            spread_s=0.0,
            publish=lambda: self.published.append(self.lane.level),
            progress=lambda: None,
            log=lambda level, text: self.said.append((level, text)),
            connect=lambda _account: self.sink,
        )

    def drain(self) -> ledger.Balance:
        self.lane.drain()
        return ledger.read(str(self.folder))["T"]


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)


def _error(reaction: str, code: str = "ServerBusy", **more: object) -> SinkError:
    return SinkError(reaction, code, f"the service says {code}", **more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_waits")
def test_retries_until_taken_and_says_each_state_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda n, _rows: _error("retry") if n < 5 else None)
    balance = bench.drain()
    assert bench.sink.attempts == [8] * 5
    assert (balance.delivered, balance.queued, balance.dropped) == (8, 0, {})
    assert [level for level, _ in bench.said] == ["warning", "info"]
    assert "after 4 failed attempts" in bench.said[1][1]
    assert bench.published == ["warning", "ok"]


@pytest.mark.usefixtures("no_waits")
def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _n, rows: _error("split", "RequestBodyTooLarge") if len(rows) > 2 else None)
    assert bench.drain().delivered == 8
    assert bench.sink.taken["T"] == [f"r{i}" for i in range(8)]


@pytest.mark.usefixtures("no_waits")
def test_a_single_row_that_is_too_large_is_dropped_with_its_reason(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        lambda _n, rows: _error("split", "RequestBodyTooLarge") if any(r.row_key == "r3" for r in rows) else None,
    )
    balance = bench.drain()
    assert (balance.delivered, balance.dropped) == (7, {"RequestBodyTooLarge": 1})


@pytest.mark.usefixtures("no_waits")
def test_a_poison_row_costs_only_itself(tmp_path: Path) -> None:
    def script(_n: int, rows: Sequence[Row]) -> SinkError | None:
        at = next((i for i, r in enumerate(rows) if r.row_key in ("r2", "r5")), None)
        return None if at is None else _error("drop-row", "PropertyValueTooLarge", row=at)

    bench = Bench(tmp_path, script)
    balance = bench.drain()
    assert (balance.delivered, balance.dropped, balance.queued) == (6, {"PropertyValueTooLarge": 2}, 0)
    assert bench.sink.taken["T"] == ["r0", "r1", "r3", "r4", "r6", "r7"]
    assert any("r2" in text for _, text in bench.said)


@pytest.mark.usefixtures("no_waits")
def test_a_refused_batch_is_dropped_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _n, _rows: _error("drop-batch", "InvalidInput"))
    assert bench.drain().dropped == {"InvalidInput": 8}


def test_a_stop_ends_the_waiting_at_once_and_keeps_the_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _n, _rows: _error("slow", "AuthenticationFailed"))
    waiting = threading.Event()
    bench.lane._publish = waiting.set
    thread = threading.Thread(target=bench.lane.run, daemon=True)
    thread.start()
    assert waiting.wait(10)
    bench.lane.stop.set()
    bench.lane.wake.set()
    thread.join(10)
    assert not thread.is_alive()
    balance = ledger.read(str(tmp_path))["T"]
    assert (balance.queued, balance.delivered, balance.dropped) == (8, 0, {})


def _state(error: SinkError, attempt: int) -> tenacity.RetryCallState:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    future = tenacity.Future(attempt)
    future.set_exception(error)
    state.outcome = future
    return state


def test_waits_grow_to_their_caps_and_obey_the_service() -> None:
    quick = [wait_for_sink(_state(_error("retry"), n)) for n in range(1, 12)]
    assert quick[0] <= 2
    assert max(quick) <= 60
    assert quick[-1] == 60
    slow = [wait_for_sink(_state(_error("slow"), n)) for n in range(1, 12)]
    assert slow[0] >= 10
    assert slow[-1] == 300
    assert wait_for_sink(_state(_error("retry", retry_after=7.0), 1)) == 7.0
    assert wait_for_sink(_state(_error("retry", retry_after=900.0), 1)) == 900.0
    assert wait_for_sink(_state(_error("retry", retry_after=9999.0), 1)) == 3600


def test_what_is_worth_retrying() -> None:
    assert worth_retrying(_error("retry"))
    assert worth_retrying(_error("slow"))
    assert not worth_retrying(_error("split"))
    assert not worth_retrying(ValueError())


def test_a_damaged_batch_is_counted_and_holds_nothing_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _n, _rows: None)
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        store.db.execute("UPDATE outbox SET body=X'789c00'")
        store.queue([Batch("m", "T", [Row("pk", "after", {"V": ("String", "\ud83d lone")})])], 2.0)
    balance = bench.drain()
    assert (balance.delivered, balance.queued, balance.dropped) == (1, 0, {DAMAGED: 8})
    assert bench.sink.taken == {"T": ["after"]}
    assert "of table T is damaged" in bench.said[0][1]


def test_a_backlog_is_drained_below_the_watchdogs_limit(tmp_path: Path) -> None:
    from extension.descriptor import Descriptor
    from extension.lane import CPU_SHARE, ROUND
    from extension.watched import components

    limits = {c.name: c.max_cpu for c in components(Descriptor({"home": "", "config": "", "state_dir": ""}))}
    assert limits["uploader"] * 0.75 > CPU_SHARE
    time, cpu, waits = [0.0], [0.0], []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            time[0] += timeout or 0.0
            return False

    def take(_attempt: int, _rows: Sequence[Row]) -> None:
        time[0] += 0.010
        cpu[0] += 0.008

    bench = Bench(tmp_path, take)
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    batches = [Batch("m", f"B{i}", [Row("pk", "r", {"V": ("Int32", i)})]) for i in range(10 * ROUND)]
    with store.transaction():
        store.queue(batches, 1.0)
    lane = Lane(
        ACCOUNT,
        UploaderStore(str(tmp_path)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, _text: None,
        connect=lambda _account: bench.sink,
        cpu_share=CPU_SHARE,
        cpu_clock=lambda: cpu[0],
        monotonic=lambda: time[0],
    )
    lane.stop = Stop()
    lane.drain()
    assert len(bench.sink.attempts) == 10 * ROUND + 1
    assert waits
    assert cpu[0] / time[0] <= CPU_SHARE * 1.02


def test_a_store_that_fails_for_a_while_does_not_end_the_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, lambda _attempt, _rows: None)
    failing = [2]
    real = UploaderStore.pending

    def pending(self: UploaderStore, *args: int) -> object:
        failing[0] -= 1
        if failing[0] >= 0:
            raise StoreError("the store fails")
        bench.lane.stop.set()
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(UploaderStore, "pending", pending)
    monkeypatch.setattr("extension.lane.LOOK_S", 0.01)
    bench.lane.run()
    assert failing == [-1]
    assert bench.said[0] == ("error", "the store fails; rows stay queued")
    assert bench.lane.level == "ok"
    assert bench.sink.taken


def test_rows_refused_for_their_age_are_final(tmp_path: Path, no_waits: None) -> None:
    def refuse(_attempt: int, rows: Sequence[Row]) -> SinkError | None:
        old = next((i for i, row in enumerate(rows) if row.row_key in ("r2", "r5")), None)
        return None if old is None else SinkError("drop-row", "OutOfRangeInput", "too old", row=old)

    bench = Bench(tmp_path, refuse)
    balance = bench.drain()
    assert (balance.delivered, balance.queued, balance.dropped) == (6, 0, {"OutOfRangeInput": 2})
    attempts = len(bench.sink.attempts)
    bench.drain()
    assert len(bench.sink.attempts) == attempts


def test_fresh_rows_are_seen_within_two_minutes_of_a_recovery_from_a_long_outage(tmp_path: Path) -> None:
    backlog, answer_s, every_s = 4000, 0.05, 10.0
    now, last_fresh = [0.0], [0.0]
    queued: dict[str, float] = {}
    seen: dict[str, float] = {}
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)

    def put(tables: Sequence[str]) -> None:
        with store.transaction():
            store.queue([Batch("m", t, [Row("pk", t, {"V": ("Int32", 1)})]) for t in tables], now[0])

    def send(_attempt: int, rows: Sequence[Row]) -> None:
        now[0] += answer_s
        seen[rows[0].row_key] = now[0]
        if now[0] - last_fresh[0] >= every_s and len(seen) < backlog:
            last_fresh[0] = now[0]
            name = f"Fresh{len(queued)}"
            queued[name] = now[0]
            put([name])

    bench = Bench(tmp_path / "unused", send)
    put([f"Old{i}" for i in range(backlog)])
    lane = Lane(
        ACCOUNT,
        UploaderStore(str(tmp_path)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, _text: None,
        connect=lambda _account: bench.sink,
    )
    lane.drain()
    assert len(seen) == backlog + len(queued)
    assert len(queued) > 10
    assert max(seen[name] - queued[name] for name in queued) < 10
    old = [seen[f"Old{i}"] for i in range(backlog)]
    assert old == sorted(old)  # oldest first
    assert old[-1] > 120
