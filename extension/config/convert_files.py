"""Reading and writing of what ``lad config convert`` converts, and how secrets are kept out of it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MAX_BYTES = 16 << 20
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
        for attribute in ("key", "connectionString", "sasURL"):
            if element.get(attribute):
                element.set(attribute, PLACEHOLDER)
    return etree.tostring(root, encoding="utf-8", xml_declaration=False) + b"\n"


def read(path: str) -> bytes:
    """The file's bytes; ``-`` is standard input. ConvertError if it cannot be read or is too large."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConvertError(f"{name}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConvertError(f"{name}: is larger than {MAX_BYTES} bytes")
    return data


def json_value(data: bytes, path: str) -> Any:
    """The JSON value in ``data``; ConvertError says where it is none."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConvertError(f"{path}: is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ConvertError(f"{path} line {error.lineno} column {error.colno}: is not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise ConvertError(f"{path}: is not JSON that can be read: it nests too deeply or has a huge number") from None


def write(path: str, data: bytes) -> None:
    """Put what is secret into a file for its owner only. ConvertError if that cannot be done."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise ConvertError(f"{path}: cannot be written: {error.strerror}") from None
