"""SIGKILL to the collector while a program that it asks hangs: nothing of it is left running."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from extension.plan import Account
from omi_queries.backends.child import PARENT_VARIABLE
from tests.daemon_bed import Daemon, daemon, document, until
from tests.omicli_bed import FakeOmicli

RATE = 10  # a hung program is given 5 s of it


def configure(bed: Daemon, folder: Path, **options: object) -> None:
    account = Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{folder}/tables.db", True)
    bed.configure(document(account, rate=RATE, period=60), upload_spread_s=0, **options)
    bed.start()


def marked(parent: int) -> list[int]:
    """The live processes that ``parent`` started, or that those started."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if f"{PARENT_VARIABLE}={parent}".encode() in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
            except OSError:
                continue
    return found


def hung(bed: Daemon, count: int) -> tuple[int, list[int]]:
    """The collector and its children, as soon as there are ``count`` of them."""

    until(lambda: len(marked(bed.pid("collector"))) >= count, 40, bed.describe)
    collector = bed.pid("collector")
    return collector, marked(collector)


@pytest.mark.parametrize("also_the_watchdog", [False, True])
def test_an_omicli_that_hangs(tmp_path: Path, also_the_watchdog: bool) -> None:
    fake = FakeOmicli(tmp_path)
    fake.mode("hang")
    with daemon(tmp_path) as bed:
        configure(bed, tmp_path, omi_backend="omicli", omicli_path=fake.path)
        collector, left = hung(bed, 2)  # the program and its own child
        if also_the_watchdog:
            os.kill(bed.pid("watchdog"), signal.SIGSTOP)  # it sees nothing of this
            os.kill(collector, signal.SIGKILL)
            os.kill(bed.pid("watchdog"), signal.SIGKILL)
            assert bed.process is not None
            bed.process.wait(10)
            assert set(left) <= set(marked(collector))
            fake.mode("ok")
            bed.start()
        else:
            os.kill(collector, signal.SIGKILL)
        until(lambda: not marked(collector), 30, bed.describe)
        bed.wait_healthy()
        bed.stop()
