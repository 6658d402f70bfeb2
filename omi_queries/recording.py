"""Recordings: instances with their times as NDJSON, one line per class and instant.

Format: ``{"t": "2026-11-21T09:18:00.000000Z", "namespace": "root/scx", "class": "SCX_...", "instances": [{...}]}``.
CIM types come from :mod:`omi_queries.classes`; any value may carry its own: ``{"type": "uint8", "value": 3}``. Events
for an input socket stand between them: ``{"t": ..., "socket": "json", "message": ...}``. Lines are in order of ``t``.
"""

from __future__ import annotations

import calendar
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omi_queries import classes
from omi_queries.backends.accept import CIM_DATETIME
from omi_queries.classes import CimClass
from omi_queries.types import CimValue, Instance

SOCKETS = ("json", "djson")

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z|NaN\Z|[+-]?Inf(inity)?\Z", re.ASCII | re.IGNORECASE)
_DIGITS = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_INTEGERS = {
    f"{sign}int{bits}": (-(1 << (bits - 1)) if sign == "s" else 0, (1 << (bits - (sign == "s"))) - 1)
    for sign in "su"
    for bits in (8, 16, 32, 64)
} | {"char16": (0, (1 << 16) - 1)}
_SCALARS = frozenset([*_INTEGERS, "real32", "real64", "boolean", "string", "datetime"])


@dataclass(frozen=True)
class Sample:
    """All instances of one class at one instant. ``at_us`` is Unix time in microseconds; ``types`` holds the CIM types
    of all properties that occur, ``given`` those that the line itself states.
    """

    at_us: int
    namespace: str
    class_name: str
    instances: list[Instance]
    types: dict[str, str]
    given: dict[str, str]


@dataclass(frozen=True)
class InputEvent:
    """A message for the input socket of that name, as a client sends it."""

    at_us: int
    socket: str
    message: Any


def format_sample(at_us: int, namespace: str, class_name: str, instances: Sequence[Instance],
                  types: Mapping[str, str]) -> str:  # fmt: skip
    """One line, without its end. ``types`` are the CIM types; those that the class does not declare are written out."""
    known = declared_class(namespace, class_name)
    declared = known.types if known else {}

    def value(name: str, plain: CimValue) -> object:
        kind = types.get(name, declared.get(name))
        if isinstance(plain, float) and not math.isfinite(plain):
            plain = None  # JSON has no such number
        return plain if kind is None or declared.get(name) == kind else {"type": kind, "value": plain}

    rows = [{name: value(name, plain) for name, plain in one.items()} for one in instances]
    line = {"t": time_text(at_us), "namespace": namespace, "class": class_name, "instances": rows}
    return json.dumps(line, separators=(", ", ": "))


def declared_class(namespace: str, name: str) -> CimClass | None:
    """The class as :mod:`omi_queries.classes` declares it in that namespace, or None."""
    within = classes.namespace(namespace)
    return classes.find(name, within) if within is not None else None


def class_key(namespace: str, class_name: str) -> tuple[str, str]:
    """What a class goes by in a recording, whatever the case of its names."""
    return classes.namespace(namespace) or namespace.strip("/").lower(), class_name.lower()


def time_text(at_us: int) -> str:
    """ISO 8601 in UTC with microseconds."""
    seconds, fraction = divmod(at_us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:06d}Z"


def parse_time(text: object) -> int:
    """Unix time in microseconds of an ISO 8601 time with an offset; ValueError if it is none."""
    match = _TIME.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("t must be a time such as 2026-11-21T09:18:00.000000Z")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    last = calendar.monthrange(year, month)[1] if year and 1 <= month <= 12 else 0
    if not (1 <= day <= last and hour < 24 and minute < 60 and second < 60):
        raise ValueError(f"there is no time {match.group(0)}")
    zone = match.group(8)
    offset = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    fraction = int((match.group(7) or "").ljust(6, "0")[:6])
    return (calendar.timegm((year, month, day, hour, minute, second)) - offset) * 1_000_000 + fraction


