"""What a lane says and how often it asks: no storm, one line per state, one line for rows refused alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tenacity

from extension.lane import REFUSAL_QUIET_S, Lane, wait_for_sink
from extension.pipeline.batches import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore

Script = Callable[[int, Sequence[Row]], SinkError | None]


class Bench:
    """A lane over a store of ``batches`` batches of five rows, and a sink that answers by ``script``."""

    def __init__(self, folder: Path, script: Script, batches: int = 1) -> None:
        store = CollectorStore(str(folder), max_bytes=64 << 20)
        with store.transaction():
            store.queue([_batch(n) for n in range(batches)], 1.0)
        self.now = 1000.0
        self.attempts = 0
        self.script = script
        self.said: list[tuple[str, str]] = []
        self.levels: list[str] = []
        self.lane = Lane(
            Account("m", "acct", "key", "c2VjcmV0", "https://acct", True),
            UploaderStore(str(folder)),
            spread_s=0.0,
            publish=lambda: self.levels.append(self.lane.level),
            progress=lambda: None,
            log=lambda level, text: self.said.append((level, text)),
            clock=lambda: self.now,
            connect=lambda _account: self,
        )
        self.lane.drain()

    def send(self, _table: str, rows: Sequence[Row]) -> None:
        self.attempts += 1
        error = self.script(self.attempts, rows)
        if error is not None:
            raise error

    def close(self) -> None:
        pass


def _batch(number: int) -> Batch:
    return Batch("m", "T", [Row("pk", f"b{number}r{i}", {"V": ("Int32", i)}) for i in range(5)])


def _error(reaction: str, code: str, message: str = "", **more: object) -> SinkError:
    return SinkError(reaction, code, message or f"it says {code}", **more)  # type: ignore[arg-type]


def _wait(error: SinkError, attempt: int) -> float:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    state.outcome = tenacity.Future(attempt)
    state.outcome.set_exception(error)
    return wait_for_sink(state)


@pytest.mark.parametrize("asked", [0.0, 0.2])
@pytest.mark.parametrize("reaction", ["retry", "slow"])
def test_a_service_that_asks_for_no_wait_is_not_stormed(asked: float, reaction: str) -> None:
    assert _wait(_error(reaction, "ServerBusy", retry_after=asked), 1) >= 1.0
    assert _wait(_error(reaction, "ServerBusy", retry_after=asked), 50) >= 1.0


def test_only_the_first_attempt_after_a_broken_connection_follows_at_once() -> None:
    reset = _error("retry", "connection reset", connection=True)
    assert _wait(reset, 1) == 0.0
    assert _wait(reset, 2) >= 1.0
    assert _wait(_error("retry", "connection refused", connection=True), 1) >= 1.0


def test_an_idle_connection_that_was_closed_is_no_trouble(tmp_path: Path) -> None:
    reset = _error("retry", "connection reset", connection=True)
    bench = Bench(tmp_path, lambda n, _rows: reset if n == 1 else None)
    assert (bench.attempts, bench.said, bench.levels) == (2, [], [])


def test_a_connection_that_stays_broken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    reset = _error("retry", "connection reset", connection=True)
    bench = Bench(tmp_path, lambda n, _rows: reset if n < 4 else None)
    assert [level for level, _ in bench.said] == ["warning", "info"]
    assert "after 3 failed attempts" in bench.said[1][1]


def test_faults_that_take_turns_are_said_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    turns = [
        _error("retry", "ServerBusy"),
        _error("retry", "connection reset", "it broke"),
        _error("retry", "connection reset", "it broke otherwise"),
        _error("slow", "AuthenticationFailed", cause="clock-skew"),
    ]
    bench = Bench(tmp_path, lambda n, _rows: turns[n % len(turns)] if n < 60 else None)
    assert len(bench.said) == 4  # three states and the recovery
    assert bench.said[-1][0] == "info"
    assert bench.lane.level == "ok"


def test_each_outage_is_said_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    bench = Bench(tmp_path, lambda n, _rows: _error("retry", "ServerBusy") if n % 2 else None, batches=3)
    assert [level for level, _ in bench.said] == ["warning", "info"] * 3


def test_rows_refused_alike_are_one_line_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _n, _rows: _error("drop-row", "PropertyValueTooLarge", row=0), batches=7)
    assert [text for _, text in bench.said] == [
        "T: 5 rows refused for good, PropertyValueTooLarge: row b0r0: it says PropertyValueTooLarge"
    ]
    bench.now += REFUSAL_QUIET_S + 1
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        store.queue([_batch(7)], 2.0)
    bench.lane.drain()
    assert len(bench.said) == 2
    assert "(30 more since the last message)" in bench.said[1][1]
    assert "b7r0" in bench.said[1][1]


class Service:
    """Takes the rows of every table but those in ``closed``, whose answer it is; notes the order."""

    def __init__(self, closed: dict[str, SinkError]) -> None:
        self.closed = closed
        self.seen: list[str] = []
        self.opens_after = 10**9

    def send(self, table: str, _rows: Sequence[Row]) -> None:
        self.seen.append(table)
        if self.seen.count(table) > self.opens_after:
            self.closed.pop(table, None)
        if table in self.closed:
            raise self.closed[table]

    def close(self) -> None:
        pass


def _lane_of(folder: Path, service: Service, said: list[str], tables: Sequence[str], name: str = "") -> Lane:
    store = CollectorStore(str(folder), max_bytes=64 << 20)
    with store.transaction():
        rows = [Row("pk", f"r{i}", {"V": ("Int32", i)}) for i in range(len(tables))]
        store.queue([Batch(name or "m", t, [row]) for t, row in zip(tables, rows, strict=True)], 1.0)
    return Lane(
        Account("m", "acct", "key", "c2VjcmV0", "https://acct", True),
        UploaderStore(str(folder)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, text: said.append(text),
        connect=lambda _account: service,
        name=name,
    )


def test_a_table_in_deletion_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows of it are queued than a round has batches; all others arrive before it is tried again."""
    waits = iter([0.4, 0.0, 0.0, 0.0])
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: next(waits))
    deleted = _error("slow", "TableBeingDeleted", retry_after=40.0)
    service, said = Service({"Gone": deleted}), list[str]()
    service.opens_after = 3
    lane = _lane_of(tmp_path, service, said, ["A", *["Gone"] * 30, "B", "C"])
    lane.drain()
    assert service.seen[:4] == ["A", "Gone", "B", "C"]
    assert service.seen[4:] == ["Gone"] * 32  # twice more in vain, then all
    balances = ledger.read(str(tmp_path))
    assert {t: (b.delivered, b.queued) for t, b in balances.items()} == {
        "A": (1, 0), "B": (1, 0), "C": (1, 0), "Gone": (30, 0),
    }  # fmt: skip
    assert len(said) == 2
    assert "TableBeingDeleted" in said[0]
    assert "accepted again" in said[1]
    assert (lane.level, lane.problem) == ("ok", "")


