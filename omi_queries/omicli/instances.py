"""What the command shows: an instance or class with typed slots, as text or as CIM-XML.

The text grammar is that of the original (spec/omi-scx.md 4): strings raw without quotes or escapes, arrays
``{a, b}``, reals with six significant digits, ``[Key]`` before keys, NULL left out unless asked for.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omi_queries.classes import CimClass

_XML_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})


class Slot(NamedTuple):
    """One property: ``type`` is the CIM type (``uint16[]`` for an array), ``value`` None for NULL."""

    name: str
    type: str
    key: bool
    value: Any


class Shown(NamedTuple):
    """One instance (or class, all values NULL) with its slots in the order of the declaration."""

    class_name: str
    slots: tuple[Slot, ...]


def of_instance(cim_class: CimClass, values: Mapping[str, Any], selected: Sequence[str] | None = None) -> Shown:
    """``values`` as an instance of ``cim_class``: all properties, or the ``selected`` ones; what is absent is NULL."""
    declared = cim_class.properties
    names = declared if selected is None else [name for name in declared if name in set(selected)]
    return Shown(
        cim_class.name,
        tuple(Slot(name, declared[name].type, declared[name].key, values.get(name)) for name in names),
    )


def of_class(cim_class: CimClass) -> Shown:
    """The declaration of ``cim_class``."""
    return of_instance(cim_class, {})


def text(shown: Shown, nulls: bool) -> str:
    """The lines of one instance; NULL only with ``nulls``."""
    lines = [f"instance of {shown.class_name}", "{"]
    for slot in shown.slots:
        if slot.value is not None or nulls:
            lines.append(f"    {'[Key] ' if slot.key else ''}{slot.name}={_value(slot.value)}")
    return "\n".join([*lines, "}", ""])


def class_text(shown: Shown) -> str:
    """The lines of one class declaration: ``[MI_UINT64] Name=NULL``."""
    lines = [f"class of {shown.class_name}", "{"]
    for slot in shown.slots:
        array = slot.type.endswith("[]")
        kind = f"MI_{slot.type.removesuffix('[]').upper()}{'A' if array else ''}"
        lines.append(f"    [{kind}] {'[Key] ' if slot.key else ''}{slot.name}={_value(slot.value)}")
    return "\n".join([*lines, "}", ""])


def xml(shown: Shown) -> str:
    """One line of CIM-XML; NULL is a property without a value."""
    parts = [f'<INSTANCE CLASSNAME="{_escaped(shown.class_name)}">']
    for slot in shown.slots:
        array = slot.type.endswith("[]")
        tag = "PROPERTY.ARRAY" if array else "PROPERTY"
        parts.append(f'<{tag} NAME="{_escaped(slot.name)}" TYPE="{slot.type.removesuffix("[]")}">')
        if slot.value is not None and array:
            parts.append("<VALUE.ARRAY>")
            parts += [f"<VALUE>{_xml_value(one)}</VALUE>" for one in slot.value]
            parts.append("</VALUE.ARRAY>")
        elif slot.value is not None:
            parts.append(f"<VALUE>{_xml_value(slot.value)}</VALUE>")
        parts.append(f"</{tag}>")
    return "".join([*parts, "</INSTANCE>\n"])


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_scalar(one) for one in value) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _xml_value(value: Any) -> str:
    """A value in XML, where a real has all its digits."""
    return f"{value:.16e}" if isinstance(value, float) else _escaped(_scalar(value))


def _escaped(value: str) -> str:
    """XML text: markup escaped, characters that XML 1.0 has no place for left out."""
    kept = "".join(c for c in value if c >= " " or c in "\t\n\r") if not value.isprintable() else value
    if not kept.isascii():
        kept = "".join(c for c in kept if not ("\ud800" <= c <= "\udfff" or c in "\ufffe\uffff"))
    return kept.translate(_XML_ESCAPES)