def parse_line(line: bytes) -> Sample | InputEvent:
    """One line of a recording; ValueError with what is wrong in it."""
    try:
        value = json.loads(line, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("the values are nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (at character {error.pos + 1})") from None
    if not isinstance(value, dict):
        raise ValueError("a line must be an object with t, namespace, class and instances")
    at_us = parse_time(value.get("t"))
    if "socket" in value:
        return _event(at_us, value)
    return _sample(at_us, value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!a} stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that a property can have; write null")


def _only(value: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in value:
        if name not in names:
            raise ValueError(f"unknown key {name[:80]!a}; there are {', '.join(names)}")
    for name in names:
        if name not in value:
            raise ValueError(f"{name} is missing")


def _event(at_us: int, value: dict[str, Any]) -> InputEvent:
    _only(value, ("t", "socket", "message"))
    if value["socket"] not in SOCKETS:
        raise ValueError(f"socket must be one of {', '.join(SOCKETS)}")
    return InputEvent(at_us, value["socket"], value["message"])


def _sample(at_us: int, value: dict[str, Any]) -> Sample:
    _only(value, ("t", "namespace", "class", "instances"))
    namespace, name, rows = value["namespace"], value["class"], value["instances"]
    if not isinstance(namespace, str) or not namespace.strip("/"):
        raise ValueError("namespace must be a name such as root/scx")
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError("class must be the name of a class")
    if not isinstance(rows, list):
        raise ValueError("instances must be a list of objects")
    known = declared_class(namespace, name)
    types: dict[str, str] = {}
    given: dict[str, str] = {}
    instances = [_instance(at, one, known, types, given) for at, one in enumerate(rows)]
    return Sample(at_us, namespace, known.name if known else name, instances, types, given)


def _instance(at: int, row: object, known: CimClass | None, types: dict[str, str], given: dict[str, str]) -> Instance:
    if not isinstance(row, dict):
        raise ValueError(f"instance {at + 1} is not an object")
    found: Instance = {}
    for name, stated in row.items():
        try:
            kind, explicit, plain = _typed(name, stated, known)
            if explicit and given.setdefault(name, kind) != kind:
                raise ValueError(f"is {kind} here and {given[name]} in an earlier instance")
            found[name] = checked(kind, plain)
        except ValueError as error:
            raise ValueError(f"instance {at + 1}: {name[:80]} {error}") from None
        if plain is not None or name not in types:
            types[name] = given.get(name, kind)
    if known is None:
        return found
    return {name: found[name] for name in [*(n for n in known.properties if n in found), *found]}


def _typed(name: str, stated: object, known: CimClass | None) -> tuple[str, bool, object]:
    """CIM type of a value, whether the line gives it, and the value."""
    if isinstance(stated, dict):
        if set(stated) != {"type", "value"} or not isinstance(stated["type"], str):
            raise ValueError('must be a plain value or {"type": ..., "value": ...}')
        if stated["type"].removesuffix("[]") not in _SCALARS:
            raise ValueError(f"has the unknown type {stated['type'][:40]!a}")
        return stated["type"], True, _as_typed(stated["type"], stated["value"])
    if known is None:
        return _natural(stated), False, stated
    if name not in known.types:
        near = classes.nearest(name, list(known.properties))
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"is no property of {known.name}{hint}")
    return known.types[name], False, stated


def _as_typed(kind: str, value: object) -> object:
    """What a text means beside its type: digits are an integer, as many programs write what is above 2**53, and a
    datetime may be written as ISO 8601."""
    if not isinstance(value, str):
        return value
    if kind in _INTEGERS and _DIGITS.match(value):
        return int(value)
    if kind == "datetime" and _TIME.match(value):
        at_us = parse_time(value)
        return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime(at_us // 1_000_000))}.{at_us % 1_000_000:06d}+000"
    return value


def _natural(value: object) -> str:
    """The type of a plain value of a class that is not known here."""
    if isinstance(value, list):
        return f"{_natural(value[0])}[]" if value else "string[]"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "uint64" if value >= 0 else "sint64"
    return "real64" if isinstance(value, float) else "string"


def checked(kind: str, value: object) -> CimValue:
    """``value`` as the CIM type ``kind`` has it; ValueError if it cannot be of that type."""
    if value is None:
        return None
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise ValueError(f"is {kind} and must be a list")
        if None in value:
            raise ValueError("must not have null in its list")
        scalar = kind.removesuffix("[]")
        return [checked(scalar, one) for one in value]  # type: ignore[return-value]
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"is {kind} and must be an integer from {low} to {high}")
        return value
    if kind in ("real32", "real64"):
        if isinstance(value, str) and _REAL.match(value):
            return float(value)  # as text a real keeps its digits, and can be what JSON has no number for
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"is {kind} and must be a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"is {kind} and cannot hold so large a number")
        return number
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError("is boolean and must be true or false")
        return value
    if not isinstance(value, str):
        raise ValueError(f"is {kind} and must be text")
    if kind == "datetime" and not CIM_DATETIME.fullmatch(value):
        raise ValueError("is datetime and must look like 20261121091618.747502+000")
    return value
