"""When a source that failed is asked again."""

from __future__ import annotations

RETRY_FIRST_S = 10.0
RETRY_MAX_S = 300.0


class Retry:
    """When to try again: 10 s after the first failure, twice as long after each further one, 5 min at most."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._delay = first_s
        self.at = 0.0

    def failed(self, now: float) -> None:
        """Not before ``at``."""
        self.at = now + self._delay
        self._delay = min(self._delay * 2, self._most_s)

    def worked(self) -> None:
        """The next failure is a first one again."""
        self._delay = self._first_s
