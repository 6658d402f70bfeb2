"""The CIM-XML request reader and the agreement of header and body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries.server import replyxml
from omi_queries.server.limits import DEFAULT
from omi_queries.server.request import Call, ClassName, InstanceName, MessageError, parse
from tests.server_bed import REQUESTS, call, of_class, value


def error(body: str | bytes) -> tuple[int, str]:
    with pytest.raises(MessageError) as info:
        parse(body if isinstance(body, bytes) else body.encode(), DEFAULT)
    assert "\n" not in info.value.detail
    return info.value.status, info.value.cim_error


def outcome(data: bytes) -> int:
    """The status of the error, 0 for a request."""
    try:
        assert parse(data, DEFAULT).method
    except MessageError as refused:
        return refused.status
    return 0


def test_every_captured_body_is_read() -> None:
    files = sorted(REQUESTS.glob("*.http"))
    assert files
    for path in files:
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        one = parse(body, DEFAULT)
        assert f"CIMMethod: {one.method}".encode() in head
        assert one.message_id in ("1001", "4711")


def test_parameters() -> None:
    name = (
        '<IPARAMVALUE NAME="InstanceName"><INSTANCENAME CLASSNAME="C"><KEYBINDING NAME="A">'
        '<KEYVALUE>x &amp; y</KEYVALUE></KEYBINDING><KEYBINDING NAME="b">'
        '<KEYVALUE VALUETYPE="numeric">5</KEYVALUE></KEYBINDING></INSTANCENAME>'
        "</IPARAMVALUE>"
    )
    array = '<IPARAMVALUE NAME="L"><VALUE.ARRAY><VALUE>a</VALUE><VALUE/></VALUE.ARRAY></IPARAMVALUE>'
    text = call("M", of_class("C") + value("V", "<![CDATA[<x>]]>") + name + array + '<IPARAMVALUE NAME="N"/>')
    assert parse(text.encode(), DEFAULT) == Call(
        "7", "1.0", True, "M", "root/scx",
        (
            ("ClassName", ClassName("C")), ("V", "<x>"), ("InstanceName", InstanceName("C", {"a": "x & y", "b": "5"})),
            ("L", ["a", ""]), ("N", None),
        ),
        None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "inner",
    ["text", "<NAMESPACE NAME='x'/>", "<IPARAMVALUE/>", "<IPARAMVALUE NAME='a'>text</IPARAMVALUE>",
     "<IPARAMVALUE NAME='a'><WHAT/></IPARAMVALUE>", "<IPARAMVALUE NAME='a'><VALUE/><VALUE/></IPARAMVALUE>",
     "<IPARAMVALUE NAME='a'><VALUE><VALUE/></VALUE></IPARAMVALUE>", "<IPARAMVALUE NAME='a'><CLASSNAME/></IPARAMVALUE>",
     "<IPARAMVALUE NAME='a'><VALUE.ARRAY><CLASSNAME NAME='x'/></VALUE.ARRAY></IPARAMVALUE>",
     "<IPARAMVALUE NAME='a'><INSTANCENAME CLASSNAME='C'><KEYBINDING NAME='k'/></INSTANCENAME></IPARAMVALUE>"],
)  # fmt: skip
def test_what_is_not_the_grammar_is_not_valid(inner: str) -> None:
    assert error(call("M", inner)) == (400, "request-not-valid")


@pytest.mark.parametrize("old", [' ID="7"', ' PROTOCOLVERSION="1.0"', ' NAME="M"', ' CIMVERSION="2.0"'])
def test_missing_attributes(old: str) -> None:
    assert error(call("M").replace(old, "")) == (400, "request-not-valid")


def test_bounds_and_doctype() -> None:
    assert error(call("M", "<a>" * 100)) == (400, "request-not-valid")
    assert error(call("M", value("a", "b") * 1500)) == (400, "request-not-valid")
    assert error("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>") == (400, "request-not-valid")
    assert error("<!DOCTYPE") == (400, "request-not-well-formed")
    assert error(call("M", "&a;")) == (400, "request-not-well-formed")
    assert error(b"\xff\xfe" + call("M").encode("utf-16-le")) == (400, "request-not-well-formed")
    assert error(call("M").replace('PROTOCOLVERSION="1.0"', 'PROTOCOLVERSION="3.0"')) == (
        501, "unsupported-protocol-version",
    )  # fmt: skip


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    assert outcome(data) in (0, 400, 501)


TAGS = ["CIM", "MESSAGE", "SIMPLEREQ", "IMETHODCALL", "METHODCALL", "LOCALNAMESPACEPATH", "NAMESPACE", "IPARAMVALUE",
        "VALUE", "VALUE.ARRAY", "CLASSNAME", "INSTANCENAME", "KEYBINDING", "KEYVALUE", "LOCALCLASSPATH"]  # fmt: skip
ATTRIBUTES = 'NAME="n" ID="1" PROTOCOLVERSION="1.0" CIMVERSION="2.0" DTDVERSION="2.0" CLASSNAME="c"'
TREES = st.recursive(
    st.sampled_from(["", "text", *(f"<{tag} {ATTRIBUTES}/>" for tag in TAGS)]),
    lambda inner: st.tuples(st.sampled_from(TAGS), st.lists(inner, max_size=3)).map(
        lambda pair: f"<{pair[0]} {ATTRIBUTES}>{''.join(pair[1])}</{pair[0]}>"
    ),
    max_leaves=12,
)


@given(TREES)
def test_any_tree_of_known_elements_is_a_request_or_not_valid(inner: str) -> None:
    for text in (inner, call("M", inner)):
        assert outcome(text.encode()) in (0, 400)


@given(st.text(max_size=60), st.text(max_size=60))
def test_texts_come_back_as_they_went(first: str, second: str) -> None:
    """What is written into a reply is read back, without the characters that XML does not have."""
    inner = f"<VALUE>{replyxml.text(second)}</VALUE>"
    xml = call("M", f'<IPARAMVALUE NAME="{replyxml.quoted(first)}">{inner}</IPARAMVALUE>')
    name, found = parse(xml.encode("utf-8"), DEFAULT).parameters[0]
    assert (name, found) == (replyxml._ILLEGAL.sub("", first), replyxml._ILLEGAL.sub("", second))
