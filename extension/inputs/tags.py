"""The duplicate window of one connection's TAGs (spec/mdsd.md 6.1)."""

from __future__ import annotations

from collections.abc import Callable

from extension.rows import ticks

try:  # the interpreter's own: hashlib loads OpenSSL, 3.4 MiB in every collector
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

MAX_TAGS = 120_000
"""Of a connection, about 12 MB: above this the window becomes shorter, for memory has a bound."""


class TagWindow:
    """Remembers a TAG for at least ``window_s`` seconds and at most half as long again, in three generations.

    ``max_tags`` gives the number of TAGs that may be held now.
    """

    def __init__(self, window_s: int, max_tags: Callable[[], int] = lambda: MAX_TAGS) -> None:
        self._half_us = max(1, window_s) * ticks.SECOND_US // 2
        self._max = max_tags
        self._generations: list[set[bytes]] = [set(), set(), set()]
        self._since = 0

    def seen(self, tag: str, now_us: int) -> bool:
        """Whether the TAG was there within the window; it is from now on."""
        self._turn(now_us)
        key = tag.encode("utf-8", "surrogatepass")
        if len(key) > 16:
            key = blake2b(key, digest_size=16).digest()
        if any(key in generation for generation in self._generations):
            return True
        share = max(3, self._max())
        if len(self._generations[0]) >= share // 3:
            self._rotate(now_us)
            while sum(map(len, self._generations)) >= share:  # the share has become smaller
                self._rotate(now_us)
        self._generations[0].add(key)
        return False

    def _turn(self, now_us: int) -> None:
        if not self._since or now_us < self._since:  # the first TAG, or the clock went back
            self._since = now_us
        elapsed = (now_us - self._since) // self._half_us
        for _ in range(min(elapsed, 3)):
            self._rotate(self._since)
        self._since += elapsed * self._half_us

    def _rotate(self, now_us: int) -> None:
        self._generations = [set(), *self._generations[:2]]
        self._since = now_us
