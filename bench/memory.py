"""Resident memory of collector, watchdog and uploader at rest, on two documents side by side.

The demo's settings with the embedded table store, and LAD 3.0 settings of all 48 counters with a table service (the
SDK is loaded then): the real daemons in temporary folders, after some samples and at least one upload. Beside RSS
stands private memory, and the ratio to a bare interpreter of the same run.

    python bench/memory.py [--seconds N] [--endpoint URL]

``--endpoint``: of an Azurite, instead of the server of ``bench/draining_sink.py``. Exit code 1 if a limit is passed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import config, processes
from bench.daemon_files import configure
from bench.upload import draining_sink
from extension import demo, spawn
from extension.store import ledger

LIMITS = {"collector": 18.0, "watchdog": 12.0, "uploader": 42.0}
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def running(folder: str, public: object, protected: object) -> Iterator[str]:
    """A daemon on these settings; its state folder."""
    os.mkdir(folder)
    child = subprocess.Popen(spawn.module_argv("extension.watchdog", configure(folder, public, protected)))
    try:
        yield os.path.join(folder, "state")
    finally:
        child.terminate()
        child.wait(20)


def pids(state: str) -> dict[str, int]:
    """The three processes."""
    found = {}
    for name in LIMITS:
        with open(os.path.join(state, f"{name}.lock"), encoding="ascii") as file:
            found[name] = int(file.read())
    return found


def bare() -> processes.Memory:
    """An interpreter that does nothing."""
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(30)"]
    child = subprocess.Popen(argv)
    try:
        time.sleep(0.5)
        return processes.memory([child.pid])
    finally:
        child.kill()
        child.wait()


def all_counters(endpoint: str) -> tuple[object, object]:
    """LAD 3.0 settings whose account is at ``endpoint``, an Azurite or the draining sink."""
    public, protected = config.lad30()
    assert isinstance(protected, dict)
    return public, {**protected, "storageAccountEndPoint": endpoint}


def azurite(endpoint: str) -> tuple[object, object]:
    """LAD 2.3 settings for an Azurite: it knows a key only."""
    public, _ = config.lad23()
    account = {"storageAccountName": "devstoreaccount1", "storageAccountKey": AZURITE_KEY}
    return public, {**account, "storageAccountEndPoint": endpoint}


def show(title: str, state: str, floor: float) -> bool:
    """Print the lines of one daemon; whether it is within the limits."""
    delivered = sum(balance.delivered for balance in ledger.read(state).values())
    print(f"{title}: {delivered} rows delivered")
    fine = delivered > 0
    for name, pid in pids(state).items():
        held = processes.memory([pid])
        fine &= held.rss <= LIMITS[name]
        print(f"  {name:18} {held.rss:8.1f} {held.private:8.1f} {held.rss / floor:7.2f}  {LIMITS[name]:.0f}")
    return fine


def main() -> int:
    """Print the table; 1 if a limit is passed or nothing was delivered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=135.0, help="how long the daemons run first")
    parser.add_argument("--endpoint", help="such as http://127.0.0.1:10002/devstoreaccount1")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lad-memory-") as folder, contextlib.ExitStack() as stack:
        small = demo.settings(folder)
        port = stack.enter_context(draining_sink(0))
        settings = azurite(args.endpoint) if args.endpoint else all_counters(f"http://127.0.0.1:{port}/bench")
        cases = {
            "the demo's settings, embedded store": (small.public, small.protected),
            "all counters, table service": settings,
        }
        states = {
            title: stack.enter_context(running(os.path.join(folder, str(number)), *given))
            for number, (title, given) in enumerate(cases.items())
        }
        time.sleep(args.seconds)
        floor = bare()
        print(f"{'':20} {'RSS MiB':>8} {'private':>8} {'/ bare':>7}  limit")
        print(f"{'bare interpreter':20} {floor.rss:8.1f} {floor.private:8.1f} {1:7.2f}")
        over = sum(not show(title, state, floor.rss) for title, state in states.items())
        return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
