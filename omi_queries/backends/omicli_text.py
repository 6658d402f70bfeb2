"""What ``omicli`` prints, read back: ``instance of X``, ``{``, ``    [Key] Name=value``, ``}`` (spec/omi-scx.md 4).

Values are raw: a line break in a text splits its line. After a text a line is a property only if it has the form of
one, names a property of the class and comes after the properties seen so far (the tool prints them in the order of
declaration); any other line goes on with that text. Values of other types are never broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from omi_queries.backends.source import RawInstance

ERROR_CLASS = "OMI_Error"
_ERROR_TYPES = {
    "OwningEntity": "string", "MessageID": "string", "Message": "string", "MessageArguments": "string[]",
    "PerceivedSeverity": "uint16", "ProbableCause": "uint16", "ProbableCauseDescription": "string",
    "CIMStatusCode": "uint32", "OMI_Code": "uint32", "OMI_Category": "uint16", "OMI_Type": "string",
    "OMI_ErrorMessage": "string",
}  # fmt: skip
_OPENING = "instance of "
_INDENT = "    "
_KEY = "[Key] "
_CLASS = "class of "
_TYPE = "[MI_"


class TextError(ValueError):
    """Text that is no output of the tool; says what is wrong and in which line."""


def parse(
    text: str, types: Mapping[str, str], others: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> list[RawInstance]:
    """The instances in ``text``. ``types`` maps the class's properties, in order of declaration, to CIM types;
    ``others`` are those of subclasses, by name in lower case.

    Values are converted by type; what cannot be is left as text for the reader to refuse. TextError if the text is
    not of this form, or is cut off.
    """
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    every = {**others, "": types, ERROR_CLASS.lower(): _ERROR_TYPES}
    orders = {name: _ranks(declared) for name, declared in every.items()}
    found: list[RawInstance] = []
    at = 0
    while at < len(lines):
        name = _class_of(lines, at)
        if name is None:
            raise TextError(f"line {at + 1} begins no instance: {lines[at][:60]!a}")
        end = _end(lines, at + 2)
        if end is None:
            raise TextError(f"the instance in line {at + 1} has no end")
        kind = name.lower() if name.lower() in every else ""
        known = every[kind]
        raw = _properties(lines[at + 2 : end], known, orders[kind], at + 3)
        found.append(RawInstance(name, {k: convert(v, known.get(k, "string")) for k, v in raw.items()}))
        at = end + 1
    return found


def parse_class(text: str) -> tuple[str, dict[str, str]]:
    """(name, CIM types by property) of the declaration in ``text``, as ``gc`` prints it: ``class of X``, ``{``,
    ``    [MI_UINT64] [Key] Name=NULL``, ``}``. TextError if it is none.
    """
    lines = text.rstrip("\n").split("\n")
    name = lines[0].removeprefix(_CLASS).strip()
    if not lines[0].startswith(_CLASS) or not name.isidentifier() or lines[1:2] != ["{"] or lines[-1] != "}":
        raise TextError(f"line 1 begins no class: {lines[0][:60]!a}")
    types: dict[str, str] = {}
    for line in lines[2:-1]:
        tag, _, rest = line.removeprefix(_INDENT + _TYPE).partition("] ")
        named = _name(_INDENT + rest)
        if line.startswith(_INDENT + _TYPE) and named:  # anything else goes on with the text before
            array = tag.endswith("A")
            types[named] = tag.removesuffix("A").lower() + ("[]" if array else "")
    return name, types


def class_names(text: str) -> Iterator[str]:
    """The classes that instances in ``text`` are of, as they come; a text value may pretend to be more of them."""
    lines = text.split("\n")
    for at in range(len(lines)):
        name = _class_of(lines, at)
        if name is not None:
            yield name


def keys_of(text: str) -> list[str]:
    """The keys of the class whose declaration ``text`` is."""
    marked = (line.partition("] ")[2] for line in text.split("\n") if line.startswith(_INDENT + _TYPE))
    return [name for rest in marked if rest.startswith(_KEY) and (name := _name(_INDENT + rest))]


def _ranks(types: Mapping[str, str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(types)}


def _class_of(lines: list[str], at: int) -> str | None:
    if at + 1 < len(lines) and lines[at].startswith(_OPENING) and lines[at + 1] == "{":
        name = lines[at][len(_OPENING) :].strip()
        if name.isidentifier():
            return name
    return None


def _end(lines: list[str], at: int) -> int | None:
    """The line of the closing brace: one that is followed by another instance or by nothing."""
    for i in range(at, len(lines)):
        if lines[i] == "}" and (i + 1 == len(lines) or _class_of(lines, i + 1) is not None):
            return i
    return None


def _properties(lines: list[str], types: Mapping[str, str], order: Mapping[str, int], first: int) -> dict[str, str]:
    found: dict[str, str] = {}
    last, position = "", -1
    for number, line in enumerate(lines, first):
        name = _name(line)
        broken = bool(last) and types.get(last, "string").startswith("string") and found[last] != "NULL"
        if name and name not in found and (not broken or order.get(name, -1) > position):
            last, position = name, order.get(name, position)
            found[name] = line.partition("=")[2]
        elif broken:
            found[last] += "\n" + line
        else:
            raise TextError(f"line {number} is no property: {line[:60]!a}")
    return found


def _name(line: str) -> str:
    """The property that a line begins, "" if it begins none."""
    if not line.startswith(_INDENT):
        return ""
    head, equals, _ = line[len(_INDENT) :].partition("=")
    head = head.removeprefix(_KEY)
    return head if equals and head.isidentifier() and head.isascii() else ""


def convert(text: str, cim_type: str) -> object:
    """The value that the tool prints as ``text``; the text itself where it is none of that type."""
    if text == "NULL":
        return None
    if cim_type.endswith("[]"):
        if not (text.startswith("{") and text.endswith("}")):
            return text
        inner = text[1:-1].strip()
        return [convert(item.strip(), cim_type[:-2]) for item in inner.split(",")] if inner else []
    if cim_type == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if not text.isascii() or "_" in text or len(text) > 400 or text != text.strip():
        return text
    try:
        if cim_type.startswith(("uint", "sint")):
            return int(text) if len(text) <= 40 else text
        if cim_type.startswith("real"):
            return float(text)
    except ValueError:
        pass
    return text
