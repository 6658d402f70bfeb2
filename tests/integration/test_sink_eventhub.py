"""Event Hub messages over TLS to a service that notes every request and fails on demand."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from extension.collecting import Collector
from extension.lanes import lanes
from extension.pipeline.batches import Batch
from extension.plan import Plan, Publisher, Source
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.sinks.event_hub import EventHubSink
from extension.sinks.memos import Forgetful
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from omi_queries.types import QueryStream

SAS = "sr=https%3a%2f%2fns%2fhub&sig=S3cr%2bt%3d&se=4102444800&skn=send"
LANE = "eventhub syslog"


@dataclass
class Hub:
    """What arrived, and the answers to come: (status, headers); without any, 201. ``drop``: requests to break off."""

    port: int = 0
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)

    def publisher(self, query: str = SAS, path: str = "/hub") -> Publisher:
        return Publisher("syslog", f"https://127.0.0.1:{self.port}{path}?{query}")


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hub.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            hub.connections.add(self.client_address)
            status, headers = hub.answers.pop(0) if hub.answers else (201, {})
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            if status == 201:
                hub.taken.append(body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def _rows(*names: str) -> list[Row]:
    return [Row("syslog", f"k{name}", {"record": ("String", json.dumps({"name": name}))}) for name in names]


def _sink(hub: Hub, memos: Forgetful | None = None, query: str = SAS, now: float = 1.8e9) -> EventHubSink:
    return EventHubSink(hub.publisher(query), LANE, memos or Forgetful(), clock=lambda: now)


def test_one_message_per_row_as_mdsd_sends_it(hub: Hub) -> None:
    sink = _sink(hub)
    sink.send("eventhub/syslog", _rows("a", "é"))
    assert [body for _, _, body in hub.seen] == [b'{"name": "a"}', b'{"name": "\\u00e9"}']
    path, headers, _ = hub.seen[0]
    assert path == "/hub/messages"
    assert headers["authorization"] == f"SharedAccessSignature {SAS}"
    assert headers["content-type"] == "application/atom+xml;type=entry;charset=utf-8"
    assert len(hub.connections) == 1  # kept between messages
    sink.close()


def test_a_repeated_batch_goes_on_behind_the_last_message_taken(hub: Hub) -> None:
    memos = Forgetful()
    hub.answers = [(201, {}), (503, {"Retry-After": "7"})]
    with pytest.raises(SinkError) as busy:
        _sink(hub, memos).send("eventhub/syslog", _rows("a", "b", "c"))
    assert (busy.value.reaction, busy.value.retry_after) == ("retry", 7.0)
    _sink(hub, memos).send("eventhub/syslog", _rows("a", "b", "c"))
    assert [json.loads(body)["name"] for body in hub.taken] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("status", "reaction", "code"),
    [
        (400, "drop-row", "BadRequest"),
        (401, "slow", "Forbidden"),
        (403, "slow", "Forbidden"),
        (404, "slow", "NotFound"),
        (413, "drop-row", "MessageTooLarge"),
        (429, "retry", "ServerBusy"),
        (500, "retry", "ServerError"),
        (302, "slow", "UnexpectedAnswer"),
        (0, "retry", "reset"),
    ],
)
def test_every_failure_has_a_reaction_and_shows_no_secret(hub: Hub, status: int, reaction: str, code: str) -> None:
    hub.answers = [(201, {}), (status, {})]
    with pytest.raises(SinkError) as refused:
        _sink(hub).send("eventhub/syslog", _rows("a", "b"))
    assert (refused.value.reaction, refused.value.code) == (reaction, code)
    assert refused.value.row == (1 if reaction == "drop-row" else None)
    assert "S3cr" not in str(refused.value)
    assert "sig=" not in str(refused.value)


def test_an_expired_sas_is_named(hub: Hub) -> None:
    hub.answers = [(401, {})]
    with pytest.raises(SinkError, match="expired at 2001-09-09") as refused:
        _sink(hub, query="sr=x&sig=S3cret&se=1000000000&skn=n").send("eventhub/syslog", _rows("a"))
    assert refused.value.code == "sas-expired"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/hub?sig=S3cret",
        "https://127.0.0.1/?sig=S3cret",
        "https://h/hub",
        "https://[bad/hub?sig=S3cret",
        "https://h:x/hub?sig=S3cret",
        "https://u:S3cret@h/hub?sig=S3cret",
        "Endpoint=sb://h/;SharedAccessKey=S3cret",
        "",
    ],
)
def test_an_address_of_no_use_is_refused(url: str) -> None:
    with pytest.raises(SinkError) as refused:
        EventHubSink(Publisher("syslog", url), LANE, Forgetful(), clock=lambda: 0.0)
    assert (refused.value.reaction, refused.value.code) == ("slow", "InvalidEndpoint")
    assert "S3cret" not in str(refused.value)


def test_an_untrusted_certificate_is_not_accepted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(SinkError) as refused:
        _sink(hub).send("eventhub/syslog", _rows("a"))
    assert (refused.value.reaction, refused.value.code) == ("retry", "tls")
    assert hub.seen == []


class _Nothing:
    name = "none"

    def open(self, namespace: str, text: str) -> QueryStream:
        raise NotImplementedError

    def close(self) -> None:
        pass


def test_from_insertion_through_the_store_to_the_hub(hub: Hub, tmp_path: Path) -> None:
    plan = Plan(
        sources=(Source("syslog"),),
        publishers=(hub.publisher(),),
        identity=(("Host", "h"),),
        obo=(("resourceId", "/subscriptions/x"),),
    )
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    said: list[str] = []
    now = 1795252690.0
    collector = Collector(plan, _Nothing(), store, lambda: now, lambda _level, text: said.append(text), "h")
    collector.start()
    big = {"Msg": ("String", "x" * (1 << 18))}
    event = {"Facility": ("String", "daemon"), "Severity": ("Int32", 3), "Msg": ("String", "hi")}
    assert collector.ingest([("syslog", 1795252689123456, event), ("syslog", 1795252689223456, big)])
    assert collector.take_upload()
    assert not collector.take_upload()
    hub.answers = [(503, {"Retry-After": "0"})]
    for way in lanes(
        plan,
        UploaderStore(str(tmp_path)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, text: said.append(text),
    ):
        way.drain()
    (message,) = [json.loads(body) for body in hub.taken]
    assert message == {
        "time": "2026-11-21T09:18:09.1234560Z",
        "resourceId": "/subscriptions/x",
        "properties": {"Facility": "daemon", "Severity": 3, "Msg": "hi"},
        "category": "daemon",
        "level": "Error",
        "operationName": "LinuxSyslogEvent",
    }
    balance = ledger.read(str(tmp_path))["eventhub/syslog"]
    assert (balance.produced, balance.delivered, balance.queued) == (2, 1, 0)
    assert balance.dropped == {"oversize: message over 256 KiB": 1}
    assert not any("S3cr" in text for text in said)


def test_hubs_of_a_namespace_that_is_gone_are_one_outage(hub: Hub, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"https://127.0.0.1:{taken.getsockname()[1]}"  # free again below: nothing listens there
    names = ("one", "two", "three")
    plan = Plan(
        publishers=(*(Publisher(n, f"{dead}/{n}?{SAS}") for n in names), Publisher("works", hub.publisher().url))
    )
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        store.queue([Batch(f"eventhub {n}", f"eventhub/{n}", _rows(n)) for n in (*names, "works")], 1.0)
    said: list[str] = []

    def slow_log(_level: str, text: str) -> None:
        said.append(text)
        time.sleep(0.3)  # the others fail meanwhile

    ways = lanes(
        plan,
        UploaderStore(str(tmp_path)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=slow_log,
    )
    threads = [threading.Thread(target=way.run, daemon=True) for way in ways]
    try:
        for thread in threads:
            thread.start()
        for _ in range(2000):
            delivered = ledger.read(str(tmp_path))["eventhub/works"].delivered
            if delivered and all(way.level == "warning" for way in ways[:3]):
                break
            time.sleep(0.01)
        assert (delivered, [way.level for way in ways]) == (1, ["warning"] * 3 + ["ok"])
        assert len(said) == 1
        assert "connection refused" in said[0]
    finally:
        for way in ways:
            way.stop.set()
            way.wake.set()
        for thread in threads:
            thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
