"""The decoders of the JSON inputs against the acknowledgements and rows that mdsd gave for the same messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension import inputs
from extension.inputs import dynamic_json
from extension.plan import Derived, Plan, Publisher, Query, Route, Source, Target

NOW = 1_795_254_847_883_950

CONV = (
    ("b", "bool", "mt:bool"),
    ("sb", "str", "mt:bool"),
    ("s", "str", "mt:wstr"),
    ("d", "double", "mt:float64"),
    ("sd", "str", "mt:float64"),
    ("i", "int", "mt:int32"),
    ("si", "str", "mt:int32"),
    ("l", "int", "mt:int64"),
    ("sl", "str", "mt:int64"),
    ("ti", "int-timet", "mt:utc"),
    ("td", "double-timet", "mt:utc"),
    ("ts", "str-rfc3339", "mt:utc"),
)
GOOD: list[object] = [
    True, "true", "x", 1.5, "2.5", 7, "8", 5000000000, "6000000000", 1490643900, 1490643900.25,
    "2017-03-27T19:45:00.123456Z",
]  # fmt: skip
PLAN = Plan(
    sources=(Source("conv", CONV), Source("dyn")),
    queries=(Query("root/scx", "SELECT A FROM B", 15, Target("local", "cpu")),),
    derived=(Derived("dyn", 60, Target("table", "Out")),),
    routes=(Route("conv", 60, Target("table", "Conv")),),
)


def static(**changed: object) -> inputs.Answer:
    """The answer to the good event with members changed; a None removes one."""
    message: dict[str, object] = {"TAG": "t", "SOURCE": "conv", "DATA": list(GOOD), **changed}
    return inputs.decoder("json", PLAN).decode({k: v for k, v in message.items() if v is not None}, NOW)


def test_static_event() -> None:
    answer = static()
    assert answer.reply == b"t\n"
    assert answer.reason == ""
    assert answer.not_stored == b""
    assert answer.event is not None
    assert answer.event[:2] == ("conv", NOW)
    assert list(answer.event[2].items()) == [
        ("b", ("Boolean", True)),
        ("sb", ("Boolean", True)),
        ("s", ("String", "x")),
        ("d", ("Double", 1.5)),
        ("sd", ("Double", 2.5)),
        ("i", ("Int32", 7)),
        ("si", ("Int32", 8)),
        ("l", ("Int64", 5000000000)),
        ("sl", ("Int64", 6000000000)),
        ("ti", ("DateTime", "2017-03-27T19:45:00Z")),
        ("td", ("DateTime", "2017-03-27T19:45:00.250000Z")),
        ("ts", ("DateTime", "2017-03-27T19:45:00.123456Z")),
    ]


@pytest.mark.parametrize(
    ("changed", "reply", "reason"),
    [
        ({"DATA": [*GOOD[:11], "20170327T194500Z"]}, b"t\n", "conv: ts cannot be converted from str-rfc3339 to mt:utc"),
        ({"DATA": [*GOOD[:5], "str", *GOOD[6:]]}, b"t\n", "conv: i cannot be converted from int to mt:int32"),
        ({"DATA": [1]}, b"t\n", "conv: b cannot be converted from bool to mt:bool"),
        ({"DATA": GOOD[:3]}, b"t\n", "conv: wrong number of columns"),
        ({"DATA": [*GOOD, 1]}, b"t\n", "conv: wrong number of columns"),
        ({"SOURCE": "nosuch"}, b"t\n", "unknown source"),
        ({"SOURCE": "dyn", "DATA": []}, b"t\n", "dyn: no static schema"),
        ({"TAG": ""}, b"\n", "empty TAG"),
        ({"TAG": 5}, b"", "not an event"),
        ({"TAG": None}, b"", "not an event"),
        ({"DATA": None}, b"", "incomplete event"),
        ({"DATA": {}}, b"", "incomplete event"),
        ({"SOURCE": 1}, b"", "incomplete event"),
        ({"SOURCE": None, "ECHO": "x"}, b"", "incomplete event"),
        ({"TAG": None, "ECHO": "x"}, b"x\n", ""),
        ({"TAG": 1, "ECHO": ""}, b"\n", ""),
    ],
)
def test_static_outcomes(changed: dict[str, object], reply: bytes, reason: str) -> None:
    answer = static(**changed)
    assert (answer.reply, answer.reason, answer.event) == (reply, reason, None)


def test_static_members_are_found_in_any_case() -> None:
    decoder = inputs.decoder("json", PLAN)
    assert decoder.decode({"tag": "t", "Source": "conv", "data": GOOD}, NOW).event is not None
    assert decoder.decode({"echo": "x"}, NOW).reply == b"x\n"


@pytest.mark.parametrize("message", [None, 5, "x", [], [1], {}, True, 1.5])
def test_static_unknown_shapes_get_no_reply(message: object) -> None:
    answer = inputs.decoder("json", PLAN).decode(message, NOW)
    assert (answer.reply, answer.reason, answer.event) == (b"", "not an event", None)


def test_static_duplicates_are_per_connection_and_echoed() -> None:
    decoder, other = inputs.decoder("json", PLAN), inputs.decoder("json", PLAN)
    message = {"TAG": "t", "SOURCE": "conv", "DATA": GOOD}
    assert decoder.decode(message, NOW).event is not None
    again = decoder.decode(message, NOW + 1)
    assert (again.reply, again.reason, again.event) == (b"t\n", "duplicate TAG", None)
    assert other.decode(message, NOW).event is not None
    later = NOW + (PLAN.dupe_window_s * 3 // 2 + 1) * 1_000_000
    assert decoder.decode(message, later).event is not None


def test_static_tags_come_back_as_they_came() -> None:
    answer = static(TAG="té \ud83d\ude00")
    assert answer.reply == "té ".encode() + b"??\n"
    assert static(TAG="é😀").reply == "é😀\n".encode()


SYSLOG = [
    ["Facility", "FT_STRING"],
    ["Sev", "FT_INT32"],
    ["Big", "FT_INT64"],
    ["D", "FT_DOUBLE"],
    ["B", "FT_BOOL"],
    ["T", "FT_TIME"],
]
VALUES = ["local0", 6, 5000000000, 1.5, True, [1490643900, 123456789]]


def test_dynamic_session_is_answered_as_captured() -> None:
    decoder = inputs.decoder("djson", PLAN)
    session: list[tuple[object, bytes]] = [
        (["dyn", 1, 7, SYSLOG, VALUES], b"1:0\n"),
        (["dyn", 2, 7, None, ["user", -3, -1, 2, False, [1490643900, 0]]], b"2:0\n"),
        (["nosuch", 3, 7, None, ["user", 3, 1, 2.0, False, [1490643900, 0]]], b"3:4\n"),
        (["dyn", 4, 99, None, []], b"0:2\n"),
        (["dyn", 5, 7, [["A", "FT_STRING"]], ["x"]], b"0:5\n"),
        (["dyn", 6, 8, [["A", "FT_STRING"]], [3]], b"0:3\n"),
        ({"a": 1}, b"0:3\n"),
        (["dyn", 7, 9, [["D", "FT_DOUBLE"]], [3]], b"7:0\n"),
        (["dyn", 8, 10, [["I", "FT_INT32"]], [3000000000]], b"0:3\n"),
        (["dyn", 9, 11, [["I", "FT_INT32"]], [1.5]], b"0:3\n"),
        (["dyn", 10, 12, [["S", "FT_STRING"]], ["\u0000x"]], b"10:0\n"),
        (["dyn", 11, 13, [["S", "FT_STRING"]], ["a", 2]], b"0:3\n"),
        (["dyn", 12, 14, [["col umn", "FT_STRING"], ["kéy", "FT_STRING"]], ["v1", "v2"]], b"12:0\n"),
        (["dyn", 13, 8, None, ["now known"]], b"13:0\n"),  # the schema of message 6 counts though its data did not fit
        (["dyn", 14, 7, SYSLOG, VALUES], b"14:0\n"),  # the same schema again
    ]
    for message, reply in session:
        answer = decoder.decode(message, NOW)
        assert answer.reply == reply, message
        assert (answer.event is None) == bool(answer.reason)
        assert (answer.event is not None) == reply.endswith(b":0\n")


def test_dynamic_event_values() -> None:
    answer = inputs.decoder("djson", PLAN).decode(["dyn", 1, 7, SYSLOG, VALUES], NOW)
    assert answer.event == (
        "dyn",
        NOW,
        {
            "Facility": ("String", "local0"),
            "Sev": ("Int32", 6),
            "Big": ("Int64", 5000000000),
            "D": ("Double", 1.5),
            "B": ("Boolean", True),
            "T": ("DateTime", "2017-03-27T19:45:00.123456Z"),
        },
    )
    assert answer.not_stored == b"1:1\n"


def test_dynamic_sources_may_be_any_table_in_memory() -> None:
    decoder = inputs.decoder("djson", PLAN)
    assert decoder.decode(["conv", 1, 1, [["x", "FT_STRING"]], ["no check of its schema"]], NOW).reply == b"1:0\n"
    assert decoder.decode(["cpu", 2, 1, None, ["a local query's"]], NOW).reply == b"2:0\n"
    assert decoder.decode(["Out", 3, 1, None, ["an Azure table"]], NOW).reply == b"3:4\n"


TIMED = [["Name", "FT_STRING"], ["T", "FT_TIME"]]


@pytest.mark.parametrize(
    ("schema", "at_us"),
    [
        ([1, *TIMED], 1_795_254_669_000_001),
        ([0, *TIMED], NOW),  # not a time
        ([2, *TIMED], NOW),  # out of range
        ([-1, *TIMED], NOW),
        ([None, *TIMED], NOW),
        (["1", *TIMED], NOW),
        ([True, *TIMED], NOW),
        (TIMED, NOW),
    ],
)
def test_dynamic_time_column(schema: list[object], at_us: int) -> None:
    answer = inputs.decoder("djson", PLAN).decode(["dyn", 1, 5, schema, ["late", [1795254669, 1999]]], NOW)
    assert answer.event is not None
    assert answer.event[1] == at_us


def test_dynamic_metadata_columns_are_left_out() -> None:
    names = [*sorted(dynamic_json.METADATA), "Kept"]
    schema = [[name, "FT_STRING"] for name in names]
    answer = inputs.decoder("djson", PLAN).decode(["dyn", 1, 5, schema, names], NOW)
    assert answer.event is not None
    assert answer.event[2] == {"Kept": ("String", "Kept")}


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ([1, 1, 1, [], []], b"0:3\n"),
        (["dyn", "1", 1, [], []], b"0:3\n"),
        (["dyn", True, 1, [], []], b"0:3\n"),
        (["dyn", 1.5, 1, [], []], b"0:3\n"),
        (["dyn", 2**63, 1, [], []], b"0:3\n"),
        (["dyn", -1, 1, [], []], b"18446744073709551615:0\n"),
        (["dyn", 1, -1, [], []], b"0:3\n"),
        (["dyn", 1, 2**64, [], []], b"0:3\n"),
        (["dyn", 1, 1.0, [], []], b"0:3\n"),
        (["dyn", 1, 1, {}, []], b"0:3\n"),
        (["dyn", 1, 1, [], {}], b"0:3\n"),
        (["dyn", 1, 1, []], b"0:3\n"),
        (["dyn", 1, 1, [], [], 1], b"0:3\n"),
        (["dyn", 1, 1, [["a"]], ["x"]], b"0:3\n"),
        (["dyn", 1, 1, [["a", "FT_WRONG"]], ["x"]], b"0:3\n"),
        (["dyn", 1, 1, [["a", "FT_STRING"], 5], ["x"]], b"0:3\n"),
        (["dyn", 9, 1, [["a", "FT_INVALID"]], ["x"]], b"9:3\n"),
        (["dyn", 9, 1, [["b", "FT_INT32"], ["a", "FT_INVALID"]], ["x", "x"]], b"0:3\n"),
        (["dyn", 1, 1, [["t", "FT_TIME"]], [[1, -1]]], b"0:3\n"),
        (["dyn", 1, 1, [["t", "FT_TIME"]], [[1.0, 1]]], b"0:3\n"),
        (["dyn", 1, 1, [["t", "FT_TIME"]], [[1, 2**32]]], b"0:3\n"),
        (["dyn", 1, 1, [["t", "FT_TIME"]], [[10**12, 0]]], b"0:3\n"),
        (["dyn", 1, 1, [["t", "FT_TIME"]], [[1, 2, 3]]], b"0:3\n"),
        (["dyn", 1, 1, [["d", "FT_DOUBLE"]], [10**400]], b"0:3\n"),
        (["dyn", 1, 1, [["d", "FT_DOUBLE"]], [float("inf")]], b"0:3\n"),
        (["dyn", 1, 1, [["d", "FT_DOUBLE"]], [True]], b"0:3\n"),
        (["dyn", 1, 1, [["b", "FT_BOOL"]], [1]], b"0:3\n"),
        (["dyn", 1, 1, [["i", "FT_INT64"]], [2**63]], b"0:3\n"),
        (["dyn", 1, 1, [["i", "FT_INT64"]], [True]], b"0:3\n"),
        (["dyn", 1, 1, [["i", "FT_INT32"]], [-(2**31)]], b"1:0\n"),
    ],
)
def test_dynamic_edges(message: list[object], reply: bytes) -> None:
    assert inputs.decoder("djson", PLAN).decode(message, NOW).reply == reply


def test_dynamic_schemas_are_bounded() -> None:
    decoder = inputs.decoder("djson", PLAN)
    replies = [
        decoder.decode(["dyn", n, n, [["a", "FT_INT32"]], [n]], NOW).reply for n in range(dynamic_json.MAX_SCHEMAS + 1)
    ]
    assert replies[:-1] == [b"%d:0\n" % n for n in range(dynamic_json.MAX_SCHEMAS)]
    assert replies[-1] == b"0:1\n"
    assert decoder.decode(["dyn", 5, 5, None, [5]], NOW).reply == b"5:0\n"


def test_reasons_never_hold_values() -> None:
    secret = "hunter2"
    answers = [
        static(DATA=[secret] * 12),
        inputs.decoder("djson", PLAN).decode(["dyn", 1, 1, [["a", "FT_INT32"]], [secret]], NOW),
        inputs.decoder("djson", PLAN).decode(["dyn", secret, 1, [["a", "FT_INT32"]], [secret]], NOW),
    ]
    assert all(answer.reason for answer in answers)
    assert not any(secret in answer.reason + answer.detail for answer in answers)


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["dyn", "conv"])
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
FIELD = st.tuples(st.text(max_size=3), st.sampled_from(sorted(dynamic_json.TYPES))).map(list)
DYNAMIC = st.tuples(
    st.sampled_from(["dyn", "conv", "nosuch"]),
    st.integers() | JSON,
    st.integers(0, 3) | JSON,
    st.none() | st.lists(FIELD | JSON, max_size=4),
    st.lists(JSON, max_size=4),
).map(list)
STATIC = st.fixed_dictionaries(
    {}, optional={"TAG": st.text(max_size=3) | JSON, "SOURCE": JSON, "DATA": st.lists(JSON), "ECHO": JSON}
)


@given(st.sampled_from(["json", "djson"]), st.lists(DYNAMIC | STATIC | JSON, max_size=6))
def test_any_message_gets_an_answer(kind: str, messages: list[Any]) -> None:
    decoder = inputs.decoder(kind, PLAN)
    for message in messages:
        answer = decoder.decode(message, NOW)
        assert answer.event is None or (answer.reply and not answer.reason)
        assert kind == "json" or answer.reply.endswith(b"\n")


def test_an_unknown_socket_is_named() -> None:
    with pytest.raises(ValueError, match="bond"):
        inputs.decoder("bond", PLAN)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (PLAN, True),
        (Plan(sources=(Source("s"),)), False),
        (Plan(queries=PLAN.queries, derived=(Derived("cpu", 60, Target("table", "Out")),)), False),
        (Plan(sources=(Source("s"),), routes=(Route("s", 60, Target("table", "T")),)), True),
        (Plan(sources=(Source("s"),), publishers=(Publisher("s", "https://hub"),)), True),
    ],
)
def test_sockets_are_wanted_when_something_reads_a_source(plan: Plan, expected: bool) -> None:
    assert inputs.wanted(plan) is expected
