"""One probe for a host that fails, however many lanes lead to it; a sink that fails alone holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from extension.circuit import Circuit, host
from extension.lane import Lane
from extension.lanes import lanes
from extension.pipeline.batches import Batch
from extension.plan import Account, Options, Plan, Publisher, Route, Target
from extension.rows.edm import Row
from extension.sinks.base import Outage, SinkError
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore

PAUSE_S = 0.15
HUB = "https://ns.servicebus.windows.net/{}?sr=x&sig=s&se=1&skn=n"


class Host:
    """What several lanes lead to. ``answer(name)`` is the failure of a lane's attempt, None where it is taken."""

    def __init__(self, answer: Callable[[str], SinkError | None]) -> None:
        self.answer = answer
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.begun: list[tuple[str, float]] = []
        self.failed_at: list[float] = []

    def send(self, name: str) -> None:
        with self.lock:
            self.begun.append((name, time.monotonic()))
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.01)
        error = self.answer(name)
        with self.lock:
            self.inside -= 1
            if error is not None:
                self.failed_at.append(time.monotonic())
        if error is not None:
            raise error

    def gaps(self) -> list[float]:
        """From each failure to the next attempt of anybody."""
        starts = [at for _, at in self.begun]
        return [min(later) - end for end in self.failed_at if (later := [at for at in starts if at > end])]


class End:
    """A lane's end of the host."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name = host, name

    def send(self, _table: str, _rows: Sequence[Row]) -> None:
        self.host.send(self.name)

    def close(self) -> None:
        pass


def _outage(kind: Outage) -> SinkError:
    return SinkError("retry", "refused", f"https://ns: it fails ({kind or 'for me'})", connection=True, outage=kind)


class Bench:
    def __init__(self, folder: Path, host: Host, names: Sequence[str], batches: int = 1) -> None:
        self.folder, self.host = folder, host
        store = CollectorStore(str(folder), max_bytes=64 << 20)
        with store.transaction():
            rows = [Row("pk", f"r{i}", {"record": ("String", "{}")}) for i in range(batches)]
            store.queue([Batch(f"eventhub {n}", f"eventhub/{n}", [row]) for n in names for row in rows], 1.0)
        self.said: list[tuple[str, str]] = []
        circuit, uploads = Circuit(), UploaderStore(str(folder))
        self.lanes = {name: self._lane(name, circuit, uploads) for name in names}
        self.threads: list[threading.Thread] = []

    def _lane(self, name: str, circuit: Circuit, uploads: UploaderStore) -> Lane:
        return Lane(
            Account(name, name, "", ""),
            uploads,
            spread_s=0.0,
            publish=lambda: None,
            progress=lambda: None,
            log=lambda level, text: self.said.append((level, text)),
            connect=lambda _account: End(self.host, name),
            name=f"eventhub {name}",
            label=f"Event Hub of {name}",
            circuit=circuit,
        )

    def start(self, *names: str) -> None:
        for name in names:
            thread = threading.Thread(target=self.lanes[name].drain, daemon=True)
            self.threads.append(thread)
            thread.start()

    def delivered(self) -> dict[str, int]:
        return {t.partition("/")[2]: b.delivered for t, b in ledger.read(str(self.folder)).items()}

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def _ended(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        for lane in bench.lanes.values():
            lane.stop.set()
        bench.join()


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


@pytest.mark.parametrize("kind", ["host", "sink"])
def test_one_probe_whatever_number_of_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Outage) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: PAUSE_S)
    opened = threading.Event()
    names = ("a", "b", "c")
    with _ended(Bench(tmp_path, Host(lambda _name: None if opened.is_set() else _outage(kind)), names)) as bench:
        bench.start("a")
        _until(lambda: len(bench.said) == 1)
        bench.start("b", "c")
        # Those that have met a failure of their own ("sink") or are held at once ("host").
        _until(lambda: all(bench.lanes[n].level == "warning" for n in names))
        first = len(bench.host.begun)
        bench.host.most = 0
        _until(lambda: len(bench.host.begun) >= first + 6)
        assert bench.host.most == 1
        assert {name for name, _ in bench.host.begun[first:]} == set(names)  # by turns: one of them may be well again
        assert min(bench.host.gaps()[first:]) >= PAUSE_S * 0.9
        opened.set()
        bench.join()
        assert bench.delivered() == dict.fromkeys(names, 1)
        assert [level for level, _ in bench.said] == ["warning", "info"]
        assert all((lane.level, lane.problem) == ("ok", "") for lane in bench.lanes.values())


def test_who_waits_says_why_in_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 60.0)
    with _ended(Bench(tmp_path, Host(lambda _name: _outage("host")), ("a", "b"))) as bench:
        bench.start("a")
        _until(lambda: len(bench.said) == 1)
        bench.start("b")
        _until(lambda: bench.lanes["b"].level == "warning")
        assert bench.lanes["b"].problem == "Event Hub of b: its host fails: https://ns: it fails (host)"
        assert [name for name, _ in bench.host.begun] == ["a"]
        error = ledger.read(str(tmp_path))["eventhub/b"].last_error
        assert error is not None
        assert error["code"] == "refused"
        bench.lanes["b"].stop.set()
        bench.threads[1].join(10)
        assert not bench.threads[1].is_alive()
    assert bench.delivered() == {"a": 0, "b": 0}
    assert len(bench.said) == 1


@pytest.mark.parametrize("kind", ["sink", ""])
def test_a_sink_that_fails_alone_delays_no_other_of_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Outage
) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 3600.0)
    alone = Host(lambda name: _outage(kind) if name == "a" else None)
    with _ended(Bench(tmp_path, alone, ("a", "b"), batches=50)) as bench:
        bench.start("a")
        _until(lambda: len(bench.said) == 1)
        bench.start("b")
        bench.threads[1].join(20)
        assert bench.delivered() == {"a": 0, "b": 50}
        assert bench.lanes["a"].level == "warning"
        assert len(bench.said) == 1


def test_a_lane_that_hangs_delays_no_other_of_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.0)
    released = threading.Event()

    def answer(name: str) -> SinkError | None:
        if name == "a" and len(hanging.begun) > 1:
            released.wait(30)
        return _outage("sink") if name == "a" and not released.is_set() else None

    hanging = Host(answer)
    with _ended(Bench(tmp_path, hanging, ("a", "b"), batches=5)) as bench:
        bench.start("a")
        _until(lambda: len(hanging.begun) == 2)  # it fails once, and its probe hangs
        bench.start("b")
        bench.threads[1].join(20)
        delivered = bench.delivered()
        released.set()
        bench.join()
    assert delivered == {"a": 0, "b": 5}


def test_an_end_of_the_outage_lets_all_go_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose attempts had grown rare does not sleep on when another's probe has passed."""
    delays = iter([0.0, 0.3])
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: next(delays, 3600.0))
    left = [2]

    def answer(_name: str) -> SinkError | None:
        left[0] -= 1
        return _outage("host") if left[0] >= 0 else None

    with _ended(Bench(tmp_path, Host(answer), ("a", "b"), batches=2)) as bench:
        bench.start("a")
        _until(lambda: left[0] <= 0)
        bench.start("b")
        for thread in bench.threads:
            thread.join(20)
        assert bench.delivered() == {"a": 2, "b": 2}


