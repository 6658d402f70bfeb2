"""Credentials, enumeration contexts, shared readings, deadlines of a connection, addresses, the command's files."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from omi_queries import classes
from omi_queries.server import auth, omiserver, service, tally
from omi_queries.server.auth import Credentials, CredentialsError, Verdict
from omi_queries.server.connection import Connection, State
from omi_queries.server.contexts import Contexts
from omi_queries.server.exchange import Exchange
from omi_queries.server.httpwire import Head, Reply
from omi_queries.server.limits import DEFAULT, Limits
from omi_queries.server.paths import paths
from omi_queries.server.repository import Repository
from omi_queries.server.transport import Want
from omi_queries.types import Instance, QueryError, Reading
from tests.server_bed import GOOD, WRONG, call, credentials, of_class, post


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def head(*values: str) -> Head:
    return Head("POST", "/cimom", (1, 1), {"authorization": values} if values else {}, 0, True, False)


def basic(pair: bytes) -> str:
    return "Basic " + base64.b64encode(pair).decode()


def test_credentials() -> None:
    known = Credentials([("tester", "secret"), ("ü", "a:b")])
    assert known.check(head(GOOD)) is Verdict.GOOD
    assert known.check(head(GOOD.replace("Basic ", "bASIC  "))) is Verdict.GOOD
    assert known.check(head(basic("ü:a:b".encode()))) is Verdict.GOOD
    for pair in (b"tester:wrong", b"other:secret", b"tester:secret ", b"tester:secre", b"\xff:\xff"):
        assert known.check(head(basic(pair))) is Verdict.WRONG
    for values in ((), ("",), ("Basic",), (GOOD, GOOD), (GOOD + "=",), ("Basic ü",), (basic(b"a:"),)):
        assert known.check(head(*values)) is Verdict.MISSING, values
    assert Credentials([]).check(head(GOOD)) is Verdict.WRONG


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no user"), ("# a:b\n", "no user"), ("tester\n", "line 1"), ("a:b\n:x\n", "line 2"), ("a:\n", "line 1"),
     ("a:b\na:c\n", "line 2")],
)  # fmt: skip
def test_bad_credentials_files_are_named_without_their_content(tmp_path: Path, text: str, says: str) -> None:
    path = credentials(tmp_path)
    path.write_text(text)
    with pytest.raises(CredentialsError, match=says) as info:
        auth.load(str(path))
    assert str(path) in str(info.value)
    assert "tester" not in str(info.value).replace(str(path), "")


def test_credentials_must_be_private(tmp_path: Path) -> None:
    path = credentials(tmp_path)
    for mode in (0o640, 0o604, 0o666):
        path.chmod(mode)
        with pytest.raises(CredentialsError, match="chmod 600"):
            auth.load(str(path))
    with pytest.raises(CredentialsError, match="no such file"):
        auth.load(str(tmp_path / "absent"))
    with pytest.raises(CredentialsError, match="not a regular file"):
        auth.load(str(tmp_path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(CredentialsError, match="not a regular file"):
        auth.load(str(tmp_path / "pipe"))


def test_generated_credentials(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "credentials"
    assert auth.generate(str(path))
    user, _, password = path.read_text().strip().partition(":")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(password) >= 32
    assert not auth.generate(str(path)), "an existing file stays"
    assert auth.load(str(path)).check(head(basic(f"{user}:{password}".encode()))) is Verdict.GOOD
    assert auth.generate(str(tmp_path / "other"))
    assert password not in (tmp_path / "other").read_text()


def test_contexts_end_when_nobody_uses_them() -> None:
    clock = Clock()
    contexts = Contexts(Limits(contexts=2, context_instances=10), clock)
    assert contexts.next_end() is None
    first = contexts.add("P", "n", [1, 2, 3], 10.0)
    clock.now += 9
    assert contexts.pull(first, "P", "n", 1) == ([1], False)
    assert contexts.pull(first, "Q", "n", 1) is None
    assert contexts.pull(first, "P", "m", 1) is None
    clock.now += 9
    assert contexts.pull(first, "P", "n", 0) == ([], False)
    second = contexts.add("P", "n", [1] * 5, 10.0)
    assert not contexts.has_room(1), "no third one"
    assert contexts.close(second, "n")
    assert contexts.has_room(8)
    assert not contexts.has_room(9), "no more instances than the limit"
    assert contexts.next_end() == clock.now + 10
    clock.now += 10
    contexts.expire()
    assert len(contexts) == 0
    assert contexts.pull(first, "P", "n", 1) is None
    assert not contexts.close(first, "n")


class Stream:
    """Counts its readings; a reading is its number."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.primed = 0

    def prime(self) -> None:
        self.primed += 1

    def read(self, tick: float) -> Reading:
        self.ticks.append(tick)
        rows: list[Instance] = [{"Name": str(len(self.ticks)), "PercentIdleTime": 5}, {"Name": "_Total"}]
        return Reading(rows, {}, "test")

    def state(self) -> dict[str, Any] | None:
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:
        return False


