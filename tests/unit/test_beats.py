"""Signs of life and calls: what goes past the watchdog without waking it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from extension import beats
from extension.channel import Channel
from extension.supervise import Component
from extension.wires import Wires

SPEAKER = """
import os, sys, time
sys.path.insert(0, {home!r})
from extension.channel import Channel
channel = Channel()
channel.progress("idle")
channel.log("info", str(os.environ.get("LAD_BEATS")))
channel.wait(time.monotonic() + 0.05)
channel.progress("{kind}")
channel.call_uploader()
channel.send("ready")
channel.wait(time.monotonic() + 30)
"""


@pytest.fixture
def pulse() -> Iterator[beats.Pulse]:
    made = beats.Pulse()
    yield made
    made.close()


def test_a_pulse_tells_when_it_beat_last_however_many_beats_there_were(pulse: beats.Pulse) -> None:
    heart = beats.Heart(pulse.fd, -1)
    assert pulse.feel() is None
    before = time.monotonic()
    heart.beat(False)
    felt = pulse.feel()
    assert felt is not None
    assert not felt[1]
    assert before - 0.002 <= felt[0] <= time.monotonic()
    for _ in range(1000):
        heart.beat(False)
    heart.beat(True)
    again = pulse.feel()
    assert again is not None
    assert again[1]
    assert felt[0] <= again[0] <= time.monotonic()
    assert pulse.feel() is None


def test_a_full_counter_stops_nobody(pulse: beats.Pulse) -> None:
    os.eventfd_write(pulse.fd, (1 << 64) - 2)
    heart = beats.Heart(pulse.fd, -1)
    heart.beat(True)  # is lost
    beats.take(pulse.fd)
    heart.beat(True)
    felt = pulse.feel()
    assert felt is not None
    assert abs(felt[0] - time.monotonic()) < 60  # the time that was lost is made up for


def test_threads_that_beat_at_once_do_not_count_the_time_twice(pulse: beats.Pulse) -> None:
    heart = beats.Heart(pulse.fd, -1)

    def beat() -> None:
        for _ in range(3000):
            heart.beat(True)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=beat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    felt = pulse.feel()
    assert felt is not None
    assert felt[0] <= time.monotonic()


def test_what_was_inherited_is_not_handed_on(pulse: beats.Pulse) -> None:
    os.set_inheritable(pulse.fd, True)
    environment = {beats.VARIABLE: f"{pulse.fd},{pulse.fd}", "A": "b"}
    assert beats.inherited(environment) is not None
    assert environment == {"A": "b"}
    assert fcntl.fcntl(pulse.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert beats.inherited(environment) is None


@pytest.mark.parametrize("kind", ["sample", "idle"])
def test_only_the_first_progress_of_a_process_is_a_message(kind: str) -> None:
    poll = select.poll()
    heard: list[dict[str, object]] = []
    wires = Wires(poll, lambda _, event: heard.append(event), lambda _, why: pytest.fail(why))
    component = Component("uploader", "m", 1, 1.0, lambda: 0.5)
    component.backoff.delay()
    home = os.path.dirname(os.path.dirname(beats.__file__))
    script = SPEAKER.format(home=home, kind=kind)
    pid = wires.spawn(component, [sys.executable, "-c", script], 2)
    try:
        component.started(pid, time.monotonic())
        begun = component.last_progress
        end = time.monotonic() + 30
        while "ready" not in [event["ev"] for event in heard]:
            assert time.monotonic() < end
            for fd, _ in poll.poll(1000):
                wires.hear(fd)
        assert [event["ev"] for event in heard] == ["progress", "log", "ready"]
        assert heard[1]["message"] == "None"
        wires.feel(component)
        assert component.last_progress == begun  # it is not known to run yet: the message is not taken
        component.progressed("idle", begun)
        wires.feel(component)
        assert component.last_progress > begun
        assert component.backoff.delay() == (1 if kind == "sample" else 2)  # an achievement begins it anew
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wires.ended(component)


def test_a_beat_before_the_end_counts_when_the_end_is_noticed() -> None:
    wires = Wires(select.poll(), lambda *_: None, lambda _, why: pytest.fail(why))
    component = Component("collector", "m", 1, 1.0, lambda: 0.5)
    component.backoff.delay()
    home = os.path.dirname(os.path.dirname(beats.__file__))
    script = f"""
import sys; sys.path.insert(0, {home!r})
from extension.channel import Channel
channel = Channel(); channel.progress("idle"); channel.progress("sample")
"""
    pid = wires.spawn(component, [sys.executable, "-c", script], 2)
    component.started(pid, time.monotonic())
    component.progressed("idle", component.last_progress)
    os.waitpid(pid, 0)
    wires.ended(component)
    assert component.backoff.delay() == 1


def test_a_call_ends_the_wait_of_who_awaits_calls_and_of_nobody_else(
    pulse: beats.Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    call = beats.counter()
    pipes = [os.pipe() for _ in range(2)]
    channels: list[Channel] = []
    try:
        for down, _ in pipes:
            monkeypatch.setenv(beats.VARIABLE, f"{pulse.fd},{call}")
            channels.append(Channel(down, os.dup(pulse.fd)))
        collector, uploader = channels
        uploader.await_calls()
        collector.call_uploader()
        collector.call_uploader()
        assert not collector.wait(time.monotonic() + 0.01)
        assert uploader.wait(time.monotonic() + 30)
        assert not uploader.wait(time.monotonic() + 0.01)  # both calls were one
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        for fd in (call, *(fd for pipe in pipes for fd in pipe)):
            os.close(fd)
