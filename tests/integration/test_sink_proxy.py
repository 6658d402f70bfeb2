"""Every sink, and the commands that read, go through the proxy; nothing of its credentials is shown."""

from __future__ import annotations

import argparse
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from extension.lanes import lanes
from extension.plan import Account, Options, Plan, Publisher
from extension.rows.edm import Row
from extension.sinks import SinkError, open_sink, proxies
from extension.sinks.event_hub import EventHubSink
from extension.sinks.memos import Forgetful
from extension.sinks.opening import open_blob_sink
from extension.sinks.reader import open_reader
from extension.store.uploader_db import UploaderStore
from extension.view import target
from tests.fault_server import FaultServer, Reply, Seen
from tests.proxy_bed import Proxy

ROWS = [Row("p", "r", {"V": ("Int32", 1), "record": ("String", "{}")})]
USER = "agent:pa55w0rd"
VARIABLES = ("MDSD_http_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY",
             "all_proxy", "ALL_PROXY")  # fmt: skip
Found = tuple[FaultServer, Proxy]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _port(server: FaultServer) -> int:
    return int(server.endpoint.rpartition(":")[2].partition("/")[0])


@pytest.fixture
def plain() -> Iterator[Found]:
    server = FaultServer(_blobs)
    proxy = Proxy(_port(server), USER)
    yield server, proxy
    proxy.stop()
    server.stop()


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Found]:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=DNS:*.service.test"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = FaultServer(_hub, context)
    proxy = Proxy(_port(server), USER)
    yield server, proxy
    proxy.stop()
    server.stop()


def _blobs(request: Seen) -> Reply | None:
    if request.method == "PUT":
        return Reply(201, body="")
    return Reply(404, "BlobNotFound") if "comp=" in request.path else None


def _hub(request: Seen) -> Reply | None:
    return Reply(201, body="") if request.path.endswith("/messages") else None


def _url(proxy: Proxy, user: str = USER) -> str:
    return f"http://{user}@127.0.0.1:{proxy.port}"


def _tables(scheme: str) -> Account:
    return Account("m", "acct", "key", "c2VjcmV0", f"{scheme}://acct.service.test", True)


def test_tables_over_http(plain: Found) -> None:
    server, proxy = plain
    open_sink(_tables("http"), proxy=_url(proxy)).send("Tab", ROWS)
    assert [s.path for s in server.seen] == ["/$batch"]
    assert proxy.seen == ["POST http://acct.service.test/$batch HTTP/1.1"]


def test_tables_over_https(secure: Found) -> None:
    server, proxy = secure
    open_sink(_tables("https"), proxy=_url(proxy)).send("Tab", ROWS)
    assert [s.path for s in server.seen] == ["/$batch"]
    assert [line.rpartition(" ")[0] for line in proxy.seen] == ["CONNECT acct.service.test:443"]


def test_blobs(plain: Found) -> None:
    server, proxy = plain
    account = Account("m", "acct", "key", "c2VjcmV0", "", True, "http://blob.service.test")
    open_blob_sink(account, "lane", Forgetful(), proxy=_url(proxy)).send("jsonblob/metrics", ROWS)
    assert server.seen
    assert len(proxy.seen) == len(server.seen)
    assert all(line.split(" ")[1].startswith("http://blob.service.test/") for line in proxy.seen)


def test_event_hubs_of_a_plan(secure: Found, tmp_path: Path) -> None:
    """The uploader's own lanes carry the proxy of the options to the hub."""
    server, proxy = secure
    publisher = Publisher("syslog", "https://ns.service.test/hub?sr=x&sig=y&se=4102444800&skn=z")
    plan = Plan(publishers=(publisher,), options=Options(http_proxy=_url(proxy)))
    store = UploaderStore(str(tmp_path))
    (lane,) = lanes(plan, store, spread_s=0, publish=_nothing, progress=_nothing, log=lambda _level, _text: None)
    lane._connect(lane.account).send("eventhub/syslog", ROWS)
    assert [s.path for s in server.seen] == ["/hub/messages"]
    assert [line.rpartition(" ")[0] for line in proxy.seen] == ["CONNECT ns.service.test:443"]
    store.close()


def _nothing() -> None:
    """Nobody is told."""


def test_readers_of_a_document(plain: Found, tmp_path: Path) -> None:
    _server, proxy = plain
    plan = Plan(accounts=(_tables("http"),), options=Options(http_proxy=_url(proxy)))
    document = tmp_path / "xmlCfg.xml"
    document.write_text("<x/>")
    asked = argparse.Namespace(endpoint=None, config=str(document), account=None, key_file=None, sas_file=None)
    account, found = target.resolve_way(asked, {}, lambda _config, _options: (plan, []))
    with pytest.raises(SinkError):
        list(open_reader(account, proxy=found).query("Tab"))  # the server has no rows to show
    assert proxy.seen[0].startswith("GET http://acct.service.test/Tab")


