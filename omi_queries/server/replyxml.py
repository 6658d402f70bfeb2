"""CIM-XML replies as strings (DSP0201): instances, names, classes, errors. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from omi_queries.classes import CimClass
from omi_queries.server.schema import QualifierType, property_qualifiers

_ILLEGAL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
_QUOTED = {**_TEXT, ord('"'): "&quot;", ord("\n"): "&#10;", ord("\t"): "&#9;"}


def text(value: str) -> str:
    """Character data; what XML 1.0 cannot hold is left out."""
    return _ILLEGAL.sub("", value).translate(_TEXT)


def quoted(value: str) -> str:
    """An attribute's value, without the quotes around it."""
    return _ILLEGAL.sub("", value).translate(_QUOTED)


def message(message_id: str, protocol: str, content: str) -> bytes:
    """A whole reply document around IMETHODRESPONSE or METHODRESPONSE."""
    return (
        '<?xml version="1.0" encoding="utf-8" ?>\n<CIM CIMVERSION="2.0" DTDVERSION="2.0">'
        f'<MESSAGE ID="{quoted(message_id)}" PROTOCOLVERSION="{quoted(protocol)}">'
        f"<SIMPLERSP>{content}</SIMPLERSP></MESSAGE></CIM>\n"
    ).encode()


def response(method: str, content: str, intrinsic: bool = True) -> str:
    """IMETHODRESPONSE (METHODRESPONSE if not ``intrinsic``)."""
    tag = "IMETHODRESPONSE" if intrinsic else "METHODRESPONSE"
    return f'<{tag} NAME="{quoted(method)}">{content}</{tag}>'


def returned(content: str) -> str:
    """IRETURNVALUE."""
    return f"<IRETURNVALUE>{content}</IRETURNVALUE>"


def error(code: int, description: str) -> str:
    """ERROR with CIM status code and text."""
    return f'<ERROR CODE="{code}" DESCRIPTION="{quoted(description)}"/>'


def output(name: str, kind: str, value: str) -> str:
    """PARAMVALUE with a VALUE."""
    return f'<PARAMVALUE NAME="{name}" PARAMTYPE="{kind}"><VALUE>{text(value)}</VALUE></PARAMVALUE>'


def scalar(value: Any) -> str | None:
    """A CIM value as text, None for what has no text in CIM (NULL, NaN, infinities)."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    return text(str(value))


def value_element(value: Any) -> str:
    """VALUE or VALUE.ARRAY; "" for NULL."""
    if isinstance(value, (list, tuple)):
        shown_items = (scalar(item) for item in value)
        items = ("<VALUE.NULL/>" if item is None else f"<VALUE>{item}</VALUE>" for item in shown_items)
        return f"<VALUE.ARRAY>{''.join(items)}</VALUE.ARRAY>"
    shown = scalar(value)
    return "" if shown is None else f"<VALUE>{shown}</VALUE>"


def instance(cim_class: CimClass, values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> str:
    """INSTANCE with the properties in ``values``; ``origins`` adds CLASSORIGIN."""
    parts = [f'<INSTANCE CLASSNAME="{cim_class.name}">']
    types = cim_class.types
    for name, value in values.items():
        origin = f' CLASSORIGIN="{origins[name]}"' if origins and name in origins else ""
        kind = types[name]
        if kind.endswith("[]"):
            parts.append(
                f'<PROPERTY.ARRAY NAME="{name}"{origin} TYPE="{kind[:-2]}">{value_element(value)}</PROPERTY.ARRAY>'
            )
        else:
            parts.append(f'<PROPERTY NAME="{name}"{origin} TYPE="{kind}">{value_element(value)}</PROPERTY>')
    parts.append("</INSTANCE>")
    return "".join(parts)


def key_type(kind: str) -> str:
    """KEYVALUE's VALUETYPE for a CIM type."""
    if kind == "boolean":
        return "boolean"
    return "numeric" if kind.startswith(("uint", "sint", "real")) else "string"


def instance_name(cim_class: CimClass, values: Mapping[str, Any]) -> str:
    """INSTANCENAME from a full instance."""
    parts = [f'<INSTANCENAME CLASSNAME="{cim_class.name}">']
    for one in cim_class.properties.values():
        if one.key:
            parts.append(
                f'<KEYBINDING NAME="{one.name}"><KEYVALUE VALUETYPE="{key_type(one.type)}" TYPE="{one.type}">'
                f"{scalar(values.get(one.name)) or ''}</KEYVALUE></KEYBINDING>"
            )
    parts.append("</INSTANCENAME>")
    return "".join(parts)


def instance_path(host: str, namespace: str, name: str) -> str:
    """INSTANCEPATH around an INSTANCENAME."""
    parts = "".join(f'<NAMESPACE NAME="{quoted(part)}"/>' for part in namespace.split("/"))
    return (
        f"<INSTANCEPATH><NAMESPACEPATH><HOST>{text(host)}</HOST><LOCALNAMESPACEPATH>{parts}</LOCALNAMESPACEPATH>"
        f"</NAMESPACEPATH>{name}</INSTANCEPATH>"
    )


def qualifier(name: str, kind: str, value: Any) -> str:
    """QUALIFIER with one value."""
    return f'<QUALIFIER NAME="{name}" TYPE="{kind}">{value_element(value)}</QUALIFIER>'


def qualifier_declaration(one: QualifierType) -> str:
    """QUALIFIER.DECLARATION."""
    scope = " ".join(f'{name}="true"' for name in one.scopes)
    overridable = "true" if one.overridable else "false"
    return (
        f'<QUALIFIER.DECLARATION NAME="{one.name}" TYPE="{one.type}" ISARRAY="false" OVERRIDABLE="{overridable}" '
        f'TOSUBCLASS="{"true" if one.to_subclass else "false"}"><SCOPE {scope}/>'
        f"{value_element(one.default)}</QUALIFIER.DECLARATION>"
    )


def class_element(
    cim_class: CimClass,
    class_qualifiers: Iterable[tuple[str, str, Any]],
    shown: Collection[str],
    origins: Mapping[str, str],
    with_qualifiers: bool,
    with_origin: bool,
) -> str:
    """CLASS with the properties in ``shown``."""
    base = f' SUPERCLASS="{cim_class.base}"' if cim_class.base else ""
    parts = [f'<CLASS NAME="{cim_class.name}"{base}>']
    if with_qualifiers:
        parts += [qualifier(*one) for one in class_qualifiers]
    for one in cim_class.properties.values():
        if one.name not in shown:
            continue
        array = one.type.endswith("[]")
        tag, kind = ("PROPERTY.ARRAY", one.type[:-2]) if array else ("PROPERTY", one.type)
        origin = f' CLASSORIGIN="{origins[one.name]}"' if with_origin else ""
        propagated = "false" if origins[one.name] == cim_class.name else "true"
        inner = "".join(qualifier(*q) for q in property_qualifiers(cim_class.name, one)) if with_qualifiers else ""
        parts.append(f'<{tag} NAME="{one.name}" TYPE="{kind}"{origin} PROPAGATED="{propagated}">{inner}</{tag}>')
    parts.append("</CLASS>")
    return "".join(parts)
