"""The last act of an uninstall: write the windows in progress and upload what is queued, within a deadline.

``python launch.py PATHS extension.finish DESCRIPTOR [SECONDS]``; exit 0 when nothing is left, 1 otherwise (said on
standard error).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace

from extension import component, descriptor
from extension.collecting import Collector
from extension.lanes import lanes
from extension.plan import Plan
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore
from omi_queries.types import QueryStream

DEADLINE_S = 20.0


class _NoSource:
    """A backend for a collector that asks nothing any more."""

    name = "none"

    def open(self, namespace: str, text: str) -> QueryStream:
        raise NotImplementedError(f"{namespace}: {text}")

    def close(self) -> None:
        """Nothing is open."""


def _say(level: str, message: str) -> None:
    print(f"{level}: {message}", file=sys.stderr)


def finish(plan: Plan, state_dir: str, deadline_s: float) -> int:
    """Close the open windows and drain the outbox; returns how many rows are left."""
    store = CollectorStore(state_dir, max_bytes=plan.options.store_max_mib << 20)
    asks_nothing = replace(plan, queries=())
    collector = Collector(asks_nothing, _NoSource(), store, time.time, _say, os.uname().nodename)
    collector.start()
    collector.finish()
    store.close()
    uploads = UploaderStore(state_dir)
    ways = lanes(plan, uploads, spread_s=0.0, publish=lambda: None, progress=lambda: None, log=_say)
    threads = [threading.Thread(target=lane.drain, daemon=True) for lane in ways]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for lane in ways:
        lane.stop.set()
    return sum(balance.queued for balance in ledger.read(state_dir).values())


def main() -> int:
    """See the module's docstring."""
    try:
        where = descriptor.read(sys.argv[1])
        deadline = float(sys.argv[2]) if len(sys.argv) > 2 else DEADLINE_S
        if not os.path.exists(os.path.join(where.state_dir, "collector.db")):
            return 0
        locks = [component.hold_lock(where.state_dir, m) for m in ("extension.collector", "extension.uploader")]
        plan, _ = component.load_plan(where.config, where.options)
        left = finish(plan, where.state_dir, deadline)
    except (descriptor.DescriptorError, component.PlanError, component.LockError, StoreError) as error:
        _say("error", str(error))
        return 1
    for lock in locks:
        os.close(lock)
    if left:
        _say("error", f"{left} rows could not be uploaded within {deadline:g} s")
    return 1 if left else 0
