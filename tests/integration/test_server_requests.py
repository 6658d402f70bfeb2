"""The captured requests of two independent clients, and the table of HTTP answers, against the running service."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_bed import (
    GOOD,
    REQUESTS,
    VM,
    WRONG,
    Answer,
    Client,
    Server,
    ask,
    call,
    context,
    of_class,
    post,
    result,
    running,
    value,
)  # fmt: skip

INDEX: list[dict[str, Any]] = [json.loads(line) for line in (REQUESTS / "index.jsonl").read_text().splitlines()]
CASES = sorted({entry["case"] for entry in INDEX})
MEMORY = "SCX_MemoryStatisticalInformation"
EI = call("EnumerateInstances", of_class(MEMORY))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), root=VM) as one:
        yield one


def raw(name: str, token: str = "") -> bytes:
    """A captured request; the enumeration context of the reference server is replaced by ``token``."""
    head, _, body = (REQUESTS / name).read_bytes().partition(b"\r\n\r\n")
    if token:
        body = re.sub(rb'(EnumerationContext"><VALUE>)\d+', rb"\g<1>" + token.encode(), body)
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("case", CASES)
def test_captured_requests_get_the_reference_answer(server: Server, case: str) -> None:
    token = ""
    for entry in (one for one in INDEX if one["case"] == case):
        answer = ask(server.port, raw(entry["file"], token))
        token = context(answer) or token
        assert (answer.status, result(answer)) == (entry["reference_status"], entry["reference_result"]), entry["file"]


def test_every_captured_request_is_replayed() -> None:
    assert len(INDEX) == len(list(REQUESTS.glob("*.http"))) > 25


def test_good_reply_has_the_headers_of_cim_over_http(server: Server) -> None:
    answer = ask(server.port, post(EI, "EnumerateInstances"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    assert answer.headers["cimoperation"] == "MethodResponse"
    assert "emulated" in answer.headers["server"]
    assert answer.headers["connection"] == "keep-alive"
    assert '<MESSAGE ID="7" PROTOCOLVERSION="1.0"><SIMPLERSP><IMETHODRESPONSE NAME="EnumerateInstances">' in answer.body


def replaced(old: bytes, new: bytes, body: str = EI, count: int = 1) -> bytes:
    data = post(body, "EnumerateInstances")
    assert old in data
    return data.replace(old, new, count)


BODY = EI.encode()


def chunked(*pieces: bytes) -> bytes:
    head = post(EI, "EnumerateInstances").partition(b"\r\n\r\n")[0]
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    return head + b"\r\n\r\n" + b"".join(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\nX: y\r\n\r\n"


def with_body(body: str) -> bytes:
    return post(body, "EnumerateInstances")


DOCTYPE = EI.replace("<CIM ", '<!DOCTYPE CIM SYSTEM "x.dtd"><CIM ', 1)
BOMB = EI.replace(
    "<CIM ",
    '<!DOCTYPE CIM [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9))
    + "]><CIM ",
    1,
)
HTTP_TABLE: list[tuple[str, bytes, int, str | None]] = [
    ("good", with_body(EI), 200, None),
    ("chunked", chunked(BODY[:100], BODY[100:101], BODY[101:]), 200, None),
    ("text/xml", replaced(b"application/xml", b"text/xml"), 200, None),
    ("charset unquoted", replaced(b'charset="utf-8"', b"charset=UTF-8"), 200, None),
    ("HTTP/1.0", replaced(b"HTTP/1.1", b"HTTP/1.0"), 200, None),
    ("zero-padded length", replaced(b"Content-Length: ", b"Content-Length: 0000000"), 200, None),
    ("absolute target", replaced(b"/cimom", b"http://127.0.0.1:5988/cimom"), 200, None),
    ("lower-case class", with_body(EI.replace(MEMORY, MEMORY.lower())), 200, None),
    ("upper-case namespace", post(EI.replace('"scx"', '"SCX"'), "EnumerateInstances"), 200, None),
    ("percent-encoded object", post(EI, "EnumerateInstances", "root%2Fscx"), 200, None),
    ("TE is ignored", post(EI, "EnumerateInstances", extra=["TE: chunked, trailers"]), 200, None),
    ("protocol version", post(EI, "EnumerateInstances", extra=["CIMProtocolVersion: 1.0"]), 200, None),
    ("other path", replaced(b"/cimom", b"/wsman"), 404, None),
    ("GET", b"GET /cimom HTTP/1.1\r\nHost: h\r\n\r\n", 405, None),
    ("OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 405, None),
    ("no CIMOperation", replaced(b"CIMOperation: MethodCall\r\n", b""), 400, None),
    ("other CIMOperation", replaced(b"n: MethodCall", b"n: MethodResponse"), 400, "unsupported-operation"),
    ("no CIMMethod", replaced(b"CIMMethod: EnumerateInstances\r\n", b""), 400, "header-mismatch"),
    ("other CIMMethod", post(EI, "GetClass"), 400, "header-mismatch"),
    ("no CIMObject", replaced(b"CIMObject: root/scx\r\n", b""), 400, "header-mismatch"),
    ("other CIMObject", post(EI, "EnumerateInstances", "root/omi"), 400, "header-mismatch"),
    ("object with class", post(EI, "EnumerateInstances", "root/scx:" + MEMORY), 400, "header-mismatch"),
    ("other protocol", post(EI, "EnumerateInstances", extra=["CIMProtocolVersion: 1.1"]), 400, "header-mismatch"),
    ("no Content-Type", replaced(b'Content-Type: application/xml; charset="utf-8"\r\n', b""), 400, None),
    ("JSON", replaced(b"application/xml", b"application/json"), 400, None),
    ("latin-1", replaced(b'"utf-8"', b'"iso-8859-1"'), 400, None),
    ("malformed XML", with_body(EI[:-8]), 400, "request-not-well-formed"),
    ("not UTF-8", post(EI.encode().replace(b"ID=", b"\xff="), "EnumerateInstances"), 400, "request-not-well-formed"),
    ("empty body", with_body(""), 400, "request-not-well-formed"),
    ("not CIM", with_body("<html/>"), 400, "request-not-valid"),
    ("DOCTYPE", with_body(DOCTYPE), 400, "request-not-valid"),
    ("entity bomb", with_body(BOMB), 400, "request-not-valid"),
    (
        "boolean that is none",
        with_body(call("EnumerateInstances", of_class(MEMORY) + value("LocalOnly", "yes"))), 400, "request-not-valid",
    ),
    ("CIMVERSION 9", with_body(EI.replace('CIMVERSION="2.0"', 'CIMVERSION="9.0"')), 501, "unsupported-cim-version"),
    ("DTDVERSION 9", with_body(EI.replace('DTDVERSION="2.0"', 'DTDVERSION="9.0"')), 501, "unsupported-dtd-version"),
    ("batch without header", with_body(EI.replace("SIMPLEREQ", "MULTIREQ")), 400, "header-mismatch"),
    (
        "batch", post(EI.replace("SIMPLEREQ", "MULTIREQ"), "EnumerateInstances", extra=["CIMBatch: "]), 501,
        "multiple-requests-unsupported",
    ),
    ("negative length", replaced(b"Content-Length: ", b"Content-Length: -"), 400, None),
    ("10 GB", re.sub(rb"Content-Length: \d+", b"Content-Length: 10737418240", with_body(EI)), 413, None),
    (
        "500 MB without credentials",
        re.sub(rb"Content-Length: \d+", b"Content-Length: 500000000", post("", "GetClass", auth="")), 413, None,
    ),
    ("no length", re.sub(rb"Content-Length: \d+\r\n", b"", with_body("")), 411, None),
    ("length and chunks", replaced(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"), 400, None),
    ("other coding", chunked(BODY).replace(b"chunked", b"gzip, chunked"), 501, None),
    ("two lengths", replaced(b"Content-Length: ", b"Content-Length: 3\r\nContent-Length: "), 400, None),
    ("other expectation", post(EI, "EnumerateInstances", extra=["Expect: 200-ok"]), 417, None),
    ("HTTP/2.0", replaced(b"HTTP/1.1", b"HTTP/2.0"), 505, None),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, None),
    ("long header", post(EI, "EnumerateInstances", extra=["X: " + "y" * 20_000]), 431, None),
    ("many headers", post(EI, "EnumerateInstances", extra=["X: y"] * 120), 431, None),
    ("blank before colon", post(EI, "EnumerateInstances", extra=["Content-Length : 5"]), 400, None),
]  # fmt: skip


@pytest.mark.parametrize(("data", "status", "error"), [row[1:] for row in HTTP_TABLE], ids=[r[0] for r in HTTP_TABLE])
def test_http_answers(server: Server, data: bytes, status: int, error: str | None) -> None:
    answer = ask(server.port, data)
    assert (answer.status, answer.headers.get("cimerror")) == (status, error)
    if status == 200:
        assert result(answer) == "returns VALUE.NAMEDINSTANCE"
    else:
        assert answer.body == ""
    if status == 405:
        assert answer.headers["allow"] == "POST, M-POST"


def test_m_post_is_answered_with_its_number(server: Server) -> None:
    data = with_body(EI).replace(b"POST", b"M-POST", 1).replace(b"\r\nCIM", b"\r\n73-CIM")
    data = data.replace(b"Host:", b"Man: http://www.dmtf.org/cim/mapping/http/v1.0 ; ns=73\r\nHost:", 1)
    answer = ask(server.port, data)
    assert (answer.status, result(answer)) == (200, "returns VALUE.NAMEDINSTANCE")
    assert answer.headers["73-cimoperation"] == "MethodResponse"
    assert answer.headers["man"].endswith(";ns=73")
    assert answer.headers["ext"] == ""
    assert answer.headers["cache-control"] == "no-cache"
    assert ask(server.port, data.replace(b"ns=73", b"ns=74")).status == 400


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ", "Basic !!!!", "Basic dGVzdGVy", "Basic OnNlY3JldA==", "Basic dGVzdGVyOg==",
     "Negotiate YII=", "Digest username=tester", "Bearer secret", WRONG, GOOD[:-4], GOOD + "x", "\x00",
     GOOD.replace("Basic", "NotBasic"), "Basic " + "A" * 3000],
)  # fmt: skip
def test_without_valid_credentials_nothing_is_served(server: Server, header: str) -> None:
    extra = [f"Authorization: {header}"]
    answer = ask(server.port, post(EI, "EnumerateInstances", auth="", extra=extra if "\x00" not in header else []))
    assert answer.status == 401
    assert re.fullmatch(r'Basic realm="[\w.-]+"', answer.headers["www-authenticate"])
    assert answer.body == ""


def test_absent_credentials_are_refused_and_the_connection_may_go_on(server: Server) -> None:
    with Client(server.port) as client:
        for auth, status in (("", 401), (GOOD, 200), ("", 401), (WRONG, 401), (GOOD, 200)):
            client.send(post(EI, "EnumerateInstances", auth=auth))
            assert client.answer().status == status, f"{auth[:10]!r}: a good request before it must not count"


def test_two_authorization_headers_are_no_credentials(server: Server) -> None:
    extra = [f"Authorization: {WRONG}"]
    assert ask(server.port, post(EI, "EnumerateInstances", extra=extra)).status == 401


def test_a_wrong_password_does_not_hold_up_others(server: Server) -> None:
    with Client(server.port) as slow, Client(server.port) as quick:
        slow.send(post(EI, "EnumerateInstances", auth=WRONG))
        for _ in range(20):
            quick.send(post(EI, "EnumerateInstances"))
            assert quick.answer().status == 200
        slow.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.sock.recv(1)
        slow.sock.settimeout(20)
        assert slow.answer().status == 401


def test_expect_continue(server: Server) -> None:
    head, _, body = post(EI, "EnumerateInstances", extra=["Expect: 100-continue"]).partition(b"\r\n\r\n")
    with Client(server.port) as client:
        client.send(head + b"\r\n\r\n")
        assert client.answer().status == 100
        client.send(body)
        assert client.answer().status == 200
    with Client(server.port) as client:
        client.send(head.replace(GOOD.encode(), b"Basic eDp5") + b"\r\n\r\n")
        assert client.answer().status == 401
        assert client.closed()


def test_pipelined_and_piecemeal_requests(server: Server) -> None:
    data = post(EI, "EnumerateInstances")
    with Client(server.port) as client:
        client.send(data * 30)
        assert [client.answer().status for _ in range(30)] == [200] * 30
        for at in range(0, len(data), 37):
            client.send(data[at : at + 37])
        assert client.answer().status == 200
        client.send(b"\r\n" + data.replace(b"Host: 127.0.0.1", b"Host: h\r\nConnection: close", 1))
        assert client.answer().headers["connection"] == "close"
        assert client.closed()


def test_http_1_0_closes_unless_asked_not_to(server: Server) -> None:
    data = post(EI, "EnumerateInstances").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with Client(server.port) as client:
        client.send(data.replace(b"Host: 127.0.0.1", b"Connection: Keep-Alive", 1))
        assert client.answer().headers["connection"] == "keep-alive"
        client.send(data)
        assert client.answer().headers["connection"] == "close"
        assert client.closed()


def answer_to(server: Server, method: str, parameters: str = "", namespace: str = "root/scx") -> Answer:
    return ask(server.port, post(call(method, parameters, namespace), method, namespace))


@pytest.mark.parametrize(
    "method",
    ["CreateInstance", "ModifyInstance", "DeleteInstance", "CreateClass", "ModifyClass", "DeleteClass", "SetProperty",
     "Associators", "AssociatorNames", "References", "ReferenceNames", "SetQualifier", "DeleteQualifier",
     "NoSuchMethod", "EnumerationCount"],
)  # fmt: skip
def test_what_is_not_reading_is_not_supported(server: Server, method: str) -> None:
    assert result(answer_to(server, method)) == "CIM error 7"


def test_methods_are_never_carried_out(server: Server, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for name in ("ExecuteCommand", "ExecuteShellCommand", "ExecuteScript"):
        path = (
            '<LOCALCLASSPATH><LOCALNAMESPACEPATH><NAMESPACE NAME="root"/><NAMESPACE NAME="scx"/></LOCALNAMESPACEPATH>'
            '<CLASSNAME NAME="SCX_OperatingSystem"/></LOCALCLASSPATH>'
        )
        body = re.sub(
            "<IMETHODCALL.*</IMETHODCALL>",
            f'<METHODCALL NAME="{name}">{path}<PARAMVALUE NAME="Command" PARAMTYPE="string"><VALUE>touch {mark}</VALUE>'
            "</PARAMVALUE></METHODCALL>",
            call(name),
        )
        answer = ask(server.port, post(body, name, "root/scx:SCX_OperatingSystem"))
        assert result(answer) == "CIM error 16"
        assert f'<METHODRESPONSE NAME="{name}">' in answer.body
    assert not mark.exists()


def test_stop_by_signal_ends_with_zero(tmp_path: Path) -> None:
    with running(tmp_path, root=VM) as one, Client(one.port) as client:
        client.send(post(EI, "EnumerateInstances")[:-5])
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(10) == 0
        assert client.closed()
    assert "tester" not in (tmp_path / "log").read_text()
