"""The session under the SDK's transport prepares requests as requests itself does, and asks the environment once."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.exceptions import InvalidHeader, InvalidURL, MissingSchema

from extension.sinks.azure_session import ReadySession

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
