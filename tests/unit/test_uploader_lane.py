"""One lane of the uploader: retries, halves, refused rows, stops. The sink is scripted: no service fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tenacity

from extension.lane import DAMAGED, Lane, wait_for_sink, worth_retrying
from extension.pipeline.engine import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.store import ledger
from extension.store.collector_db import CollectorStore
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
    monkeypatch.setattr("extension.lane.wait_for_sink", lambda _state: 0.0)


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
    assert wait_for_sink(_state(_error("retry", retry_after=9999.0), 1)) == 300


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
    assert "batch 1 of table T is damaged" in bench.said[0][1]
