"""Process 1: asks the queries on wall-clock multiples of their rates and stores samples, windows and rows.

Everything of one tick is one atomic change of the store. Reads nothing but ``xmlCfg.xml`` and ``options.json``.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence

from extension import component
from extension.collecting import IDLE_S, NO_SOURCE, Collector
from extension.feed import open_feed
from extension.open_files import OpenFiles
from extension.plan import Plan
from extension.source import open_source
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.watch import LedgerWatch
from omi_queries.types import QueryError

PROGRESS_S = 5
MAX_MESSAGE = 900


def watch_deadline(plan: Plan) -> float:
    """Seconds without progress after which the watchdog takes this process for hung."""
    rate = min((q.rate for q in plan.queries), default=IDLE_S)
    return max(plan.options.hang_s, 3.0 * min(rate, IDLE_S))


def health(collector: Collector, others: Sequence[str] = ()) -> tuple[str, str]:
    """(level, message) for status; ``others``: what is wrong besides the sampling, such as with the JSON sockets."""
    return with_others(_sampling(collector), others)


def with_others(found: tuple[str, str], others: Sequence[str]) -> tuple[str, str]:
    """What there is to say of the sampling, and ``others``."""
    level, message = found
    if not others:
        return level, message
    sampling = [] if level == "ok" else [message]
    return ("error" if level == "error" else "warning"), "; ".join([*sampling, *others])[:MAX_MESSAGE]


def _sampling(collector: Collector) -> tuple[str, str]:
    running, refused = len(collector.asked), len(collector.refused)
    failing = sorted({f"{a.query.target.event}: {c}" for a in collector.asked for c in a.complaints})
    if refused:
        named = [f"{event}: {why}" for event, why in collector.refused.items()]
        text = "; ".join([f"{refused} of {running + refused} queries refused: {named[0]}", *named[1:], *failing])
        return "error" if not running else "warning", text[:MAX_MESSAGE]
    instead = sorted({a.why for a in collector.asked if a.why and a.source != NO_SOURCE})
    troubles = [f"values come from /proc instead: {'; '.join(instead)}"] if instead else []
    if failing:
        return "warning", "; ".join([*failing, *troubles])[:MAX_MESSAGE]
    fed = collector.fed()
    if not running and fed:
        return "ok", f"{len(fed)} source(s) fed by clients"
    if not running:
        return "warning", "the configuration has no queries: nothing is collected"
    if troubles:
        return "warning", troubles[0][:MAX_MESSAGE]
    sources = sorted({a.source for a in collector.asked if a.source}) or [collector.backend.name]
    return "ok", f"{running} {'query' if running == 1 else 'queries'} answered by {', '.join(sources)}"


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(clock: Callable[[], float] = time.time) -> int:
    """Run until SIGTERM or until the watchdog is gone; 0 then, 53 for a bad configuration, 1 for a bad store.

    ``clock`` gives Unix s and may be set forward and back at any time.
    """
    begun = component.start("extension.collector")
    if isinstance(begun, int):
        return begun
    where, plan, channel = begun
    deadline = watch_deadline(plan)
    idle = min(IDLE_S, deadline / 3)  # a clock that was set back is waited for, and that is no hang
    channel.send("hello", deadline=deadline)
    files = OpenFiles()
    try:
        opened = open_source(plan, channel.log, files.for_kept)
    except QueryError as error:
        channel.state("error", f"configuration: {error}")
        return component.CONFIG_ERROR
    try:
        store = CollectorStore(
            where.state_dir,
            max_bytes=plan.options.store_max_mib << 20,
            min_free_bytes=plan.options.store_min_free_mib << 20,
            report=lambda message: channel.log("error", message),
            clock=clock,
        )
    except StoreError as error:
        channel.state("error", str(error))
        return 1
    collector = Collector(plan, opened.backend, store, clock, channel.log, os.uname().nodename, boottime=_boottime)
    collector.start()
    inputs = open_feed(plan, where.state_dir, collector.ingest, collector.refuse, store.fill, channel)
    channel.call_uploader()
    balance = LedgerWatch(store.troubles, clock)
    told = float("-inf")
    sampling, seen = _sampling(collector), collector.changes
    gc.collect()
    gc.freeze()  # what is there now stays: later collections need not look at it
    while not channel.stopping:
        if collector.changes != seen:
            sampling, seen = _sampling(collector), collector.changes
        channel.state(*with_others(sampling, [*store.problems(), *inputs.problems(), *balance.problems()]))
        opened.attend()
        inputs.attend()
        if collector.take_upload():  # of the inputs
            channel.call_uploader()
        if time.monotonic() - told >= min(PROGRESS_S, idle):
            told = time.monotonic()
            channel.progress("idle")
        wanted = min(opened.attention_in(), inputs.attention_in(), idle)
        due = collector.next_due()
        channel.wait(time.monotonic() + min(max(due - clock(), 0), wanted))
        if channel.stopping:
            break
        if clock() >= due:
            collector.tick()
            if collector.take_upload():
                channel.call_uploader()
            channel.progress("sample")
            told = time.monotonic()
        if not os.path.isdir(where.home):
            break
        if not store.in_place():
            channel.state("error", f"{store.path} was removed while in use: a new store is begun")
            return 1
    inputs.close()
    store.put_report(collector.report())
    store.close()
    opened.backend.close()
    if channel.orphaned:
        files.put_back()
        component.after_orphaned(where)
    return 0
