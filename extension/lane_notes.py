"""What a lane keeps and says of its tables: what became of a batch, the last errors, rows that are refused for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from extension.rows.edm import Row
from extension.sinks import SinkError
from extension.store import drops
from extension.store.uploader_db import UploaderStore

REFUSAL_QUIET_S = 3600.0
"""A table's refused rows are said once for each reason, and again after so long."""
ERROR_QUIET_S = 60.0
MAX_ERROR = 500


@dataclass
class Delivery:
    """What became of a batch's rows."""

    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    spans: dict[str, drops.Span] = field(default_factory=dict)

    def drop(self, reason: str, rows: Sequence[Row], why: str) -> None:
        """Count rows that the sink will never take; ``why`` tells of them, the first of a reason is kept."""
        self.drop_unread(reason, len(rows), why)
        span = drops.span_of(rows)
        if span is not None:
            before = self.spans.get(reason, span)
            self.spans[reason] = (min(before[0], span[0]), max(before[1], span[1]))

    def drop_unread(self, reason: str, rows: int, why: str) -> None:
        """As :meth:`drop` for rows of which nothing is known."""
        self.dropped[reason] = self.dropped.get(reason, 0) + rows
        self.why.setdefault(reason, why)


class TableNotes:
    """For one lane. ``log(level, text)``; ``clock`` gives Unix seconds."""

    def __init__(self, store: UploaderStore, log: Callable[[str, str], None], clock: Callable[[], float]) -> None:
        self._store, self._log, self._clock = store, log, clock
        self._errors: dict[str, tuple[str, float]] = {}
        self._refused: dict[tuple[str, str], tuple[float, int]] = {}

    def refused(self, table: str, reason: str, rows: int, why: str) -> None:
        """One log line for a table's first rows that are refused for a reason; those after it are counted."""
        now = self._clock()
        said, uncounted = self._refused.get((table, reason), (None, 0))
        if said is not None and abs(now - said) < REFUSAL_QUIET_S:
            self._refused[table, reason] = (said, uncounted + rows)
            return
        self._refused[table, reason] = (now, 0)
        more = f" ({uncounted} more since the last message)" if uncounted else ""
        self._log("error", f"{table}: {rows} rows refused for good, {reason}{more}: {why}")

    def error(self, table: str, error: SinkError) -> None:
        """Keep a table's last error for status; written when it changes, or after some time."""
        now = self._clock()
        code, at = self._errors.get(table, ("", 0.0))
        if code == error.code and abs(now - at) < ERROR_QUIET_S:
            return
        self._errors[table] = (error.code, now)
        found = {"code": error.code, "message": error.message[:MAX_ERROR], "time": now}
        self._store.note(f"error:{table}", json.dumps(found))
