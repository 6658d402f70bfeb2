"""What every source of instances speaks: values, readings, errors and the two seams ``Backend`` and ``QueryStream``."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

CimValue = str | int | float | bool | list[str] | list[int] | None
"""A datetime is its 25 characters (``20261121091618.747502+000``), an array a list."""
Instance = dict[str, CimValue]
"""Properties in class declaration order. NULL is ``None``; a rate that is not known yet is an absent key."""

MI_FAILED = 1
MI_ACCESS_DENIED = 2
MI_INVALID_NAMESPACE = 3
MI_INVALID_PARAMETER = 4
MI_INVALID_CLASS = 5
MI_NOT_SUPPORTED = 7
MI_INVALID_QUERY = 15
MI_NAMES = {
    1: "FAILED", 2: "ACCESS_DENIED", 3: "INVALID_NAMESPACE", 4: "INVALID_PARAMETER", 5: "INVALID_CLASS",
    6: "NOT_FOUND", 7: "NOT_SUPPORTED", 14: "QUERY_LANGUAGE_NOT_SUPPORTED", 15: "INVALID_QUERY",
}  # fmt: skip
"""What the result numbers are called, without ``MI_RESULT_`` (spec/omi-scx.md 4)."""


_NOTHING: Mapping[str, int] = {}


class Reading(NamedTuple):
    """The answer to a query at one instant.

    ``instances`` passed WHERE and carry the selected properties only; nobody changes them: one that says the same again
    may be the same object in the next reading. ``types`` maps every property of the class to its CIM type;
    ``source`` names the backend; ``skipped`` counts, by reason, what is missing from this
    sample; ``warnings`` tell about the query itself and are the same in each reading; ``why`` says what is wrong with
    a better source that should have answered.
    """

    instances: list[Instance]
    types: Mapping[str, str]
    source: str
    skipped: Mapping[str, int] = _NOTHING
    warnings: tuple[str, ...] = ()
    why: str = ""


class QueryError(Exception):
    """A query that cannot be answered.

    ``code`` is the MI result number (3 namespace, 5 class, 15 query: spec/omi-scx.md 4), ``position`` the offset
    of the offending character in the query text (0 is the first) or None. ``str()`` is one line.
    """

    def __init__(self, code: int, message: str, position: int | None = None) -> None:
        at = "" if position is None else f" (at character {position + 1})"
        super().__init__(f"{message}{at}")
        self.code = code
        self.position = position
        self.message = message

    @property
    def result(self) -> str:
        """Name and number of the MI result."""
        return f"MI_RESULT_{MI_NAMES[self.code]} ({self.code})" if self.code in MI_NAMES else f"result {self.code}"


class QueryStream(Protocol):
    """One query asked again and again. It keeps its own previous counters: its rates are over its own interval."""

    def prime(self) -> None:
        """Take the raw counters now, so that the next :meth:`read` has rates."""

    def read(self, tick: float) -> Reading:
        """Answer the query. Streams of one backend asked with the same ``tick`` share one snapshot of each file."""

    def state(self) -> dict[str, Any] | None:
        """The raw counters of the last read or prime, JSON-able, with boot id; None if there is nothing to keep."""

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Take over what :meth:`state` gave. False, and nothing changed, if from another boot or of another shape."""


class Backend(Protocol):
    """A source of instances."""

    name: str

    def open(self, namespace: str, text: str) -> QueryStream:
        """Prepare a query; QueryError if namespace, class, properties or syntax are wrong."""

    def close(self) -> None:
        """Give up descriptors. Open streams must not be read any more."""