def test_a_second_outage_is_said_though_a_blob_has_been_stuck_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda error, _attempt: 0.0 if error.outage else 3600.0)
    leased = SinkError("slow", "LeaseIdMissing", "leased", http_status=412)
    answers = iter([leased, _outage("host"), None, _outage("host"), None])
    once = Bench(tmp_path, Host(lambda _name: next(answers)), ("a",), batches=0)
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        rows = [Row("pk", f"r{i}", {"record": ("String", "{}")}) for i in range(3)]
        store.queue([Batch("eventhub a", f"table{i}", [row]) for i, row in enumerate(rows)], 1.0)
    with _ended(once) as bench:
        bench.start("a")
        _until(lambda: len(bench.host.begun) == 5 and bench.lanes["a"].waiting)
        assert [level for level, _ in bench.said] == ["error", "warning", "info", "warning", "info"]
        assert "leased" in bench.lanes["a"].problem
        assert not bench.lanes["a"]._circuit._said


def test_what_is_refused_without_asking_says_nothing_of_the_host() -> None:
    circuit = Circuit(lambda: 1000.0)
    with pytest.raises(SinkError), circuit.passage("a", threading.Event(), _untold, lambda _error, _n: 60.0):
        raise _outage("host")
    stop = threading.Event()
    stop.set()

    def held() -> bool:
        try:
            with circuit.passage("b", stop, lambda _error: None, lambda _error, _n: 60.0):
                return False
        except SinkError:
            return True

    assert held()
    for error, answered in ((SinkError("slow", "InvalidCredential", "no key"), False), (_answer(403), True)):
        circuit._until = 0.0  # its probe is due
        with (
            pytest.raises(SinkError),
            circuit.passage("c", threading.Event(), lambda _error: None, lambda _e, _n: 60.0),
        ):
            raise error
        circuit._until = 2000.0
        assert held() is not answered


def _untold(_error: SinkError) -> None:
    raise AssertionError("it has nothing to wait for")


def _answer(status: int) -> SinkError:
    return SinkError("slow", "Forbidden", "no", http_status=status, connection=True)


def test_lanes_share_what_is_one_host(tmp_path: Path) -> None:
    def account(name: str, table: str, blob: str) -> Account:
        return Account(name, name, "key", "c2VjcmV0", table, False, blob)

    plan = Plan(
        accounts=(
            account("x", "https://x.table.core.windows.net", "https://x.blob.core.windows.net"),
            account("y", "https://x.table.core.windows.net:443", "https://x.blob.core.windows.net/"),
            account("z", "http://127.0.0.1:10002/z", "http://127.0.0.1:10000/z"),
            account("f", "file:///tmp/t.db", ""),
        ),
        routes=tuple(Route("s", 60, Target("jsonblob", "c", m)) for m in ("x", "y", "z")),
        publishers=(Publisher("s", HUB.format("one")), Publisher("s", HUB.format("two")), Publisher("t", "junk")),
        options=Options(),
    )
    uploads = UploaderStore(str(tmp_path))
    made = lanes(plan, uploads, spread_s=0, publish=_nothing, progress=_nothing, log=lambda _level, _text: None)
    groups: dict[int, list[str]] = {}
    for lane in made:
        groups.setdefault(id(lane._circuit), []).append(lane.name)
    assert sorted(groups.values()) == [
        ["eventhub s", "eventhub s 2"], ["eventhub t"], ["f"], ["jsonblob x", "jsonblob y"], ["jsonblob z"],
        ["x", "y"], ["z"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://NS.example.net/hub?sig=x", "ns.example.net:443"),
        ("http://127.0.0.1:10002/acct", "127.0.0.1:10002"),
        ("http://[::1]:1/a", "::1:1"),
        ("file:///a/b.db", ""),
        ("https://h:x/", ""),
        ("", ""),
    ],
)
def test_hosts(url: str, found: str) -> None:
    assert host(url) == found


def _nothing() -> None:
    """Nobody is told."""
