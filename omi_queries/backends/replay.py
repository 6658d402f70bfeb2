"""The source that answers from a recording (:mod:`omi_queries.recording`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from omi_queries.binding import Bound, Selection, bind, bind_to
from omi_queries.classes import CimClass, Property
from omi_queries.query import parse
from omi_queries.recording import class_key, declared_class
from omi_queries.recording_file import Recording, RecordingError
from omi_queries.types import MI_FAILED, MI_INVALID_CLASS, Instance, QueryError, Reading

NAME = "replay"
_FAR = 1 << 62


class ReplayBackend:
    """Answers each query with the newest recorded instances at or before its time.

    That time, in Unix seconds, is ``clock()`` if there is a clock (of a virtual time), else the tick itself; infinity
    is the end of the recording. QueryError(1) if the recording cannot be read.
    """

    name = NAME

    def __init__(self, path: str, clock: Callable[[], float] | None = None) -> None:
        try:
            self.recording = Recording(path)
        except RecordingError as error:
            raise QueryError(MI_FAILED, str(error)) from None
        self._clock = clock

    def open(self, namespace: str, text: str) -> ReplayStream:
        """Prepare a query; QueryError if it is wrong, or its class is neither recorded nor known."""
        try:
            plan = bind(namespace, text)
        except QueryError as error:
            query = parse(text)
            foreign = self._foreign(namespace, query.class_name)
            if foreign is None:
                if error.code != MI_INVALID_CLASS:
                    raise
                raise QueryError(MI_INVALID_CLASS, f"{error.message}; {self._recorded()}", query.class_at) from None
            plan = bind_to(query, foreign)
        return ReplayStream(self.recording, namespace, plan, self._clock)

    def close(self) -> None:
        """Give up the file."""
        self.recording.close()

    def _recorded(self) -> str:
        names = sorted(set(self.recording.names.values()))
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        return f"the recording has {shown}" if names else "the recording has no instances"

    def _foreign(self, namespace: str, name: str) -> CimClass | None:
        """A recorded class that is not one of ours in that namespace, as far as its instances show it."""
        key = class_key(namespace, name)
        if key not in self.recording.names or declared_class(namespace, name) is not None:
            return None
        types = self.recording.types[key]
        properties = {one: Property(one, kind, False, False, False, "") for one, kind in types.items()}
        return CimClass(self.recording.names[key], "", True, properties, dict(types), {}, namespace.strip("/"))


class ReplayStream:
    """A query to a recording. Rates are recorded ones, so there is nothing to prime or to keep."""

    def __init__(
        self, recording: Recording, namespace: str, plan: Bound, clock: Callable[[], float] | None = None
    ) -> None:
        self._recording = recording
        self._namespace = namespace
        self._plan = plan
        self._clock = clock

    def prime(self) -> None:
        """Nothing to do."""

    def read(self, tick: float) -> Reading:
        """The newest instances at or before the time; a class without any yet is counted in ``skipped``."""
        now = tick if self._clock is None else self._clock()
        at_us = _FAR if now >= _FAR or math.isinf(now) else round(now * 1_000_000)
        found: list[Instance] = []
        types = dict(self._plan.types)
        missing: list[str] = []
        for selection in self._plan.selections:
            name = selection.cim_class.name
            try:
                sample = self._recording.newest(self._namespace, name, at_us)
            except RecordingError as error:
                raise QueryError(MI_FAILED, str(error)) from None
            if sample is None:
                missing.append(name)
                continue
            types.update(sample.given)
            found += _answer(selection, sample.instances)
        # a base class is answered by those of its subclasses that were recorded
        none = len(missing) == len(self._plan.selections)
        skipped = {f"the recording has no instances of {name} yet": 1 for name in missing} if none else {}
        return Reading(found, types, NAME, skipped, self._plan.warnings)

    def state(self) -> dict[str, Any] | None:
        """Nothing to keep."""
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:  # noqa: ARG002 - there is nothing to take over
        """Nothing to take over."""
        return False


def _answer(selection: Selection, instances: list[Instance]) -> list[Instance]:
    """Filter and project; ``apply`` alone would trust that the key was asked about before."""
    matches = selection.matches
    kept = [one for one in instances if matches is None or matches(one)]
    return selection._replace(matches=None).apply(kept)
