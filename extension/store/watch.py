"""What of the ledger matters to somebody who looks at the status: rows dropped lately, rows that wait for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from extension.rows import ticks
from extension.store import ledger
from extension.store.database import StoreError

LOOK_S = 60.0
LATELY_S = 3600.0
LONG_S = 900.0
NAMED = 3


@dataclass
class LedgerWatch:
    """Looks at the ledger that ``read()`` gives once a minute; ``clock`` gives Unix s."""

    read: Callable[[], dict[str, ledger.Balance]]
    clock: Callable[[], float]
    _looked: float | None = None
    _known: dict[tuple[str, str], int] | None = None
    _lately: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    _found: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """One line for rows dropped within the last hour, one for rows that wait; texts that stay as they are while
        nothing changes."""
        now = self.clock()
        if self._looked is not None and abs(now - self._looked) < LOOK_S:
            return self._found
        self._looked = now
        try:
            balances = self.read()
        except (StoreError, sqlite3.Error):
            return self._found  # others say so
        self._found = [text for text in (self._dropped(balances, now), _waiting(balances, now)) if text]
        return self._found

    def _dropped(self, balances: dict[str, ledger.Balance], now: float) -> str:
        counts = {(table, reason): n for table, b in balances.items() for reason, n in b.dropped.items()}
        for key, n in counts.items():
            more = n - self._known.get(key, 0) if self._known is not None else 0
            if more > 0:
                self._lately[key] = (now, self._lately.get(key, (now, 0))[1] + more)
        self._known = counts
        self._lately = {key: (at, n) for key, (at, n) in self._lately.items() if abs(now - at) < LATELY_S}
        worst = sorted(self._lately.items(), key=lambda item: -item[1][1])
        named = [f"{n} of {table} ({reason})" for (table, reason), (_, n) in worst[:NAMED]]
        others = [f"{len(worst) - NAMED} more tables or reasons"] if len(worst) > NAMED else []
        return "rows were dropped within the last hour: " + ", ".join([*named, *others]) if worst else ""


def _waiting(balances: dict[str, ledger.Balance], now: float) -> str:
    oldest = min((b.oldest_queued for b in balances.values() if b.oldest_queued is not None), default=now)
    if now - oldest < LONG_S:
        return ""
    return f"rows wait for upload since {ticks.iso(int(oldest) * ticks.SECOND_US)} (lad status tells why)"
