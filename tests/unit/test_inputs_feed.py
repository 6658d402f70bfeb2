"""Clients in the collector's loop: sockets only where they are wanted, waking it, and leaving samples their room."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension import feed
from extension.channel import Channel
from extension.feed import NoFeed, open_feed
from extension.inputs import sockets
from extension.plan import Options, Plan, Query, Route, Source, Target
from extension.store.collector_db import CollectorStore

ROUTED = (Route("d", 60, Target("table", "T")),)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="in") as name:
        yield Path(name)


@pytest.fixture
def channel() -> Iterator[Channel]:
    """On pipes of its own; the process's signals are as before afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    down, writer = os.pipe()
    reader, up = os.pipe()
    yield Channel(down, up)
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
    for fd in (down, writer, reader, up):
        os.close(fd)


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return b"%d\n%s" % (len(body), body)


def test_no_sockets_where_nothing_is_fed(folder: Path, channel: Channel) -> None:
    plan = Plan(queries=(Query("root/scx", "SELECT A FROM B", 15, Target("table", "T")),))
    none = open_feed(plan, str(folder), lambda _: True, lambda *_: None, lambda: 0.0, channel)
    assert isinstance(none, NoFeed)
    assert (none.attend(), none.problems(), none.attention_in()) == (False, [], float("inf"))
    none.close()
    unread = open_feed(Plan(sources=(Source("d"),)), str(folder), lambda _: True, lambda *_: None, lambda: 0.0, channel)
    assert isinstance(unread, NoFeed)
    assert os.listdir(folder) == []


def test_the_collector_does_not_carry_what_it_does_not_need() -> None:
    code = "import sys, extension.collector; print([m for m in sys.modules if m.startswith('extension.inputs')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_message_wakes_the_loop_and_is_stored_while_there_is_room(folder: Path, channel: Channel) -> None:
    plan = Plan(sources=(Source("d"),), routes=ROUTED, options=Options(inputs_dir=str(folder)))
    store = CollectorStore(str(folder), max_bytes=16 << 20)
    fill = [store.fill()]
    assert 0 <= fill[0] < 0.1
    taken: list[object] = []
    refused: list[tuple[str, int]] = []

    def ingest(events: list[tuple[str, int, dict[str, tuple[str, object]]]]) -> bool:
        taken.extend(events)
        return True

    fed = open_feed(plan, str(folder), ingest, lambda reason, n: refused.append((reason, n)), lambda: fill[0], channel)
    try:
        assert not channel.wait(time.monotonic() + 0.01)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(sockets.path(str(folder), "djson"))
            client.settimeout(10)
            client.sendall(frame(["d", 1, 1, [["x", "FT_INT32"]], [1]]))
            for _ in range(3):
                if channel.wait(time.monotonic() + 10):
                    fed.attend()
                if taken:
                    break
            assert client.recv(100) == b"1:0\n"
            fill[0] = feed.MAX_FILL
            client.sendall(frame(["d", 2, 1, None, [2]]))
            assert channel.wait(time.monotonic() + 10)
            fed.attend()
            assert client.recv(100) == b"2:1\n"
        assert len(taken) == 1
        assert sum(n for _, n in refused) == 1
        assert fed.problems()
    finally:
        fed.close()
        store.close()


def test_fill_is_the_used_part_of_the_store(folder: Path) -> None:
    store = CollectorStore(str(folder), max_bytes=8 << 20)
    before = store.fill()
    store.commit(lambda: store.put("big", "x" * (2 << 20)))
    assert 0.2 < store.fill() - before < 0.3
    store.close()
