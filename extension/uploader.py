"""Process 2: takes batches from the outbox to their sinks and acknowledges them in ``uploader.db``.

One lane (thread) per service, so that one dead sink never delays another; lanes to one host share what they know of
it (:mod:`extension.circuit`). A batch stays in the outbox until
its rows are in the table or are refused for good; every attempt replaces the same keys, so a repeat changes nothing.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable

from extension import component
from extension.channel import Channel
from extension.expiry import Announcer
from extension.lane import CPU_SHARE
from extension.lanes import lanes
from extension.pipeline import places
from extension.plan import Plan
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore

IDLE_S = 65.0
"""Longer than a minute: where rows come each minute, their call is the only thing that wakes this process."""
HANG_S = 90.0
BUSY_LIMIT_S = 120.0
STOP_PATIENCE_S = 1.0
MESSAGE_PATIENCE_S = 6.0
"""Rows replace themselves when they are sent again after a stop; a message would be a second one."""
ORPHAN_PATIENCE_S = 2.0
"""The collector starts the next watchdog; this process does only if the collector could not."""


class Uploader:
    """All lanes of a plan and the reports on them."""

    def __init__(
        self, plan: Plan, store: UploaderStore, channel: Channel, clock: Callable[[], float] = time.time
    ) -> None:
        self._channel, self._store = channel, store
        self._messages = {name for name, _ in places.event_hub_lanes(plan)}
        self._lock = threading.Lock()
        self._frozen = False
        store.forget_notes("problem:")  # those of a process before this one
        if store.replaced:
            channel.log(
                "warning",
                f"{store.path} was unusable ({store.replaced}); it is kept as {store.path}.corrupt and a new one was "
                "started: nothing is lost, some rows are sent once more",
            )
        self._expiry = Announcer(plan, store, clock, channel.log)
        self.lanes = lanes(
            plan,
            store,
            spread_s=plan.options.upload_spread_s,
            publish=self.publish,
            progress=self.delivered,
            log=channel.log,
            clock=clock,
            cpu_share=CPU_SHARE,
        )
        self._threads = [threading.Thread(target=lane.run, daemon=True) for lane in self.lanes]

    def delivered(self) -> None:
        """A batch was acknowledged. After the first one the modules of the SDK are loaded, and later collections need
        not look at them."""
        self._channel.progress("batch")
        if not self._frozen:
            self._frozen = True
            gc.collect()
            gc.freeze()

    def publish(self) -> None:
        """Tell the watchdog how the lanes are."""
        with self._lock:
            ill = [(lane.level, lane.problem) for lane in self.lanes if lane.level != "ok"]
            ill += self._expiry.problems
            if ill:
                level = "error" if any(level == "error" for level, _ in ill) else "warning"
                self._channel.state(level, "; ".join(problem for _, problem in ill))
            elif not self.lanes:
                self._channel.state("warning", "the configuration has no storage account: nothing is uploaded")
            else:
                self._channel.state("ok", f"uploading to {len(self.lanes)} account(s)")

    def run(self) -> bool:
        """Until the channel stops; False if it is for a store that was removed."""
        self._expiry.look()
        self.publish()
        for thread in self._threads:
            thread.start()
        self._channel.progress("idle")
        self._channel.await_calls()
        called = False
        while not self._channel.stopping and self._store.in_place():
            if self._expiry.look():
                self.publish()
            if called:  # last of all: then this thread is asleep when the lanes run
                for lane in self.lanes:
                    lane.wake.set()
            called = self._channel.wait(time.monotonic() + IDLE_S)
            if not self._channel.stopping and self._alive():
                self._channel.progress("idle")
        for lane in self.lanes:
            lane.stop.set()
            lane.wake.set()
        begun = time.monotonic()
        for lane, thread in zip(self.lanes, self._threads, strict=True):
            patient = lane.name in self._messages or self._channel.orphaned  # a fork follows: best without threads
            patience = MESSAGE_PATIENCE_S if patient else STOP_PATIENCE_S
            thread.join(max(0.0, begun + patience - time.monotonic()))
        return self._channel.stopping

    def _alive(self) -> bool:
        now = time.monotonic()
        busy = [lane.busy_since for lane in self.lanes]
        return all(t.is_alive() for t in self._threads) and all(b is None or now - b < BUSY_LIMIT_S for b in busy)


def main(clock: Callable[[], float] = time.time) -> int:
    """Run until SIGTERM or until the watchdog is gone; 0 then, 53 for a bad configuration, 1 for a bad store.

    ``clock`` gives Unix s and may be set forward and back at any time.
    """
    begun = component.start("extension.uploader")
    if isinstance(begun, int):
        return begun
    where, plan, channel = begun
    channel.send("hello", deadline=max(plan.options.hang_s, HANG_S))
    try:
        uploader = Uploader(plan, UploaderStore(where.state_dir, clock), channel, clock)
    except StoreError as error:
        channel.state("error", str(error))
        return 1
    if not uploader.run():
        channel.state("error", f"{where.state_dir}/uploader.db was removed while in use: a new one is begun")
        return 1
    if channel.orphaned:
        component.after_orphaned(where, ORPHAN_PATIENCE_S)
    return 0
