"""CIM-XML requests: bytes to :class:`Call`, by expat with an own small grammar (DSP0201, DSP0200 5.4).

No DOCTYPE is accepted, so there are no entities to expand and nothing to fetch; depth, number of elements and size are
bounded. Errors name the value of the HTTP header ``CIMError`` that DSP0200 6 has for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from omi_queries.server.limits import Limits

NOT_WELL_FORMED = "request-not-well-formed"
NOT_VALID = "request-not-valid"
MISMATCH = "header-mismatch"
NO_BATCH = "multiple-requests-unsupported"


class MessageError(Exception):
    """A body that is no CIM-XML request: HTTP status, CIMError value ("" for none) and one line of detail."""

    def __init__(self, status: int, cim_error: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.cim_error = cim_error
        self.detail = detail


@dataclass
class Node:
    """An element: name, attributes, child elements and its own text."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""


class InstanceName(NamedTuple):
    """INSTANCENAME: key values as text. A single unnamed KEYVALUE has the key ""."""

    class_name: str
    keys: Mapping[str, str]


class ClassName(NamedTuple):
    """CLASSNAME."""

    name: str


Parameter = str | list[str] | ClassName | InstanceName | None
"""VALUE, VALUE.ARRAY, CLASSNAME, INSTANCENAME; None for NULL and for elements that no read operation takes."""


class Call(NamedTuple):
    """One request. ``intrinsic`` is False for METHODCALL, whose ``target`` is a class or an instance.

    ``parameters`` are in order and may repeat a name; ``target`` is None for intrinsic calls.
    """

    message_id: str
    protocol: str
    intrinsic: bool
    method: str
    namespace: str
    parameters: tuple[tuple[str, Parameter], ...]
    target: ClassName | InstanceName | None


_KNOWN = frozenset(
    (
        "VALUE", "VALUE.ARRAY", "VALUE.REFERENCE", "CLASSNAME", "INSTANCENAME", "CLASS", "INSTANCE",
        "QUALIFIER.DECLARATION", "VALUE.NAMEDINSTANCE",
    )
)  # fmt: skip
_MIXED = frozenset(("VALUE", "KEYVALUE"))


def parse(body: bytes, limits: Limits) -> Call:
    """The request in ``body``, which is UTF-8 whatever its first bytes pretend. Raises MessageError."""
    try:
        if "\0" in body.decode("utf-8"):
            raise MessageError(400, NOT_WELL_FORMED, "the body has a NUL character")
    except UnicodeDecodeError:
        raise MessageError(400, NOT_WELL_FORMED, "the body is not UTF-8") from None
    return _message(_tree(body, limits))


def _tree(body: bytes, limits: Limits) -> Node:
    """The document element. The encoding is what HTTP says, UTF-8, whatever the XML declaration says."""
    root = Node("", {})
    stack, count = [root], 0
    texts: list[list[str]] = [[]]

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > limits.elements or len(stack) > limits.depth:
            raise _invalid("the request has too many elements or is nested too deeply")
        node = Node(tag, attributes)
        stack[-1].children.append(node)
        stack.append(node)
        texts.append([])

    def end(_tag: str) -> None:
        node = stack.pop()
        node.text = "".join(texts.pop())

    def data(text: str) -> None:
        texts[-1].append(text)

    def doctype(*_: object) -> None:
        raise _invalid("a DOCTYPE is not accepted")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        text = expat.ErrorString(error.code)
        raise MessageError(400, NOT_WELL_FORMED, f"line {error.lineno}: {text}") from None
    return root.children[0]


def _invalid(detail: str) -> MessageError:
    return MessageError(400, NOT_VALID, detail)


def _attribute(node: Node, name: str) -> str:
    value = node.attributes.get(name)
    if value is None:
        raise _invalid(f"{node.tag[:40]} has no {name}")
    return value


def _only(node: Node, *tags: str) -> Node:
    """The single child element, which is one of ``tags``."""
    _no_text(node)
    if len(node.children) != 1 or node.children[0].tag not in tags:
        raise _invalid(f"{node.tag} must have one child, {' or '.join(tags)}")
    return node.children[0]


def _no_text(node: Node) -> None:
    if node.text and not node.text.isspace():
        raise _invalid(f"{node.tag[:40]} has text")


def _leaf(node: Node) -> str:
    if node.children:
        raise _invalid(f"{node.tag} has child elements")
    return node.text


