"""Faults on the wire, met through the real SDK: one attempt each, the right reaction, nothing secret said or logged."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import Sink, SinkError, open_sink
from tests.fault_server import FaultServer, Reply

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
SIGNATURE = "Zm9vYmFy%2BYmF6"
SAS = f"?sv=2019-02-02&ss=t&srt=sco&sp=rwlacu&se=2035-01-01T00%3A00%3A00Z&sig={SIGNATURE}"
ROWS = [Row("p", f"r{i}", {"V": ("Int64", i)}) for i in range(4)]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        yield found


@pytest.fixture(params=["key", "sas"])
def sink(server: FaultServer, request: pytest.FixtureRequest) -> Iterator[Sink]:
    secret = SECRET if request.param == "key" else SAS
    account = Account("m", "acct", request.param, secret, server.endpoint)
    opened = open_sink(account, connect_timeout=5, read_timeout=5)
    try:
        yield opened
    finally:
        opened.close()


def fail(sink: Sink, *, table: str = "Faulty") -> SinkError:
    with pytest.raises(SinkError) as caught:
        sink.send(table, ROWS)
    message = str(caught.value)
    assert "\n" not in message
    for secret in (SECRET, SIGNATURE, "Zm9vYmFy"):
        assert secret not in message
    return caught.value


def test_the_server_can_also_succeed(server: FaultServer, sink: Sink) -> None:
    sink.send("Faulty", ROWS)
    sink.send("Faulty", ROWS)
    assert [s.path.partition("?")[0] for s in server.seen] == ["/acct/$batch"] * 2
    assert server.seen[0].body.count("PUT http") == 4


@pytest.mark.parametrize(
    ("reply", "reaction", "code", "status"),
    [
        (Reply(503, "ServerBusy", headers={"Retry-After": "7"}), "retry", "ServerBusy", 503),
        (Reply(429, headers={"Retry-After": "7"}), "retry", "TooManyRequests", 429),
        (Reply(503, "ServerBusy", batch=True), "retry", "ServerBusy", 503),
        (Reply(500, "OperationTimedOut"), "retry", "OperationTimedOut", 500),
        (Reply(502), "retry", "ServerError", 502),
        (Reply(504), "retry", "ServerError", 504),
        (Reply(408), "retry", "RequestTimeout", 408),
        (Reply(200, body="<html><body>Please log in</body></html>"), "retry", "unexpected answer", 200),
        (Reply(202, body="<html><body>Please log in</body></html>"), "retry", "unexpected answer", None),
        (Reply(reset=True), "retry", "connection reset", None),
        (Reply(cut=40), "retry", "truncated answer", None),
        (Reply(accepted=3), "retry", "truncated answer", None),
        (Reply(413, "RequestBodyTooLarge"), "split", "RequestBodyTooLarge", 413),
        (Reply(413), "split", "RequestBodyTooLarge", 413),
        (Reply(413, "RequestBodyTooLarge", batch=True), "split", "RequestBodyTooLarge", 413),
        (
            Reply(409, "TableBeingDeleted", "0:The specified table is being deleted.", batch=True),
            "slow",
            "TableBeingDeleted",
            409,
        ),
        (Reply(403, "AuthorizationPermissionMismatch"), "slow", "AuthorizationPermissionMismatch", 403),
        (Reply(403, body="<html>Forbidden by proxy</html>"), "slow", "Forbidden", 403),
        (Reply(407), "slow", "ProxyAuthenticationRequired", 407),
        (Reply(404, body="<html>no such page</html>"), "slow", "NotFound", 404),
        (Reply(400, "InvalidHeaderValue"), "slow", "InvalidHeaderValue", 400),
    ],
)
def test_each_fault_is_one_attempt_with_its_reaction(
    server: FaultServer, sink: Sink, reply: Reply, reaction: str, code: str, status: int | None
) -> None:
    server.script = [reply]
    error = fail(sink)
    assert (error.reaction, error.code) == (reaction, code)
    if status is not None:
        assert error.http_status == status
    assert error.retry_after == (
        7.0 if "Retry-After" in reply.headers else 40.0 if code == "TableBeingDeleted" else None
    )
    assert len(server.seen) == 1
    sink.send("Faulty", ROWS)  # the same sink goes on when the fault is over


def test_no_answer_in_time(server: FaultServer) -> None:
    account = Account("m", "acct", "key", SECRET, server.endpoint)
    sink = open_sink(account, connect_timeout=5, read_timeout=0.2)
    server.script = [Reply(hold=True)]
    error = fail(sink)
    assert (error.reaction, error.code, error.connection) == ("retry", "read timeout", True)
    sink.send("Faulty", ROWS)
    sink.close()


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/acct"
        sink = open_sink(Account("m", "acct", "key", SECRET, endpoint))
        error = fail(sink)
        again = fail(sink)
    assert (error.reaction, error.code, error.connection) == ("retry", "connection refused", True)
    assert error.message == again.message  # so that a repeat is not a new state
    sink.close()


def test_a_name_that_does_not_resolve() -> None:
    error = fail(open_sink(Account("m", "acct", "key", SECRET, "https://acct.table.nowhere.invalid")))
    assert (error.reaction, error.code) == ("retry", "name not resolved")


def test_plain_http_where_tls_is_expected(server: FaultServer) -> None:
    error = fail(open_sink(Account("m", "acct", "key", SECRET, server.endpoint.replace("http:", "https:"))))
    assert (error.reaction, error.code) == ("retry", "TLS failure")


def test_the_clock_of_the_answer_shows_skew(server: FaultServer) -> None:
    server.script = [Reply(403, "AuthenticationFailed", date=formatdate(time.time() - 3600, usegmt=True))]
    error = fail(open_sink(Account("m", "acct", "key", SECRET, server.endpoint)))
    assert (error.reaction, error.cause) == ("slow", "clock-skew")
    assert "60 minutes ahead" in error.message


def test_a_poison_row_by_index(server: FaultServer, sink: Sink) -> None:
    server.script = [Reply(400, "EntityTooLarge", "2:The entity is larger than the maximum allowed size.", batch=True)]
    error = fail(sink)
    assert (error.reaction, error.row, error.code) == ("drop-row", 2, "EntityTooLarge")


def test_a_poison_row_without_index_is_searched_by_halving(server: FaultServer, sink: Sink) -> None:
    server.script = [Reply(400, "InvalidInput", "One of the request inputs is not valid.")]
    assert fail(sink).reaction == "split"


def test_a_missing_table_is_created_once_and_the_rows_sent_again(server: FaultServer, sink: Sink) -> None:
    missing = Reply(404, "TableNotFound", "0:The table specified does not exist.", batch=True)
    server.script = [missing]
    sink.send("Faulty", ROWS)
    assert [s.path.partition("?")[0] for s in server.seen] == ["/acct/$batch", "/acct/Tables", "/acct/$batch"]


def test_a_table_that_stays_missing_is_not_created_for_ever(server: FaultServer, sink: Sink) -> None:
    missing = Reply(404, "TableNotFound", "0:The table specified does not exist.", batch=True)
    server.script = [missing, Reply(204), missing]
    error = fail(sink)
    assert (error.reaction, error.code) == ("retry", "TableNotFound")
    assert len(server.seen) == 3


def test_losing_the_creation_race(server: FaultServer, sink: Sink) -> None:
    missing = Reply(404, "TableNotFound", "0:The table specified does not exist.", batch=True)
    server.script = [missing, Reply(409, "TableAlreadyExists", "The table specified already exists.")]
    sink.send("Faulty", ROWS)
    assert len(server.seen) == 3


def test_a_table_still_being_deleted_is_waited_for(server: FaultServer, sink: Sink) -> None:
    missing = Reply(404, "TableNotFound", "0:The table specified does not exist.", batch=True)
    server.script = [missing, Reply(409, "TableBeingDeleted", "The specified table is being deleted.")]
    error = fail(sink)
    assert (error.reaction, error.code, error.retry_after) == ("slow", "TableBeingDeleted", 40.0)


def test_every_attempt_is_signed_anew(server: FaultServer) -> None:
    sink = open_sink(Account("m", "acct", "key", SECRET, server.endpoint))
    server.script = [Reply(503, "ServerBusy")]
    fail(sink)
    sink.send("Faulty", ROWS)
    first, second = server.seen
    assert first.headers["authorization"].startswith("SharedKey acct:")
    assert first.headers["x-ms-client-request-id"] != second.headers["x-ms-client-request-id"]


def test_a_netrc_does_not_replace_the_signature(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sink = open_sink(Account("m", "acct", "key", SECRET, server.endpoint.replace("127.0.0.1", "0.0.0.0")))
    sink.send("Faulty", ROWS)
    sink.close()
    assert server.seen[0].headers["authorization"].startswith("SharedKey acct:")


def test_a_proxy_of_the_environment_is_used_for_other_machines(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxy = server.endpoint.rpartition("/")[0]
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, proxy)
    sink = open_sink(Account("m", "acct", "key", SECRET, "http://acct.table.nowhere.invalid"))
    sink.send("Faulty", ROWS)
    sink.close()
    assert server.seen[0].path == "http://acct.table.nowhere.invalid/$batch"


def test_nothing_secret_is_logged_even_at_debug(
    server: FaultServer, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [Reply(), Reply(503, "ServerBusy"), Reply(reset=True), Reply(cut=10)]
    sink.send("Faulty", ROWS)
    for _ in range(3):
        fail(sink)
    for secret in (SECRET, SIGNATURE, "Zm9vYmFy", "SharedKey"):
        assert secret not in caplog.text
    assert "urllib3" not in caplog.text
