"""One dead sink never delays another: a service that hangs, one that refuses, and one that takes everything."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from extension.lanes import lanes
from extension.pipeline.batches import Batch
from extension.plan import Account, Plan
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from tests.fault_server import FaultServer, Reply

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def test_the_others_go_on(tmp_path: Path) -> None:
    hanging = FaultServer(lambda _request: Reply(hold=True))
    busy = FaultServer(lambda _request: Reply(503, "ServerBusy"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refusing = f"http://127.0.0.1:{taken.getsockname()[1]}/acct"  # free again below: nothing listens there
    ends = {
        "hangs": hanging.endpoint,
        "refuses": refusing,
        "busy": busy.endpoint,
        "works": f"file://{tmp_path}/tables.db",
    }
    plan = Plan(accounts=tuple(Account(name, "acct", "key", SECRET, end) for name, end in ends.items()))
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        for number in range(30):
            batches = [Batch(name, f"T{name}", [Row("p", f"r{number}", {"V": ("Int32", number)})]) for name in ends]
            store.queue(batches, 1.0)
    uploads = UploaderStore(str(tmp_path))
    found = lanes(plan, uploads, spread_s=0, publish=_nothing, progress=_nothing, log=lambda _level, _text: None)
    threads = [threading.Thread(target=lane.run, daemon=True) for lane in found]
    try:
        for thread in threads:
            thread.start()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if not ledger.read(str(tmp_path))["Tworks"].queued and hanging.seen and busy.seen:
                break
            time.sleep(0.02)
        balances = ledger.read(str(tmp_path))
        assert {name: balances[f"T{name}"].delivered for name in ends} == {
            "hangs": 0, "refuses": 0, "busy": 0, "works": 30,
        }  # fmt: skip
        assert len(hanging.seen) == 1  # one probe, whatever is queued
    finally:
        for lane in found:
            lane.stop.set()
            lane.wake.set()
        hanging.stop()
        busy.stop()
        for thread in threads:
            thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    uploads.close()


def _nothing() -> None:
    """Nobody is told."""
