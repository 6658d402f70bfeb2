"""What a source outside this process looks like: questions, answers on their way, and the two ways to fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from omi_queries.types import MI_FAILED, QueryError

_NO_TYPES: Mapping[str, str] = {}
MAX_REASON = 300
"""Characters of what another program said that may stand in a message."""
_STEP_S = 0.1


class SourceError(QueryError):
    """The source as a whole does not work: it cannot be reached, is too slow, lets us not in (2) or talks nonsense."""

    def __init__(self, message: str, code: int = MI_FAILED) -> None:
        super().__init__(code, one_line(message))


class RefusedError(QueryError):
    """The source works but has no answer to this one question; ``code`` is its MI or CIM result number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, one_line(message))


class Question(NamedTuple):
    """All instances of one class; the answer must have ``properties`` (declared names) and may have more.

    ``foreign``: a class that is not declared here. Its properties are unknown, and the answer must bring their types.
    """

    namespace: str
    class_name: str
    properties: tuple[str, ...]
    foreign: bool = False


class RawInstance(NamedTuple):
    """An instance as a source gave it: nothing about it has been checked. Values are JSON-like.

    ``types``: the CIM types that the source gives them, where it was asked for a foreign class.
    """

    class_name: str
    values: dict[str, Any]
    types: Mapping[str, str] = _NO_TYPES


class Exchange(Protocol):
    """A question on its way."""

    def sent_at(self) -> float | None:
        """The monotonic time at which the question was put; None while the means to ask are being started."""

    def advance(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the answer; True if it, or a failure, is there."""

    def result(self) -> list[RawInstance]:
        """The answer, once :meth:`advance` was True. SourceError or RefusedError if there is none."""

    def abandon(self) -> None:
        """Give up: whatever works on the answer is killed."""


class Source(Protocol):
    """Something that answers questions, one at a time."""

    name: str
    where: str
    """For messages: an address or a path, without secrets."""
    probe_s: float
    """Seconds in which the probe has to be answered; 0 for as long as a question may take."""

    def ask(self, question: Question) -> Exchange:
        """Put a question; SourceError if that is not possible at all."""

    def probe(self) -> Exchange:
        """Ask for the least that shows that the source answers; its result is an empty list."""

    def close(self) -> None:
        """End all that was started."""


def one_line(text: str) -> str:
    """At most :data:`MAX_REASON` characters, blanks folded, nothing unprintable."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * MAX_REASON]).split())
    return folded if len(folded) <= MAX_REASON else folded[: MAX_REASON - 4] + " ..."


def wait_for(exchange: Exchange, timeout: float, named: float | None = None) -> list[RawInstance]:
    """The answer within ``timeout`` seconds; SourceError (and the exchange is abandoned) if there is none by then.

    ``named``: the seconds that the error names, where these are the rest of them.
    """
    try:
        if exchange.advance(timeout):
            return exchange.result()
    except BaseException:
        exchange.abandon()
        raise
    exchange.abandon()
    raise SourceError(no_answer(timeout if named is None else named))


def wait_until_put(exchange: Exchange, start_s: float, monotonic: Callable[[], float] = time.monotonic) -> float:
    """Wait for the means to ask; returns the seconds that this took. SourceError (and the exchange is abandoned) if
    they are not ready within ``start_s`` seconds."""
    begun = monotonic()
    try:
        while exchange.sent_at() is None and not exchange.advance(_STEP_S):
            if monotonic() - begun >= start_s:
                raise SourceError(not_ready(start_s))
    except BaseException:
        exchange.abandon()
        raise
    return monotonic() - begun


def no_answer(seconds: float) -> str:
    """What is wrong with a source that was asked so long ago."""
    return f"no answer within {seconds:.3g} s"


def not_ready(seconds: float) -> str:
    """What is wrong with a source that could not even be asked for so long."""
    return f"it could not be made ready to ask within {seconds:.3g} s"
