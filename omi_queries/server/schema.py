"""Qualifiers of the classes and their declarations (DSP0004 5.6), as far as a reading client looks at them."""

from __future__ import annotations

from typing import NamedTuple

from omi_queries.classes import CimClass, Property
from omi_queries.scx.meanings import text

# units that DSP0004 annex C names for the Units qualifier; a client may refuse any other text there
_UNITS = frozenset(("Percent", "Bytes", "MegaBytes", "Seconds", "Packets"))


class QualifierType(NamedTuple):
    """A qualifier declaration. ``scopes`` are attribute names of SCOPE."""

    name: str
    type: str
    default: str | bool | None
    scopes: tuple[str, ...]
    overridable: bool
    to_subclass: bool


_CLASS_SCOPES = ("CLASS", "ASSOCIATION", "INDICATION")
_EVERYWHERE = (*_CLASS_SCOPES, "PROPERTY", "REFERENCE", "METHOD", "PARAMETER")
QUALIFIERS = (
    QualifierType("Abstract", "boolean", False, _CLASS_SCOPES, True, False),
    QualifierType("Description", "string", None, _EVERYWHERE, True, True),
    QualifierType("Key", "boolean", False, ("PROPERTY", "REFERENCE"), False, True),
    QualifierType("Read", "boolean", True, ("PROPERTY",), True, True),
    QualifierType("Units", "string", None, ("PROPERTY", "METHOD", "PARAMETER"), True, True),
)


def find_qualifier(name: str) -> QualifierType | None:
    """The declaration of that name in any case."""
    return next((one for one in QUALIFIERS if one.name.lower() == name.lower()), None)


def property_qualifiers(class_name: str, one: Property) -> list[tuple[str, str, str | bool]]:
    """(name, type, value) of a property's qualifiers."""
    found: list[tuple[str, str, str | bool]] = []
    if one.key:
        found.append(("Key", "boolean", True))
    said = text(class_name, one.name)
    parts = (said, f"in {one.unit}" if one.unit else "", "always NULL on Linux" if one.null else "")
    found.append(("Description", "string", "; ".join(part for part in parts if part)))
    if one.unit in _UNITS:
        found.append(("Units", "string", one.unit))
    found.append(("Read", "boolean", True))
    return found


def class_qualifiers(cim_class: CimClass) -> list[tuple[str, str, str | bool]]:
    """(name, type, value) of a class's qualifiers."""
    if not cim_class.served:
        return [("Abstract", "boolean", True)]
    about = cim_class.constants.get("Description") or cim_class.constants.get("Caption")
    return [("Description", "string", str(about))] if about else []
