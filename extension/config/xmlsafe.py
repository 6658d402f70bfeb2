"""The only place that parses XML: no DTD, no entities, no network, bounded size and depth."""

from __future__ import annotations

import re

from lxml import etree

MAX_BYTES = 16 * 1024 * 1024
"""Largest document that is read."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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


def parse(data: bytes) -> etree._Element:
    """The root element of ``data``; :class:`XmlError` for anything that is malformed, hostile or too large."""
    if not data.strip():
        raise XmlError("the document is empty", 0, "give an XML document")
    if len(data) > MAX_BYTES:
        raise XmlError(f"the document has {len(data)} bytes, more than {MAX_BYTES}", 0, "give a smaller document")
    refusal = XmlError(
        "the document has a DOCTYPE, which is refused because entities can read files or fill the memory",
        0,
        "remove the DOCTYPE and write the text of its entities in place",
    )
    if _has_doctype(data):
        raise refusal
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        line, column = problem.position if problem.position else (problem.lineno or 0, 0)
        reason = re.sub(r",? *(at )?line \d+, column \d+( \([^)]*\))?$", "", problem.msg or "not well-formed")
        where = f" at column {column}" if column else ""
        raise XmlError(f"malformed XML: {reason}{where}", line, "correct the XML at this place") from None
    except (ValueError, LookupError, AssertionError) as problem:
        raise XmlError(f"unreadable XML: {problem}", 0, "save the document as UTF-8") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise refusal
    return root


def looks_like_xml(data: bytes) -> bool:
    """Whether the first character that counts is ``<`` (byte order marks and UTF-16 included)."""
    return data.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")


def legal(text: str) -> bool:
    """Whether XML can carry every character of ``text``."""
    return _ILLEGAL.search(text) is None


def without_illegal(text: str) -> str:
    """``text`` without the characters that XML cannot carry (control characters, lone surrogates)."""
    return _ILLEGAL.sub("", text)


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
