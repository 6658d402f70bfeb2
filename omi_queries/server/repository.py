"""The instances as the service sees them: one stream per class over a backend.

Whoever asks within a second of the last reading of a class gets that reading, later ones a new one, whose rates are
over the time since then. So no request waits for a second reading, and a burst of requests costs one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from omi_queries import classes
from omi_queries.binding import bind
from omi_queries.classes import CimClass
from omi_queries.types import MI_NOT_SUPPORTED, Instance, QueryError, QueryStream

SHARE_S = 1.0
"""Seconds for which a reading serves all who ask."""


class Source(Protocol):
    """What is needed of a backend."""

    def open(self, namespace: str, text: str) -> QueryStream:
        """Prepare a query."""


class Found(NamedTuple):
    """An instance: all its properties, and those that were asked for."""

    cim_class: CimClass
    full: Instance
    shown: Mapping[str, Any]


class _Served:
    """One class with instances: its stream and its latest reading."""

    def __init__(self, stream: QueryStream) -> None:
        self.stream = stream
        self.at: float | None = None
        self.instances: list[Instance] = []


class Repository:
    """Answers by class. ``clock`` gives monotonic seconds."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._served: dict[str, _Served] = {}
        self._now = clock()

    def begin(self) -> None:
        """All that is asked until the next call of this is asked at one instant, now."""
        self._now = self._clock()

    def prime(self) -> None:
        """Prepare all classes and take the raw counters of those with rates, so that the first reading has rates."""
        for namespace in classes.namespaces():
            for name in classes.names(namespace):
                one = classes.get(name)
                if not one.served or one.methods_only:
                    continue
                stream = self._of(one).stream
                if any(p.rate for p in one.properties.values()):
                    stream.prime()

    def instances(self, cim_class: CimClass) -> list[Instance]:
        """All instances of one class with instances of its own."""
        served = self._of(cim_class)
        now = self._now
        if served.at is None or now - served.at >= SHARE_S:
            served.instances = served.stream.read(now).instances
            served.at = now
        return served.instances

    def forget(self) -> float | None:
        """Give up readings that are too old to be shared; when the next one will be, None if none is kept."""
        now, ends = self._clock(), []
        for served in self._served.values():
            if served.at is not None and now - served.at >= SHARE_S:
                served.at, served.instances = None, []
            elif served.at is not None:
                ends.append(served.at + SHARE_S)
        return min(ends, default=None)

    def _of(self, cim_class: CimClass) -> _Served:
        found = self._served.get(cim_class.name)
        if found is None:
            found = _Served(self._source.open(cim_class.namespace, " ".join(("SELECT * FROM", cim_class.name))))
            self._served[cim_class.name] = found
        return found

    def enumerate(self, cim_class: CimClass) -> list[tuple[CimClass, Instance]]:
        """The instances of a class and of its subclasses. QueryError(7) if they cannot be listed."""
        if classes.unlisted(cim_class.name):
            raise QueryError(MI_NOT_SUPPORTED, f"instances of {cim_class.name} cannot be listed")
        served = classes.served_by(cim_class.name)
        return [(one, instance) for one in served for instance in self.instances(one)]

    def query(self, namespace: str, text: str, dialect: str) -> list[Found]:
        """The answer to a query. QueryError with the CIM status code."""
        found: list[Found] = []
        for selection in bind(namespace, text, dialect).selections:
            names = selection.properties
            for full in self.instances(selection.cim_class):
                if selection.matches is None or selection.matches(full):
                    shown = full if names is None else {name: full[name] for name in names if name in full}
                    found.append(Found(selection.cim_class, full, shown))
        return found
