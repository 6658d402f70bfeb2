"""Typed access to JSON settings: a wrong type is a problem with its path, never an exception."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from extension.config import xmlsafe
from extension.config.problems import Problems
from extension.config.redact import holds_secret

Object = Mapping[str, object]

PUBLIC = "$.public"
PROTECTED = "$.protected"
MONITOR = f"{PUBLIC}.ladCfg.diagnosticMonitorConfiguration"

_HUGE = 10**9
_SEARCHED = 500  # characters in which a placeholder is looked for
_LONGEST_KEY = 60
_KEY_SHOWN = 8


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


def told(value: object, path: str) -> str:
    """An offending value for a message: scalars of the public settings, "" for anything else."""
    if not path.startswith(PUBLIC) or isinstance(value, (dict, list, tuple)):
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _HUGE:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def member(path: str, key: str) -> str:
    """The JSON path of ``key`` in the object at ``path``."""
    return path + _step(key)


@lru_cache(maxsize=200)
def _step(key: str) -> str:
    """The last step of a path.

    A key that is long or looks like a secret is cut: it is no setting's name, and a secret may stand in its place.
    """
    if len(key) > _LONGEST_KEY or holds_secret(key):
        return f"[{key[:_KEY_SHOWN]!r}... ({len(key)} characters)]"
    return f".{key}" if key.isascii() and key.isidentifier() else f"[{key!r}]"


_SECRETS = ("storageAccountKey", "storageAccountSasToken", "mysqlpassword")


def move_cure(key: str) -> str:
    """The cure for a protected setting in the public ones; a secret that stood there is known to others."""
    if key in _SECRETS:
        return "move it there and renew it: public settings are not secret"
    return "move it: public settings are not secret"


def placeholder(text: str) -> bool:
    """Whether ``text`` still has a template's placeholder in it: ``__STORAGE_ACCOUNT__``, ``<name>``, ``{{name}}``."""
    start = text[:_SEARCHED]
    if not any(mark in start for mark in ("__", "<", "{")):  # told without a pattern, which has to be compiled
        return False
    return re.search(r"__[A-Z][A-Z0-9_]*__|<[A-Za-z][\w .-]*>|\{\{.*\}\}|\$\{\w+\}", start) is not None


def report_unknown(source: Object, path: str, known: Iterable[str], problems: Problems) -> None:
    """A warning for each key of ``source`` that is not among ``known``, with the nearest spelling."""
    names = tuple(known)
    for key in source:
        if key not in names:
            near = problems.nearest(key, names)
            problems.warning(
                member(path, key), "unknown setting, ignored", f"did you mean {near}?" if near else "remove it"
            )


def obj(value: object, path: str, problems: Problems) -> Object:
    """An object; nothing (null) is an empty one, anything else is an error and read as empty."""
    if isinstance(value, Mapping):
        return value
    if value is not None:
        problems.error(path, f"must be an object, is {kind(value)}", _plain("{ ... }", value), told(value, path))
    return {}


def _plain(form: str, value: object) -> str:
    """The cure for a value that must be ``form``: a string of JSON is what some tools make of one."""
    if isinstance(value, str) and value.lstrip()[:1] == form[0]:
        return f"write {form} itself, without the quotes around it and the backslashes in it"
    return f"write {form}"


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
        problems.error(at, f"must be a list, is {kind(value)}", _plain("[ ... ]", value), told(value, at))
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
        at = member(path, key)
        problems.error(at, f"must be a string, is {kind(value)}", 'write it in quotes: "..."', told(value, at))
    return ""


def number_text(source: Object, key: str, path: str, problems: Problems) -> str:
    """A whole number written as a string, as LAD takes it; a JSON number is understood with a warning."""
    value = source.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= _HUGE:
            problems.error(member(path, key), "is a number that is far too large", 'write "60"')
            return ""
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
    import base64  # here, because later settings have nothing in it

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
