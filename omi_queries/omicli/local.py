"""Requests answered in this process, from any backend, without a server."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Callable
from typing import NamedTuple

from omi_queries import classes
from omi_queries.binding import bind
from omi_queries.classes import CimClass
from omi_queries.omicli import results
from omi_queries.omicli.instances import Shown, of_class, of_instance
from omi_queries.omicli.lookup import checked_keys
from omi_queries.omicli.results import OmiError
from omi_queries.types import QueryError, QueryStream

RATE_INTERVAL = 1.0
"""Seconds between the two readings when a rate is selected."""


class Source(NamedTuple):
    """Where streams come from, how to wait between two readings, and who is told what people may want to know."""

    open: Callable[[str, str], QueryStream]
    sleep: Callable[[float], None]
    note: Callable[[str], None]


class _Part(NamedTuple):
    cim_class: CimClass
    selected: tuple[str, ...] | None
    stream: QueryStream


class Request:
    """A query that is asked once or several times in one session.

    A query on a base class is asked class by class, so that each instance is shown under its own class with its own
    properties. QueryError as :func:`omi_queries.binding.bind`.
    """

    def __init__(self, source: Source, namespace: str, text: str, dialect: str = "wql") -> None:
        self._source = source
        bound = bind(namespace, text, dialect)
        for warning in bound.warnings:
            source.note(warning)
        self._rates = bound.needs_rate()
        self._everything = not bound.query.condition
        self._asked = 0
        start = bound.query.class_at
        end = start + len(bound.query.class_name)
        self._parts: list[_Part] = []
        for one in bound.selections:
            name = one.cim_class.name
            itself = name.lower() == bound.query.class_name.lower()
            try:
                stream = source.open(namespace, text if itself else text[:start] + name + text[end:])
            except QueryError as error:
                if itself or error.code != results.NOT_SUPPORTED:
                    raise
                source.note(f"{name} is left out: {error.message}")
                continue
            self._parts.append(_Part(one.cim_class, one.properties, stream))

    def ask(self) -> list[Shown]:
        """The instances now; rates are over the time since the previous asking, and over a second at first.

        OmiError(1) if all that was to be listed could not be read.
        """
        if self._rates:
            if not self._asked:
                for part in self._parts:
                    part.stream.prime()
            self._source.sleep(RATE_INTERVAL)
        self._asked += 1
        shown: list[Shown] = []
        lost: list[str] = []
        for part in self._parts:
            reading = part.stream.read(float(self._asked))
            lost += [f"{part.cim_class.name}: {reason}" for reason in reading.skipped]
            shown += [of_instance(part.cim_class, one, part.selected) for one in reading.instances]
        if lost and not shown and self._everything:
            raise OmiError(results.FAILED, "; ".join(lost))
        for reason in lost:
            self._source.note(reason)
        return shown


def everything(class_name: str) -> str:
    """The query for all instances and properties of a class."""
    return " ".join(("SELECT * FROM", class_name))


def find_class(namespace: str, name: str) -> CimClass:
    """The class of that name in any case; OmiError(3) for an unknown namespace, OmiError(5) for an unknown class."""
    within = classes.namespace(namespace)
    if within is None:
        detail = f"unknown namespace {namespace[:80]!a}; there are {', '.join(classes.namespaces())}"
        raise OmiError(results.INVALID_NAMESPACE, detail)
    known = classes.find(name, within)
    if known is None:
        near = classes.nearest(name, classes.names(within))
        hint = f"; did you mean {near}?" if near else ""
        raise OmiError(results.INVALID_CLASS, f"namespace {within} has no class {name[:80]!a}{hint}")
    return known


def enumeration(source: Source, namespace: str, name: str, shallow: bool) -> Request:
    """All instances of a class and its subclasses; with ``shallow`` a class without own instances is OmiError(7)."""
    return Request(source, namespace, everything(_listed(namespace, name, shallow).name))


def _listed(namespace: str, name: str, shallow: bool) -> CimClass:
    cim_class = find_class(namespace, name)
    if shallow and not cim_class.served:
        raise OmiError(results.NOT_SUPPORTED, f"{cim_class.name} has no instances of its own; leave out -shallow")
    return cim_class


class Names:
    """The instance names of a class and its subclasses: key properties only, so nothing has to be read twice."""

    def __init__(self, requests: list[Request]) -> None:
        self._requests = requests

    def ask(self) -> list[Shown]:
        """The names now."""
        return [shown for request in self._requests for shown in request.ask()]


def names(source: Source, namespace: str, name: str, shallow: bool) -> Names:
    """The names of the instances that :func:`enumeration` lists (``ein``); the same errors."""
    cim_class = _listed(namespace, name, shallow)
    if classes.unlisted(cim_class.name):
        raise OmiError(results.NOT_SUPPORTED, f"instances of {cim_class.name} cannot be listed")
    return Names([
        Request(source, namespace, " ".join(("SELECT", ",".join(one.keys()), "FROM", one.name)))
        for one in classes.served_by(cim_class.name)
    ])  # fmt: skip


class Lookup:
    """One instance by its keys (``gi``)."""

    def __init__(self, source: Source, namespace: str, name: str, keys: dict[str, str]) -> None:
        cim_class = find_class(namespace, name)
        self._keys = checked_keys(cim_class, keys)
        self._named = " ".join(f"{key}={value[:80]!a}" for key, value in self._keys.items())
        self._request = Request(source, namespace, everything(cim_class.name))

    def ask(self) -> list[Shown]:
        """The instance; OmiError(6) if there is none."""
        for shown in self._request.ask():
            keys = [slot for slot in shown.slots if slot.name in self._keys]
            if all(classes.same_key(slot.name, slot.value, self._keys[slot.name]) for slot in keys):
                return [shown]
        raise OmiError(results.NOT_FOUND, f"there is no instance with {self._named}")


def class_declaration(namespace: str, name: str) -> Shown:
    """The class itself (``gc``)."""
    return of_class(find_class(namespace, name))
