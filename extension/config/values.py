"""Typed access to JSON settings: a wrong type is a problem with its path, never an exception."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from extension.config import xmlsafe
from extension.config.problems import Problems

Object = Mapping[str, object]

PUBLIC = "$.public"
PROTECTED = "$.protected"
MONITOR = f"{PUBLIC}.ladCfg.diagnosticMonitorConfiguration"


def kind(value: object) -> str:
    """What JSON calls the value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def member(path: str, key: str) -> str:
    """The JSON path of ``key`` in the object at ``path``."""
    return f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else f"{path}[{key!r}]"


def obj(value: object, path: str, problems: Problems) -> Object:
    """An object; nothing (null) is an empty one, anything else is an error and read as empty."""
    if isinstance(value, Mapping):
        return value
    if value is not None:
        problems.error(path, f"must be an object, is {kind(value)}", "write { ... }")
    return {}


def child(source: Object, key: str, path: str, problems: Problems) -> Object:
    """The object under ``key``, read as :func:`obj` does."""
    return obj(source.get(key), member(path, key), problems)


def items(source: Object, key: str, path: str, problems: Problems) -> list[tuple[str, object]] | None:
    """The elements of a list with their paths; None where the key is missing, null or no list."""
    value = source.get(key)
    at = member(path, key)
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        problems.error(at, f"must be a list, is {kind(value)}", "write [ ... ]")
        return None
    return [(f"{at}[{i}]", element) for i, element in enumerate(value)]


def clean(value: str, path: str, problems: Problems) -> str:
    """``value`` without what XML cannot carry; taking something away is an error."""
    if xmlsafe.legal(value):
        return value
    problems.error(path, "has control characters or half a surrogate pair", "remove these characters")
    return xmlsafe.without_illegal(value)


def text(source: Object, key: str, path: str, problems: Problems) -> str:
    """A string; missing and null are "", anything else is an error and read as ""."""
    value = source.get(key)
    if isinstance(value, str):
        return clean(value, member(path, key), problems)
    if value is not None:
        problems.error(member(path, key), f"must be a string, is {kind(value)}", 'write it in quotes: "..."')
    return ""


def number_text(source: Object, key: str, path: str, problems: Problems) -> str:
    """A whole number written as a string, as LAD takes it; a JSON number is understood with a warning."""
    value = source.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        problems.warning(member(path, key), "is a number, LAD takes a string", f'write "{value}"')
        return str(value)
    return text(source, key, path, problems)


def flag(source: Object, key: str, path: str, problems: Problems) -> bool | None:
    """A switch written as the string ``true`` or ``false``; a JSON boolean means the same. None where missing."""
    value = source.get(key)
    if isinstance(value, bool):
        return value
    given = text(source, key, path, problems)
    if not given:
        return None
    if given.strip().lower() not in ("true", "false"):
        problems.warning(
            member(path, key), "is neither true nor false and counts as true", 'write "true" or "false"', given
        )
    return given.strip().lower() != "false"


def decoded(given: str, path: str, problems: Problems) -> bytes | None:
    """The bytes behind base64 text; None and an error where it is none."""
    packed = "".join(given.split())
    cure = "encode the document: base64 -w0 FILE"
    if packed.startswith("<"):
        problems.error(path, "is XML, not base64 of XML", cure)
        return None
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        lenient = base64.b64decode(packed)
    except (binascii.Error, ValueError) as reason:
        problems.error(path, f"is not base64: {str(reason)[:80]}", cure)
        return None
    if xmlsafe.looks_like_xml(lenient):
        problems.warning(path, "has characters that are not base64, which are ignored", cure)
        return lenient
    problems.error(path, "is not base64: it has characters outside the base64 alphabet", cure)
    return None