def test_a_table_that_waits_is_shown_though_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 60.0)
    said: list[str] = []
    service = Service({"Gone": _error("slow", "TableBeingDeleted")})
    lane = _lane_of(tmp_path, service, said, ["Gone", "A"])
    thread = threading.Thread(target=lane.drain, daemon=True)
    thread.start()
    for _ in range(1000):
        if ledger.read(str(tmp_path))["A"].delivered:
            break
        thread.join(0.01)
    assert (lane.level, "TableBeingDeleted" in lane.problem) == ("error", True)
    assert len(said) == 1
    lane.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert ledger.read(str(tmp_path))["Gone"].queued == 1


def test_a_failing_service_is_asked_once_whatever_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    busy = _error("retry", "ServerBusy", connection=True)
    service = Service({"A": busy, "B": busy})
    service.opens_after = 5
    _lane_of(tmp_path, service, [], ["A", "B"]).drain()
    assert service.seen == ["A"] * 6 + ["B"] * 6


def test_an_event_hub_that_fails_is_passed_by_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    service = Service({"A": _error("slow", "NotFound", connection=True)})
    service.opens_after = 3
    _lane_of(tmp_path, service, [], ["A", "B"], "eventhub m").drain()
    assert service.seen == ["A"] * 4 + ["B"]


