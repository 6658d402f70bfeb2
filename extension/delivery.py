"""Empties an outbox into its sinks for commands that end, with the uploader's own lanes and a bounded patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from extension.lane import Lane
from extension.lanes import lanes
from extension.plan import Plan
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore

PATIENCE_S = 30.0
"""Seconds without a single acknowledged batch after which a sink is given up."""
POLL_S = 0.05
STOP_S = 5.0


class _Way:
    """A lane, and why it was given up."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.given_up = ""

    def drain(self) -> None:
        """Empty the lane; a store that cannot be read ends it for good."""
        try:
            self.lane.drain()
        except StoreError as error:
            self.given_up = str(error)


class Delivery:
    """The lanes of ``plan`` over the outbox in ``state_dir``; ``log(level, text)`` is told what they say."""

    def __init__(
        self, plan: Plan, state_dir: str, log: Callable[[str, str], None], patience_s: float = PATIENCE_S
    ) -> None:
        self._store = UploaderStore(state_dir)
        self._patience_s = patience_s
        made = lanes(plan, self._store, spread_s=0.0, publish=_nothing, progress=_nothing, log=log)
        self._ways = [_Way(lane) for lane in made]

    def drain(self) -> bool:
        """Deliver what is queued; False if a sink was given up, now or before.

        A sink that needs a person (a credential is refused, the account is missing) is given up at once, one that
        does not answer after the patience.
        """
        going = [way for way in self._ways if not way.given_up]
        threads = [threading.Thread(target=way.drain, daemon=True) for way in going]
        for way, thread in zip(going, threads, strict=True):
            way.lane.progressed = time.monotonic()
            thread.start()
        for way, thread in zip(going, threads, strict=True):
            self._attend(way, thread)
        return all(not way.given_up for way in self._ways)

    def _attend(self, way: _Way, thread: threading.Thread) -> None:
        while thread.is_alive():
            thread.join(POLL_S)
            silent = time.monotonic() - way.lane.progressed
            if not thread.is_alive() or way.given_up:
                continue
            hopeless = way.lane.level == "error" and way.lane.waiting
            if hopeless or silent > self._patience_s:
                way.given_up = way.lane.problem or f"no answer for {silent:.0f} s"
                way.lane.stop.set()
                way.lane.wake.set()
                thread.join(STOP_S)
                return  # a thread that still waits for a socket ends with the process

    def given_up(self) -> list[str]:
        """Why sinks were given up, one line each."""
        return [_of(way.lane.label, way.given_up) for way in self._ways if way.given_up]

    def close(self) -> None:
        """Close the acknowledgements. Threads of sinks that were given up may still be about to end."""
        if not any(way.given_up for way in self._ways):
            self._store.close()


def _nothing() -> None:
    """Nobody is told: the command waits for the lanes itself."""


def _of(label: str, why: str) -> str:
    """A reason that names its sink, once."""
    return why if why.startswith(f"{label}: ") else f"{label}: {why}"
