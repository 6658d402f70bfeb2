"""One probe for a host that fails, however many lanes lead to it (spec/storage.md 5).

A failure without any answer (refused, no name, no route, no TLS, no proxy) is the host's: nobody else is let through
until the one probe that follows it. An answer that does not come, breaks off or is a fault of the service may be about
one sink alone: it holds up only the lanes that met it as well, and those share a probe too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from extension.sinks.base import SinkError

LOOK_S = 0.5
"""While another lane's probe is under way its end is looked for so often."""
NAP_S = 5.0
"""An outage may end before the next probe, by an attempt that was under way when it began."""
_PORTS = {"http": 80, "https": 443}


class Circuit:
    """The state of one host. ``monotonic`` gives seconds. Used by all threads whose lanes lead there."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._said: set[tuple[str, str]] = set()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._error: SinkError | None = None
        self._failures = 0
        self._until = 0.0
        self._everyone = False
        self._met: set[str] = set()
        self._probing = ""
        self._waiting: dict[str, None] = {}  # in order: who failed last is last

    @contextmanager
    def passage(
        self,
        lane: str,
        stop: threading.Event,
        held: Callable[[SinkError], None],
        delay: Callable[[SinkError, int], float],
    ) -> Iterator[None]:
        """Let ``lane`` make one attempt, when it is its turn; ``held`` is told why it has to wait for that.

        What the attempt raises tells the others how the host is; after an outage its probe follows in
        ``delay(error, failures in a row)`` seconds. When ``stop`` is set meanwhile, the failure that was waited for is
        raised.
        """
        self._wait(lane, stop, held)
        try:
            yield
        except SinkError as error:
            if error.outage:
                self._open(lane, error, delay)
            elif error.http_status is not None:
                self._close()
            raise
        else:
            self._close()
        finally:
            with self._lock:
                if self._probing == lane:
                    self._probing = ""

    def first_to_say(self, state: tuple[str, str]) -> bool:
        """Whether no lane has logged this (level, what) of the outage; the caller does it, the others need not."""
        with self._lock:
            first = state not in self._said
            self._said.add(state)
            return first

    def said(self, states: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of ``states`` that a lane has logged."""
        with self._lock:
            return states & self._said

    def unsay(self, states: set[tuple[str, str]]) -> None:
        """They are over: what begins anew is logged anew."""
        with self._lock:
            self._said -= states

    def _open(self, lane: str, error: SinkError, delay: Callable[[SinkError, int], float]) -> None:
        with self._lock:
            now = self._monotonic()
            behind = self._error is not None and now < self._until and lane not in self._met
            self._met.add(lane)
            self._error = error
            self._everyone = self._everyone or error.outage == "host"
            if not behind:  # it was under way when another failed: the same outage, not one more
                self._failures += 1
                self._until = now + delay(error, self._failures)

    def _close(self) -> None:
        with self._lock:
            self._error, self._everyone, self._failures, self._until = None, False, 0, 0.0
            self._met.clear()

    def _turn(self, lane: str) -> tuple[SinkError, float] | None:
        """Why and for how long ``lane`` has to wait; None if it may go."""
        with self._lock:
            if self._error is None or not (self._everyone or lane in self._met):
                return None
            self._waiting.setdefault(lane)
            now = self._monotonic()
            if now < self._until:
                return self._error, self._until - now
            if self._probing or next(iter(self._waiting)) != lane:
                return self._error, LOOK_S
            self._probing = lane
            return None

    def _wait(self, lane: str, stop: threading.Event, held: Callable[[SinkError], None]) -> None:
        try:
            found = self._turn(lane)
            if found is not None:
                held(found[0])
            while found is not None:
                if stop.wait(min(found[1], NAP_S)):
                    raise replace(found[0])
                found = self._turn(lane)
        finally:
            with self._lock:
                self._waiting.pop(lane, None)


def host(url: str) -> str:
    """What lanes to the same host and port have in common, "" for an address that leads to none."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname and port else ""
