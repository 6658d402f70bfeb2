"""What the documents of all dialects are made with."""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

Seal = Callable[[str], tuple[str, str]]
"""A secret -> (upper-case hex of its DER CMS, path of the private key)."""


def add(parent: etree._Element, tag: str, /, **attributes: str) -> etree._Element:
    """A new last child of ``parent``, its attributes in alphabetical order."""
    return etree.SubElement(parent, tag, dict(sorted(attributes.items())))


def escaped(resource_id: str) -> str:
    """A resource id as partition key: letters and digits (of any script) stay, others become ``:`` + code point."""
    return "".join(c if c.isalnum() else f":{ord(c):04X}" for c in resource_id)


def serialised(root: etree._Element) -> bytes:
    """The document as readable ASCII (other characters as references), ending in a line break."""
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="ascii", xml_declaration=False) + b"\n"
