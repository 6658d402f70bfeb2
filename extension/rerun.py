"""What ``lad replay`` does: collector and uploader lanes of the real daemon, over a recording and a temporary store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from extension import inputs
from extension.collecting import Collector
from extension.delivery import Delivery
from extension.pipelines import LATE
from extension.plan import Plan
from extension.playback import US, VirtualClock, play
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from omi_queries.backends.replay import ReplayBackend
from omi_queries.recording import SOCKETS, InputEvent, time_text

STORE_MAX_BYTES = 1 << 40
"""No cap of its own: the outbox is emptied while the recording runs."""
DELIVER_ROWS = 20_000
"""So many rows may wait in the outbox before they are delivered."""
Log = Callable[[str, str], None]


@dataclass
class Summary:
    """What a replay did.

    ``first`` and ``last``: the recording's times; ``tables``: name -> ``rows`` delivered, ``undelivered``, and
    ``dropped`` by reason; ``refused``: queries that cannot be asked; ``rejected``: messages that their socket would
    not take; ``skipped``: counted reasons for what is missing; ``withheld``: what was not sent on purpose;
    ``given_up``: sinks that did not take their rows.
    """

    first: str
    last: str
    ticks: int = 0
    messages: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    withheld: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every row that was made is in its sink; of what came too late none is made, as in the daemon."""
        lost = any(t["undelivered"] or t["dropped"].keys() - {LATE} for t in self.tables.values())
        return not lost and not self.given_up

    @property
    def rows(self) -> int:
        """Rows delivered."""
        return sum(t["rows"] for t in self.tables.values())


def rerun(plan: Plan, backend: ReplayBackend, clock: VirtualClock, folder: str, host: str, log: Log) -> Summary:
    """Play the backend's recording through ``plan``; ``folder`` takes the store, ``host`` is SchemasTable's Uploader.

    ``clock`` must be the backend's own. Raises StoreError or OSError if ``folder`` cannot be written, RecordingError
    if the recording changes meanwhile.
    """
    recording = backend.recording
    assert recording.first_us is not None  # an empty one cannot be opened
    assert recording.last_us is not None
    clock.now = recording.first_us / US
    store = CollectorStore(folder, max_bytes=STORE_MAX_BYTES, report=lambda message: log("error", message), clock=clock)
    delivery = Delivery(plan, folder, log)
    try:
        collector = Collector(plan, backend, store, clock, log, host)
        going = True

        def deliver() -> None:
            nonlocal going
            if going and store.outbox_rows() >= DELIVER_ROWS:
                going = delivery.drain()
                store.forget_delivered()

        played = play(
            collector, clock, recording.first_us, recording.last_us, recording.events(), _feed(plan, collector), deliver
        )
        delivery.drain()
        summary = Summary(time_text(recording.first_us), time_text(recording.last_us), played.ticks, played.messages)
        summary.rejected = played.rejected
        summary.refused, summary.skipped = dict(collector.refused), dict(collector.skipped)
    finally:
        store.close()
    summary.given_up = delivery.given_up()
    summary.tables = {
        name: {"rows": b.delivered, "undelivered": b.queued, "dropped": b.dropped}
        for name, b in sorted(ledger.read(folder).items())
    }
    delivery.close()
    return summary


def _feed(plan: Plan, collector: Collector) -> Callable[[list[InputEvent]], dict[str, int]]:
    """Messages to events, each socket being one connection that stays open over the whole recording."""
    decoders = {kind: inputs.decoder(kind, plan) for kind in SOCKETS}

    def feed(messages: list[InputEvent]) -> dict[str, int]:
        rejected: dict[str, int] = {}
        events = []
        for message in messages:
            answer = decoders[message.socket].decode(message.message, message.at_us)
            if answer.event is not None:
                events.append(answer.event)
            elif answer.reason:
                reason = f"{message.socket}: {answer.reason}"
                rejected[reason] = rejected.get(reason, 0) + 1
        if not collector.ingest(events):
            rejected["could not be stored"] = len(events)
        return rejected

    return feed