@pytest.mark.parametrize("user", ["agent:wr0ng-s3cret", ""])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused_credentials_are_said_and_not_shown(request: pytest.FixtureRequest, scheme: str, user: str) -> None:
    server, proxy = request.getfixturevalue("plain" if scheme == "http" else "secure")
    url = _url(proxy, user) if user else f"http://127.0.0.1:{proxy.port}"
    with pytest.raises(SinkError) as failed:
        open_sink(_tables(scheme), proxy=url).send("Tab", ROWS)
    assert "proxy" in failed.value.message
    assert failed.value.reaction in ("retry", "slow")
    assert failed.value.connection
    assert "wr0ng-s3cret" not in f"{failed.value.message}{failed.value!r}"
    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "http://agent:wr0ng-s3cret@no.such.host.invalid:3128",
        "http://agent:wr0ng-s3cret@127.0.0.1:99999",
        "http://agent:wr0ng s3cret@127.0.0.1:3128",
        "http://[::1:wr0ng-s3cret",
        "socks5://agent:wr0ng-s3cret@127.0.0.1:1080",
        "://wr0ng-s3cret",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("https_proxy", address)
    publisher = Publisher("E", "https://ns.service.test/hub?sr=x&sig=y&se=4102444800&skn=z")
    hub = EventHubSink(publisher, "eventhub E", Forgetful(), clock=time.time)
    blobs = open_blob_sink(Account("m", "acct", "key", "c2VjcmV0", "", True, "https://blob.test"), "l", Forgetful())
    messages = []
    for sink, table in ((open_sink(_tables("https")), "Tab"), (hub, "eventhub/E"), (blobs, "jsonblob/c")):
        with pytest.raises(SinkError) as failed:
            sink.send(table, ROWS)
        assert (failed.value.reaction, failed.value.connection) == ("retry", True)
        messages.append(failed.value.message)
    assert all("proxy failure: the proxy did not pass the request on" in text for text in messages), messages
    assert "s3cret" not in repr(messages)


LOOPBACK: list[Callable[[FaultServer], str]] = [
    lambda server: server.endpoint,
    lambda server: server.endpoint.replace("127.0.0.1", "localhost"),
]


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_asked_directly(plain: Found, address: Callable[[FaultServer], str]) -> None:
    server, proxy = plain
    account = Account("m", "acct", "key", "c2VjcmV0", address(server), True)
    open_sink(account, proxy=_url(proxy)).send("Tab", ROWS)
    assert len(server.seen) == 1
    assert proxy.seen == []


ORDER: list[tuple[str, Mapping[str, str], str]] = [
    ("http://set:1", {"MDSD_http_proxy": "http://own:1"}, "http://set:1"),
    ("", {"MDSD_http_proxy": "http://own:1", "https_proxy": "http://s:1", "http_proxy": "http://p:1"}, "http://own:1"),
    ("", {"https_proxy": "http://s:1", "http_proxy": "http://p:1"}, "http://s:1"),
    ("", {"http_proxy": "http://p:1"}, "http://p:1"),
    ("", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
    ("", {"http_proxy": "http://p:1", "no_proxy": "service.test"}, ""),
    ("", {"http_proxy": "http://p:1", "NO_PROXY": "elsewhere.test"}, "http://p:1"),
    ("http://set:1", {"no_proxy": "*"}, "http://set:1"),
    ("", {"http_proxy": ""}, ""),
    ("", {}, ""),
]


@pytest.mark.parametrize(("configured", "environ", "proxy"), ORDER)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_order(configured: str, environ: Mapping[str, str], proxy: str, scheme: str) -> None:
    found = proxies.chosen(configured, f"{scheme}://acct.service.test", environ)
    assert (found or {}).get(scheme, "") == proxy
    assert proxies.chosen(configured, f"{scheme}://127.0.0.1:1", environ, loopback=True) is None


@pytest.mark.parametrize("name", ["MDSD_http_proxy", "http_proxy"])
def test_an_https_service_goes_through_the_only_proxy_that_the_environment_names(
    secure: Found, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server, proxy = secure
    monkeypatch.setenv(name, _url(proxy))
    open_sink(_tables("https")).send("Tab", ROWS)
    assert [s.path for s in server.seen] == ["/$batch"]
    assert [line.rpartition(" ")[0] for line in proxy.seen] == ["CONNECT acct.service.test:443"]
