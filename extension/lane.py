"""The way of batches to one service: attempts, growing delays, halves, refused rows, acknowledgements."""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import tenacity

from extension.attempts import pause, stale, worth_retrying
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import Sink, SinkError, open_sink
from extension.store.database import StoreError
from extension.store.uploader_db import Queued, UploaderStore

PRUNE_EVERY, FEW = 50, 10
"""Acknowledgements after which the old ones are forgotten: during a backlog, and when there is nothing else to do."""
LOOK_S = 60.0
"""A lane looks for batches so often by itself, in case that a wake word was lost."""
ROUND = 20
FRESH = 8
"""Of a round of batches, so many may be of those queued since a backlog was met: it must not hide what is now."""
CPU_SHARE = 0.5
"""Of one CPU, for draining a backlog: well below what the watchdog grants the uploader (extension.watched)."""
LONGEST_PAUSE_S = 2.0
ASIDE_POLL_S = 1.0
"""While only tables that were put aside have rows queued, the outbox is looked at so often."""
REFUSAL_QUIET_S = 3600.0
"""A table's refused rows are said once for each reason, and again after so long."""
DAMAGED = "damaged in the store"
ERROR_QUIET_S = 60.0
MAX_ERROR = 500


@dataclass
class Delivery:
    """What became of a batch's rows."""

    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def drop(self, reason: str, rows: int, why: str) -> None:
        """Count rows that the sink will never take; ``why`` tells of them, the first of a reason is kept."""
        self.dropped[reason] = self.dropped.get(reason, 0) + rows
        self.why.setdefault(reason, why)


