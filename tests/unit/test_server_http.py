"""The HTTP reader: what is accepted, what is refused, and that the cut of the bytes makes no difference."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omi_queries.server.httpwire import Head, HttpError, Reply, RequestReader
from omi_queries.server.limits import DEFAULT

BASE = b"POST /cimom HTTP/1.1\r\nHost: h\r\n"
WHOLE = BASE + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = BASE + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n003;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"


def read(pieces: list[bytes]) -> tuple[list[tuple[Head, bytes]], int]:
    """All requests in the pieces, and the status that ended the reading (0: none did)."""
    reader, found = RequestReader(DEFAULT), []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (head := reader.read_head()) is not None and (body := reader.read_body()) is not None:
                found.append((head, body))
    except HttpError as error:
        return found, error.status
    return found, 0


@pytest.mark.parametrize("data", [WHOLE, CHUNKED, b"\r\n\r\n" + WHOLE])
def test_a_request_is_read_whole_or_byte_by_byte(data: bytes) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        found, status = read(pieces)
        assert status == 0
        assert [(head.method, head.target, body) for head, body in found] == [("POST", "/cimom", b"hello")]


def test_pipelined_requests_are_read_one_after_the_other() -> None:
    found, status = read([WHOLE + CHUNKED + WHOLE])
    assert (status, [body for _, body in found]) == (0, [b"hello"] * 3)


def test_fields() -> None:
    data = BASE + "X-A:  a b \r\nx-a: c\r\nCIMObject: r\u00f6\r\nEmpty:\r\nContent-Length: 0\r\n\r\n".encode()
    head = read([data])[0][0][0]
    assert head.fields["x-a"] == ("a b", "c")
    assert head.get("x-a") is None, "two unlike values are none"
    assert (head.get("cimobject"), head.get("empty"), head.get("absent")) == ("rö", "", None)


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [("1.1", "", True), ("1.1", "close", False), ("1.1", "TE, Close", False), ("1.0", "", False),
     ("1.0", "Keep-Alive, TE", True), ("1.9", "", True)],
)  # fmt: skip
def test_keep_alive(version: str, connection: str, keep: bool) -> None:
    line = f"Connection: {connection}\r\n" if connection else ""
    assert read([f"POST / HTTP/{version}\r\n{line}\r\n".encode()])[0][0][0].keep is keep


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /cimom\r\n\r\n", 400), (b"POST  / HTTP/1.1\r\n\r\n", 400), (b"PO(ST / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/2.0\r\n\r\n", 505), (b"POST / HTTP/1.1x\r\n\r\n", 400), (b"POST / http/1.1\r\n\r\n", 400),
        (b"POST /\xff HTTP/1.1\r\n\r\n", 400), (BASE + b" folded\r\n\r\n", 400), (BASE + b"A : b\r\n\r\n", 400),
        (BASE + b"A: b\nB: c\r\n\r\n", 400), (BASE + b"A: b\x00\r\n\r\n", 400), (BASE + b": b\r\n\r\n", 400),
        (BASE + b"Content-Length: 1, 2\r\n\r\n", 400), (BASE + b"Content-Length: +5\r\n\r\n", 400),
        (BASE + "Content-Length: \u0665\r\n\r\n".encode(), 400), (BASE + b"Content-Length: \r\n\r\n", 400),
        (BASE + b"Content-Length: 65537\r\n\r\n", 413), (BASE + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (BASE + b"Transfer-Encoding: identity\r\n\r\n", 501), (BASE + b"Expect: x\r\n\r\n", 417),
        (BASE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (BASE + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\n", 400),
        (BASE + b"Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
        (BASE + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 32768 + b"\r\n" + b"8001\r\n", 413),
        (BASE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 5000, 431),
        (b"x" * 20_000, 431), (BASE + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"POST /cimom HTTP/1.1\nHost: x\n\n", 400),
        (b"POST /cimom HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes, status: int) -> None:
    for pieces in ([data], [data[i : i + 61] for i in range(0, len(data), 61)]):
        found, refused = read(pieces)
        assert (found, refused) == ([], status)


def test_tls_on_the_plain_port_is_refused_at_its_first_byte() -> None:
    """A TLS client waits for our answer, and we would wait for the end of its header."""
    reader = RequestReader(DEFAULT)
    reader.feed(b"\x16\x03\x01\x02\x00")
    with pytest.raises(HttpError, match="TLS") as caught:
        reader.read_head()
    assert caught.value.status == 400


def test_repeated_equal_lengths_are_one_length() -> None:
    assert read([BASE + b"Content-Length: 05, 5\r\n\r\nhello"])[1] == 400
    assert read([BASE + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"])[0][0][1] == b"hello"


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
@example(b"\r\n" * 10, [1, 2, 3])
def test_any_bytes_give_requests_or_a_status_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    _same_however_cut(data, cuts)


PARTS = [WHOLE, CHUNKED, BASE, b"\r\n", b"\r", b"\n", b"0", b"5", b"Content-Length: 3\r\n", b"abc", b";",
         b"\x00", b"\xff"]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.lists(st.integers(0, 600), max_size=8))
def test_near_requests_give_the_same_however_they_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    _same_however_cut(b"".join(parts), cuts)


def _same_however_cut(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert read(pieces) == read([data])


def test_a_reply_is_one_piece() -> None:
    data = Reply(200, (("A", "b"),), b"body").encode(keep=True)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nServer: lad-emulator/")
    assert head.endswith(b"A: b\r\nContent-Length: 4\r\nConnection: keep-alive")
    assert body == b"body"
    assert b"Connection: close" in Reply(400, close=True).encode(keep=True, version=(1, 0))
