"""The classes: inheritance, properties in declaration order, CIM types, keys, units, meanings, and which are rates.

The declarations themselves are data in :mod:`omi_queries.scx.schema`.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from omi_queries.scx.schema import DECLARATIONS, INTEROP, OMI, SCX, TYPES, UNITS
from omi_queries.types import CimValue

NAMESPACE = SCX
_NAMESPACES = (SCX, OMI, INTEROP)
_ALIASES = {"root/interop": INTEROP}
_IDENTITY = ("Handle", "DeviceID", "Name", "InstanceID")  # what tells the instances of a class apart, best first


class Property(NamedTuple):
    """One property. ``type`` is the CIM type, ``unit`` "" if it has none, ``rate`` True if it needs two readings."""

    name: str
    type: str
    key: bool
    rate: bool
    null: bool
    unit: str


class CimClass(NamedTuple):
    """One class. ``properties`` are in declaration order, inherited ones first; ``constants`` are fixed values.

    ``served`` tells a class with instances of its own from a base class, whose instances are its subclasses';
    ``methods_only`` that listing instances is not supported at all (result 7).
    """

    name: str
    base: str
    served: bool
    properties: Mapping[str, Property]
    types: Mapping[str, str]
    constants: Mapping[str, CimValue]
    namespace: str = NAMESPACE
    methods_only: bool = False

    def template(self) -> dict[str, CimValue]:
        """A new instance in declaration order: constants set, all else NULL."""
        return {name: self.constants.get(name) for name in self.properties}

    def keys(self) -> list[str]:
        """All key properties in declaration order."""
        return [p.name for p in self.properties.values() if p.key]

    def key(self) -> str:
        """The key property that tells the instances apart; the others are the same in all of them."""
        keys = self.keys()
        return next((name for name in _IDENTITY if name in keys), keys[0] if keys else "Name")


def _property(text: str) -> Property:
    name, kind, flags, unit = [*text.split(":"), "", ""][:4]
    return Property(name, TYPES[kind], "k" in flags, "r" in flags, "n" in flags, UNITS.get(unit, unit))


@cache
def get(name: str) -> CimClass:
    """The class of exactly this name (KeyError if there is none)."""
    declared = DECLARATIONS[name]
    properties = dict(get(declared.base).properties) if declared.base else {}
    for text in declared.added.split():
        one = _property(text)
        properties[one.name] = one  # a redeclared property keeps its inherited place
    types = {p.name: p.type for p in properties.values()}
    constants = dict(get(declared.base).constants) if declared.base else {}
    constants.update(declared.constants)
    return CimClass(
        name, declared.base, declared.served, properties, types, constants, declared.namespace, declared.methods_only
    )


def namespaces() -> tuple[str, ...]:
    """The namespaces that have classes."""
    return _NAMESPACES


def namespace(name: str) -> str | None:
    """The namespace meant by ``name`` (any case, slashes around it ignored, root/interop = interop), or None."""
    wanted = name.strip("/").lower()
    wanted = _ALIASES.get(wanted, wanted)
    return wanted if wanted in _NAMESPACES else None


def find(name: str, within: str = NAMESPACE) -> CimClass | None:
    """The class of that name in any case in namespace ``within``, or None."""
    wanted = name.lower()
    return next((get(known) for known in names(within) if known.lower() == wanted), None)


def same_key(name: str, value: CimValue, text: str) -> bool:
    """Whether key property ``name`` has the value that a name gives as text. Providers compare names of classes
    without regard to case."""
    if isinstance(value, bool):
        return text.strip().lower() == str(value).lower()
    if isinstance(value, int):
        try:
            return len(text) <= 40 and int(text) == value
        except ValueError:
            return False
    own = "" if value is None else str(value)
    return own == text or (name.endswith("CreationClassName") and own.lower() == text.lower())


def served_by(name: str) -> list[CimClass]:
    """The classes whose instances a query on class ``name`` returns: itself, or all its subclasses with instances."""
    return [get(known) for known, one in DECLARATIONS.items() if one.served and name in lineage(known)]


@cache
def unlisted(name: str) -> bool:
    """Whether listing the instances of class ``name`` is not supported: it, or what is below it, has methods only."""
    below = [one for known, one in DECLARATIONS.items() if name in lineage(known)]
    return any(one.methods_only for one in below) and not any(one.served for one in below)


def lineage(name: str) -> list[str]:
    """``name`` and its bases, nearest first."""
    chain = [name]
    while DECLARATIONS[chain[-1]].base:
        chain.append(DECLARATIONS[chain[-1]].base)
    return chain


def names(within: str = NAMESPACE) -> list[str]:
    """All class names of a namespace, bases included."""
    return [name for name, one in DECLARATIONS.items() if one.namespace == within]


def meaning(class_name: str, property_name: str) -> str:
    """What a property says, in one line; with "always NULL on Linux" where it never says anything."""
    from omi_queries.scx.meanings import text  # long texts, needed by listings only

    found = get(class_name).properties[property_name]
    said = text(class_name, property_name)
    return f"{said} (always NULL on Linux)" if found.null else said


def nearest(word: str, candidates: list[str]) -> str:
    """The candidate most like ``word``, case ignored; "" if none is near enough to be meant.

    Near is a few letters changed, or a common beginning of at least two thirds of the word.
    """
    best, distance = "", 1 + max(2, len(word) // 3)
    for candidate in candidates:
        d = _edits(word.lower()[:80], candidate.lower(), distance)
        if d < distance:
            best, distance = candidate, d
    if best or not candidates:
        return best
    longest = max(candidates, key=lambda c: _common(word, c))
    return longest if 3 * _common(word, longest) >= 2 * max(3, len(word)) else ""


def _common(a: str, b: str) -> int:
    """Length of the common beginning, case ignored."""
    return next((i for i, (x, y) in enumerate(zip(a.lower(), b.lower(), strict=False)) if x != y), min(len(a), len(b)))


def _edits(a: str, b: str, limit: int) -> int:
    """Levenshtein distance of two short words, or ``limit`` when it is at least that."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)