def wait_for_sink(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt, as :func:`extension.attempts.pause` says."""
    return pause(state.outcome.exception() if state.outcome else None, state.attempt_number)


class Aside(NamedTuple):
    """A table that takes nothing for now, though its service is well: ``until`` (monotonic s), failures in a row."""

    until: float
    failures: int
    error: SinkError


class Lane:
    """The way to one service. ``publish`` is called when its health changed.

    ``name`` is that of its batches in the outbox, ``label`` what messages call it; without them it is the way to the
    tables of ``account``. ``cpu_share``: how much of one CPU the process may use while there is a backlog, 1 for all.
    ``inherits`` gives names whose batches go the same way.
    """

    def __init__(
        self,
        account: Account,
        store: UploaderStore,
        *,
        spread_s: float,
        publish: Callable[[], None],
        progress: Callable[[], None],
        log: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        connect: Callable[[Account], Sink] = open_sink,
        name: str = "",
        label: str = "",
        cpu_share: float = 1.0,
        inherits: Callable[[], Sequence[str]] = tuple,
        cpu_clock: Callable[[], float] = time.process_time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = account
        self.name = name or account.moniker
        self._inherits = inherits
        self.label = label or account.account
        self.problem = ""
        self.level = "ok"
        self.busy_since: float | None = None
        self.progressed = 0.0
        """When (monotonic s) a batch was acknowledged last."""
        self.stop = threading.Event()
        self.wake = threading.Event()
        self._store = store
        self._publish, self._progress, self._log = publish, progress, log
        self._clock = clock
        self._connect = connect
        self._sink: Sink | None = None
        self._failures = 0
        self._errors: dict[str, tuple[str, float]] = {}
        self._refused: dict[tuple[str, str], tuple[float, int]] = {}
        self._said: set[tuple[str, str]] = set()
        self._aside: dict[str, Aside] = {}
        self._since_prune = 0
        self._fresh = 0 if name else FRESH  # rows of tables are in no order; those of files and hubs are
        self._cpu_share, self._cpu_clock, self._monotonic = cpu_share, cpu_clock, monotonic
        local = account.table_endpoint.startswith("file:")
        seed = zlib.crc32(account.account.encode() + _machine_id())
        self._phase = 0.0 if local else spread_s * (seed % 1000) / 1000
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._holds_all_up),
            wait=wait_for_sink,
            stop=tenacity.stop_when_event_set(self.stop),
            sleep=tenacity.sleep_using_event(self.stop),
            before_sleep=self._waiting,
            reraise=True,
        )

    def run(self) -> None:
        """Drain the outbox whenever woken, until stopped."""
        while not self.stop.is_set():
            try:
                self.drain()
            except StoreError as error:
                self._say("error", str(error), str(error))
            self.wake.wait(LOOK_S)
            self.wake.clear()
            self.stop.wait(self._phase)  # so that a fleet does not arrive in the same second
        if self._sink is not None:
            self._sink.close()

    def drain(self) -> None:
        """Deliver everything that is queued for this account, oldest first; returns early when stopped."""
        names = (self.name, *self._inherits())
        while not self.stop.is_set():
            begun, spent = self._monotonic(), self._cpu_clock()
            aside = self._put_aside()
            queued = [batch for name in names for batch in self._store.pending(name, ROUND, self._fresh, aside)]
            if not queued and aside:
                self.stop.wait(min(ASIDE_POLL_S, max(0.0, min(self._aside[t].until for t in aside) - begun)))
                continue
            if not queued:
                break
            for batch in queued:
                if batch.table not in self._put_aside() and not self._deliver(batch):
                    return
            if len(queued) < ROUND and not self._aside:
                break  # whoever queues more wakes this lane again
            if len(queued) >= ROUND:
                self._rest(self._cpu_clock() - spent, self._monotonic() - begun)
        if self._since_prune >= FEW or self._store.unwritten:
            self._prune()

    def _rest(self, cpu_s: float, elapsed_s: float) -> None:
        """Sleep so long that a backlog takes no more than its share of the CPU; all lanes of the process count."""
        pause = min(cpu_s / self._cpu_share - elapsed_s, LONGEST_PAUSE_S)
        if pause > 0:
            self.stop.wait(pause)

    def _put_aside(self) -> frozenset[str]:
        """The tables that are not tried now."""
        if not self._aside:
            return frozenset()
        now = self._monotonic()
        return frozenset(table for table, aside in self._aside.items() if aside.until > now)

    def _holds_all_up(self, error: BaseException) -> bool:
        """Whether nothing else is sent before this is over: the service fails, or the rows of the lane are in order."""
        ordered = self._fresh == 0
        return worth_retrying(error) and (ordered or (isinstance(error, SinkError) and error.connection))

    def _deliver(self, batch: Queued) -> bool:
        result = Delivery()
        try:
            rows = batch.rows
        except ValueError as error:
            rows = []
            result.drop(DAMAGED, batch.count, str(error))
        try:
            self._send(batch.table, rows, result)
        except SinkError as error:
            if self.stop.is_set() or self._holds_all_up(error):
                return False  # only a stop ends the attempts; the batch stays queued
            self._set_aside(batch.table, error)
            return True
        self._store.acknowledge(batch.id, batch.table, result.delivered, result.dropped, self._clock())
        for reason, n in result.dropped.items():
            self._tell_refused(batch.table, reason, n, result.why[reason])
        self.progressed = time.monotonic()
        self._since_prune += 1
        if self._since_prune >= PRUNE_EVERY:
            self._prune()
        self._progress()
        return True

    def _prune(self) -> None:
        self._since_prune = 0
        self._store.prune()

    def _send(self, table: str, rows: Sequence[Row], result: Delivery) -> None:
        """Send rows with all retries; halves and single refused rows are dealt with here."""
        while rows:
            try:
                self._retrying(self._attempt, table, rows)
            except SinkError as error:
                if worth_retrying(error):
                    raise
                if error.reaction == "split" and len(rows) > 1:
                    self._send(table, rows[: len(rows) // 2], result)
                    rows = rows[len(rows) // 2 :]
                elif error.reaction == "drop-row" and error.row is not None and error.row < len(rows):
                    result.drop(error.code, 1, f"row {rows[error.row].row_key[:200]}: {error.message}")
                    self._note_error(table, error)
                    rows = [r for i, r in enumerate(rows) if i != error.row]
                else:
                    result.drop(error.code, len(rows), error.message)
                    self._note_error(table, error)
                    return
                continue
            result.delivered += len(rows)
            self._recovered(table)
            return

    def _attempt(self, table: str, rows: Sequence[Row]) -> None:
        self.busy_since = time.monotonic()
        try:
            if self._sink is None:
                self._sink = self._connect(self.account)
            self._sink.send(table, rows)
        finally:
            self.busy_since = None

    def _waiting(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, SinkError):
            self._failures += 1
            if self.level == "ok" and stale(error, state.attempt_number):
                return
            self._note_error(str(state.args[0]), error)
            self._say_error(error)

    def _set_aside(self, table: str, error: SinkError) -> None:
        """Let the rows of one table wait, and those of the others go on."""
        failures = self._aside[table].failures + 1 if table in self._aside else 1
        self._aside[table] = Aside(self._monotonic() + pause(error, failures), failures, error)
        self._failures += 1
        self._note_error(table, error)
        self._say_error(error, table)

    def _say_error(self, error: SinkError, table: str = "") -> None:
        level = "error" if error.reaction == "slow" else "warning"
        self._say(level, f"{self.label}: {error.message}", f"{error.code} {error.cause} {table}")

    def _tell_refused(self, table: str, reason: str, rows: int, why: str) -> None:
        """One log line for a table's first rows that are refused for a reason; those after it are counted."""
        now = self._clock()
        said, uncounted = self._refused.get((table, reason), (None, 0))
        if said is not None and abs(now - said) < REFUSAL_QUIET_S:
            self._refused[table, reason] = (said, uncounted + rows)
            return
        self._refused[table, reason] = (now, 0)
        more = f" ({uncounted} more since the last message)" if uncounted else ""
        self._log("error", f"{table}: {rows} rows refused for good, {reason}{more}: {why}")

    def _note_error(self, table: str, error: SinkError) -> None:
        """Keep a table's last error for status; written when it changes, or after some time."""
        now = self._clock()
        code, at = self._errors.get(table, ("", 0.0))
        if code == error.code and abs(now - at) < ERROR_QUIET_S:
            return
        self._errors[table] = (error.code, now)
        found = {"code": error.code, "message": error.message[:MAX_ERROR], "time": now}
        self._store.note(f"error:{table}", json.dumps(found))

    def _recovered(self, table: str) -> None:
        self._aside.pop(table, None)
        for other, aside in self._aside.items():
            self._say_error(aside.error, other)
            return
        if self.level != "ok":
            self._log("info", f"{self.label}: rows are accepted again after {self._failures} failed attempts")
        self._failures = 0
        self._said.clear()
        self._say("ok", "", "")

    def _say(self, level: str, message: str, state: str) -> None:
        """One health report per change, and one log line for each ``state`` of an outage, however often they change."""
        if (level, message) == (self.level, self.problem):
            return
        self.level, self.problem = level, message
        if message and (level, state) not in self._said:
            self._said.add((level, state))
            self._log(level, f"{message}; rows stay queued")
        self._store.note(f"problem:{self.name}", f"{level} {message}" if message else "")
        self._publish()


def _machine_id() -> bytes:
    """What spreads machines of one account: the machine id, else the host name."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return file.read(64)
    except OSError:
        return os.uname().nodename.encode()
