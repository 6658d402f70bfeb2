"""Enumeration contexts of the pulled operations (DSP0200 5.3.2.24): bounded in number, size and life."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omi_queries.server.limits import Limits


@dataclass
class _Context:
    """What is left of one enumeration: ``items`` from ``at`` on, for pulls of ``kind`` in ``namespace``."""

    kind: str
    namespace: str
    items: Sequence[Any]
    at: int
    life_s: float
    ends: float


class Contexts:
    """Open enumerations by their opaque token. ``clock`` gives monotonic seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[str, _Context] = {}

    def __len__(self) -> int:
        return len(self._open)

    def expire(self) -> None:
        """Forget the contexts that nobody used within their life."""
        now = self._clock()
        for token in [token for token, one in self._open.items() if one.ends <= now]:
            del self._open[token]

    def has_room(self, more: int) -> bool:
        """Whether an enumeration that keeps ``more`` items may be opened."""
        self.expire()
        kept = sum(len(one.items) - one.at for one in self._open.values())
        return len(self._open) < self._limits.contexts and kept + more <= self._limits.context_instances

    def add(self, kind: str, namespace: str, items: Sequence[Any], life_s: float) -> str:
        """Keep ``items`` for later pulls; the token that names them."""
        token = secrets.token_hex(16)
        self._open[token] = _Context(kind, namespace, items, 0, life_s, self._clock() + life_s)
        return token

    def pull(self, token: str, kind: str, namespace: str, count: int) -> tuple[Sequence[Any], bool] | None:
        """Up to ``count`` further items, and whether these were the last; None if there is no such context."""
        self.expire()
        one = self._open.get(token)
        if one is None or one.kind != kind or one.namespace != namespace:
            return None
        items = one.items[one.at : one.at + count]
        one.at += len(items)
        one.ends = self._clock() + one.life_s
        if one.at < len(one.items):
            return items, False
        del self._open[token]
        return items, True

    def close(self, token: str, namespace: str) -> bool:
        """End an enumeration; False if there is no such context."""
        self.expire()
        one = self._open.get(token)
        if one is None or one.namespace != namespace:
            return False
        del self._open[token]
        return True

    def next_end(self) -> float | None:
        """When the next context expires, None if none is open."""
        return min((one.ends for one in self._open.values()), default=None)
