"""What another program answered, checked value by value: a lie costs that value and is counted, never the sample."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from omi_queries import classes
from omi_queries.backends.source import RawInstance
from omi_queries.classes import CimClass
from omi_queries.types import CimValue, Instance

MAX_TEXT = 64 * 1024
MAX_ITEMS = 4096
_BITS = {f"{sign}int{size}": (sign, size) for sign in "us" for size in (8, 16, 32, 64)}
CIM_DATETIME = re.compile(r"\d{14}\.[\d*]{6}(?:[+-]\d{3}|:000)|\d{8}[\d*]{6}\.[\d*]{6}(?:[+-]\d{3}|:000)", re.ASCII)
"""Matches a whole one; asterisks stand for what is not known."""

Skip = Callable[[str], None]


class ValueRejectedError(Exception):
    """A value that its CIM type does not allow; the text says in what way."""


def accept(
    raw: Iterable[RawInstance], cim_class: CimClass, needs: frozenset[str], source: str, skip: Skip
) -> list[Instance]:
    """The instances of ``cim_class`` among ``raw`` with the properties ``needs`` and the keys, in declaration order.

    ``skip(reason)`` is told what is missing: instances of other classes, without or with a repeated key, and
    properties that are missing or whose value the CIM type does not allow. NULL stays ``None``.
    """
    keys = [p.name for p in cim_class.properties.values() if p.key]
    wanted = [p for p in cim_class.properties.values() if p.name in needs or p.key]
    declared = {name.lower(): name for name in cim_class.properties}
    found: list[Instance] = []
    seen: set[tuple[CimValue, ...]] = set()
    for one in raw:
        if one.class_name.lower() != cim_class.name.lower():
            if not _asked_elsewhere(one.class_name, cim_class):
                skip(f"{source} gave an instance of another class than {cim_class.name}")
            continue
        given = {declared[name.lower()]: value for name, value in one.values.items() if name.lower() in declared}
        instance: Instance = {}
        for prop in wanted:
            if prop.name not in given:
                if prop.null:
                    instance[prop.name] = None
                else:
                    skip(f"{source} gave no {cim_class.name}.{prop.name}")
                continue
            try:
                instance[prop.name] = checked(given[prop.name], prop.type)
            except ValueRejectedError as why:
                skip(f"{source} gave a {cim_class.name}.{prop.name} that is {why}")
        identity = tuple(_hashable(instance.get(name)) for name in keys)
        if keys and all(part is None for part in identity):
            skip(f"{source} gave an instance of {cim_class.name} without a key")
        elif identity in seen and keys:
            skip(f"{source} gave an instance of {cim_class.name} twice")
        else:
            seen.add(identity)
            found.append(instance)
    return found


def _asked_elsewhere(name: str, cim_class: CimClass) -> bool:
    """Whether ``name`` is a subclass with instances of its own: a question of its own asks for those."""
    known = classes.find(name, cim_class.namespace)
    return known is not None and known.served and cim_class.name in classes.lineage(known.name)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def checked(value: Any, cim_type: str) -> Any:
    """``value`` as the CIM type has it; ValueRejectedError if it cannot be one. None is NULL of any type."""
    if value is None:
        return None
    if cim_type.endswith("[]"):
        if not isinstance(value, list):
            raise ValueRejectedError(f"not a list but {_kind(value)}")
        if len(value) > MAX_ITEMS:
            raise ValueRejectedError(f"a list of more than {MAX_ITEMS} items")
        if None in value:
            raise ValueRejectedError("a list with NULL in it")
        return [checked(item, cim_type[:-2]) for item in value]
    if cim_type in _BITS:
        return _integer(value, *_BITS[cim_type])
    if cim_type in ("real32", "real64"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueRejectedError(f"no number but {_kind(value)}")
        if not math.isfinite(value) or (cim_type == "real32" and abs(value) > 3.5e38):
            raise ValueRejectedError(f"out of the range of {cim_type}")
        return float(value)
    if cim_type == "boolean":
        if not isinstance(value, bool):
            raise ValueRejectedError(f"no boolean but {_kind(value)}")
        return value
    if not isinstance(value, str):
        raise ValueRejectedError(f"no text but {_kind(value)}")
    if len(value) > MAX_TEXT:
        raise ValueRejectedError(f"longer than {MAX_TEXT} characters")
    if cim_type == "datetime" and not CIM_DATETIME.fullmatch(value):
        raise ValueRejectedError("no CIM datetime of 25 characters")
    return value


def _integer(value: Any, sign: str, size: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRejectedError(f"no integer but {_kind(value)}")
    low, high = (0, (1 << size) - 1) if sign == "u" else (-(1 << (size - 1)), (1 << (size - 1)) - 1)
    if not low <= value <= high:
        raise ValueRejectedError(f"out of the range of {sign}int{size}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "something else"
