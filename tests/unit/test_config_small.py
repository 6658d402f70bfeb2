"""The small parts of the configuration: durations, XML safety, problems, machine identity."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.config import build, document_model, durations, machine, model, model23, model30, redact, xmlsafe
from extension.config.problems import LIMIT, Problem, Problems, nearest
from extension.config.redact import redacted
from omi_queries.backends import settings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1M", 60), ("PT1H", 3600), ("PT1H30M5S", 5405), ("P2DT3S", 172803), ("PT1.9S", 1), ("PT", 0), ("P1D", None)]
    + [(odd, None) for odd in ("1M", "P1M", "P1W", "", "PT1M ", "pt1m", "PT-1S", "PT1M1H", "PT1M\n", "PT\u0661M")],
)
def test_durations_as_mdsd_reads_them(text: str, seconds: int | None) -> None:
    assert durations.mdsd_seconds(text) == seconds


def test_settings_may_leave_the_time_part_out() -> None:
    assert durations.settings_seconds("P1D") == 86400
    assert durations.settings_seconds("PT15S") == 15
    assert durations.settings_seconds("P1W") is None


BOMB = '<!DOCTYPE a [<!ENTITY x "' + "x" * 50 + '">' + "".join(
    f'<!ENTITY y{i} "{("&y" + str(i - 1) + ";") * 20 if i else "&x;" * 20}">' for i in range(8)
) + "]><a>&y7;</a>"  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<a", "malformed XML"),
        (b"<a/><b/>", "malformed XML"),
        (b"\xff\xfe\x00", "malformed XML"),
        (b'<?xml version="1.0" encoding="nonsense-9"?><a/>', "malformed XML"),
        (b"<a>" * 300 + b"</a>" * 300, "malformed XML"),
        (BOMB.encode(), "DOCTYPE"),
        (BOMB.encode("utf-16"), "DOCTYPE"),
        (b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>', "DOCTYPE"),
        (b'<!-- <!DOCTYPE x> --><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "DOCTYPE"),
        (b"<a>" + b" " * xmlsafe.MAX_BYTES, "bytes, more than"),
    ],
    ids=lambda v: repr(v)[:40],
)
def test_hostile_and_broken_xml_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(xmlsafe.XmlError) as refused:
        xmlsafe.parse(data)
    assert message in str(refused.value)
    assert refused.value.cure


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("<a>x & y</a>", "&amp;"),
        ('<a b="x&y"/>', "&amp;"),
        ("<a>&foo;</a>", "its text in place"),
        ('<a b="x < y"/>', "&lt;"),
        ("<a b=c/>", "in quotes"),
        ("<a><b></a>", "in the order"),
        ("<a/><b/>", "one root"),
        ('<a b="1" b="2"/>', "one of the two"),
    ],
)
def test_the_usual_mistakes_in_xml_have_their_cure(text: str, cure: str) -> None:
    with pytest.raises(xmlsafe.XmlError) as refused:
        xmlsafe.parse(text.encode())
    assert cure in refused.value.cure


def test_messages_name_no_switch_of_the_parser() -> None:
    for data in (b"<a>" * 300 + b"</a>" * 300, b'<a b="' + b"x" * 11_000_000 + b'"/>'):
        with pytest.raises(xmlsafe.XmlError) as refused:
            xmlsafe.parse(data)
        assert "XML_PARSE" not in str(refused.value)


def test_doctype_in_a_comment_is_only_a_comment() -> None:
    assert xmlsafe.parse(b"<!-- <!DOCTYPE x> --><a/>").tag == "a"
    assert xmlsafe.parse(b"<!-- --><!-- <!DOCTYPE x> <!DOCTYPE y> --><a/><!-- <!DOCTYPE x> -->").tag == "a"


def test_errors_have_a_line() -> None:
    with pytest.raises(xmlsafe.XmlError) as refused:
        xmlsafe.parse(b"<a>\n\n<b></c></a>")
    assert refused.value.at("file") == "file line 3"
    assert str(refused.value).count("line 3") == 1  # the parser's own word for the element's start


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    data = "<a b='é'/>".encode(encoding)
    assert xmlsafe.looks_like_xml(data)
    assert xmlsafe.parse(data).get("b") == "é"


def test_problem_is_one_line_whatever_it_says() -> None:
    problem = Problem("error", "$.a\n", "bad\x00thing\ud800", "do\r\nthis", "v" * 200)
    text = problem.render()
    assert text.encode()
    assert text == f"error: $.a\\n: bad\\x00thing\\ud800 (value: {'v' * 80}... (200 characters)). Cure: do\\r\\nthis"
    assert set(problem.to_json()) == {"severity", "path", "message", "cure", "value"}


def test_problems_keep_their_order_and_count_once() -> None:
    problems = Problems()
    problems.warning("b", "x")
    problems.error("a", "y")
    problems.warning("b", "x")
    assert [p.path for p in problems.all()] == ["b", "a"]
    assert problems.failed
    assert len(problems) == 2


@pytest.mark.parametrize("before", ["x", " ", "", "sv=1&sig=", "percentavailablememory"])
@pytest.mark.parametrize("quoted", [True, False])
def test_what_looks_like_a_secret_is_said_nowhere(before: str, quoted: bool) -> None:
    secret = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(2))
    text = base64.b64encode(secret).decode()
    given_text = before + (quote(text, safe="") if quoted else text)
    problems = Problems()
    problems.error(
        f"$.public[{given_text!r}]", f"found '{given_text}' here", f"write {given_text}", f"a {given_text} b"
    )
    told = repr(list(problems)) + "".join(p.render() for p in problems)
    parts = {text[i : i + 16] for i in range(len(text) - 15)}
    assert not [part for part in parts if part in told]


@pytest.mark.parametrize(
    "text",
    [
        "/subscriptions/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/resourceGroups/Prod001Group/providers/Microsoft.Compute",
        "/SUBSCRIPTIONS/A/RESOURCEGROUPS/MYGROUP12345/PROVIDERS/MICROSOFTCOMPUTE",
        "SELECT PercentProcessorTimeAndMuchMoreOfIt2 FROM SCX_ProcessorStatisticalInformation",
        "/var/log/containers/MyApplication2024/Worker01/output.log",
        "0123456789012345678901234567890123456789012345",
        "https://acct.table.core.windows.net/Some/Long/Path/Without/Any/Secret/In/It/At/All",
    ],
)
def test_what_is_plain_is_repeated(text: str) -> None:
    assert redacted(text) == text
    assert redacted("x" * 3000) == "x" * 1000 + "... (3000 characters)"


_PIECES = [
    " ",
    "sig",
    "=",
    "%3D",
    "%2b",
    "?",
    "//",
    ":",
    "@",
    "AccountKey",
    "\u017fHAREDACCE\u017f\u017f",
    "SharedAccess",
    "a",
    "Zz9",
]


@given(st.lists(st.sampled_from([*_PIECES, "Aa0+" * 9, "Aa0+" * 10]), max_size=6).map("".join))
def test_what_is_told_to_be_plain_without_a_pattern_fits_none(text: str) -> None:
    fits = [re.search(pattern, text) for pattern in (redact._SUSPECT, redact._ASSIGNED, redact._RUN)]
    assert not redact._plain(text) or not any(fits)
    assert redact._plain("a message of many words, none of which is long enough to be a secret")


def test_a_flood_of_problems_is_counted_not_kept() -> None:
    problems = Problems()
    for i in range(LIMIT + 7):
        problems.warning(f"line {i}", "odd")
    problems.error("late", "bad")
    listed = problems.all()
    assert listed[-2:] == (
        Problem("error", "late", "bad"),  # what holds everything up is named
        Problem("warning", "...", "7 more problems are not listed"),
    )
    assert len(listed) == LIMIT + 2
    assert problems.failed
    for i in range(LIMIT + 2):
        problems.error(f"line {i}", "bad")
    assert len(problems.all()) == 2 * LIMIT + 1
    assert problems.all()[-1] == Problem("error", "...", "10 more problems are not listed")
    again = Problems()
    again.extend(problems)
    assert again.all() == problems.all()


def test_nearest_spelling() -> None:
    assert nearest("perfcfg", ["xmlCfg", "perfCfg"]) == "perfCfg"
    assert nearest("zzz", ["xmlCfg", "perfCfg"]) == ""


def _machine(
    tmp_path: Path, product: str | None, machine_id: str | None, hosting: str | None = None
) -> machine.Machine:
    files = {"sys/class/dmi/id/product_uuid": product, "etc/machine-id": machine_id,
             "var/lib/waagent/HostingEnvironmentConfig.xml": hosting}  # fmt: skip
    for name, text in files.items():
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    return machine.found(str(tmp_path))


def test_uuid_of_the_firmware(tmp_path: Path) -> None:
    found = _machine(tmp_path, "5a5a0001-0002-0003-0004-0123456789ab\n", "abc")
    assert found == machine.Machine("5A5A0001-0002-0003-0004-0123456789AB", "")


@pytest.mark.parametrize("product", [None, "", "Not Settable", str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))])
def test_uuid_derived_from_the_machine_id(tmp_path: Path, product: str | None) -> None:
    found = _machine(tmp_path, product, "0123456789abcdef0123456789abcdef\n").vm_uuid
    assert found == _machine(tmp_path, product, "0123456789abcdef0123456789abcdef").vm_uuid
    assert found == str(uuid.uuid5(uuid.UUID("6f0d9d3e-52c8-5a0e-9c43-6c1f2d1f6a57"), "0123456789abcdef" * 2)).upper()
    assert found != _machine(tmp_path, product, "other").vm_uuid


def test_machine_without_any_identity(tmp_path: Path) -> None:
    assert machine.found(str(tmp_path)) == machine.Machine("", "")


@pytest.mark.parametrize(
    ("hosting", "deployment"),
    [
        ('<HostingEnvironmentConfig><Deployment name="dep-1" guid="{g}"/></HostingEnvironmentConfig>', "dep-1"),
        ("<HostingEnvironmentConfig/>", "unknown"),
        ("broken", "unknown"),
        (None, ""),
    ],
)
def test_deployment_of_the_agent_s_file(tmp_path: Path, hosting: str | None, deployment: str) -> None:
    assert _machine(tmp_path, None, None, hosting).deployment_id == deployment


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            model.Credential("acct0", "key", "SECRET", "https://t", "$.p"),
            "Credential(account='acct0', kind='key', endpoint='https://t', path='$.p', blob_endpoint='')",
        ),
        (model30.Sink("hub", "EventHub", "SECRET", "$.p"), "Sink(name='hub', kind='EventHub', path='$.p')"),
        (build.Generated(b"SECRET", {"omiPassword": "SECRET"}, (), "3.0"), "Generated(problems=(), dialect='3.0')"),
        (
            document_model.PublisherElement("E", "SECRET", "", document_model.Place("f", 3)),
            "PublisherElement(event='E', decrypt_key_path='', at=Place(file='f', line=3))",
        ),
    ],
)
def test_values_show_themselves_without_their_secrets(value: object, shown: str) -> None:
    assert repr(value) == f"{value}" == shown


@pytest.mark.parametrize(
    "value",
    [
        model23.Settings(None, app_insights_key="SECRET"),
        settings.Settings(user="omi", password="SECRET"),
        document_model.AccountElement("key", "m", "acct0", "SECRET", "", "https://t", True, document_model.Place("f")),
    ],
)
def test_no_secret_is_shown(value: object) -> None:
    assert "SECRET" not in f"{value!r}{value}"
