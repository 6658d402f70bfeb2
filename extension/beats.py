"""Signs of life and calls to the uploader that pass the watchdog by: kernel counters (eventfd) instead of messages.

A message wakes its reader, and a process that wakes four times a minute finds its caches cold each time. A
component's pulse is a counter that nobody waits for: the watchdog reads it when it has to know. All components share a
second counter, the call, that the collector raises when rows are queued and the uploader waits for.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLE = "LAD_BEATS"
"""Of a component's environment: the descriptors of its pulse and of the call."""
_ACHIEVED = 1 << 40
"""What is added per achievement. Below it is the time: 34 years in milliseconds."""


def counter() -> int:
    """A new counter at 0 that never blocks."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def take(fd: int) -> int:
    """What was added since this was last asked."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


def add(fd: int, number: int) -> bool:
    """Add to a counter; False if it is full."""
    try:
        os.eventfd_write(fd, number)
    except BlockingIOError:
        return False
    return True


class Pulse:
    """The watchdog's end of a component's pulse."""

    def __init__(self) -> None:
        self.fd = counter()
        self._ms = 0

    def feel(self) -> tuple[float, bool] | None:
        """When (monotonic s) the last sign of life was given, and whether something was achieved since this was last
        asked; None without a sign."""
        added = take(self.fd)
        if not added:
            return None
        self._ms += added % _ACHIEVED
        return self._ms / 1000, added >= _ACHIEVED

    def close(self) -> None:
        """The component is gone."""
        os.close(self.fd)


class Heart:
    """A component's end: ``pulse`` and ``call`` are the descriptors."""

    def __init__(self, pulse: int, call: int) -> None:
        self.call = call
        self._pulse = pulse
        self._told = 0
        self._lock = allocate_lock()

    def beat(self, achieved: bool) -> None:
        """A sign of life now; ``achieved``: a sample was taken, or a batch delivered. Threads may do so at once."""
        with self._lock:
            now = int(time.monotonic() * 1000)
            if add(self._pulse, now - self._told + (_ACHIEVED if achieved else 0)):
                self._told = now


def inherited(environment: MutableMapping[str, str]) -> Heart | None:
    """What the watchdog gave this process, taken out of ``environment``: children must not have it. None without."""
    given = environment.pop(VARIABLE, "")
    if not given:
        return None
    pulse, call = map(int, given.split(","))
    for fd in (pulse, call):
        os.set_inheritable(fd, False)
    return Heart(pulse, call)
