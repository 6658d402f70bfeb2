"""A scripted source with /proc behind it: who answers, when it is asked again, what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omi_queries.backends.choose import deadline_for
from omi_queries.backends.fallback import FallbackBackend, FallbackStream
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.backends.source import Exchange, Question, RawInstance, RefusedError, SourceError
from omi_queries.types import QueryError

MEMORY = "SCX_MemoryStatisticalInformation"
ASKED = f"SELECT Name,AvailableMemory,PagesPerSec FROM {MEMORY}"
ANSWER = [RawInstance(MEMORY, {"Name": "Memory", "AvailableMemory": 7, "PagesPerSec": 9})]


class Now:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Call:
    """An exchange: ``outcome`` is a list, an error, or None while no answer comes."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._sent = script.now.at
        self.abandoned = False

    def sent_at(self) -> float | None:
        return self._sent if self._script.started else None

    def advance(self, timeout: float) -> bool:
        if self._script.outcome is None or not self._script.started:
            self._script.now.at += timeout
            return False
        self._script.now.at += self._script.takes
        return True

    def result(self) -> list[RawInstance]:
        if isinstance(self._script.outcome, Exception):
            raise self._script.outcome
        return self._script.outcome or []

    def abandon(self) -> None:
        self._script.abandoned += 1


class Script:
    """A source that does what the test says."""

    name = "script"
    where = "there"
    probe_s = 0.0

    def __init__(self, now: Now) -> None:
        self.now = now
        self.outcome: list[RawInstance] | Exception | None = ANSWER
        self.started = True
        self.takes = 0.0
        self.asked: list[Question | None] = []
        self.abandoned = 0

    def ask(self, question: Question) -> Exchange:
        self.asked.append(question)
        return Call(self)

    def probe(self) -> Exchange:
        self.asked.append(None)
        return Call(self)

    def close(self) -> None:
        pass


class Bench:
    """A fallback backend over the scripted source and a small /proc."""

    def __init__(self, root: Path) -> None:
        (root / "proc").mkdir()
        (root / "proc/meminfo").write_text("MemTotal: 8192000 kB\nMemFree: 4096000 kB\nMemAvailable: 4096000 kB\n")
        self.vmstat = root / "proc/vmstat"
        self.page_in(0)
        self.now = Now()
        self.script = Script(self.now)
        self.said: list[str] = []
        self.backend = FallbackBackend(
            self.script, ProcfsBackend(str(root), boottime=self.now), deadline_s=2.0, monotonic=self.now,
            report=lambda level, text: self.said.append(f"{level} {text}"),
        )  # fmt: skip

    def page_in(self, n: int) -> None:
        self.vmstat.write_text(f"pgpgin {n * 4}\npgpgout 0\npswpin 0\npswpout 0\n")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.backend.close()


