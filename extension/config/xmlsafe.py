"""The only place that parses XML: no DTD, no entities, no network, bounded size and depth."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import re
from typing import NamedTuple, TypedDict

from lxml import etree

MAX_BYTES = 16 * 1024 * 1024
"""Largest document that is read."""

_ILLEGAL = "[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
"""Not compiled here: that takes a millisecond, and printable text needs none of it."""


class XmlError(ValueError):
    """A document that is not read. ``line`` is 0 where none is known."""

    def __init__(self, message: str, line: int, cure: str) -> None:
        super().__init__(message)
        self.line = line
        self.cure = cure

    def at(self, path: str) -> str:
        """``path`` with the line, as problems name a place."""
        return f"{path} line {self.line}" if self.line else path


def _has_doctype(data: bytes) -> bool:
    """Whether a document type declaration stands outside comments; zero bytes go so that UTF-16 hides none."""
    flat = data.replace(b"\0", b"")
    at = flat.find(b"<!DOCTYPE")
    end = 0
    while at >= 0:
        comment = flat.find(b"<!--", end)
        if comment < 0 or at < comment:
            return True
        end = flat.find(b"-->", comment + 4)
        if end < 0:
            return False
        if at < end:
            at = flat.find(b"<!DOCTYPE", end)
    return False


class _Options(TypedDict):
    resolve_entities: bool
    no_network: bool
    load_dtd: bool
    dtd_validation: bool
    huge_tree: bool
    remove_comments: bool
    remove_pis: bool


_OPTIONS: _Options = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_DOCTYPE = (
    "the document has a DOCTYPE, which is refused because entities can read files or fill the memory",
    "remove the DOCTYPE and write the text of its entities in place",
)


class Opened(NamedTuple):
    """What can be read of a document that may end anywhere.

    ``unfinished``: the elements whose end is missing, outermost first. ``joined``: the first line that is malformed
    once line ends are dropped, as mdsd drops them (attributes on a line of their own without an indent); 0 for none.
    """

    root: etree._Element | None
    unfinished: tuple[etree._Element, ...] = ()
    joined: int = 0


def _refuse_unread(data: bytes) -> None:
    """:class:`XmlError` for data that no parser is to see."""
    if len(data) > MAX_BYTES:
        raise XmlError(f"the document has {len(data)} bytes, more than {MAX_BYTES}", 0, "give a smaller document")
    if _has_doctype(data):
        raise XmlError(_DOCTYPE[0], 0, _DOCTYPE[1])


_CURES = {
    "EntityRef": "write & as &amp;",
    "Entity '": "write its text in place, and an & as &amp;",
    "redefined": "remove one of the two",
    "'<' not allowed in attributes": "write < as &lt;",
    "AttValue: \" or ' expected": "put the value of the attribute in quotes",
    "Opening and ending tag mismatch": "close the elements in the order in which they were opened",
    "Extra content at the end": "keep one root element, and nothing after it",
}
"""Words of the parser -> what to do about it."""


def _malformed(problem: etree.XMLSyntaxError) -> XmlError:
    line, column = problem.position if problem.position else (problem.lineno or 0, 0)
    reason = re.sub(r",? *(at )?line \d+, column \d+( \([^)]*\))?$", "", problem.msg or "not well-formed")
    return _at_column(reason, line, column)


def _at_column(reason: str, line: int, column: int) -> XmlError:
    reason = re.sub(r",? (?:use|try) XML_PARSE_HUGE(?: option)?", "", reason)  # the parser's own switch, no cure
    where = f" at column {column}" if column else ""
    cure = next((cure for mark, cure in _CURES.items() if mark in reason), "correct the XML at this place")
    return XmlError(f"malformed XML: {' '.join(reason.split())}{where}", line, cure)


def parse(data: bytes) -> etree._Element:
    """The root element of ``data``; :class:`XmlError` for anything that is malformed, hostile or too large."""
    if not data.strip():
        raise XmlError("the document is empty", 0, "give an XML document")
    _refuse_unread(data)
    try:
        root = etree.fromstring(data, etree.XMLParser(**_OPTIONS))
    except etree.XMLSyntaxError as problem:
        raise _malformed(problem) from None
    except (ValueError, LookupError, AssertionError) as problem:
        raise XmlError(f"unreadable XML: {problem}", 0, "save the document as UTF-8") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlError(_DOCTYPE[0], 0, _DOCTYPE[1])
    return root


def parse_open(data: bytes) -> Opened:
    """As :func:`parse`, but the document may be empty or cut off, which mdsd accepts (spec/mdsd.md 1.1)."""
    _refuse_unread(data)
    if not data.strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
        return Opened(None)
    try:
        root, unfinished = _pulled(data)
        if unfinished or root is None:
            _refuse_held_back(data)
    except XmlError:
        raise
    except etree.XMLSyntaxError as problem:
        raise _malformed(problem) from None
    except (ValueError, LookupError, AssertionError) as problem:
        raise XmlError(f"unreadable XML: {problem}", 0, "save the document as UTF-8") from None
    if root is not None and root.getroottree().docinfo.internalDTD is not None:
        raise XmlError(_DOCTYPE[0], 0, _DOCTYPE[1])
    return Opened(root, unfinished, _joined(data))


def _pulled(data: bytes) -> tuple[etree._Element | None, tuple[etree._Element, ...]]:
    """The root and the elements that are still open at the end of ``data``."""
    parser = etree.XMLPullParser(events=("start", "end"), **_OPTIONS)
    parser.feed(data)
    for entry in parser.feed_error_log.filter_from_errors():  # an undefined entity ends the parse without an exception
        if entry.domain != etree.ErrorDomains.NAMESPACE:
            raise _at_column(entry.message, entry.line, entry.column)
    root: etree._Element | None = None
    pending: list[etree._Element] = []
    for event, element in parser.read_events():
        if not isinstance(element, etree._Element):
            continue
        root = element if root is None else root
        if event == "start":
            pending.append(element)
        else:
            pending.pop()
    return root, tuple(pending)


def _refuse_held_back(data: bytes) -> None:
    """:class:`XmlError` if ``data`` ends early for another reason than being cut off: after a bare ``&`` the parser
    waits for its ``;`` to the end of the document."""
    try:
        etree.fromstring(data, etree.XMLParser(**_OPTIONS))
    except etree.XMLSyntaxError as problem:
        line = problem.position[0] if problem.position else 0
        entity = "EntityRef" in (problem.msg or "") and b"<" in data[data.rfind(b"&") :]
        if entity or 0 < line <= data.rstrip(b"\n").count(b"\n"):
            raise _malformed(problem) from None


_SUSPECT = re.compile(rb"[^\s>]\n[^\s<]")


def _joined(data: bytes) -> int:
    """The first line at which well-formed ``data`` stops being so without its line ends, 0 for none."""
    if not _SUSPECT.search(data) or b"\0" in data:
        return 0
    parser = etree.XMLPullParser(events=(), **_OPTIONS)
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            parser.feed(line)
        except etree.XMLSyntaxError:
            return number
        except (ValueError, LookupError, AssertionError):
            return 0
    return 0


def looks_like_xml(data: bytes) -> bool:
    """Whether the first character that counts is ``<`` (byte order marks and UTF-16 included)."""
    return data.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")


def legal(text: str) -> bool:
    """Whether XML can carry every character of ``text``."""
    return text.isprintable() or re.search(_ILLEGAL, text) is None


def without_illegal(text: str) -> str:
    """``text`` without the characters that XML cannot carry (control characters, lone surrogates)."""
    return re.sub(_ILLEGAL, "", text)


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def line_of(element: etree._Element) -> int:
    """The line on which the element starts, 0 if it was not read from text."""
    line: object = element.sourceline
    return line if isinstance(line, int) else 0


def children(element: etree._Element) -> list[etree._Element]:
    """The element's child elements, without comments and processing instructions."""
    return [child for child in element if isinstance(child.tag, str)]
