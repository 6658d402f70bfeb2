"""A backend over one source alone: an answer within the deadline, or an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from omi_queries.backends.accept import accept
from omi_queries.backends.foreign import ForeignAnswers
from omi_queries.backends.source import Question, RefusedError, Source, SourceError, wait_for, wait_until_put
from omi_queries.binding import Bound, ForeignError, Selection, bind
from omi_queries.types import MI_FAILED, Instance, Reading

DEADLINE_S = 10.0
START_S = 20.0
"""How long a source may take to be ready for its first question."""
_NEVER_EMPTY = frozenset(
    [
        "SCX_ProcessorStatisticalInformation", "SCX_RTProcessorStatisticalInformation",
        "SCX_MemoryStatisticalInformation", "SCX_OperatingSystem", "SCX_Agent", "SCX_UnixProcess",
        "SCX_UnixProcessStatisticalInformation", "OMI_Identify",
    ]
)  # fmt: skip
"""Classes of which every running system has an instance: an answer without one is none."""


class Answers:
    """A checked query as questions to a source, and its readings from the answers."""

    def __init__(
        self, bound: Bound, namespace: str, source: Source, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.bound = bound
        self._monotonic = monotonic
        self._source = source
        self.questions = [(s, _question(namespace, s)) for s in bound.selections]
        self.asked: Question | None = None
        """The question put last."""

    @property
    def names(self) -> str:
        """The classes asked for."""
        return ", ".join(question.class_name for _, question in self.questions)

    def read(self, timeout: float, start_s: float = 0.0) -> Reading:
        """The reading within ``timeout`` seconds for all classes; SourceError or RefusedError otherwise.

        ``start_s``: what the source may take besides to be ready to be asked.
        """
        until = self._monotonic() + timeout
        skipped: dict[str, int] = {}

        def skip(reason: str) -> None:
            skipped[reason] = skipped.get(reason, 0) + 1

        found: list[Instance] = []
        for selection, question in self.questions:
            self.asked = question
            exchange = self._source.ask(question)
            if start_s:
                until += wait_until_put(exchange, start_s, self._monotonic)
            raw = wait_for(exchange, max(0.0, until - self._monotonic()), timeout)
            full = accept(raw, selection.cim_class, selection.needs, self._source.name, skip)
            if not full and (raw or question.class_name in _NEVER_EMPTY):
                why = next(iter(skipped), f"{self._source.name} gave no instance of {question.class_name}")
                raise RefusedError(MI_FAILED, why)
            matches = selection.matches
            if matches is not None and selection.by_key:  # apply() leaves such a condition to who makes the instances
                full = [one for one in full if matches(one)]
            found += selection.apply(full)
        return Reading(found, self.bound.types, self._source.name, skipped, self.bound.warnings)


def _question(namespace: str, selection: Selection) -> Question:
    properties = selection.cim_class.properties.values()
    wanted = tuple(p.name for p in properties if p.name in selection.needs or p.key)
    return Question(namespace.strip("/"), selection.cim_class.name, wanted)


class DirectStream:
    """A query to the source alone. Rates are the source's own, so there is nothing to prime or to keep."""

    def __init__(self, answers: Answers | ForeignAnswers, source: Source, deadline_s: float) -> None:
        self._answers = answers
        self._where = f"{source.name} ({source.where}): "
        self._deadline_s = deadline_s

    def prime(self) -> None:
        """Nothing to do: the source has its own earlier counters."""

    def read(self, tick: float) -> Reading:  # noqa: ARG002  # every reading is a new question
        """Ask now. SourceError or RefusedError without an answer."""
        try:
            reading = self._answers.read(self._deadline_s, START_S)
        except RefusedError as error:
            asked = self._answers.asked.class_name if self._answers.asked else self._answers.names
            raise RefusedError(error.code, f"{self._where}{asked}: {error}") from None
        except SourceError as error:
            raise SourceError(f"{self._where}{error}", error.code) from None
        return reading

    def state(self) -> dict[str, Any] | None:
        """Nothing to keep."""
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Nothing to take over."""
        return False


class DirectBackend:
    """Answers from ``source`` only; each query has ``deadline_s`` seconds from when it is put."""

    def __init__(self, source: Source, deadline_s: float = DEADLINE_S) -> None:
        self.name = source.name
        self._source = source
        self._deadline_s = deadline_s

    def open(self, namespace: str, text: str, dialect: str = "wql") -> DirectStream:
        """Prepare a query; QueryError if its syntax, or what it asks of a class declared here, is wrong."""
        try:
            bound = bind(namespace, text, dialect)
        except ForeignError:
            foreign = ForeignAnswers(namespace, text, dialect, self._source)
            return DirectStream(foreign, self._source, self._deadline_s)
        return DirectStream(Answers(bound, namespace, self._source), self._source, self._deadline_s)

    def close(self) -> None:
        """End the source's processes."""
        self._source.close()
