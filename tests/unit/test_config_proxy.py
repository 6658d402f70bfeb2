"""``mdsdHttpProxy`` and the VM agent's proxy (spec/lad-handler.md 4.7, spec/mdsd.md 7.6)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.config import machine, options, proxy
from extension.config.problems import Problem, Problems


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://proxy.local:3128", "http://proxy.local:3128"),
        ("//proxy.local:3128", "http://proxy.local:3128"),
        ("proxy.local:3128", "http://proxy.local:3128"),
        ("proxy:3128/", "http://proxy:3128"),
        ("HTTP://10.0.0.4:8080", "http://10.0.0.4:8080"),
        ("https://proxy:443", "https://proxy:443"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://me:se@cret@proxy:1", "http://me:se%40cret@proxy:1"),
        ("me:a%2Fb%40c@proxy:1", "http://me:a%2Fb%40c@proxy:1"),
        ("me@proxy:1", "http://me@proxy:1"),
        ("http://me:@proxy:1", "http://me:@proxy:1"),
    ],
)
def test_forms(text: str, url: str) -> None:
    assert proxy.normalised(text) == (url, "")


def test_a_proxy_without_a_port_has_the_port_of_http() -> None:
    url, odd = proxy.normalised("http://proxy")
    assert url == "http://proxy:80"
    assert "port" in odd


@pytest.mark.parametrize(
    "text",
    ["", "//", "ftp://proxy:1", "socks5://proxy:1", "http://:3128", "http://@proxy:1", "http://:geheim@proxy:1",
     "http://proxy:0", "http://proxy:65536", "http://proxy:", "http://proxy:12a", "http://pro xy:1", "http://proxy:1/p",
     "http://[::1:1", "http://proxy:1?x=geheim", "proxy:\u0661"],
)  # fmt: skip
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(proxy.ProxyError) as refused:
        proxy.normalised(text)
    assert "geheim" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_a_proxy_or_is_not(text: str) -> None:
    try:
        url, _ = proxy.normalised(text)
    except proxy.ProxyError:
        return
    assert proxy.normalised(url) == (url, "")


@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.integers(1, 65535))
def test_credentials_survive(user: str, password: str, port: int) -> None:
    told = [quote(part.encode("utf-8", "replace"), safe="") for part in (user, password)]
    text = f"http://{told[0]}:{told[1]}@h:{port}"
    parts = urlsplit(proxy.normalised(text)[0])
    assert (parts.hostname, parts.port) == ("h", port)
    assert unquote(parts.username or "").encode() == user.encode("utf-8", "replace")
    assert unquote(parts.password or "").encode() == password.encode("utf-8", "replace")


def _chosen(public: object = None, protected: object = None, agent: str = "") -> tuple[object, list[Problem]]:
    problems = Problems()
    options = proxy.options({"mdsdHttpProxy": public}, {"mdsdHttpProxy": protected}, agent, problems)
    return options.get("http_proxy"), list(problems)


def test_agent_before_protected_before_public() -> None:
    assert _chosen("a:1", "b:2", "c:3")[0] == "http://c:3"
    assert _chosen("a:1", "b:2")[0] == "http://b:2"
    assert _chosen("a:1") == ("http://a:1", [])
    assert _chosen() == (None, [])
    assert _chosen("", "  ") == (None, [])
    told = [(p.severity, p.path) for p in _chosen("a:1", "b:2", "c:3")[1]]
    assert told == [("warning", "$.protected.mdsdHttpProxy"), ("warning", "$.public.mdsdHttpProxy")]
    assert _chosen("http://a:1", "a:1")[1] == []


def test_a_password_in_the_public_settings_is_warned_of_and_not_shown() -> None:
    url, problems = _chosen("me:geheim@a:1")
    assert url == "http://me:geheim@a:1"
    [one] = problems
    assert "not secret" in one.message
    assert "geheim" not in repr(one)


@pytest.mark.parametrize(
    ("public", "protected", "agent", "severities"),
    [
        (5, None, "", ["warning"]),
        ({"a": "geheim"}, ["geheim"], "", ["warning", "warning"]),
        ("ftp://geheim@x", None, "", ["error"]),
        ("ftp://geheim@x", "a:1", "", ["warning"]),
        (None, None, "no host", ["warning"]),
    ],
)
def test_what_cannot_be_used_is_named(public: object, protected: object, agent: str, severities: list[str]) -> None:
    _, problems = _chosen(public, protected, agent)
    assert [p.severity for p in problems] == severities
    assert all("geheim" not in repr(p) for p in problems)


def test_a_proxy_in_the_options_file() -> None:
    problems = Problems()
    read = options.read({"http_proxy": "me:geheim@proxy:3128"}, "options.json", problems)
    assert read.http_proxy == "http://me:geheim@proxy:3128"
    assert "geheim" not in repr(read)
    assert options.read({"http_proxy": " "}, "options.json", problems).http_proxy == ""
    assert list(problems) == []
    options.read({"http_proxy": "ftp://geheim@proxy"}, "options.json", problems)
    assert [(p.severity, p.path, "geheim" in repr(p)) for p in problems] == [
        ("error", "options.json.http_proxy", False)
    ]


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        ("HttpProxy.Host=10.0.0.4\nHttpProxy.Port=3128\n", "10.0.0.4:3128"),
        ("HttpProxy.Host = proxy # the one\n", "proxy"),
        ("HttpProxy.Host=None\nHttpProxy.Port=None\n", ""),
        ("#HttpProxy.Host=proxy\nHttpProxy.Port=80\n", ""),
        ("HttpProxy.Host=proxy\nHttpProxy.Port=None\n", "proxy"),
        ("\x00\xff", ""),
        (None, ""),
    ],
)
def test_proxy_of_the_vm_agent(tmp_path: Path, conf: str | None, told: str) -> None:
    if conf is not None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/waagent.conf").write_text(conf)
    assert machine.found(str(tmp_path)).proxy == told
