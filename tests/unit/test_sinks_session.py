"""The session under the SDK's transport does what requests itself does, and works out once what stays the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader, InvalidURL, MissingSchema

from extension.sinks.azure_session import ReadyAdapter, ReadySession
from tests.fault_server import FaultServer, Reply

URL = "http://127.0.0.1:10002/acct/$batch"


def session(*, trust_env: bool = False) -> ReadySession:
    like = requests.Session()
    like.trust_env = trust_env
    return ReadySession(like)


def shown(prepared: requests.PreparedRequest) -> tuple[Any, ...]:
    return prepared.method, prepared.url, list(prepared.headers.items()), prepared.body, prepared.hooks


def as_requests(given: requests.Request) -> requests.PreparedRequest:
    plain = requests.Session()
    plain.trust_env = False
    plain.auth = lambda request: request
    return plain.prepare_request(given)


@pytest.mark.parametrize(
    "given",
    [
        {"url": URL, "data": b"body", "headers": {"Content-Length": "4", "accept": "application/json"}},
        {"url": URL, "data": b"body"},
        {"url": URL + "?sv=1&sig=a%2Bb%3D", "data": b"body", "headers": {"user-agent": "me"}},
        {"url": "HTTPS://Acct.table.core.windows.net/a b", "data": b"body"},
        {"url": "http://name:word@h/", "data": b"body"},
        {"url": URL, "data": b""},
        {"url": URL, "data": None},
        {"url": URL, "data": "text"},
        {"url": URL, "data": {"a": "b"}},
        {"url": URL, "data": b"body", "params": {"a": "b"}},
        {"url": URL, "data": b"body", "cookies": {"a": "b"}},
        {"url": URL, "json": {"a": "b"}},
        {"url": URL, "files": {"a": b"b"}, "method": "GET"},
        {"url": URL, "method": "get"},
        {"url": URL, "data": b"body", "auth": ("a", "b")},
        {"url": URL, "data": b"body", "hooks": {"response": print}},
        {"url": URL, "data": b"body", "headers": {"User-Agent": None, "A": None, "B": b"c"}},
    ],
)
def test_a_request_is_prepared_as_requests_does(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.models.encode_multipart_formdata", lambda fields: (b"parts", "multipart/x"))
    made = session()
    for _ in range(2):
        request = requests.Request(**({"method": "POST"} | given))
        assert shown(made.prepare_request(request)) == shown(as_requests(request))


def test_each_request_has_its_own_headers_and_address() -> None:
    made = session()
    seen = []
    for number, url in enumerate([URL, URL, URL + "?sig=1", URL]):
        prepared = made.prepare_request(requests.Request("POST", url, headers={"N": str(number)}, data=b"x" * number))
        seen.append((prepared.url, prepared.headers["n"], prepared.body or b""))
    assert seen == [(URL, "0", b""), (URL, "1", b"x"), (URL + "?sig=1", "2", b"xx"), (URL, "3", b"xxx")]
    assert made.headers == requests.Session().headers


@pytest.mark.parametrize(
    ("url", "headers", "error"),
    [
        ("nowhere", {}, MissingSchema),
        ("http://*.h/", {}, InvalidURL),
        (URL, {"A": "b\r\nC: d"}, InvalidHeader),
        (URL, {"A": 1}, InvalidHeader),
    ],
)
def test_what_requests_refuses_is_refused_each_time(url: str, headers: dict[str, Any], error: type[Exception]) -> None:
    made = session()
    for _ in range(2):
        with pytest.raises(error):
            made.prepare_request(requests.Request("POST", url, headers=headers, data=b"x"))


def test_cookies_of_a_service_are_sent_back() -> None:
    made = session()
    made.cookies.set("ARRAffinity", "x", domain="127.0.0.1", path="/")
    assert made.prepare_request(requests.Request("POST", URL, data=b"x")).headers["Cookie"] == "ARRAffinity=x"


def test_the_environment_is_asked_once_for_the_same_question(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    made = session(trust_env=True)
    far = "https://acct.table.core.windows.net/$batch"
    found = made.merge_environment_settings(far, {}, True, True, None)
    assert found == {"proxies": {"all": "http://proxy:1"}, "stream": True, "verify": True, "cert": None}
    found["proxies"]["http"] = "http://other:1"  # the caller's own
    monkeypatch.setenv("ALL_PROXY", "http://proxy:2")
    assert made.merge_environment_settings(far, {}, True, True, None)["proxies"] == {"all": "http://proxy:1"}
    named = made.merge_environment_settings(far, {"https": "http://named:1"}, True, True, None)
    assert named["proxies"] == {"all": "http://proxy:2", "https": "http://named:1"}
    assert made.merge_environment_settings(far, None, True, False, None)["verify"] is False
    assert made.merge_environment_settings(far, None, False, True, None)["stream"] is False


def test_a_session_that_trusts_no_environment_asks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    assert session().merge_environment_settings(URL, {}, True, True, None)["proxies"] == {}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        yield found


def asked(made: requests.Session, server: FaultServer, script: list[Reply], **options: Any) -> tuple[Any, ...]:
    """What comes back of a request, and what the server saw."""
    server.script, server.seen = script, []
    response = made.request("POST", server.endpoint + "/$batch", data=b"body", headers={"N": "1"}, **options)
    content = response.content
    seen = [(one.method, one.path, sorted(one.headers.items()), one.body) for one in server.seen]
    return response.status_code, content, response.headers.get("X"), seen


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("status", [202, 307, 404])
def test_an_answer_is_taken_as_requests_does(server: FaultServer, stream: bool, follow: bool, status: int) -> None:
    elsewhere = {"Location": server.endpoint + "/other"} if status == 307 else {}
    plain = requests.Session()
    plain.trust_env = False
    options = {"stream": stream, "allow_redirects": follow, "timeout": 5}
    with session() as made, plain:
        for _ in range(2):
            script = [Reply(status, headers={"X": "y", **elsewhere}, body="text")]
            found = asked(made, server, list(script), **options)
            assert found == asked(plain, server, list(script), **options)
            assert len(found[3]) == (2 if follow and elsewhere else 1)


def test_a_hook_is_called(server: FaultServer) -> None:
    called: list[int] = []
    with session() as made:
        hooks = {"response": lambda response, **_: called.append(response.status_code)}
        asked(made, server, [Reply(404)], stream=True, allow_redirects=False, hooks=hooks)
    assert called == [404]


@pytest.mark.parametrize("stream", [False, True])
def test_cookies_of_an_answer_are_kept(server: FaultServer, stream: bool) -> None:
    with session() as made:
        for given, cookie in (("x", None), ("", "ARRAffinity=x"), ("x; Max-Age=0", "ARRAffinity=x"), ("", None)):
            script = [Reply(headers={"Set-Cookie": f"ARRAffinity={given}; path=/"} if given else {})]
            *_, [(_, _, headers, _)] = asked(made, server, script, stream=stream, allow_redirects=False)
            assert dict(headers).get("cookie") == cookie


def test_after_it_was_closed_it_connects_anew(server: FaultServer) -> None:
    made = session()
    for _ in range(2):
        for _ in range(2):
            assert asked(made, server, [], stream=True, allow_redirects=False)[0] == 202
        made.close()


FAR = "https://acct.table.core.windows.net/$batch"
HTTP_PROXY, HTTPS_PROXY = {"http": "http://proxy:1"}, {"https": "http://user:word@proxy:1"}


def test_a_pool_is_looked_for_once_per_question(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    ours, theirs = ReadyAdapter(HTTPAdapter()), HTTPAdapter()
    kinds: list[bool | str] = [True, False, str(bundle)]
    questions = list(itertools.product((URL, FAR), kinds, ({}, HTTP_PROXY, HTTPS_PROXY)))
    pools = []
    for url, verify, proxies in [question for question in questions for _ in range(2)] * 2:
        prepared = requests.Request("POST", url, data=b"x").prepare()
        found, expected = [
            adapter.get_connection_with_tls_context(prepared, verify, dict(proxies), None) for adapter in (ours, theirs)
        ]
        for adapter, pool in ((ours, found), (theirs, expected)):
            adapter.cert_verify(pool, url, verify, None)
        assert shown_pool(found) == shown_pool(expected)
        assert ours.request_url(prepared, dict(proxies)) == theirs.request_url(prepared, dict(proxies))
        pools.append(found)
    assert all(one is other for one, other in zip(pools[::2], pools[1::2], strict=True))
    ours.close()
    assert ours.get_connection_with_tls_context(prepared, verify, {}, None).pool is not None


def shown_pool(pool: Any) -> tuple[Any, ...]:
    names = ("cert_reqs", "ca_certs", "ca_cert_dir", "cert_file")
    return type(pool), pool.host, pool.port, str(pool.proxy), [getattr(pool, name, None) for name in names]


def test_certificates_that_are_missing_are_said_each_time(tmp_path: Path) -> None:
    adapter, missing = ReadyAdapter(HTTPAdapter()), str(tmp_path / "ca.pem")
    prepared = requests.Request("POST", FAR, data=b"x").prepare()
    for _ in range(2):
        pool = adapter.get_connection_with_tls_context(prepared, missing, {}, None)
        with pytest.raises(OSError, match=r"ca\.pem"):
            adapter.cert_verify(pool, FAR, missing, None)


def test_it_tries_as_often_as_the_other() -> None:
    assert ReadyAdapter(HTTPAdapter(max_retries=3)).max_retries.total == 3
