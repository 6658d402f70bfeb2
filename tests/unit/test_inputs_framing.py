"""Connections of the JSON inputs: bytes in any pieces give the same messages, replies and end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension import inputs
from extension.inputs import framing
from extension.inputs.answer import Answer
from extension.inputs.connection import MAX_REPLIES, Connection, Notice
from extension.inputs.framing import DynamicFramer, FrameError, Framer, StaticFramer, parse
from extension.plan import Plan, Route, Source, Target

PLAN = Plan(
    sources=(Source("s", (("m", "str", "mt:wstr"),)), Source("d")), routes=(Route("s", 60, Target("table", "T")),)
)


def cut(framer: Framer, pieces: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for piece in pieces:
        framer.feed(piece)
        while (message := framer.next()) is not None:
            found.append(message)
    return found


def split(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(a, len(data)) for a in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "}{", "]["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(
    st.lists(VALUE, max_size=5), st.sampled_from(["\n", " \t\r\n", " "]), st.booleans(), st.lists(st.integers(0, 200))
)
def test_static_values_are_cut_alike_however_they_arrive(
    values: list[Any], between: str, plain: bool, at: list[int]
) -> None:
    data = "".join(json.dumps(value, ensure_ascii=plain) + between for value in values).encode()
    framer = StaticFramer()
    assert [json.loads(m) for m in cut(framer, split(data, at))] == values
    assert len(framer) == 0 or not bytes(data[-len(framer) :]).strip()


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUE, max_size=2), max_size=5), st.lists(st.integers(0, 99)))
def test_static_objects_need_nothing_between_them(values: list[Any], at: list[int]) -> None:
    data = "".join(json.dumps(value) for value in values).encode()
    assert [json.loads(m) for m in cut(StaticFramer(), split(data, at))] == values


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.lists(st.integers(0, 300)))
def test_dynamic_frames_are_cut_alike_however_they_arrive(bodies: list[bytes], at: list[int]) -> None:
    data = b"".join(b"%d\n%s" % (len(body), body) for body in bodies)
    framer = DynamicFramer()
    assert cut(framer, split(data, at)) == bodies
    assert len(framer) == 0


@pytest.mark.parametrize("length", [b"1\n", b"+1\n", b" 1\r\n", b"000001\n"])
def test_dynamic_lengths_as_the_c_library_reads_them(length: bytes) -> None:
    assert cut(DynamicFramer(), [length + b"x"]) == [b"x"]


@pytest.mark.parametrize(
    "data", [b"0\n", b"131072\n", b"00000131071\n", b"12345678", b"-1\nx", b"\n", b"x\n", b"1.0\nx", b"{}\n", b"0x1\nx"]
)
def test_dynamic_lengths_refused(data: bytes) -> None:
    with pytest.raises(FrameError, match="length"):
        cut(DynamicFramer(), [data])


def test_dynamic_largest_frame() -> None:
    body = b"x" * framing.MAX_DYNAMIC
    assert cut(DynamicFramer(), [b"%d\n" % len(body), body[:1000], body[1000:]]) == [body]


@pytest.mark.parametrize(
    "data",
    [b"x", b"}", b"]", b",", b"NaN", b"Infinity", b"\xef\xbb\xbf{}", b"\0", b"1" * 500, b"{bad", b"{ \n{", b"{'a': 1"],
)
def test_static_garbage_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(FrameError, match="not JSON"):
        cut(StaticFramer(), [data])


def test_static_nesting_is_bounded() -> None:
    with pytest.raises(FrameError, match="nested"):
        cut(StaticFramer(), [b"[" * (framing.MAX_DEPTH + 1)])


def test_static_length_is_bounded() -> None:
    framer = StaticFramer()
    assert cut(framer, [b'{"a":"' + b"x" * (framing.MAX_STATIC - 6)]) == []
    with pytest.raises(FrameError, match="incomplete"):
        cut(framer, [b"x"])


def test_static_largest_message() -> None:
    message = b'{"a":"' + b"x" * (framing.MAX_STATIC - 8) + b'"}'
    assert cut(StaticFramer(), [message[:100], message[100:]]) == [message]


def test_static_scalar_is_complete_when_something_follows() -> None:
    framer = StaticFramer()
    assert cut(framer, [b"12"]) == []
    assert cut(framer, [b"3 "]) == [b"123"]
    assert cut(framer, [b'true{"a":1}']) == [b"true", b'{"a":1}']


@pytest.mark.parametrize(
    ("data", "strict"),
    [
        (b"{", False),
        (b'{"a":NaN}', False),
        (b"[1]x", False),
        (b"[" * 100_000, True),
        (b'{"a"}', False),
        (b'"a\nb"', True),
        (b"", True),
    ],
)
def test_parse_refuses_without_the_content(data: bytes, strict: bool) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*SECRET)") as caught:
        parse(data or b"SECRET", strict=strict)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_parse_leniency() -> None:
    assert parse(b'"a\nb"', strict=False) == ("a\nb", False)
    assert parse(b'"\xff"', strict=False) == ("\ufffd", True)
    value, _ = parse(b"9" * 100_000, strict=True)
    assert isinstance(value, float)


def talk(kind: str, pieces: list[bytes]) -> tuple[Connection, list[Answer], list[Notice]]:
    connection = Connection(inputs.decoder(kind, PLAN))
    notices: list[Notice] = []
    answers: list[Answer] = []
    for piece in pieces:
        connection.feed(piece)
        answers += connection.take(1000, 1, notices)
    return connection, answers, notices


def event(tag: str) -> bytes:
    return json.dumps({"TAG": tag, "SOURCE": "s", "DATA": [tag]}).encode()


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return b"%d\n%s" % (len(body), body)


def test_static_malformed_ends_the_connection_after_what_came_before() -> None:
    connection, answers, notices = talk("json", [event("a") + b'{"TAG": oops}' + event("b")])
    assert [a.reply for a in answers] == [b"a\n"]
    assert connection.broken
    assert "not JSON" in connection.ended
    assert [n.reason for n in notices] == ["malformed input"]
    connection.feed(event("c"))
    assert connection.take(10, 1, notices) == []


def test_dynamic_malformed_body_is_a_decode_error_and_the_connection_goes_on() -> None:
    good = frame(["d", 2, 1, [["a", "FT_INT32"]], [1]])
    connection, answers, notices = talk("djson", [b"5\n{oops" + b'3\n"a\t' + b"2\n\xff\xfe" + good])
    assert [a.reply for a in answers] == [b"0:3\n", b"0:3\n", b"0:3\n", b"2:0\n"]
    assert not connection.ended
    assert {n.reason for n in notices} == {"cannot be decoded"}


def test_dynamic_bad_length_ends_the_connection() -> None:
    connection, answers, notices = talk("djson", [frame(["d", 2, 1, [], []]) + b"zzz\n"])
    assert [a.reply for a in answers] == [b"2:0\n"]
    assert connection.broken
    assert [n.reason for n in notices] == ["malformed input"]


def test_bytes_that_are_not_utf8_are_replaced_and_noted() -> None:
    _, answers, notices = talk("json", [b'{"TAG":"t","SOURCE":"s","DATA":["caf\xe9"]}'])
    assert answers[0].event is not None
    assert answers[0].event[2] == {"m": ("String", "caf\ufffd")}
    assert [n.reason for n in notices] == ["bytes that are not UTF-8 were replaced"]


def test_replies_wait_for_the_store() -> None:
    connection, answers, notices = talk("djson", [frame(["d", 1, 1, [], []]), frame(["x", 2, 1, [], []])])
    assert connection.replies == b""
    connection.reply(answers, True, notices)
    assert connection.replies == b"1:0\n2:4\n"


def test_what_is_not_stored_is_not_acknowledged() -> None:
    connection, answers, notices = talk("djson", [frame(["d", 1, 1, [], []]), frame(["x", 2, 1, [], []])])
    connection.reply(answers, False, notices)
    assert connection.replies == b"1:1\n2:4\n"
    assert not connection.ended
    connection, answers, notices = talk("json", [b'{"ECHO":"x"}', event("a"), event("b")])
    connection.reply(answers, False, notices)
    assert connection.replies == b"x\n"
    assert connection.broken


def test_static_clients_that_read_no_tags_lose_tags_but_go_on() -> None:
    connection, answers, notices = talk("json", [event(f"{n:06d}") for n in range(MAX_REPLIES // 7 + 500)])
    connection.reply(answers, True, notices)
    assert len(connection.replies) <= MAX_REPLIES
    assert connection.replies.endswith(b"\n")
    assert not connection.blocked
    assert {n.reason for n in notices} == {"reply dropped: the client does not read its replies"}


def test_dynamic_clients_that_read_no_replies_are_held_up() -> None:
    messages = [frame(["d", 10**9 + n, 1, [], []]) for n in range(MAX_REPLIES // 13 + 1)]
    connection, answers, notices = talk("djson", messages[:1])
    connection.reply(answers * (MAX_REPLIES // 13 + 1), True, notices)
    assert connection.blocked
    del connection.replies[:100]
    assert not connection.blocked


@given(st.sampled_from(["json", "djson"]), st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_end_in_answers_or_a_reason(kind: str, pieces: list[bytes]) -> None:
    connection, answers, notices = talk(kind, pieces)
    connection.reply(answers, True, notices)
    assert bool(connection.ended) == connection.broken == any(n.reason == "malformed input" for n in notices)


TEXTS = st.lists(
    st.sampled_from([b'{"TAG":"a",', b'"SOURCE":"s",', b'"DATA":["', b'"]}', b"\\", b'{"ECHO":"e"}', b" "])
)


@given(TEXTS, st.lists(st.integers(0, 80)))
def test_pieces_make_no_difference(texts: list[bytes], at: list[int]) -> None:
    data = b"".join(texts)
    whole, in_pieces = talk("json", [data]), talk("json", split(data, at))
    assert [a.reply for a in whole[1]] == [a.reply for a in in_pieces[1]]
    assert whole[0].ended == in_pieces[0].ended
