"""WHERE: a parsed condition is checked against a class once and becomes a predicate over instances.

Semantics as in spec/omi-scx.md 5: strings compare without case, a string literal is converted to the type of the
other side, a number against a string property is an error (15), ``= NULL`` and ``<> NULL`` test for NULL, and LIKE
with NULL is false unless both sides are. An ordering with NULL, and any comparison of an embedded property (no class
here has one), is neither true nor false: NOT leaves it so, and an instance is returned only when its condition is
true. Integers and reals compare by value.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from omi_queries.classes import CimClass, nearest
from omi_queries.like import compile_like
from omi_queries.query import Literal, Name, Operator, Symbol
from omi_queries.types import MI_INVALID_QUERY, CimValue, Instance, QueryError

Predicate = Callable[[Instance], bool | None]
MAX_LIKE = 1024
"""Characters of a pattern, or of a text to be matched with one, in a query."""

_KINDS = {"boolean": "boolean", "real64": "real", "real32": "real", "string": "string", "datetime": "string"}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS = ("integer", "real")


class _Operand(NamedTuple):
    """One side of a comparison; a constant has no ``get``.

    ``kind`` is boolean, integer, real, string, array or null.
    """

    kind: str
    value: CimValue
    get: Callable[[Instance], CimValue] | None
    at: int
    name: str = ""


def declared(cim_class: CimClass, name: str) -> str | None:
    """The spelling under which ``cim_class`` declares property ``name`` (any case), or None."""
    if name in cim_class.properties:
        return name
    lower = name.lower()
    return next((p for p in cim_class.properties if p.lower() == lower), None)


def unknown_property(cim_class: CimClass, name: Name) -> QueryError:
    """The error for a property that the class does not have, with the nearest one that it has."""
    near = nearest(name.name, list(cim_class.properties))
    hint = f"; did you mean {near}?" if near else ""
    message = f"invalid query: class {cim_class.name} has no property {name.name[:80]!a}{hint}"
    return QueryError(MI_INVALID_QUERY, message, name.at)


def used_properties(symbols: tuple[Symbol, ...], cim_class: CimClass) -> frozenset[str]:
    """The declared names of all properties that a condition looks at."""
    found = (declared(cim_class, s.name) for s in symbols if isinstance(s, Name))
    return frozenset(name for name in found if name)


def compile_condition(symbols: tuple[Symbol, ...], cim_class: CimClass) -> Predicate:
    """A predicate for the postfix ``symbols``; QueryError(15) for unknown properties and unlike types."""
    operands: list[_Operand] = []
    results: list[Predicate] = []
    for symbol in symbols:
        if not isinstance(symbol, Operator):
            operands.append(_operand(symbol, cim_class))
        elif symbol.op == "not":
            results.append(_negation(results.pop()))
        elif symbol.op in ("and", "or"):
            right, left = results.pop(), results.pop()
            results.append(_both(left, right) if symbol.op == "and" else _either(left, right))
        else:
            second, first = operands.pop(), operands.pop()
            results.append(_predicate(symbol, first, second))
    return results[0] if results else _always


def _always(_instance: Instance) -> bool | None:
    return True


def _never(_instance: Instance) -> bool | None:
    return None


def _negation(inner: Predicate) -> Predicate:
    def test(instance: Instance) -> bool | None:
        found = inner(instance)
        return None if found is None else not found

    return test


def _both(left: Predicate, right: Predicate) -> Predicate:
    def test(instance: Instance) -> bool | None:
        a = left(instance)
        if a is False:
            return False
        b = right(instance)
        return False if b is False else (a and b)

    return test


def _either(left: Predicate, right: Predicate) -> Predicate:
    def test(instance: Instance) -> bool | None:
        a = left(instance)
        if a:
            return True
        b = right(instance)
        return True if b else (None if a is None or b is None else False)

    return test


def _operand(symbol: Name | Literal, cim_class: CimClass) -> _Operand:
    if isinstance(symbol, Literal):
        return _Operand(symbol.type, symbol.value, None, symbol.at)
    name = declared(cim_class, symbol.name)
    if name is None:
        raise unknown_property(cim_class, symbol)
    declared_type = cim_class.types[name]
    kind = "array" if declared_type.endswith("[]") else _KINDS.get(declared_type, "integer")
    if symbol.embedded_property:  # no class here has embedded instances: such a property has no value
        return _Operand(kind, None, _nothing, symbol.at, name)

    def get(instance: Instance) -> CimValue:
        return instance.get(name)

    return _Operand(kind, None, get, symbol.at, name)


def _nothing(_instance: Instance) -> CimValue:
    return None


def _predicate(symbol: Operator, left: _Operand, right: _Operand) -> Predicate:
    if symbol.op == "isa":
        return _never  # true for embedded instances only
    checked = _typed_predicate(symbol, left, right)
    return _never if _nothing in (left.get, right.get) else checked


def _typed_predicate(symbol: Operator, left: _Operand, right: _Operand) -> Predicate:
    if left.kind == "null" or right.kind == "null":
        return _null_test(symbol, left, right)
    if "array" in (left.kind, right.kind):
        array = left if left.kind == "array" else right
        message = f"invalid query: {array.name} is an array, which can be compared with NULL only"
        raise QueryError(MI_INVALID_QUERY, message, array.at)
    if symbol.op == "like":
        return _like(left, right)
    left, right = _converted(left, right), _converted(right, left)
    if left.kind != right.kind and not (left.kind in _NUMBERS and right.kind in _NUMBERS):
        raise QueryError(
            MI_INVALID_QUERY,
            f"invalid query: {_described(left)} cannot be compared with {_described(right)}",
            right.at if right.get is None else left.at,
        )
    return _comparison(symbol.op, left, right)


def _described(operand: _Operand) -> str:
    kind = {"integer": "an integer", "real": "a real", "boolean": "a boolean", "string": "a string"}[operand.kind]
    return f"{operand.name} ({kind})" if operand.get is not None else kind


def _converted(operand: _Operand, other: _Operand) -> _Operand:
    """A string constant as the type of ``other``, where that is another type and the text can be read as one."""
    if operand.get is not None or operand.kind != "string" or other.kind == "string":
        return operand
    text = str(operand.value)
    value: CimValue = None
    if other.kind == "boolean":
        value = {"true": True, "false": False}.get(text.lower())
    elif len(text) <= 40 and text.isascii() and "_" not in text and not text[-1:].isspace():  # as strtoll and strtod
        try:
            value = int(text) if other.kind == "integer" else float(text)
        except ValueError:
            value = None
    if value is None:
        message = f"invalid query: {str(operand.value)[:40]!a} cannot be read as {_described(other)}"
        raise QueryError(MI_INVALID_QUERY, message, operand.at)
    return _Operand(other.kind, value, None, operand.at)


def _null_test(symbol: Operator, left: _Operand, right: _Operand) -> Predicate:
    if symbol.op not in ("=", "<>", "like"):
        message = f"invalid query: NULL has no order, '{symbol.op}' cannot be asked of it"
        raise QueryError(MI_INVALID_QUERY, message, symbol.at)
    both = symbol.op != "<>"

    def test(instance: Instance) -> bool | None:
        a = left.get(instance) if left.get else left.value
        b = right.get(instance) if right.get else right.value
        return (a is None and b is None) is both

    return test


def _folded(operand: _Operand) -> Callable[[Instance], CimValue]:
    """Reads an operand; strings without their case."""
    value, get = operand.value, operand.get
    if get is None:
        constant = value.lower() if isinstance(value, str) else value
        return lambda _instance: constant
    if operand.kind != "string":
        return get

    def lower(instance: Instance) -> CimValue:
        found = get(instance)
        return found.lower() if isinstance(found, str) else None

    return lower


def _comparison(op: str, left: _Operand, right: _Operand) -> Predicate:
    first, second, compare = _folded(left), _folded(right), _ORDER[op]
    null_is_answer = op in ("=", "<>")

    def test(instance: Instance) -> bool | None:
        a, b = first(instance), second(instance)
        if a is None or b is None:
            return compare(a, b) if null_is_answer else None
        return compare(a, b)

    return test


def _like(left: _Operand, right: _Operand) -> Predicate:
    for one in (left, right):
        if one.get is None and len(str(one.value)) > MAX_LIKE:
            message = f"invalid query: a text of LIKE is longer than {MAX_LIKE} characters"
            raise QueryError(MI_INVALID_QUERY, message, one.at)
    text, pattern = _folded(left), _folded(right)
    if left.kind != "string" or right.kind != "string":  # as the original: no error, and no match but NULL with NULL
        return lambda instance: text(instance) is None and pattern(instance) is None
    fixed = compile_like(str(right.value).lower()) if right.get is None else None
    if left.get is None and fixed is not None:
        answer = fixed(str(left.value).lower())
        return lambda _instance: answer

    def test(instance: Instance) -> bool | None:
        a, b = text(instance), pattern(instance)
        if isinstance(a, str) and isinstance(b, str):
            return fixed(a) if fixed is not None else compile_like(b)(a)
        return a is None and b is None

    return test
