"""The batch path's connection: kept, bounded, through a proxy, never to where a redirect points."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import RequestsTransport

from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import SinkError, endpoints, open_sink
from extension.sinks.azure_batch_client import MAX_ANSWER, BatchClient
from extension.sinks.azure_tables import AzureTablesSink
from extension.sinks.rules import Outcome
from tests.fault_server import FaultServer, Reply

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
ROWS = [Row("p", f"r{i}", {"V": ("Int64", i)}) for i in range(4)]
PASSWORD = "p%40ss-word"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        yield found


def client(server: FaultServer, **more: object) -> BatchClient:
    transport = RequestsTransport(connection_timeout=5, read_timeout=5, use_env_settings=False)
    credential = AzureNamedKeyCredential("acct", SECRET)
    return BatchClient(server.endpoint, credential, transport, clock=lambda: 1795252675.0, **more)  # type: ignore[arg-type]


def refused(outcome: Outcome | None) -> Outcome:
    assert outcome is not None
    return outcome


def test_one_connection_for_many_batches(server: FaultServer) -> None:
    sink = open_sink(Account("m", "acct", "key", SECRET, server.endpoint))
    for _ in range(5):
        sink.send("Tab", ROWS)
    assert len({s.peer for s in server.seen}) == 1
    server.script = [Reply(404, "TableNotFound", "0:No table.", batch=True)]
    sink.send("Tab", ROWS)  # the table is created over the same connection
    assert [s.path for s in server.seen][-3:] == ["/acct/$batch", "/acct/Tables", "/acct/$batch"]
    assert len({s.peer for s in server.seen}) == 1
    sink.close()


@pytest.mark.parametrize("fault", [Reply(503, "ServerBusy"), Reply(503, "ServerBusy", batch=True), Reply(403)])
def test_a_refusal_keeps_the_connection(server: FaultServer, fault: Reply) -> None:
    sink = open_sink(Account("m", "acct", "key", SECRET, server.endpoint))
    server.script = [Reply(), fault]
    sink.send("Tab", ROWS)
    with pytest.raises(SinkError):
        sink.send("Tab", ROWS)
    sink.send("Tab", ROWS)
    assert len({s.peer for s in server.seen}) == 1
    sink.close()


def test_the_signature_is_the_documented_one(server: FaultServer) -> None:
    """Shared Key of the table service: HMAC-SHA256 over verb, MD5, type, date and canonical resource."""
    assert client(server).upsert("Tab", ROWS) is None
    head = server.seen[0].headers
    text = f"POST\n\n{head['content-type']}\n{head['x-ms-date']}\n/acct/acct/$batch"
    expected = base64.b64encode(hmac.new(base64.b64decode(SECRET), text.encode(), hashlib.sha256).digest()).decode()
    assert head["authorization"] == f"SharedKey acct:{expected}"
    assert parsedate_to_datetime(head["x-ms-date"]).timestamp() == 1795252675


def test_every_attempt_carries_its_own_date(server: FaultServer) -> None:
    ticks = itertools.count(1795252675.0, 60.0)
    transport = RequestsTransport(use_env_settings=False)
    found = BatchClient(server.endpoint, AzureNamedKeyCredential("acct", SECRET), transport, clock=lambda: next(ticks))
    server.script = [Reply(503, "ServerBusy")]
    assert refused(found.upsert("Tab", ROWS)).status == 503
    assert found.upsert("Tab", ROWS) is None
    one, other = (s.headers for s in server.seen)
    assert one["x-ms-date"] != other["x-ms-date"]
    assert one["authorization"] != other["authorization"]


def test_a_renewed_credential_is_used_at_once(server: FaultServer) -> None:
    credential = AzureSasCredential("sig=old")
    found = BatchClient(server.endpoint, credential, RequestsTransport(use_env_settings=False), clock=lambda: 0.0)
    found.upsert("Tab", ROWS)
    credential.update("sig=new")
    found.upsert("Tab", ROWS)
    assert [s.path for s in server.seen] == ["/acct/$batch?sig=old", "/acct/$batch?sig=new"]
    assert "sig=" not in server.seen[0].body


def test_an_answer_without_end_is_given_up_in_time(server: FaultServer) -> None:
    server.script = [Reply(202, body="x" * 200_000)]
    ticks = itertools.count(0.0, 20.0)
    outcome = refused(client(server, answer_timeout=35.0, monotonic=lambda: next(ticks)).upsert("Tab", ROWS))
    assert outcome.kind == "read-timeout"


def test_an_answer_beyond_all_measure_is_not_kept(server: FaultServer) -> None:
    server.script = [Reply(202, body="x" * (MAX_ANSWER + 1))]
    found = client(server)
    assert refused(found.upsert("Tab", ROWS)).kind == "bad-answer"
    assert found.upsert("Tab", ROWS) is None


def test_a_body_beyond_the_limit_is_halved_before_it_is_sent(server: FaultServer) -> None:
    texts = {f"T{n}": ("String", "\u00e9" * 30000) for n in range(8)}  # six bytes each on the wire
    rows = [Row("p", f"r{i}", dict(texts)) for i in range(4)]
    with pytest.raises(SinkError) as caught:
        open_sink(Account("m", "acct", "key", SECRET, server.endpoint)).send("Tab", rows)
    assert (caught.value.reaction, caught.value.code) == ("split", "RequestBodyTooLarge")
    assert server.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("create", [False, True])
def test_no_redirect_is_followed(server: FaultServer, status: int, create: bool) -> None:
    elsewhere = FaultServer()
    try:
        missing = [Reply(404, "TableNotFound", "0:No table.", batch=True)] if create else []
        server.script = [*missing, Reply(status, headers={"Location": elsewhere.endpoint})]
        with pytest.raises(SinkError) as caught:
            open_sink(Account("m", "acct", "key", SECRET, server.endpoint)).send("Tab", ROWS)
        assert (caught.value.reaction, caught.value.code) == ("retry", "redirected")
        assert elsewhere.seen == []
    finally:
        elsewhere.stop()


def proxied(server: FaultServer, endpoint: str) -> AzureTablesSink:
    proxy = server.endpoint.removesuffix("/acct").replace("http://", f"http://me:{PASSWORD}@")
    account = Account("m", "acct", "key", SECRET, endpoint)
    return AzureTablesSink(endpoints.parse(endpoint, "acct"), account, clock=lambda: 0.0, proxy=proxy)


def test_a_given_proxy_takes_batches_and_new_tables(server: FaultServer) -> None:
    sink = proxied(server, "http://acct.table.nowhere.invalid")
    server.script = [Reply(404, "TableNotFound", "0:No table.", batch=True)]
    sink.send("Tab", ROWS)
    assert [s.path for s in server.seen] == [
        "http://acct.table.nowhere.invalid/$batch",
        "http://acct.table.nowhere.invalid/Tables",
        "http://acct.table.nowhere.invalid/$batch",
    ]
    expected = "Basic " + base64.b64encode(b"me:p@ss-word").decode()
    assert {s.headers["proxy-authorization"] for s in server.seen} == {expected}
    sink.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_never_shown(server: FaultServer, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink = proxied(server, f"{scheme}://acct.table.nowhere.invalid")
    server.script = [Reply(407), Reply(407)]
    with pytest.raises(SinkError) as caught:
        sink.send("Tab", ROWS)
    server.stop()
    with pytest.raises(SinkError) as gone:
        sink.send("Tab", ROWS)
    sink.close()
    for text in (caught.value.message, gone.value.message, repr(caught.value), repr(gone.value), caplog.text):
        assert PASSWORD not in text
        assert "p@ss-word" not in text


def test_a_loopback_endpoint_is_asked_directly(server: FaultServer) -> None:
    proxy = FaultServer()
    try:
        account = Account("m", "acct", "key", SECRET, server.endpoint)
        where = endpoints.parse(server.endpoint, "acct")
        AzureTablesSink(where, account, clock=lambda: 0.0, proxy=proxy.endpoint).send("Tab", ROWS)
        assert len(server.seen) == 1
        assert proxy.seen == []
    finally:
        proxy.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key for 127.0.0.1 in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    made = tmp_path / "server.pem"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    argv += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(made),
        "-out",
        str(made),
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return made


@pytest.mark.parametrize("trusted", [True, False])
def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = FaultServer(tls=context)
    try:
        sink = open_sink(Account("m", "acct", "key", SECRET, server.endpoint), connect_timeout=5, read_timeout=5)
        if trusted:
            sink.send("Tab", ROWS)
            sink.send("Tab", ROWS)
            assert len({s.peer for s in server.seen}) == 1
        else:
            with pytest.raises(SinkError) as caught:
                sink.send("Tab", ROWS)
            assert (caught.value.reaction, caught.value.code) == ("retry", "TLS failure")
            assert "self" in caught.value.message
            assert server.seen == []
        sink.close()
    finally:
        server.stop()
