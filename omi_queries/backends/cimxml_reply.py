"""The instances in a CIM-XML reply: as pywbem reads it, or from its XML where one bad value is too much for pywbem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from omi_queries.backends.cimxml_client import CONVERSION_FAULTS, library

Plain = Callable[[Any], Any]
_ITEMS = {
    "EnumerateInstances": ("VALUE.NAMEDINSTANCE",),
    "EnumerateInstanceNames": ("INSTANCENAME",),
    "GetInstance": ("INSTANCE",),
    "ExecQuery": ("VALUE.OBJECT", "VALUE.OBJECTWITHLOCALPATH", "VALUE.OBJECTWITHPATH"),
}
_PATHS = ("./INSTANCENAME", "./INSTANCEPATH/INSTANCENAME", "./LOCALINSTANCEPATH/INSTANCENAME")
_KEY_TYPES = {"boolean": "boolean", "numeric": "sint64"}


class Given(NamedTuple):
    """An instance as it was given: unchecked values, CIM types, and the keys that its path has (in lower case)."""

    class_name: str
    values: Mapping[str, Any]
    types: Mapping[str, str]
    keys: frozenset[str]


def json_value(value: Any) -> object:
    """A CIM value as JSON has it; what JSON has no word for becomes an object, which no CIM type accepts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return str(value) if type(value).__name__ == "CIMDateTime" else {}


def ask(connection: Any, method: str, *arguments: Any, plain: Plain = json_value, **options: Any) -> list[Given]:
    """What the server answers to one of the methods that give instances or their names; pywbem's errors.

    ``plain`` turns pywbem's values into plain ones. One that its type does not allow stays text, or a number out of
    its range, for the reader to refuse.
    """
    try:
        found = getattr(connection, method)(*arguments, **options)
    except (library().ParseError, *CONVERSION_FAULTS):
        saved = _salvaged(connection.last_raw_reply, method)
        if saved is None:
            raise
        return saved
    if method == "EnumerateInstanceNames":
        return [_given(str(path.classname), {}, {}, path, plain) for path in found]
    return [_of_instance(one, plain) for one in (found if isinstance(found, list) else [found])]


def _of_instance(one: Any, plain: Plain) -> Given:
    values = {name: plain(prop.value) for name, prop in one.properties.items()}
    types = {
        name: str(prop.embedded_object or prop.type) + ("[]" if prop.is_array else "")
        for name, prop in one.properties.items()
    }
    return _given(str(one.classname), values, types, one.path, plain)


def _given(name: str, values: dict[str, Any], types: dict[str, str], path: Any, plain: Plain) -> Given:
    """A key that only the path has is taken from there, where numbers have no size."""
    if path is None:
        return Given(name, values, types, frozenset())
    kinds = {bool: "boolean", int: "sint64", float: "real64", str: "string"}
    keys = {str(key): plain(value) for key, value in path.keybindings.items()}
    key_types = {
        str(key): next((kind for of, kind in kinds.items() if isinstance(value, of)), "reference")
        for key, value in path.keybindings.items()
    }
    return _with_keys(name, values, types, keys, key_types)


def _with_keys(
    name: str, values: dict[str, Any], types: dict[str, str], keys: dict[str, Any], key_types: dict[str, str]
) -> Given:
    present = {one.lower() for one in values}
    only = [key for key in keys if key.lower() not in present]
    return Given(
        name,
        {**values, **{key: keys[key] for key in only}},
        {**types, **{key: key_types[key] for key in only}},
        frozenset(key.lower() for key in keys),
    )


def _salvaged(reply: bytes | None, method: str) -> list[Given] | None:
    """The instances or names in a reply that pywbem refuses as a whole because of one bad value; None if it is no list
    of them. Values are converted by the type that the reply gives."""
    from lxml import etree

    if not reply:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(reply, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    listed = root.find(f"./MESSAGE/SIMPLERSP/IMETHODRESPONSE[@NAME='{method}']/IRETURNVALUE")
    if listed is None or not len(listed) or any(one.tag not in _ITEMS[method] for one in listed):
        return None
    if method == "GetInstance" and len(listed) != 1:
        return None
    found: list[Given] = []
    for item in listed:
        named = [item] if item.tag == "INSTANCENAME" else [one for where in _PATHS for one in item.findall(where)]
        instance = item if item.tag in ("INSTANCE", "INSTANCENAME") else item.find("./INSTANCE")
        if instance is None:
            return None
        found.append(_of_element(instance, named[0] if named else None))
    return found


def _of_element(instance: Any, path: Any) -> Given:
    values: dict[str, Any] = {}
    types: dict[str, str] = {}
    for prop in instance.findall("./PROPERTY"):
        text = prop.findtext("./VALUE")
        name, kind = prop.get("NAME", ""), _type(prop)
        values[name] = None if text is None else _typed(text, kind)
        types[name] = kind
    for prop in instance.findall("./PROPERTY.ARRAY"):
        items = prop.find("./VALUE.ARRAY")
        name, kind = prop.get("NAME", ""), _type(prop)
        values[name] = None if items is None else [_typed(item.text or "", kind) for item in items.findall("./VALUE")]
        types[name] = f"{kind}[]"
    keys: dict[str, Any] = {}
    key_types: dict[str, str] = {}
    for key in path.findall("./KEYBINDING") if path is not None else ():
        value = key.find("./KEYVALUE")
        if value is not None:
            name, kind = key.get("NAME", ""), value.get("VALUETYPE", "string")
            key_types[name] = value.get("TYPE") or _KEY_TYPES.get(kind, "string")
            keys[name] = _typed(value.text or "", key_types[name])
    return _with_keys(instance.get("CLASSNAME", ""), values, types, keys, key_types)


def _type(prop: Any) -> str:
    return str(prop.get("EmbeddedObject") or prop.get("EMBEDDEDOBJECT") or prop.get("TYPE", "string"))


def _typed(text: str, cim_type: str) -> object:
    """``text`` as a value of the CIM type, or the text itself if it is none."""
    stripped = text.strip()
    if cim_type == "boolean":
        return {"true": True, "false": False}.get(stripped.lower(), text)
    try:
        if cim_type.startswith(("uint", "sint")) and len(stripped) <= 40 and stripped.isascii() and "_" not in stripped:
            return int(stripped, 16 if stripped.lower().lstrip("+-").startswith("0x") else 10)
        if cim_type.startswith("real") and len(stripped) <= 400 and stripped.isascii() and "_" not in stripped:
            return float(stripped)
    except ValueError:
        pass
    return text
