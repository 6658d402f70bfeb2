"""Answers to a transaction: only a whole one with a 2xx part for each row is a success; refusals name their row."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extension.sinks.azure_batch_answer import Answer, _all_alike, judge
from extension.sinks.rules import Outcome

DATE = "Sat, 21 Nov 2026 09:17:55 GMT"
HEADERS = {"content-type": 'multipart/mixed; boundary="batchresponse_1"', "date": DATE}


def part(status: int, body: str = "", headers: str = "DataServiceVersion: 3.0;") -> str:
    return (
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"HTTP/1.1 {status} Words\r\n{headers}\r\n\r\n{body}\r\n"
    )


def answer(*parts: str, end: str = "--changesetresponse_1--\r\n--batchresponse_1--\r\n") -> Answer:
    start = "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
    return Answer(202, HEADERS, (start + "".join(parts) + end).encode())


def error(code: str, message: str) -> str:
    return json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}})


def refused(given: Answer, rows: int = 3) -> Outcome:
    found = judge(given, rows)
    assert found is not None
    return found


def test_all_rows_taken() -> None:
    assert judge(answer(*[part(204)] * 3), 3) is None
    assert judge(answer(part(201, '{"odata.metadata":"x"}'), part(204)), 2) is None


def test_line_feeds_alone_will_do() -> None:
    whole = answer(part(204), part(204))
    assert judge(Answer(202, HEADERS, whole.body.replace(b"\r\n", b"\n")), 2) is None


@pytest.mark.parametrize("taken", [0, 1, 2, 4])
def test_a_part_for_each_row(taken: int) -> None:
    assert refused(answer(*[part(204)] * taken)).kind == "truncated"


def test_every_cut_that_hides_a_row_is_noticed() -> None:
    whole = answer(*[part(204)] * 3).body
    last = whole.rindex(b"HTTP/1.1 204") + len(b"HTTP/1.1 204")
    for length in range(last):
        assert refused(Answer(202, HEADERS, whole[:length])).kind == "truncated", length
    end = whole.index(b"\r\n--changesetresponse_1--")
    for length in range(last, end):  # a transaction of which each row is answered is done
        assert judge(Answer(202, HEADERS, whole[:length]), 3) is None, length


def test_every_cut_of_a_refusal_is_noticed() -> None:
    whole = answer(part(400, error("InvalidInput", "1:No."))).body
    end = whole.index(b"--changesetresponse_1--")
    for length in range(end - 2 + len(b"\r\n--changesetresponse_1")):
        assert refused(Answer(202, HEADERS, whole[:length])).kind == "truncated", length
    assert refused(Answer(202, HEADERS, whole)).row == 1


def test_an_empty_line_before_the_status_is_no_harm() -> None:
    loose = part(204).replace("\r\n\r\nHTTP", "\r\n\r\n\r\nHTTP")
    assert judge(answer(loose, loose), 2) is None


def test_the_blamed_row_and_the_first_line() -> None:
    text = error("PropertyValueTooLarge", "42:The property value exceeds the limit.\nRequestId:1\nTime:2")
    found = refused(answer(part(400, text)), 100)
    assert (found.status, found.code, found.row, found.rows) == (400, "PropertyValueTooLarge", 42, 100)
    assert found.detail == "The property value exceeds the limit."
    assert found.date == DATE


def test_a_refusal_beside_the_change_set() -> None:
    text = (
        "--batchresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{error('InvalidInput', 'No.')}\r\n"
        "--batchresponse_1--\r\n"
    )
    found = refused(Answer(202, HEADERS, text.encode()))
    assert (found.status, found.code, found.row, found.detail) == (400, "InvalidInput", None, "No.")


def test_retry_after_of_the_part_comes_first() -> None:
    inside = answer(part(503, error("ServerBusy", "0:Busy."), "Retry-After: 9"))
    assert refused(inside).retry_after == "9"
    around = Answer(202, {**HEADERS, "retry-after": "4"}, answer(part(503)).body)
    assert refused(around).retry_after == "4"


def test_refusals_as_a_whole_in_json_xml_header_and_html() -> None:
    xml = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/'
        'dataservices/metadata"><m:code>AuthenticationFailed</m:code><m:message xml:lang="en-US">Server failed '
        "to authenticate &amp; more.\nRequestId:1</m:message></m:error>"
    )
    found = refused(Answer(403, {"date": DATE}, xml.encode()))
    assert (found.status, found.code, found.date) == (403, "AuthenticationFailed", DATE)
    assert found.detail == "Server failed to authenticate & more."
    found = refused(Answer(503, {"retry-after": "7"}, error("ServerBusy", "Busy.").encode()))
    assert (found.code, found.detail, found.retry_after) == ("ServerBusy", "Busy.", "7")
    found = refused(Answer(403, {"x-ms-error-code": "AuthorizationPermissionMismatch"}, b""))
    assert (found.code, found.detail) == ("AuthorizationPermissionMismatch", "")
    found = refused(Answer(200, {"content-type": "text/html"}, b"\n<!DOCTYPE html><html>Log in</html>"))
    assert (found.status, found.code, found.detail) == (200, "", "an HTML page")
    found = refused(Answer(403, {"x-ms-error-code": "<script>"}, b""))
    assert found.code == ""


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "multipart/mixed"])
def test_a_202_that_is_no_transaction(kind: str) -> None:
    assert refused(Answer(202, {"content-type": kind}, b"<html>ok</html>")).kind == "bad-answer"


def test_a_part_without_status_line() -> None:
    broken = part(204).replace("HTTP/1.1 204 Words", "--changesetresponse_1")
    assert refused(answer(broken), 1).kind in ("bad-answer", "truncated")


def test_a_part_that_asks_to_continue_is_no_success() -> None:
    assert refused(answer(part(100), part(204)), 2).status == 100


def test_nesting_without_end_is_given_up() -> None:
    inner = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 2000
    found = refused(Answer(202, {"content-type": "multipart/mixed; boundary=b"}, (inner + "--b--").encode()))
    assert found.kind in ("bad-answer", "truncated")


@given(st.integers(100, 599), st.binary(max_size=400), st.text(max_size=60))
def test_no_answer_makes_the_reader_fail(status: int, body: bytes, kind: str) -> None:
    for content_type in (kind, "multipart/mixed; boundary=" + kind, HEADERS["content-type"]):
        assert judge(Answer(status, {"content-type": content_type}, body), 2) is not None


@given(st.data())
def test_damage_never_turns_a_refusal_into_a_success(data: st.DataObject) -> None:
    whole = bytearray(answer(part(204), part(400, error("InvalidInput", "1:No.")), part(204)).body)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole) - 1))
        if whole[at : at + 1] not in b"4200":  # a 400 made a 204 is another answer, not a damaged one
            whole[at] = data.draw(st.sampled_from(b"\r\n-: x"))
    assert judge(Answer(202, HEADERS, bytes(whole)), 3) is not None


PART = (
    b"--in\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"HTTP/1.1 204 No Content\r\n\r\n\r\n"
)
WHOLE = b"--out\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n" + 3 * PART + b"--in--\r\n--out--\r\n"
KIND = "multipart/mixed; boundary=out"


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.sampled_from([b"", b"-", b"\r\n", b"4", b"--in", PART]))))
@example([])
def test_a_success_at_a_glance_is_one_at_a_closer_look(damage: list[tuple[int, bytes]]) -> None:
    body = WHOLE
    for at, new in damage:
        body = body[:at] + new + body[at + 1 :]
    for rows in (2, 3, 4):
        if _all_alike(body, KIND.encode(), rows):
            with mock.patch("extension.sinks.azure_batch_answer._all_alike", return_value=False):
                assert judge(Answer(202, {"content-type": KIND}, body), rows) is None
    assert damage or _all_alike(body, KIND.encode(), 3)
