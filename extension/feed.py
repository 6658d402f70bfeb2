"""The JSON inputs as the collector's loop sees them, and their absence: most documents have none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from extension.channel import Channel
from extension.plan import Plan
from extension.rows.edm import EdmValue

MAX_FILL = 0.6
"""Of the store: events of clients are refused above it, so that samples always find room."""


class Feed(Protocol):
    """Clients that send events, served in turns."""

    def attend(self) -> bool:
        """Serve what has come, a bounded piece of it; True if events were stored."""

    def attention_in(self) -> float:
        """Seconds until :meth:`attend` is due though nothing comes; inf for never."""

    def problems(self) -> list[str]:
        """What keeps clients out."""

    def close(self) -> None:
        """Serve nobody any more."""


class NoFeed:
    """No document's source is fed by clients: no sockets."""

    def attend(self) -> bool:
        """Nothing."""
        return False

    def attention_in(self) -> float:
        """Never."""
        return math.inf

    def problems(self) -> list[str]:
        """None."""
        return []

    def close(self) -> None:
        """Nothing."""


def open_feed(
    plan: Plan,
    state_dir: str,
    ingest: Callable[[list[tuple[str, int, dict[str, EdmValue]]]], bool],
    refuse: Callable[[str, int], None],
    fill: Callable[[], float],
    channel: Channel,
) -> Feed:
    """The sockets that ``plan`` wants; ``channel``'s wait ends when one of them has something to read.

    ``ingest`` and ``refuse`` are the collector's, ``fill`` is its store's. What serves sockets is imported only where
    there are some.
    """
    if not plan.sources:
        return NoFeed()
    from extension.inputs.server import open_inputs

    def take(events: list[tuple[str, int, dict[str, EdmValue]]]) -> bool:
        return fill() < MAX_FILL and ingest(events)

    inputs = open_inputs(plan, state_dir, take, refuse, channel.log)
    if inputs is None:
        return NoFeed()
    channel.watch(inputs.fileno())
    return inputs
