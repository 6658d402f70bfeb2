"""Addresses of table services, SAS tokens and one-line texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.plan import Account
from extension.sinks import SinkError, open_sink, sas
from extension.sinks.endpoints import Endpoint, parse
from extension.sinks.text import http_date, one_line


@pytest.mark.parametrize(
    ("text", "account", "wanted"),
    [
        ("", "acct", Endpoint("https://acct.table.core.windows.net", "acct")),
        ("https://acct.table.core.chinacloudapi.cn/", "", Endpoint("https://acct.table.core.chinacloudapi.cn", "acct")),
        ("HTTPS://acct.table.core.windows.net:443", "x", Endpoint("https://acct.table.core.windows.net:443", "x")),
        ("http://127.0.0.1:10002/dev", "", Endpoint("http://127.0.0.1:10002/dev", "dev", "", True)),
        ("http://127.0.0.1:10002", "dev", Endpoint("http://127.0.0.1:10002/dev", "dev", "", True)),
        ("http://127.0.0.1:10002/", "dev", Endpoint("http://127.0.0.1:10002/dev", "dev", "", True)),
        ("http://localhost:1234/dev/", "", Endpoint("http://127.0.0.1:1234/dev", "dev", "", True)),
        ("http://[::1]:1/dev", "", Endpoint("http://[::1]:1/dev", "dev", "", True)),
        ("http://10.0.0.4:10002/dev", "", Endpoint("http://10.0.0.4:10002/dev", "dev")),
        ("http://azurite:10002", "dev", Endpoint("http://azurite:10002/dev", "dev")),
        ("file:///var/lib/t.db", "", Endpoint("file:///var/lib/t.db", "", "/var/lib/t.db", True)),
        ("file:///a%20b/t.db", "x", Endpoint("file:///a b/t.db", "x", "/a b/t.db", True)),
        ("file://localhost/t.db", "", Endpoint("file:///t.db", "", "/t.db", True)),
    ],
)
def test_good_addresses(text: str, account: str, wanted: Endpoint) -> None:
    assert parse(text, account) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acct.table.core.windows.net",
        "ftp://host/x",
        "http://",
        "http://host:port/x",
        "file://relative.db",
        "file:///folder/",
        "file:relative",
        "file:///",
    ],
)
def test_bad_addresses_say_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        parse(text)


def test_a_credential_in_the_address_is_refused_and_not_repeated() -> None:
    for text in (
        "https://a.table.core.windows.net/?sig=SECRET",
        "http://me:SECRET@127.0.0.1/a",
        "x://u:SECRET@h?sig=SECRET",
    ):
        with pytest.raises(ValueError, match="endpoint") as caught:
            parse(text)
        assert "SECRET" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        endpoint = parse(text, "acct")
    except ValueError:
        return
    assert endpoint.path or endpoint.url.startswith(("http://", "https://"))


def test_a_sink_for_a_bad_address_is_a_judged_error() -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(Account("m", "a", "key", "QUJD", "ftp://x"))
    assert (caught.value.reaction, caught.value.code) == ("slow", "InvalidEndpoint")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2031-05-06", 1935792000.0),
        ("2031-05-06T07:08Z", 1935817680.0),
        ("2031-05-06T07:08:09Z", 1935817689.0),
        ("2031-05-06T07:08:09.5000000Z", 1935817689.5),
        ("9999-12-31T23:59:59Z", 253402300799.0),
        ("1969-12-31T23:59:59Z", -1.0),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_sas_dates(text: str, wanted: float | None) -> None:
    assert sas.instant(text) == wanted


def test_sas_fields_in_every_form() -> None:
    token = "?sv=2019-02-02&ss=bt&srt=co&sp=acluw&se=2031-05-06T07%3A08%3A09Z&spr=https&sig=a%2Fb%3D"
    for form in (token, token[1:], f" {token}\n", token.replace("%", "%25"), token.replace("%", "%2525")):
        assert sas.normalise(form) == token[1:]
        found = sas.parse(form)
        assert (found.services, found.resource_types, found.permissions, found.protocol) == (
            "bt",
            "co",
            "acluw",
            "https",
        )
        assert found.expiry == 1935817689.0
        assert "a/b" not in repr(found)


@pytest.mark.parametrize(
    ("token", "operation", "lacks"),
    [
        ("ss=t&srt=co&sp=acluw", "upsert", ""),
        ("ss=t&srt=co&sp=acluw", "create", ""),
        ("ss=t&srt=co&sp=au", "create", "permission create (c) or write (w)"),
        ("ss=t&srt=o&sp=acu", "create", "resource type container (srt=c)"),
        ("ss=b&srt=co&sp=acluw", "upsert", "service table (ss=t)"),
        ("ss=t&srt=co&sp=a", "upsert", "permission update (u)"),
        ("ss=t&srt=co&sp=acuw", "query", "permission read (r)"),
        ("ss=t&srt=co&sp=acuw", "list", "permission list (l)"),
        ("tn=abc&sp=raud", "upsert", ""),
        ("tn=abc&si=policy", "upsert", ""),
        ("tn=other&sp=raud", "upsert", "table Abc: it is for table other only"),
        ("tn=abc&sp=raud", "create", "an account SAS: the SAS of one table cannot create or list tables"),
    ],
)
def test_what_a_sas_does_not_allow(token: str, operation: sas.Operation, lacks: str) -> None:
    assert sas.missing(sas.parse(token), operation, "Abc") == lacks


@given(st.text())
def test_any_text_is_taken_as_a_token(text: str) -> None:
    found = sas.parse(text)
    assert found.expiry is None or isinstance(found.expiry, float)


def test_texts_lose_secrets_and_line_breaks() -> None:
    text = "GET http://me:pw@proxy/x?se=1&sig=ab%2Fc&sp=r\nAuthorization: SharedKey acct:AbC=\r\nKEY12 AccountKey=zzz;x"
    shown = one_line(text, ("KEY12",))
    for secret in ("pw", "ab%2Fc", "AbC", "KEY12", "zzz"):
        assert secret not in shown
    assert "\n" not in shown
    assert "se=1" in shown


@given(st.text(), st.integers(3, 50))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    shown = one_line(text, limit=limit)
    assert len(shown) <= limit
    assert shown.isprintable()


def test_http_dates() -> None:
    assert http_date("Sat, 21 Nov 2026 09:17:55 GMT") == 1795252675.0
    assert http_date("soon") is None
    assert http_date("") is None
