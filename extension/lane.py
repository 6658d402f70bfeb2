"""The way of batches to one service: attempts, growing delays, halves, refused rows, acknowledgements."""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence

import tenacity

from extension.asides import Asides
from extension.attempts import pause, stale, worth_retrying
from extension.circuit import Circuit
from extension.lane_notes import REFUSAL_QUIET_S as REFUSAL_QUIET_S
from extension.lane_notes import Delivery as Delivery
from extension.lane_notes import TableNotes
from extension.pipeline import places
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import Sink, SinkError, open_sink
from extension.store.database import StoreError
from extension.store.uploader_db import Queued, UploaderStore

PRUNE_EVERY, FEW = 50, 10
"""Acknowledgements after which the old ones are forgotten: during a backlog, and when there is nothing else to do."""
ASIDE_POLL_S = 1.0
"""While only what was put aside has rows queued, a call for more is noticed so late."""
LOOK_S = 60.0
"""A lane looks for batches so often by itself, in case that a wake word was lost."""
ROUND = 20
FRESH = 8
"""Of a round of batches, so many may be of those queued since a backlog was met: it must not hide what is now."""
CPU_SHARE = 0.5
"""Of one CPU, for draining a backlog: well below what the watchdog grants the uploader (extension.watched)."""
LONGEST_PAUSE_S = 2.0
DAMAGED = "damaged in the store"


