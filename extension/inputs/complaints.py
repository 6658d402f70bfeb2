"""What goes wrong with messages: all of it counted, each kind logged once until it has been quiet for a while."""

from __future__ import annotations

from collections.abc import Callable

QUIET_S = 600.0
MAX_KINDS = 200


class Complaints:
    """``count(reason, n)`` takes every occurrence; ``log(level, text)`` the first after :data:`QUIET_S` without one."""

    def __init__(
        self, count: Callable[[str, int], None], log: Callable[[str, str], None], monotonic: Callable[[], float]
    ) -> None:
        self._count, self._log, self._monotonic = count, log, monotonic
        self._last: dict[str, float] = {}

    def about(self, what: str, reason: str, detail: str = "", n: int = 1) -> None:
        """``what`` is the socket, ``reason`` the countable part, ``detail`` goes to the log only."""
        kind = f"{what}: {reason}"
        self._count(kind, n)
        now = self._monotonic()
        last = self._last.get(kind)
        if last is None and len(self._last) >= MAX_KINDS:
            self._last = {k: t for k, t in self._last.items() if now - t < QUIET_S}
            if len(self._last) >= MAX_KINDS:
                return
        self._last[kind] = now
        if last is None or now - last >= QUIET_S:
            more = f": {detail}" if detail else ""
            self._log("warning", f"{kind}{more} (the next ones are only counted)")