def test_a_working_source_answers(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    reading = stream.read(1.0)
    assert (reading.source, reading.why) == ("script", "")
    assert reading.instances == [{"Name": "Memory", "AvailableMemory": 7, "PagesPerSec": 9}]
    assert bench.script.asked[0] is None  # first it had to show that it answers at all
    assert bench.said == ["info script (there): answers; samples come from it"]
    assert bench.backend.attention_in() == float("inf")


def test_a_failure_costs_no_sample_and_rates_are_there_at_once(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    stream.prime()
    bench.now.at += 10
    assert stream.read(1.0).source == "script"
    bench.page_in(100)
    bench.now.at += 10
    bench.script.outcome = SourceError("connection refused")
    reading = stream.read(2.0)
    assert reading.source == "procfs"
    assert reading.why == "script (there): connection refused"
    [one] = reading.instances
    assert one["AvailableMemory"] == 4096000 // 1024 or one["AvailableMemory"] == 4096000 * 1024 // 1048576
    assert isinstance(one["PagesPerSec"], (int, float))
    assert one["PagesPerSec"] > 0


def test_a_bad_source_is_not_asked_in_the_path_of_samples(bench: Bench) -> None:
    stream, other = bench.backend.open("root/scx", ASKED), bench.backend.open("root/scx", ASKED)
    stream.read(1.0)
    bench.script.outcome = None  # hangs
    before = bench.now.at
    assert {stream.read(2.0).source, other.read(2.0).source} == {"procfs"}
    assert bench.now.at - before == pytest.approx(2.0)  # one deadline for all of the sample
    assert bench.script.abandoned == 1
    asked = len(bench.script.asked)
    for i in range(4):
        bench.now.at += 2
        assert stream.read(3.0 + i).source == "procfs"
    assert len(bench.script.asked) == asked
    assert bench.said[1:] == ["warning script (there): no answer within 2 s; samples come from /proc"]


def test_it_is_tried_again_with_growing_delay_and_used_again(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    stream.read(1.0)
    bench.script.outcome = SourceError("gone")
    stream.read(2.0)
    tries: list[float] = []
    begun, seen = bench.now.at, len(bench.script.asked)
    while bench.now.at < begun + 2000:
        bench.now.at += min(bench.backend.attention_in(), 60)
        bench.backend.attend()
        if len(bench.script.asked) > seen:
            seen = len(bench.script.asked)
            tries.append(bench.now.at - begun)
    assert tries == [10, 30, 70, 150, 310, 610, 910, 1210, 1510, 1810]
    assert bench.script.asked[-1] == Question("root/scx", MEMORY, ("Name", "AvailableMemory", "PagesPerSec"))
    bench.script.outcome = ANSWER
    bench.now.at += 300
    assert stream.read(9.0).source == "script"
    assert bench.said[1:] == [
        "warning script (there): gone; samples come from /proc",
        "info script (there): answers again; samples come from it",
    ]


def test_a_probe_that_hangs_is_given_up(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    stream.read(1.0)
    bench.script.outcome = None
    stream.read(2.0)
    bench.now.at += 10
    bench.backend.attend()
    assert 0 < bench.backend.attention_in() < 1
    bench.now.at += 3
    bench.backend.attend()
    assert bench.script.abandoned == 2
    assert bench.backend.attention_in() == pytest.approx(20)


def test_a_source_that_never_gets_ready_is_given_up(bench: Bench) -> None:
    bench.script.started = False
    stream = bench.backend.open("root/scx", ASKED)
    reading = stream.read(1.0)
    assert (reading.source, reading.why) == ("procfs", "script (there): it has not answered yet")
    assert bench.said == []  # nothing is known of it yet
    bench.now.at += 21
    assert "could not be made ready" in stream.read(2.0).why


def test_a_class_that_the_source_has_not_comes_from_proc_alone(bench: Bench) -> None:
    stream, other = bench.backend.open("root/scx", ASKED), bench.backend.open("root/scx", ASKED)
    bench.backend.attend()
    bench.script.outcome = RefusedError(5, "no such class")
    reading = stream.read(1.0)
    assert reading.source == "procfs"
    assert "no such class" in reading.why
    asked = len(bench.script.asked)
    bench.script.outcome = ANSWER
    assert stream.read(2.0).source == "procfs"  # not asked again at once
    assert len(bench.script.asked) == asked
    assert other.read(2.0).source == "script"  # the source is as good as before
    bench.now.at += 11
    assert stream.read(3.0).source == "script"
    assert sum("no such class" in text for text in bench.said) == 1
    assert sum("again" in text for text in bench.said) == 1


def test_queries_of_one_sample_share_the_deadline(bench: Bench) -> None:
    streams = [bench.backend.open("root/scx", ASKED) for _ in range(6)]
    bench.backend.attend()
    bench.script.takes = 0.7
    found = [stream.read(1.0) for stream in streams]
    assert [r.source for r in found] == ["script"] * 3 + ["procfs"] * 3
    assert "longer than 2 s" in found[-1].why


def test_lies_are_counted_and_no_failure(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    bench.backend.attend()
    bench.script.outcome = [RawInstance(MEMORY, {"Name": "Memory", "AvailableMemory": -1, "PagesPerSec": 2})]
    reading = stream.read(1.0)
    assert reading.source == "script"
    assert reading.instances == [{"Name": "Memory", "PagesPerSec": 2}]
    assert list(reading.skipped) == [f"script gave a {MEMORY}.AvailableMemory that is out of the range of uint64"]


def test_what_is_wrong_with_the_query_is_no_failure(bench: Bench) -> None:
    with pytest.raises(QueryError, match="Nope"):
        bench.backend.open("root/scx", f"SELECT Nope FROM {MEMORY}")
    assert bench.said == []


def test_raw_counters_are_those_of_proc(bench: Bench) -> None:
    stream = bench.backend.open("root/scx", ASKED)
    assert isinstance(stream, FallbackStream)
    stream.prime()
    assert stream.state() == stream._behind.state()
    assert stream.restore({"version": 0}) is False


@pytest.mark.parametrize(
    ("started", "why"),
    [(True, "no answer within 1.5 s"), (False, "it could not be made ready to ask within 1.5 s")],
)
def test_a_first_reading_that_waited_in_vain_says_so(bench: Bench, started: bool, why: str) -> None:
    """The patience of a command may end before the probe's own time does, which goes on."""
    bench.backend._patience_s = 1.5
    bench.script.outcome, bench.script.started = None, started
    stream, begun = bench.backend.open("root/scx", ASKED), bench.now.at
    reading = stream.read(1.0)
    assert bench.now.at - begun == pytest.approx(1.5)
    assert (reading.source, reading.why) == ("procfs", f"script (there): {why}")
    assert bench.said == [f"warning script (there): {why}; samples come from /proc"]
    assert bench.script.abandoned == 0
    assert stream.read(2.0).source == "procfs"
    assert bench.now.at - begun == pytest.approx(1.5)  # nothing waits twice
    bench.script.outcome, bench.script.started = ANSWER, True
    assert stream.read(3.0).source == "script"
    assert bench.said[1:] == ["info script (there): answers again; samples come from it"]


def test_a_probe_that_ends_after_the_patience_is_repeated_with_growing_delay(bench: Bench) -> None:
    bench.backend._patience_s = 2.0  # as long as the probe has
    bench.script.outcome = None
    stream = bench.backend.open("root/scx", ASKED)
    stream.read(1.0)
    bench.now.at += 0.5
    assert stream.read(2.0).why == "script (there): no answer within 2 s"
    assert bench.script.abandoned == 1
    assert bench.backend.attention_in() == pytest.approx(10)
    bench.now.at += 10
    bench.backend.attend()
    bench.now.at += 2.5
    bench.backend.attend()
    assert bench.backend.attention_in() == pytest.approx(20)
    assert len(bench.said) == 1  # the reason is the same


@pytest.mark.parametrize(("rates", "seconds"), [([], 5.0), ([60, 15], 5.0), ([60, 4], 2.0), ([1], 0.5)])
def test_the_share_of_a_sample(rates: list[int], seconds: float) -> None:
    assert deadline_for(rates) == seconds


@pytest.mark.parametrize(("probe_s", "good"), [(0.0, True), (2.0, False)])
def test_a_probe_with_a_time_of_its_own_gets_no_more(tmp_path: Path, probe_s: float, good: bool) -> None:
    """``omicli noop`` has 2 s, however long a question may take."""
    bench = Bench(tmp_path)
    bench.backend._deadline_s = 10.0
    bench.script.probe_s = probe_s
    bench.script.outcome = None
    bench.backend.attend()
    bench.now.at += 3.0
    bench.backend.attend()
    bench.script.outcome = []
    bench.backend.attend()
    assert bench.backend.good is good
    assert ("no answer within 2 s" in bench.backend.why) is not good
    bench.backend.close()


VENDOR = [RawInstance("Vendor_Pump", {"Name": "p", "Flow": 3}, {"Name": "string", "Flow": "uint32"})]


class Loading(Script):
    """Its means to ask are ready so many seconds after they were begun, and load beside us."""

    def __init__(self, now: Now, loads: float) -> None:
        super().__init__(now)
        self.outcome = VENDOR
        self.loads = loads
        self.begun: float | None = None

    def probe(self) -> Exchange:
        self.begun = self.now.at if self.begun is None else self.begun
        self.asked.append(None)
        return LoadingCall(self)


class LoadingCall(Call):
    def __init__(self, script: Loading) -> None:
        super().__init__(script)
        self._loading = script

    def sent_at(self) -> float | None:
        return self._sent if self._ready() else None

    def _ready(self) -> bool:
        assert self._loading.begun is not None
        return self._loading.now.at - self._loading.begun >= self._loading.loads

    def advance(self, timeout: float) -> bool:
        if not self._ready():
            self._loading.now.at += timeout
        return self._ready()


def _loading(loads: float) -> tuple[Loading, FallbackBackend, Now]:
    now = Now()
    script = Loading(now, loads)
    return script, FallbackBackend(script, ProcfsBackend("/", boottime=now), deadline_s=2.0, monotonic=now), now


@pytest.mark.parametrize("primed", [True, False])
def test_the_first_sample_of_a_class_that_nothing_else_has_waits_for_the_source(primed: bool) -> None:
    """A worker loads its library for a second; without an answer the sample would be lost."""
    script, backend, now = _loading(1.5)
    stream = backend.open("root/vendor", "SELECT * FROM Vendor_Pump")
    assert script.begun is None
    if primed:
        stream.prime()  # as the collector does when it begins: it loads on meanwhile
        assert script.begun == now.at
        now.at += 1.2
    begun = now.at
    reading = stream.read(1.0)
    assert (reading.source, reading.instances) == ("script", [{"Name": "p", "Flow": 3}])
    assert now.at - begun <= (0.4 if primed else 1.6)
    assert stream.read(2.0).instances
    backend.close()


def test_it_waits_no_longer_than_the_share_of_a_sample_that_all_queries_have_together() -> None:
    _, backend, now = _loading(9.0)
    streams = [backend.open("root/vendor", f"SELECT * FROM Vendor_Pump{i}") for i in range(3)]
    behind = backend.open("root/scx", ASKED)
    begun = now.at
    for stream in streams:
        with pytest.raises(QueryError, match="has not answered yet"):
            stream.read(1.0)
    assert behind.read(1.0).source == "procfs"
    assert now.at - begun == pytest.approx(2.0)
    backend.close()


def test_what_proc_can_answer_waits_for_nothing() -> None:
    _, backend, now = _loading(1.5)
    begun = now.at
    assert backend.open("root/scx", ASKED).read(1.0).source == "procfs"
    assert now.at == begun
    backend.close()