class Source:
    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}

    def open(self, namespace: str, text: str) -> Stream:
        assert text not in self.streams, "one stream per class"
        return self.streams.setdefault(text, Stream())


def test_who_asks_within_a_second_shares_a_reading() -> None:
    clock, source = Clock(), Source()
    repository = Repository(source, clock)
    repository.prime()
    processor = classes.get("SCX_ProcessorStatisticalInformation")
    stream = source.streams[f"SELECT * FROM {processor.name}"]
    assert stream.primed == 1
    names = []
    for step in (0.0, 0.5, 0.4, 0.2, 60.0):
        clock.now += step
        repository.begin()
        names.append(repository.enumerate(processor)[0][1]["Name"])
        text = f"SELECT PercentIdleTime FROM {processor.name} WHERE Name <> '_total'"
        found = repository.query("root/scx", text, "wql")
        assert [dict(one.shown) for one in found] == [{"PercentIdleTime": 5}]
    assert names == ["1", "1", "1", "2", "3"]
    assert [tick - 100 for tick in stream.ticks] == pytest.approx([0.0, 1.1, 61.1])
    clock.now += 0.5
    assert repository.forget() == pytest.approx(clock.now + 0.5)
    clock.now += 0.5
    assert repository.forget() is None
    with pytest.raises(QueryError) as info:
        repository.enumerate(classes.get("SCX_LogFile"))
    assert info.value.code == 7


class Wire:
    """A transport of the test: what comes in is put there, what goes out is kept."""

    def __init__(self) -> None:
        self.incoming: list[bytes] = []
        self.outgoing = b""
        self.room = 1 << 30
        self.finished = self.closed = False

    def fileno(self) -> int:
        return -1

    def handshake(self) -> Want | None:
        return None

    def recv(self, size: int) -> bytes | Want:
        return self.incoming.pop(0) if self.incoming else Want.READ

    def send(self, data: memoryview) -> int | Want:
        if not self.room:
            return Want.WRITE
        taken = min(self.room, len(data))
        self.outgoing += bytes(data[:taken])
        self.room -= taken
        return taken

    def finish(self) -> None:
        self.finished = True

    def close(self) -> None:
        self.closed = True

    def statuses(self) -> list[int]:
        return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", self.outgoing)]


EI = post(call("EnumerateInstances", of_class("SCX_Agent")), "EnumerateInstances")