def wait_for_sink(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt, as :func:`extension.attempts.pause` says."""
    return pause(state.outcome.exception() if state.outcome else None, state.attempt_number)


class Lane:
    """The way to one service. ``publish`` is called when its health changed.

    ``name`` is that of its batches in the outbox, ``label`` what messages call it; without them it is the way to the
    tables of ``account``. ``cpu_share``: how much of one CPU the process may use while there is a backlog, 1 for all.
    ``inherits`` gives names whose batches go the same way; ``circuit`` is that of the service's host, which other
    lanes may lead to as well.
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
        circuit: Circuit | None = None,
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
        self.waiting = False
        """Whether nothing is sent before a delay is over."""
        self.stop = threading.Event()
        self.wake = threading.Event()
        self._store = store
        self._publish, self._progress, self._log = publish, progress, log
        self._clock = clock
        self._connect = connect
        self._sink: Sink | None = None
        self._failures = 0
        self._tables = TableNotes(store, log, clock)
        self._said: set[tuple[str, str]] = set()
        self._aside = Asides(monotonic, lambda error, failures: pause(error, failures))
        self._circuit = circuit or Circuit(monotonic)
        self._of_blobs = places.lane_parts(self.name)[0] == places.JSON_BLOB
        self._since_prune = 0
        self._fresh = 0 if name else FRESH  # rows of tables are in no order; those of files and hubs are
        self._cpu_share, self._cpu_clock, self._monotonic = cpu_share, cpu_clock, monotonic
        local = account.table_endpoint.startswith("file:")
        seed = zlib.crc32(account.account.encode() + _machine_id())
        self._phase = 0.0 if local else spread_s * (seed % 1000) / 1000
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._holds_all_up),
            wait=self._wait,
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
                self._say("error", str(error), "" if ("error", str(error)) in self._said else "rows stay queued")
                self._said.add(("error", str(error)))
            if self.stop.is_set():
                break
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
            aside = self._aside.begin()
            queued = [batch for name in names for batch in self._store.pending(name, ROUND, self._fresh, aside)]
            for batch in queued:
                if not self._deliver(batch):
                    return
            if len(queued) >= ROUND:
                self._rest(self._cpu_clock() - spent, self._monotonic() - begun)
                continue
            if self._aside.forget_emptied():
                self._well()
            if not self._aside:
                break  # whoever queues more wakes this lane again
            self._await_aside()
        if self._since_prune >= FEW or self._store.unwritten:
            self._prune()

    def _await_aside(self) -> None:
        """Sleep until something that was put aside is tried again, or there may be more."""
        self.waiting = True
        until = self._monotonic() + min(self._aside.wait_s(), LOOK_S)
        while not (self.wake.is_set() or self.stop.is_set()) and (left := until - self._monotonic()) > 0:
            self.stop.wait(min(left, ASIDE_POLL_S))
        self.wake.clear()

    def _rest(self, cpu_s: float, elapsed_s: float) -> None:
        """Sleep so long that a backlog takes no more than its share of the CPU; all lanes of the process count."""
        pause = min(cpu_s / self._cpu_share - elapsed_s, LONGEST_PAUSE_S)
        if pause > 0:
            self.stop.wait(pause)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt; where it is the host that fails, the circuit knows."""
        error = state.outcome.exception() if state.outcome else None
        return 0.0 if isinstance(error, SinkError) and error.outage == "host" else wait_for_sink(state)

    @staticmethod
    def _holds_all_up(error: BaseException) -> bool:
        """Whether nothing else is sent before this is over: it is not about one table or blob."""
        return worth_retrying(error) and isinstance(error, SinkError) and error.connection

    def _deliver(self, batch: Queued) -> bool:
        result = Delivery()
        try:
            rows = batch.rows
        except ValueError as error:
            rows = []
            result.drop_unread(DAMAGED, batch.count, str(error))
        if rows and self._aside.hold(batch.id, batch.table, self._place(rows)):
            return True
        try:
            self._send(batch.table, rows, result)
        except SinkError as error:
            if self.stop.is_set() or self._holds_all_up(error):
                return False  # only a stop ends the attempts; the batch stays queued
            self._set_aside(batch, error)
            return True
        self._store.acknowledge(batch.id, batch.table, result.delivered, result.dropped, self._clock(), result.spans)
        for reason, n in result.dropped.items():
            self._tables.refused(batch.table, reason, n, result.why[reason])
        self.progressed = time.monotonic()
        self._since_prune += 1
        if self._since_prune >= PRUNE_EVERY:
            self._prune()
        self._progress()
        return True

    def _place(self, rows: Sequence[Row]) -> str:
        """What within their table rows go to, where that can fail alone."""
        return rows[0].partition_key if self._of_blobs else ""

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
                    result.drop(error.code, [rows[error.row]], f"row {rows[error.row].row_key[:200]}: {error.message}")
                    self._tables.error(table, error)
                    rows = [r for i, r in enumerate(rows) if i != error.row]
                else:
                    result.drop(error.code, rows, error.message)
                    self._tables.error(table, error)
                    return
                continue
            result.delivered += len(rows)
            self._recovered(table, self._place(rows))
            return

    def _attempt(self, table: str, rows: Sequence[Row]) -> None:
        with self._circuit.passage(self.name, self.stop, lambda error: self._held_up(table, error), pause):
            self.busy_since, self.waiting = time.monotonic(), False
            try:
                if self._sink is None:
                    self._sink = self._connect(self.account)
                self._sink.send(table, rows)
            finally:
                self.busy_since = None

    def _held_up(self, table: str, error: SinkError) -> None:
        """The host fails, as another lane has found and said."""
        self.waiting = True
        self._tables.error(table, error)
        if self.level == "ok":
            self._say(_level(error), f"{self.label}: its host fails: {error.message}")

    def _waiting(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.waiting = True
        if isinstance(error, SinkError):
            self._failures += 1
            if self.level == "ok" and stale(error, state.attempt_number):
                return
            self._tables.error(str(state.args[0]), error)
            self._say_error(error)

    def _set_aside(self, batch: Queued, error: SinkError) -> None:
        """Let the rows of one table or blob wait, and those of the others go on."""
        self._aside.add(batch.id, batch.table, error)
        self._failures += 1
        self._tables.error(batch.table, error)
        self._say_error(error, batch.table)

    def _say_error(self, error: SinkError, table: str = "") -> None:
        """One log line for each state of an outage, however often they change; of one host's, whoever has it."""
        state = (_level(error), f"{error.code} {error.cause} {table}")
        first = state not in self._said and (not error.outage or self._circuit.first_to_say(state))
        if first:
            self._said.add(state)
        self._say(state[0], f"{self.label}: {error.message}", "rows stay queued" if first else "")

    def _recovered(self, table: str, place: str) -> None:
        self._aside.remove(table, place)
        other = self._aside.first()
        over = set(self._said if other is None else self._circuit.said(self._said))  # an outage ends for all tables
        if over:
            self._log("info", f"{self.label}: rows are accepted again after {self._failures} failed attempts")
            self._circuit.unsay(over)
            self._said -= over
            self._failures = 0
        if other is None:
            self._well()
        else:
            self._say_error(*other)

    def _well(self) -> None:
        """Nothing fails any more."""
        self._circuit.unsay(self._said)
        self._failures = 0
        self._said.clear()
        self._say("ok", "")

    def _say(self, level: str, message: str, more: str = "") -> None:
        """One health report per change; with ``more``, a log line as well."""
        if more:
            self._log(level, f"{message}; {more}")
        if (level, message) == (self.level, self.problem):
            return
        self.level, self.problem = level, message
        self._store.note(f"problem:{self.name}", f"{level} {message}" if message else "")
        self._publish()


def _level(error: SinkError) -> str:
    return "error" if error.reaction == "slow" else "warning"


def _machine_id() -> bytes:
    """What spreads machines of one account: the machine id, else the host name."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return file.read(64)
    except OSError:
        return os.uname().nodename.encode()
