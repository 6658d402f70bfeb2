"""Every bound of the service in one place."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes, times in seconds.

    ``request_s`` is from the first byte of a request to its last, ``reply_s`` without any progress while a reply is
    taken, ``idle_s`` between requests. ``parked`` connections wait for the answer to a wrong password, ``refusal_s``
    long. ``context_s`` is the life of an unused enumeration context unless the client asks for another one.
    """

    head: int = 16 * 1024
    headers: int = 100
    body: int = 64 * 1024
    request_s: float = 10.0
    idle_s: float = 60.0
    reply_s: float = 20.0
    refusal_s: float = 1.0
    connections: int = 64
    parked: int = 16
    reply: int = 16 * 1024 * 1024
    contexts: int = 32
    context_s: float = 60.0
    context_max_s: float = 300.0
    context_instances: int = 20_000
    batch: int = 1000
    depth: int = 32
    elements: int = 2000


DEFAULT = Limits()
