"""The running service under clients that mean no good, or know no better."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
from collections.abc import Iterator

import pytest

from tests.server_bed import (
    VM,
    WRONG,
    Client,
    Server,
    ask,
    call,
    of_class,
    post,
    result,
    running,
    until,
    value,
)  # fmt: skip

EI = post(call("EnumerateInstances", of_class("SCX_MemoryStatisticalInformation")), "EnumerateInstances")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), root=VM) as one:
        yield one


def serves(server: Server) -> bool:
    return result(ask(server.port, EI)) == "returns VALUE.NAMEDINSTANCE"


def test_garbage_is_refused_and_the_service_goes_on(server: Server) -> None:
    seeded = random.Random(3)
    for size in (1, 10, 1000, 30_000):
        with Client(server.port) as client:
            client.send(bytes(seeded.randrange(256) for _ in range(size)) + b"\r\n\r\n")
            assert client.answer().status in (400, 405, 431, 505)
            assert client.closed()
    assert serves(server)


def test_mutilated_requests_never_cost_the_service(server: Server) -> None:
    seeded = random.Random(7)
    for _ in range(150):
        data = bytearray(EI)
        for _ in range(seeded.randrange(1, 4)):
            data[seeded.randrange(len(data))] = seeded.randrange(256)
        with Client(server.port) as client:
            client.send(bytes(data))
            client.sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(EOFError, ConnectionResetError):  # a longer length: it never became whole
                assert client.answer().status != 500
    assert serves(server)


@pytest.mark.parametrize(
    "inner",
    ["<a>" * 5000, "<a/>" * 9000, "&#0;", "&undefined;", "<![CDATA[" + "x" * 1000, "\x00", "<?xml?>", "]]>"],
)
def test_hostile_bodies(server: Server, inner: str) -> None:
    answer = ask(server.port, post(call("EnumerateInstances", inner), "EnumerateInstances"))
    assert answer.status == 400
    assert answer.headers["cimerror"] in ("request-not-well-formed", "request-not-valid")


def test_hostile_queries(server: Server) -> None:
    for text in ("(" * 9000, "SELECT * FROM a WHERE " + "NOT " * 9000, "SELECT " + "a," * 9000, "'" * 20_000):
        parameters = value("QueryLanguage", "WQL") + value("Query", text)
        answer = ask(server.port, post(call("ExecQuery", parameters), "ExecQuery"))
        assert result(answer) in ("CIM error 15", "CIM error 5")


def test_too_long_bodies_are_refused_before_they_are_sent(server: Server) -> None:
    with Client(server.port) as client:
        head = EI.partition(b"\r\n\r\n")[0]
        client.send(re.sub(rb"Content-Length: \d+", b"Content-Length: 70000", head) + b"\r\n\r\n")
        assert client.answer().status == 413
        assert client.closed()
    chunked = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", EI.partition(b"\r\n\r\n")[0])
    bad = (b"-5\r\n", b"zz\r\n", b"1\r\nxyz\r\n", b"1" * 300)
    for tail, status in ((b"FFFFFFF\r\n", 413), *((one, 400) for one in bad)):
        with Client(server.port) as client:
            client.send(chunked + b"\r\n\r\n" + tail)
            assert client.answer().status == status


def test_silent_and_half_open_connections_make_room_for_others(server: Server) -> None:
    clients = [Client(server.port) for _ in range(150)]
    try:
        for client in clients[-60:]:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send(b"POST /cimom HT")
        assert serves(server)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 110
    finally:
        for client in clients:
            client.sock.close()
    until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) < 40)
    log = (server.folder / "log").read_text(encoding="utf-8")
    assert "connection given up for a new one" in log


def test_a_flood_of_wrong_passwords_leaves_room_for_the_right_one(server: Server) -> None:
    clients = [Client(server.port) for _ in range(40)]
    try:
        bad = post(call("GetClass"), "GetClass", auth=WRONG)
        for client in clients:
            client.send(bad)
        assert serves(server)
    finally:
        for client in clients:
            client.sock.close()


def test_a_reader_that_does_not_read_stops_nobody(server: Server) -> None:
    with Client(server.port) as lazy:
        lazy.sock.setblocking(False)
        big = post(call("EnumerateClasses", value("DeepInheritance", "TRUE")), "EnumerateClasses")
        with contextlib.suppress(BlockingIOError):
            for _ in range(20_000):
                lazy.sock.send(big)
            pytest.fail("the service takes requests whose replies nobody reads")
        for _ in range(20):
            assert serves(server)


def test_memory_stays_flat_and_small(server: Server) -> None:
    with Client(server.port) as client:
        for _ in range(500):
            client.send(EI)
            client.answer()
        before = server.rss_kib()
        for _ in range(5000):
            client.send(EI)
            client.answer()
        after = server.rss_kib()
    assert after - before < 512
    assert after < 30 * 1024


def test_no_credentials_or_bodies_in_the_log(server: Server) -> None:
    ask(server.port, post(call("GetClass", of_class("SecretBody")), "GetClass", auth=WRONG))
    ask(server.port, post(call("GetClass", of_class("SecretBody")), "GetClass"))
    log = (server.folder / "log").read_text(encoding="utf-8")
    for word in ("secret", "tester", "wrong\n", "SecretBody", "dGVzdGVy"):
        assert word not in log