class Bed:
    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.clock, self.wire, self.reasons = Clock(), Wire(), list[str]()
        exchange = Exchange(Credentials([("tester", "secret")]), lambda _: b"<reply/>", limits, "host")
        self.exchange = exchange
        self.connection = Connection(self.wire, exchange, limits, self.clock, self.reasons.append)
        self.connection.ready()

    def comes(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.wire.incoming.append(piece)
            self.connection.ready()

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        if self.connection.deadline <= self.clock.now:
            self.connection.overdue()


def test_a_request_must_be_whole_in_its_time_however_often_a_byte_comes() -> None:
    bed = Bed()
    for i in range(40):
        bed.comes(EI[i : i + 1])
        bed.later(0.4)
    assert bed.wire.statuses() == [408]
    assert bed.wire.finished
    bed.later(2)
    assert bed.wire.closed
    assert "request not complete in time" in bed.reasons


def test_idle_connections_are_closed_without_a_word() -> None:
    silent = Bed()
    silent.later(DEFAULT.request_s)
    assert (silent.wire.closed, silent.wire.outgoing) == (True, b"")
    used = Bed()
    used.comes(EI)
    used.later(DEFAULT.idle_s - 1)
    assert used.connection.idle
    assert not used.wire.closed
    used.comes(EI)
    used.later(DEFAULT.idle_s)
    assert used.wire.closed
    assert used.wire.statuses() == [200, 200]


def test_a_wrong_password_is_answered_late_and_in_order() -> None:
    bed = Bed()
    bed.comes(EI.replace(GOOD.encode(), WRONG.encode()) + EI)
    assert bed.connection.state is State.PARKED
    bed.later(DEFAULT.refusal_s / 2)
    assert bed.wire.outgoing == b""
    bed.later(DEFAULT.refusal_s / 2)
    assert bed.wire.statuses() == [401, 200]


def test_a_reply_that_is_not_taken_ends_the_connection() -> None:
    bed = Bed()
    bed.wire.room = 10
    bed.comes(EI + EI)
    assert bed.connection.state is State.WRITE
    bed.later(DEFAULT.reply_s - 1)
    bed.wire.room = 5
    bed.connection.ready()
    bed.later(DEFAULT.reply_s - 1)
    assert not bed.wire.closed, "progress counts"
    bed.later(2)
    assert bed.wire.closed
    assert "reply not taken in time" in bed.reasons


def test_pipelined_requests_wait_for_the_reply_to_be_taken() -> None:
    bed = Bed()
    bed.wire.room = 10
    bed.comes(EI * 3)
    bed.wire.room = 1 << 20
    bed.connection.ready()
    assert bed.wire.statuses() == [200, 200, 200]


def test_a_defect_costs_one_request() -> None:
    bed = Bed()

    def fail(_: object) -> bytes:
        raise RuntimeError("secret detail")

    bed.exchange._answer = fail
    bed.comes(EI)
    assert bed.wire.statuses() == [500]
    assert b"secret detail" not in bed.wire.outgoing
    assert bed.reasons == ["HTTP 500: RuntimeError"]


def test_after_a_closing_reply_the_rest_is_read_for_a_while() -> None:
    bed = Bed()
    bed.comes(b"GARBAGE\r\n\r\n")
    assert (bed.wire.statuses(), bed.wire.finished, bed.wire.closed) == ([400], True, False)
    for _ in range(10):
        bed.comes(b"x" * 60_000)
    assert bed.wire.closed


def test_tally_tells_at_most_once_a_minute() -> None:
    clock, said = Clock(), list[str]()
    one = tally.Tally(clock, said.append)
    for _ in range(100):
        one.count("reason")
    clock.now += 60
    one.count("reason")
    assert said == ["reason (1 since the start)", "reason (101 since the start)"]
    assert one.summary() == "reason: 101"


@pytest.mark.parametrize("text", ["127.0.0.1", "localhost:5988", "127.0.0.1:70000", "::1:5988", "127.0.0.1:", ":1"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"ADDRESS:PORT|IP address|brackets"):
        service.parse_address(text)


def test_only_loopback_is_served() -> None:
    here, six = service.parse_address("127.0.0.1:0"), service.parse_address("[::1]:5989")
    assert (str(here), str(six)) == ("127.0.0.1:0", "[::1]:5989")
    everywhere = service.parse_address("0.0.0.0:5988")
    service.check(service.Settings((here, six), (), ""))
    service.check(service.Settings((), (everywhere,), "", remote=True))
    for settings in (
        service.Settings((everywhere,), (), "", remote=True),
        service.Settings((), (everywhere,), ""),
        service.Settings((), (), ""),
    ):
        with pytest.raises(service.StartError):
            service.check(settings)


def test_configuration_of_the_command() -> None:
    where = paths({"LAD_STATE_DIR": "/s"})
    assert (where.pid, where.conf) == ("/s/omi/omiserver.pid", "/s/omi/omiserver.conf")
    assert paths({}).folder == "/var/lib/lad-emulator/omi"
    found = omiserver.settings(omiserver.parse_conf(" # c\n\nhttpport = 5988, 0,5990\nhttpsport=5989\n", "f"), where)
    assert [str(one) for one in found.plain] == ["127.0.0.1:5988", "127.0.0.1:5990"]
    assert [str(one) for one in found.tls] == ["127.0.0.1:5989"]
    for text, says in (("nonsense", "line 1"), ("\nloglvl=1", "line 2: unknown key")):
        with pytest.raises(service.StartError, match=says):
            omiserver.parse_conf(text, "f")
    for conf in ({}, {"httpport": "x"}, {"httpport": "70000"}, {"httpport": "1", "ratewindow": "x"}):
        with pytest.raises(service.StartError):
            omiserver.settings(conf, where)
    assert omiserver.settings(omiserver.parse_conf(omiserver._DEFAULT_CONF, "f"), where).plain


def test_it_says_in_every_reply_what_it_is() -> None:
    assert Reply(200).encode(True).count(b"emulated") == 1
