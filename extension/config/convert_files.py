"""Reading and writing of what ``lad config convert`` converts, and how secrets are kept out of it."""

from __future__ import annotations

import os

PLACEHOLDER = "__SECRET__"


class ConvertError(Exception):
    """A file cannot be converted; one line with the reason."""


def without_secrets(xml: bytes) -> bytes:
    """The document with a placeholder for every key, SAS and sink address, and without paths of private keys."""
    from lxml import etree

    from extension.config import xmlsafe

    root = xmlsafe.parse(xml)
    for element in root.iter(etree.Element):
        name = etree.QName(element).localname
        element.attrib.pop("decryptKeyPath", "")
        if name == "Key" and (element.text or "").strip():
            element.text = PLACEHOLDER
        for attribute in ("key", "connectionString", "sasURL", "appInsightsKey"):
            if element.get(attribute):
                element.set(attribute, PLACEHOLDER)
    return etree.tostring(root, encoding="utf-8", xml_declaration=False) + b"\n"


def write(path: str, data: bytes) -> None:
    """Put what is secret into a file for its owner only. ConvertError if that cannot be done."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise ConvertError(f"{path}: cannot be written: {error.strerror}") from None
