"""Classes that are not declared here, such as those of other providers: they are what the server that has them says.

Nothing is known of such a class before the server answers, so its properties and their CIM types come with the answer.
What a declared class bounds by itself is bounded here: how many instances and properties, which names and types.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from omi_queries import classes
from omi_queries.backends.accept import Skip, ValueRejectedError, checked
from omi_queries.backends.source import Question, RawInstance, RefusedError, Source, wait_for, wait_until_put
from omi_queries.binding import Bound, bind_to, meant
from omi_queries.classes import CimClass, Property
from omi_queries.condition import declared
from omi_queries.query import parse
from omi_queries.types import MI_INVALID_CLASS, MI_INVALID_NAMESPACE, Instance, QueryError, Reading

MAX_INSTANCES = 10_000
MAX_PROPERTIES = 1_000
MAX_REASONS = 20
"""Different reasons of one answer that are named: a hostile one could have one per property."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
SCALARS = frozenset(
    ["boolean", "char16", "datetime", "real32", "real64", "string"]
    + [f"{sign}int{size}" for sign in "us" for size in (8, 16, 32, 64)]
)

_CHARACTERS = {"char16": "uint16", "char16[]": "uint16[]"}


class ForeignAnswers:
    """A query on a foreign class as a question to a source, and its readings from the answers.

    QueryError(15) if the query is none; whether it fits the class shows with each answer.
    """

    def __init__(
        self, namespace: str, text: str, dialect: str, source: Source, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._query = parse(text, dialect)
        self._namespace = namespace.strip("/")
        self._source = source
        self._monotonic = monotonic
        self._bound: Bound | None = None
        self._class: CimClass | None = None
        self.asked: Question | None = None
        """The question put last."""

    @property
    def names(self) -> str:
        """The class asked for."""
        return self._query.class_name

    def read(self, timeout: float, start_s: float = 0.0) -> Reading:
        """The reading within ``timeout`` seconds; SourceError or RefusedError otherwise.

        ``start_s``: what the source may take besides to be ready to be asked.
        """
        name, source = self._query.class_name, self._source.name
        self.asked = Question(self._namespace, name, (), foreign=True)
        skipped: dict[str, int] = {}

        def skip(reason: str) -> None:
            key = reason if reason in skipped or len(skipped) < MAX_REASONS else f"{source} gave more that is no value"
            skipped[key] = skipped.get(key, 0) + 1

        try:
            exchange = self._source.ask(self.asked)
            if start_s:
                wait_until_put(exchange, start_s, self._monotonic)
            raw = wait_for(exchange, timeout)
        except RefusedError as error:
            raise self._explained(error) from None
        types, found = accept_foreign(raw, name, source, skip)
        if not found:
            return Reading([], types, source, skipped)
        try:
            bound = self._bind(types, skip)
        except QueryError as error:
            raise RefusedError(error.code, str(error)) from None
        return Reading(bound.selections[0].apply(found), types, source, skipped, bound.warnings)

    def _bind(self, types: dict[str, str], skip: Skip) -> Bound:
        """The query on the class as the answer shows it. Of several selected properties some may be missing."""
        query = self._query
        shown = CimClass(query.class_name, "", True, _properties(types), types, {}, self._namespace)
        missing = [one for one in query.properties if declared(shown, one.name) is None]
        if missing and len(missing) < len(query.properties):
            for one in missing:
                skip(f"{self._source.name} gave no {query.class_name}.{one.name}")
            query = query._replace(properties=tuple(one for one in query.properties if one not in missing))
        elif self._bound is not None and self._class == shown:
            return self._bound
        self._class, self._bound = shown, bind_to(query, shown)
        return self._bound

    def _explained(self, error: RefusedError) -> RefusedError:
        """A class that the server has not either may be a misspelt one of ours."""
        if error.code not in (MI_INVALID_NAMESPACE, MI_INVALID_CLASS):
            return error
        within = classes.namespace(self._namespace)
        hint = meant(self._query.class_name, within) if within is not None else ""
        return RefusedError(error.code, f"{error.message}; {hint}" if hint else error.message)


def accept_foreign(
    raw: Iterable[RawInstance], class_name: str, source: str, skip: Skip
) -> tuple[dict[str, str], list[Instance]]:
    """(CIM types by property, instances) of a foreign class, as far as they can be believed.

    The type of a property is the one that it has first. ``skip(reason)`` is told of each value that does not fit it,
    and of what is beyond the bounds. An instance may be one of a subclass.
    """
    types: dict[str, str] = {}
    found: list[Instance] = []
    for one in raw:
        if len(found) == MAX_INSTANCES:
            skip(f"{source} gave more than {MAX_INSTANCES} instances of {class_name}")
            break
        if not one.types:
            skip(f"{source} gave an instance of {one.class_name[:80]} and no types with it; ask for that class itself")
            continue
        instance: Instance = {}
        for name, value in one.values.items():
            try:
                kind = _kind(name, one, types)
                if kind in _CHARACTERS:
                    kind, value = _CHARACTERS[kind], _code_points(value)
                instance[name] = checked(value, kind)
            except ValueRejectedError as why:
                shown = name if NAME.fullmatch(name) else ascii(name[:40])
                skip(f"{source} gave a {class_name}.{shown} that is {why}")
        if instance:
            found.append(instance)
        else:
            skip(f"{source} gave an instance of {class_name} without a property that can be used")
    return types, found


def _kind(name: str, one: RawInstance, types: dict[str, str]) -> str:
    """The CIM type of a property, which is added to ``types`` where it is new. ValueRejectedError if it has none."""
    given = one.types.get(name, "")
    kind = types.get(name, given)
    if kind != given:
        raise ValueRejectedError(f"of the type {given[:40]!a} here and {kind} in an earlier instance")
    if given.removesuffix("[]") not in SCALARS and one.values[name] is not None:  # NULL is NULL of any type
        raise ValueRejectedError(f"of the type {given[:40]!a}, which no row can hold")
    if name not in types:
        if not NAME.fullmatch(name):
            raise ValueRejectedError("not named as a property can be")
        if len(types) == MAX_PROPERTIES:
            raise ValueRejectedError(f"beyond the first {MAX_PROPERTIES} properties")
        types[name] = kind
    return kind


def _code_points(value: Any) -> Any:
    """A char16, or several, as the numbers that rows hold."""
    if isinstance(value, list):
        return [_code_points(item) for item in value]
    return ord(value) if isinstance(value, str) and len(value) == 1 else value


def _properties(types: dict[str, str]) -> dict[str, Property]:
    return {name: Property(name, kind, False, False, False, "") for name, kind in types.items()}
