"""Judging keys, SAS tokens and endpoints (spec/storage.md "SAS forms", "Clouds, proxy"; spec/lad-handler.md 4.2)."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.config import endpoints, sas
from extension.config.problems import Problems

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
DATES = "st=2026-01-01T00%3A00%3A00Z&se=2031-05-06T07%3A08%3A09Z"
GOOD = f"sv=2018-03-28&ss=bt&srt=sco&sp=acluw&{DATES}&sig=Zm9vYmFy%2BbG9yZW0%3D"


def judged(token: str) -> list[str]:
    problems = Problems()
    sas.judge_sas(sas.normalise(token, "$.t", problems), "$.t", NOW, problems)
    assert {p.severity for p in problems} <= {"warning"}
    return [p.message for p in problems]


@pytest.mark.parametrize(
    "se",
    [
        "2031-05-06",
        "2031-05-06T07:08Z",
        "2031-05-06T07:08:09Z",
        "2031-05-06T07:08:09.0000000Z",
        "2050-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2031-05-06T07:08:09+02:00",
        "2031-05-06T07:08-0530",
        "2031-05-06T07:08+02",
        "2031-05-06T07%3A08%3A09.123Z",
        "2038-01-19T03:14:08Z",
        "2106-02-07T06:28:16Z",
    ],
)
def test_good_tokens_have_nothing_to_say(se: str) -> None:
    assert judged(GOOD.replace("2031-05-06T07%3A08%3A09Z", se)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ss=bt", "ss=b", "Account SAS must enable blob and table services (ss='bt' or better); missing: t"),
        ("srt=sco", "srt=s", "container and object access (srt='co' or better); missing: c, o"),
        ("sp=acluw", "sp=r", "Account SAS must grant sp='acluw' permissions or better; missing: a, c, l, u, w"),
        ("ss=bt&srt=sco", "tn=mytable", "bound to the table mytable"),
        ("ss=bt&srt=sco", "sr=c", "for a blob or container"),
        ("ss=bt&srt=sco&", "", "neither ss nor tn"),
        ("se=2031", "se=2020", "expired at 2020-05-06T07:08:09Z"),
        ("se=2031-05-06", "se=2026-11-25", "expires soon"),
        ("se=2031-05-06", "se=2031-13-06", "expiry date (se) of the SAS cannot be read"),
        ("st=2026-01-01", "st=2027-01-01", "not valid before 2027-01-01T00:00:00Z"),
        ("&se=2031-05-06T07%3A08%3A09Z", "", "no expiry date"),
        ("sv=2018-03-28&", "", "no sv field"),
        ("&sig=Zm9vYmFy%2BbG9yZW0%3D", "", "no sig field"),
        ("yZW0%3D", "yZW", "is not base64"),
        (GOOD, "?" + GOOD, "starts with ?"),
        (GOOD, GOOD + "\n", "blanks or line breaks"),
        (GOOD, "https://a.table.core.windows.net/?" + GOOD, "a URL with a SAS"),
        (GOOD, GOOD.replace("&", "&amp;"), "&amp;"),
        (GOOD, GOOD.replace("%", "%25"), "percent-encoded twice"),
        (GOOD, GOOD.replace("%", "%25").replace("=", "%3D").replace("&", "%26"), "whole SAS is percent-encoded"),
        (GOOD, GOOD.replace("&se=", "\n  &se="), "line breaks within it"),
        (GOOD, "\ufeff" + GOOD, "blanks or line breaks around it"),
        (GOOD, base64.b64encode(bytes(64)).decode(), "looks like the key of a storage account"),
        (GOOD, "hello", "no name=value fields"),
        (GOOD, f'"{GOOD}"', "stands in quotes"),
        (GOOD, f"BlobEndpoint=https://a.blob.core.windows.net/;SharedAccessSignature={GOOD};", "a connection string"),
        ("&sig", "&se=2040-01-01&sig", "has se more than once"),
        ("sp=acluw", "sp=acluwQ", "letters that the service does not know"),
        ("sv=2018-03-28", "sv=1", "is not a date"),
        ("sv=2018-03-28", "sv=2014-02-14", "2015-04-05 or later"),
        ("sv=", "spr=http&sv=", "spr of the SAS must be"),
        ("sv=", "sip=10.0.0.1&sv=", "from some addresses only"),
        ("st=2026-01-01", "st=2031-06-01", "ends before it begins"),
    ],
)
def test_odd_tokens_are_named(old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert any(message in told for told in judged(GOOD.replace(old, new))), judged(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(days=14, seconds=1), ""),
        (timedelta(days=14), "within 14 days"),
        (timedelta(days=7, seconds=1), "within 14 days"),
        (timedelta(days=7), "within 7 days"),
        (timedelta(days=1, seconds=1), "within 7 days"),
        (timedelta(days=1), "within 1 day,"),
        (timedelta(seconds=1), "within 1 day,"),
        (timedelta(0), "expired at"),
        (-timedelta(days=400), "expired at"),
    ],
)
def test_expiry_is_told_in_steps(left: timedelta, told: str) -> None:
    end = (NOW + left).strftime("%Y-%m-%dT%H:%M:%SZ")
    messages = judged(GOOD.replace("2031-05-06T07%3A08%3A09Z", end))
    dates = [m for m in messages if "expire" in m]
    assert len(dates) == (1 if told else 0)
    assert told in "".join(dates)


@given(st.sampled_from(["sv", "ss", "srt", "sp", "st", "se", "spr", "sip", "tn", "sr", "si", "x"]), st.text(max_size=9))
def test_a_signature_behind_a_wrong_separator_is_not_shown(name: str, text: str) -> None:
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0"
    problems = Problems()
    for token in (f"{name}={text};sig={secret}", f"{name}=2030-01-01%26sig%3D{secret}", f"sig={secret}{text}"):
        sas.judge_sas(sas.normalise(token, "$.t", problems), "$.t", NOW, problems)
    assert all(secret not in repr(p) for p in problems)


@pytest.mark.parametrize(
    "odd",
    ["?" + GOOD, f'"{GOOD}"', f"SharedAccessSignature={GOOD};x",
     f" {GOOD}\r\n", "https://x.y/z?" + GOOD, GOOD.replace("&", "&amp;"), GOOD.replace("%", "%25"),
     GOOD.replace("%", "%25").replace("=", "%3D").replace("&", "%26"),
     quote(quote(GOOD, safe=""), safe=""), "\u200b" + GOOD, GOOD.replace("&sp", "\r\n&sp")],
)  # fmt: skip
def test_what_can_be_undone_gives_the_token_that_was_meant(odd: str) -> None:
    assert sas.normalise(odd, "$", Problems()).token == GOOD


@given(st.text(max_size=200))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    judged(text)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_every_zone_gives_the_same_instant(moment: datetime, offset: int) -> None:
    zone = timezone(timedelta(minutes=offset))
    aware = moment.replace(tzinfo=timezone.utc)
    assert sas.parse_date(aware.astimezone(zone).isoformat(timespec="microseconds")) == aware


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "2026-01-01T25:00Z", "99999-01-01", "0001-01-01T00:00+14"])
def test_texts_that_are_no_date(text: str) -> None:
    assert sas.parse_date(text) is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (base64.b64encode(bytes(64)).decode(), ""),
        (base64.b64encode(bytes(64)).decode()[:-1], "its length is odd"),
        ("not base64!!", "it is not base64"),
        (base64.b64encode(bytes(10)).decode(), "has 64 bytes, this one 10"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b==", "a connection string"),
        ("?sv=2018&sig=Zm9v", "looks like a SAS"),
        ("sig=Zm9v", "looks like a SAS"),
        (base64.b64encode(bytes(64)).decode() + "\n", "blanks or line breaks"),
    ],
)
def test_keys(key: str, message: str) -> None:
    problems = Problems()
    sas.judge_key(key, "$.k", problems)
    told = [p.message for p in problems]
    assert any(message in m for m in told) if message else told == []
    assert {p.severity for p in problems} <= {"warning"}


# --- endpoints


@pytest.mark.parametrize(
    ("given_text", "exact", "endpoint"),
    [
        ("", True, "https://acct.table.core.windows.net"),
        ("core.chinacloudapi.cn", True, "https://acct.table.core.chinacloudapi.cn"),
        ("https://core.chinacloudapi.cn", True, "https://acct.table.core.chinacloudapi.cn"),
        ("http://core.usgovcloudapi.net", False, "http://acct.table.core.usgovcloudapi.net"),
        ("https://core.windows.net/", True, "https://acct.table.core.windows.net/"),
        ("https://core.windows.net/", False, "https://acct.table.core.windows.net"),
        ("file:///var/lib/x/tables.db", True, "file:///var/lib/x/tables.db"),
        ("http://127.0.0.1:10002", True, "http://127.0.0.1:10002/acct"),
        ("http://127.0.0.1:10002/", False, "http://127.0.0.1:10002/acct"),
        ("http://127.0.0.1:10002/devstoreaccount1", True, "http://127.0.0.1:10002/devstoreaccount1"),
        ("127.0.0.1:10002", False, "https://127.0.0.1:10002/acct"),
        ("http://[::1]:10002", False, "http://[::1]:10002/acct"),
        ("http://azurite:10002", False, "http://azurite:10002/acct"),
        ("https://acct.table.core.windows.net", False, "https://acct.table.core.windows.net"),
        ("https://acct.table.core.windows.net", True, "https://acct.table.acct.table.core.windows.net"),
    ],
)
def test_endpoints(given_text: str, exact: bool, endpoint: str) -> None:
    problems = Problems()
    assert endpoints.table_endpoint("acct", given_text, "$.e", exact, problems) == endpoint
    assert not problems.failed


@pytest.mark.parametrize(
    ("given_text", "blob"),
    [
        ("", "https://acct.blob.core.windows.net"),
        ("https://core.chinacloudapi.cn", "https://acct.blob.core.chinacloudapi.cn"),
        ("core.usgovcloudapi.net", "https://acct.blob.core.usgovcloudapi.net"),
        ("https://acct.table.core.windows.net/", "https://acct.blob.core.windows.net"),
        ("https://acct.blob.core.windows.net", "https://acct.blob.core.windows.net"),
        ("http://127.0.0.1:10002", "http://127.0.0.1:10000/acct"),
        ("http://127.0.0.1:10002/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
        ("http://[::1]:10002", "http://[::1]:10000/acct"),
        ("http://10.0.0.9", "http://10.0.0.9/acct"),
        ("file:///var/lib/x/tables.db", "file:///var/lib/x/tables.db"),
    ],
)
def test_blob_endpoints(given_text: str, blob: str) -> None:
    problems = Problems()
    assert endpoints.endpoints("acct", given_text, "$.e", False, problems).blob == blob
    assert not problems.failed


@pytest.mark.parametrize(
    ("text", "severity", "message", "cure"),
    [
        ("https://core.window.net", "warning", "not the suffix of a known cloud", "core.windows.net"),
        ("core.chinacloudapi.com", "warning", "not the suffix of a known cloud", "core.chinacloudapi.cn"),
        ("https://other.table.core.windows.net", "warning", "another account", "suffix only"),
        ("http://core.windows.net", "warning", "in clear", "https://"),
        ("https://acct.blob.core.windows.net", "note", "more than a cloud suffix", ""),
        ("https://acct.table.core.windows.net", "note", "full table endpoint", ""),
    ],
)
def test_endpoints_that_are_probably_not_meant(text: str, severity: str, message: str, cure: str) -> None:
    problems = Problems()
    endpoints.endpoints("acct", text, "$.e", False, problems)
    [told] = problems
    assert (told.severity, message in told.message, cure in told.cure) == (severity, True, True)


def test_private_clouds_are_nothing_to_warn_of() -> None:
    for text in ("https://local.azurestack.external", "core.mycloud.example"):
        problems = Problems()
        endpoints.endpoints("acct", text, "$.e", False, problems)
        assert list(problems) == []


@pytest.mark.parametrize(
    "text",
    [
        "ftp://core.windows.net",
        "https://",
        "https://h:port",
        "file://tables.db",
        "file:///dir/",
        "https://u:p@h.net",
        "https://h.net?sig=x",
        "https://[::1",
        "core windows net",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=sig=x;EndpointSuffix=core.windows.net",
        "TableEndpoint=https://a.table.core.windows.net/;SharedAccessSignature=sv=1&sig=x",
    ],
)
def test_endpoints_that_cannot_work(text: str) -> None:
    problems = Problems()
    endpoints.table_endpoint("acct", text, "$.e", False, problems)
    assert problems.failed
    assert all("sig=x" not in p.render() and "u:p" not in p.render() for p in problems)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_taken_or_named(text: str, exact: bool) -> None:
    endpoints.table_endpoint("acct", text, "$.e", exact, Problems())


@given(st.text(st.sampled_from("%0aAfFeE289cC3=+ \u20ac\ud800")) | st.text())
def test_percent_escapes_are_undone_as_urllib_does(text: str) -> None:
    assert sas.unquoted(text) == unquote(text)
