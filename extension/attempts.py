"""How long a lane waits between two attempts, and which failures are waited for (spec/storage.md 5)."""

from __future__ import annotations

import random

from extension.sinks.base import SinkError
from extension.sinks.errors import MAX_RETRY_AFTER
from extension.sinks.rules import RESET

RETRY_CAP_S = 60.0
SLOW_CAP_S = 300.0
LEAST_WAIT_S = 1.0
"""A service that asks for no wait at all (``Retry-After: 0``, a date in the past) is not asked without a pause."""
_MOST_DOUBLINGS = 30


def pause(error: BaseException | None, attempt: int) -> float:
    """Seconds after the ``attempt``-th failure in a row: what the service asked for (up to an hour), else exponential
    with jitter.

    Capped at 60 s for connections and server errors, at 5 min where a person has to act. A connection that was kept
    and is gone at the next use is an ordinary thing: then the second attempt follows at once.
    """
    if isinstance(error, SinkError) and error.retry_after is not None:
        return min(max(error.retry_after, LEAST_WAIT_S), MAX_RETRY_AFTER)
    if isinstance(error, SinkError) and stale(error, attempt):
        return 0.0
    slow = isinstance(error, SinkError) and error.reaction == "slow"
    first, cap = (10.0, SLOW_CAP_S) if slow else (1.0, RETRY_CAP_S)
    grown: float = first * 2 ** min(max(attempt, 1) - 1, _MOST_DOUBLINGS)
    return min(grown + random.uniform(0, first / 2), cap)


def stale(error: SinkError, attempt: int) -> bool:
    """Whether it may be only that the service has closed an idle connection meanwhile."""
    return attempt == 1 and error.code == RESET


def worth_retrying(error: BaseException) -> bool:
    """Whether the same rows may be taken later."""
    return isinstance(error, SinkError) and error.reaction in ("retry", "slow")
