"""``lad query --list``: the classes that can be asked, and their properties with type, key, unit and meaning."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from omi_queries import classes
from omi_queries.classes import CimClass


def show(name: str, namespace: str | None, as_json: bool, say: Callable[[str], None]) -> int:
    """Print the classes (of one namespace, or of all), or the properties of class ``name`` if it is not "".

    Exit code 0, or 1 for an unknown class or namespace.
    """
    within = classes.namespaces()
    if namespace is not None:
        one = classes.namespace(namespace)
        if one is None:
            say(f"unknown namespace {namespace[:80]!a}; there are {', '.join(classes.namespaces())}")
            return 1
        within = (one,)
    if name:
        return _show_class(name, within, as_json, say)
    found = [classes.get(known) for ns in within for known in classes.names(ns)]
    if as_json:
        print(json.dumps([_described(one) for one in found], indent=2))
        return 0
    _print_classes(found)
    return 0


def _show_class(name: str, within: tuple[str, ...], as_json: bool, say: Callable[[str], None]) -> int:
    found = next((c for ns in within if (c := classes.find(name, ns)) is not None), None)
    if found is None:
        near = classes.nearest(name, [known for ns in within for known in classes.names(ns)])
        hint = f"; did you mean {near}?" if near else "; lad query --list shows all"
        say(f"there is no class {name[:80]!a}{hint}")
        return 1
    described = _described(found)
    if as_json:
        print(json.dumps(described, indent=2))
        return 0
    print(f"{found.name} in {found.namespace}: {_kind(found)}")
    if found.base:
        print(f"  derived from {' < '.join(classes.lineage(found.name)[1:])}")
    subclasses = described["subclasses"]
    if subclasses:
        print(f"  answered by {', '.join(subclasses)}")
    _print_rows([("PROPERTY", "TYPE", "", "UNIT", "MEANING"), *map(_row, described["properties"])])
    return 0


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    marks = " ".join(mark for mark in ("key", "rate", "null") if one[mark])
    return one["name"], one["type"], marks, one["unit"] or "-", one["meaning"]


def _print_rows(rows: list[tuple[str, ...]], indent: str = "") -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        print(indent + "  ".join([*(row[at].ljust(widths[at]) for at in range(4)), row[4]]).rstrip())


def _print_classes(found: list[CimClass]) -> None:
    """A line for each class, and below one with instances its properties, but those that never have a value."""
    widest = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name.ljust(widest)}  {one.namespace.ljust(8)}  {_kind(one)}")
        if one.served:
            _print_rows([_row(p) for p in _described(one)["properties"] if not p["null"]], "    ")


def _kind(one: CimClass) -> str:
    if one.methods_only:
        return "methods only, cannot be listed"
    if not one.served:
        return "base class"
    said = one.constants.get("Description") or one.constants.get("Caption")
    return str(said) if said else "instances"


def _described(one: CimClass) -> dict[str, Any]:
    return {
        "name": one.name,
        "namespace": one.namespace,
        "base": one.base or None,
        "instances": one.served,
        "subclasses": [other.name for other in classes.served_by(one.name) if other.name != one.name],
        "properties": [
            {
                "name": p.name,
                "type": p.type,
                "key": p.key,
                "rate": p.rate,
                "null": p.null,
                "unit": p.unit or None,
                "meaning": classes.meaning(one.name, p.name),
            }
            for p in one.properties.values()
        ],
    }