def _message(cim: Node) -> Call:
    if cim.tag != "CIM":
        raise _invalid(f"the document element is not CIM but {cim.tag[:40]!a}")
    for name, error in (("CIMVERSION", "unsupported-cim-version"), ("DTDVERSION", "unsupported-dtd-version")):
        version = _attribute(cim, name)
        if version.partition(".")[0] != "2":
            raise MessageError(501, error, f"{name} is not 2.x")
    message = _only(cim, "MESSAGE")
    message_id, protocol = _attribute(message, "ID"), _attribute(message, "PROTOCOLVERSION")
    if protocol.partition(".")[0] != "1":
        raise MessageError(501, "unsupported-protocol-version", "PROTOCOLVERSION is not 1.x")
    request = _only(message, "SIMPLEREQ", "MULTIREQ", "SIMPLEEXPREQ", "MULTIEXPREQ")
    if request.tag == "MULTIREQ":
        raise MessageError(501, NO_BATCH, "one request per message")
    if request.tag != "SIMPLEREQ":
        raise _invalid("export messages are not for a server")
    call = _only(request, "IMETHODCALL", "METHODCALL")
    method = _attribute(call, "NAME")
    if call.tag == "METHODCALL":
        return _extrinsic(call, message_id, protocol, method)
    _no_text(call)
    if not call.children or call.children[0].tag != "LOCALNAMESPACEPATH":
        raise _invalid("IMETHODCALL does not begin with LOCALNAMESPACEPATH")
    namespace = _namespace(call.children[0])
    parameters = tuple(_parameter(node) for node in call.children[1:])
    return Call(message_id, protocol, True, method, namespace, parameters, None)


def _extrinsic(call: Node, message_id: str, protocol: str, method: str) -> Call:
    """A method call: only what it is aimed at is looked at, since none is ever carried out."""
    _no_text(call)
    if not call.children or call.children[0].tag not in ("LOCALCLASSPATH", "LOCALINSTANCEPATH"):
        raise _invalid("METHODCALL does not begin with LOCALCLASSPATH or LOCALINSTANCEPATH")
    path = call.children[0]
    if len(path.children) != 2 or path.children[0].tag != "LOCALNAMESPACEPATH":
        raise _invalid(f"{path.tag} has no LOCALNAMESPACEPATH")
    for node in call.children[1:]:
        if node.tag != "PARAMVALUE":
            raise _invalid(f"METHODCALL has {node.tag[:40]!a}")
        _attribute(node, "NAME")
    named = path.children[1]
    target: ClassName | InstanceName
    if path.tag == "LOCALCLASSPATH" and named.tag == "CLASSNAME":
        target = ClassName(_attribute(named, "NAME"))
    elif path.tag == "LOCALINSTANCEPATH" and named.tag == "INSTANCENAME":
        target = _instance_name(named)
    else:
        raise _invalid(f"{path.tag} has {named.tag[:40]!a}")
    return Call(message_id, protocol, False, method, _namespace(path.children[0]), (), target)


def _namespace(path: Node) -> str:
    _no_text(path)
    parts = []
    for node in path.children:
        if node.tag != "NAMESPACE" or node.children:
            raise _invalid("LOCALNAMESPACEPATH has other elements than NAMESPACE")
        _no_text(node)
        parts.append(_attribute(node, "NAME"))
    if not parts:
        raise _invalid("LOCALNAMESPACEPATH is empty")
    return "/".join(parts)


def _parameter(node: Node) -> tuple[str, Parameter]:
    if node.tag != "IPARAMVALUE":
        raise _invalid(f"IMETHODCALL has {node.tag[:40]!a}")
    name = _attribute(node, "NAME")
    _no_text(node)
    if not node.children:
        return name, None
    if len(node.children) != 1 or node.children[0].tag not in _KNOWN:
        raise _invalid(f"IPARAMVALUE {name[:40]!a} has no or more than one value")
    return name, _value(node.children[0])


def _value(node: Node) -> Parameter:
    if node.tag == "VALUE":
        return _leaf(node)
    _no_text(node)
    if node.tag == "VALUE.ARRAY":
        if any(child.tag not in ("VALUE", "VALUE.NULL") for child in node.children):
            raise _invalid("VALUE.ARRAY has other elements than VALUE")
        return [_leaf(child) for child in node.children if child.tag == "VALUE"]
    if node.tag == "CLASSNAME":
        return ClassName(_attribute(node, "NAME"))
    return _instance_name(node) if node.tag == "INSTANCENAME" else None


def _instance_name(node: Node) -> InstanceName:
    _no_text(node)
    keys: dict[str, str] = {}
    for child in node.children:
        name, value = "", child
        if child.tag == "KEYBINDING":
            name, value = _attribute(child, "NAME"), _only(child, "KEYVALUE", "VALUE.REFERENCE")
        elif child.tag not in ("KEYVALUE", "VALUE.REFERENCE"):
            raise _invalid(f"INSTANCENAME has {child.tag[:40]!a}")
        if name.lower() in keys:
            raise _invalid("INSTANCENAME has a key twice")
        keys[name.lower()] = "" if value.tag == "VALUE.REFERENCE" else _leaf(value)
    return InstanceName(_attribute(node, "CLASSNAME"), keys)
