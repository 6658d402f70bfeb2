"""Parameters of the intrinsic methods: which there are, of which kind, and how they are read (DSP0200 5.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from omi_queries.server.request import NOT_VALID, Call, ClassName, InstanceName, MessageError, Parameter

FAILED = 1
INVALID_NAMESPACE = 3
INVALID_PARAMETER = 4
INVALID_CLASS = 5
NOT_FOUND = 6
NOT_SUPPORTED = 7
NO_SUCH_PROPERTY = 12
LANGUAGE_NOT_SUPPORTED = 14
METHOD_NOT_AVAILABLE = 16
INVALID_CONTEXT = 21
INVALID_TIMEOUT = 22
NO_CONTINUE_ON_ERROR = 26
SERVER_LIMITS = 27

_UINT32_MAX = (1 << 32) - 1


class CimError(Exception):
    """An operation that fails with a CIM status code; one line of description."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class Kind(NamedTuple):
    """A parameter: ``type`` is class, instance, string, boolean, uint32 or strings."""

    type: str
    required: bool = False


_CLASS, _INSTANCE = Kind("class", True), Kind("instance", True)
_TEXT, _FLAG, _NUMBER, _LIST = Kind("string"), Kind("boolean"), Kind("uint32"), Kind("strings")
_SHAPE = {"LocalOnly": _FLAG, "IncludeQualifiers": _FLAG, "IncludeClassOrigin": _FLAG}
_OPEN = {
    "FilterQueryLanguage": _TEXT, "FilterQuery": _TEXT, "OperationTimeout": _NUMBER, "ContinueOnError": _FLAG,
    "MaxObjectCount": _NUMBER,
}  # fmt: skip
_PULL = {"EnumerationContext": Kind("string", True), "MaxObjectCount": Kind("uint32", True)}

METHODS: Mapping[str, Mapping[str, Kind]] = {
    "EnumerateInstances": {"ClassName": _CLASS, "DeepInheritance": _FLAG, **_SHAPE, "PropertyList": _LIST},
    "EnumerateInstanceNames": {"ClassName": _CLASS},
    "GetInstance": {"InstanceName": _INSTANCE, **_SHAPE, "PropertyList": _LIST},
    "GetProperty": {"InstanceName": _INSTANCE, "PropertyName": Kind("string", True)},
    "GetClass": {"ClassName": _CLASS, **_SHAPE, "PropertyList": _LIST},
    "EnumerateClasses": {"ClassName": Kind("class"), "DeepInheritance": _FLAG, **_SHAPE},
    "EnumerateClassNames": {"ClassName": Kind("class"), "DeepInheritance": _FLAG},
    "GetQualifier": {"QualifierName": Kind("string", True)},
    "EnumerateQualifiers": {},
    "ExecQuery": {"QueryLanguage": Kind("string", True), "Query": Kind("string", True)},
    "OpenEnumerateInstances": {
        "ClassName": _CLASS, "DeepInheritance": _FLAG, **_SHAPE, "PropertyList": _LIST, **_OPEN,
    },
    "OpenEnumerateInstancePaths": {"ClassName": _CLASS, **_OPEN},
    "OpenQueryInstances": {
        **_OPEN, "FilterQueryLanguage": Kind("string", True), "FilterQuery": Kind("string", True),
        "ReturnQueryResultClass": _FLAG,
    },
    "PullInstancesWithPath": _PULL,
    "PullInstancePaths": _PULL,
    "PullInstances": _PULL,
    "CloseEnumeration": {"EnumerationContext": Kind("string", True)},
}  # fmt: skip
"""Every operation that is served, with its parameters."""

_BY_LOWER = {name.lower(): name for name in METHODS}


def method_name(name: str) -> str:
    """The method as it is spelt in :data:`METHODS`. CimError(7) if it is not served."""
    known = _BY_LOWER.get(name.lower())
    if known is None:
        raise CimError(NOT_SUPPORTED, f"{name[:80]} is not supported: this emulated service only reads")
    return known


def read(call: Call, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The parameters by name, absent and NULL ones as None.

    CimError 7 for an unknown one, 4 for one that is there twice, missing or of another kind; MessageError for a boolean
    that is none.
    """
    by_lower = {name.lower(): name for name in kinds}
    given: dict[str, Any] = {}
    for name, value in call.parameters:
        known = by_lower.get(name.lower())
        if known is None:
            raise CimError(NOT_SUPPORTED, f"{call.method[:80]} has no parameter {name[:80]}")
        if known in given:
            raise CimError(INVALID_PARAMETER, f"parameter {known} is there twice")
        given[known] = _convert(known, kinds[known].type, value)
    for name, kind in kinds.items():
        if kind.required and given.get(name) is None:
            raise CimError(INVALID_PARAMETER, f"parameter {name} is missing")
    return {name: given.get(name) for name in kinds}


def _convert(name: str, kind: str, value: Parameter) -> Any:
    if value is None:
        return None
    if kind == "class" and isinstance(value, ClassName):
        return value.name
    if kind == "instance" and isinstance(value, InstanceName):
        return value
    if kind == "strings" and isinstance(value, list):
        return value
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "boolean" and isinstance(value, str):
        return _boolean(name, value)
    if kind == "uint32" and isinstance(value, str):
        digits = value.strip()
        if digits.isascii() and digits.isdigit() and len(digits) <= 20 and int(digits) <= _UINT32_MAX:
            return int(digits)
    raise CimError(INVALID_PARAMETER, f"parameter {name} is not of type {kind}")


def _boolean(name: str, value: str) -> bool:
    lower = value.strip().lower()
    if lower not in ("true", "false"):
        raise MessageError(400, NOT_VALID, f"parameter {name} is neither TRUE nor FALSE")
    return lower == "true"