class Blobs:
    """Takes the rows of every blob but those in ``closed``; notes (container, blob, row)."""

    def __init__(self, closed: dict[tuple[str, str], SinkError]) -> None:
        self.closed = closed
        self.asked: list[tuple[str, str]] = []
        self.taken: list[tuple[str, str, str]] = []

    def send(self, table: str, rows: Sequence[Row]) -> None:
        blob = (table, rows[0].partition_key)
        self.asked.append(blob)
        for key in (blob, (table, "")):
            if key in self.closed:
                raise self.closed[key]
        self.taken += [(*blob, row.row_key) for row in rows]

    def close(self) -> None:
        pass


def _blob_lane(
    folder: Path, service: Blobs, said: list[str], batches: Sequence[tuple[str, str]], time: list[float]
) -> Lane:
    store = CollectorStore(str(folder), max_bytes=64 << 20)
    with store.transaction():
        made = [
            Batch("jsonblob m", t, [Row(b, f"r{i}", {"record": ("String", "{}")})]) for i, (t, b) in enumerate(batches)
        ]
        store.queue(made, 1.0)
    lane = Lane(
        Account("m", "acct", "key", "c2VjcmV0", "https://acct", True),
        UploaderStore(str(folder)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, text: said.append(text),
        connect=lambda _account: service,
        name="jsonblob m",
        monotonic=lambda: time[0],
    )

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            time[0] += timeout or 0.0
            return False

    lane.stop = Stop()
    return lane


@pytest.mark.parametrize("place", ["old", ""])
def test_a_blob_or_container_that_takes_nothing_holds_up_no_other(tmp_path: Path, place: str) -> None:
    """More of its batches are queued than a round has; all others arrive, and its own stay in order."""
    leased = _error("slow", "LeaseIdMissing", place=place)
    service, said, time = Blobs({("c", place): leased}), list[str](), [0.0]
    batches = [*[("c", "old")] * 45, ("d", "x"), *[("d", "y")] * 30, ("d", "x")]
    lane = _blob_lane(tmp_path, service, said, batches, time)
    real = lane._await_aside

    def await_aside() -> None:
        if len(service.taken) == 32 and time[0] > 600:
            service.closed.clear()
        real()

    lane._await_aside = await_aside  # type: ignore[method-assign]
    lane.drain()
    assert [key for _, blob, key in service.taken if blob == "old"] == [f"r{i}" for i in range(45)]
    assert [key for _, blob, key in service.taken[:32]] == [f"r{i}" for i in range(45, 77)]
    asked = service.asked.index(("d", "x"))
    assert asked == 1  # one probe of the blob, then everything else
    assert len(said) == 2  # and one line for it, and one when it is over
    assert (lane.level, ledger.read(str(tmp_path))["c"].delivered) == ("ok", 45)


def test_what_nothing_waits_for_any_more_is_no_problem(tmp_path: Path) -> None:
    service, time = Blobs({("c", "old"): _error("slow", "LeaseIdMissing", place="old")}), [0.0]
    lane = _blob_lane(tmp_path, service, [], [("c", "old")], time)
    real = lane._await_aside

    def await_aside() -> None:
        db = CollectorStore(str(tmp_path), max_bytes=64 << 20)
        with db.transaction():
            db.db.execute("DELETE FROM outbox")  # as the bounds of the store do, counted
        assert lane.level == "error"
        real()

    lane._await_aside = await_aside  # type: ignore[method-assign]
    lane.drain()
    assert (lane.level, lane.problem) == ("ok", "")
