"""The whole daemon beside node_exporter and collectd, at equal counters, side by side in one window.

Ours: watchdog, collector and uploader on LAD 3.0 settings of all 48 counters (or ``--settings portal``: LAD 2.3's),
sampled every 15 s, one upload a minute into the draining sink of ``bench/draining_sink.py``. node_exporter with only
the collectors of those counters, scraped every 15 s over a kept connection; collectd with the equivalent plugins,
sending to a UDP port. What scrapes and what receives is charged to nobody. All on loopback.

CPU is the process CPU clock of every process of a tree (nanoseconds) with children that ended meanwhile; memory is
from smaps at the end of the window; wake-ups are voluntary context switches. "alone" is what a tree would hold if
nothing else on the machine mapped its files (the benchmark itself is a Python process and halves our PSS).

    python bench/tree.py [--minutes N] [--warm-up S] [--settings lad30|portal]

Exit code 1 when the aim is missed: at most node_exporter's CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import config, peers, processes
from bench.daemon_files import KEY, configure
from bench.upload import draining_sink
from extension import spawn
from extension.store import ledger

OURS = "lad-emulator"
INTERVAL_S = 15
PHASE_S = 40
"""A window begins so many seconds after a full minute, when neither samples nor uploads are at work."""
WARM_UP_S = 75.0
FIRST_UPLOAD_S = 90.0


@dataclass
class Contestant:
    """``parts``: pid by name of each process that is shown on its own; ``close`` ends it; ``shipped``: how much has
    arrived from it so far (rows, scrapes, datagrams)."""

    title: str
    root: int
    parts: Callable[[], dict[str, int]]
    close: Callable[[], None]
    shipped: Callable[[], int]


@dataclass(frozen=True)
class Reading:
    """Counters of a contestant at one moment: CPU ns and voluntary switches, in all and by part."""

    cpu_ns: int
    by_part: dict[str, tuple[int, int]]
    switches: int


def read(who: Contestant) -> Reading:
    """Now."""
    pids = processes.tree(who.root)
    parts = {name: (processes.own_cpu_ns(pid), processes.switches(pid)) for name, pid in who.parts().items()}
    return Reading(processes.cpu_ns(who.root), parts, sum(processes.switches(pid) for pid in pids))


def settings(which: str, port: int) -> tuple[object, dict[str, object]]:
    """Public and protected settings whose account is the draining sink."""
    endpoint = f"http://127.0.0.1:{port}/bench"
    if which == "lad30":
        public, protected = config.lad30()
    else:
        public, protected = config.lad23()
        assert isinstance(protected, dict)
        protected = {**protected, "storageAccountKey": KEY}
    assert isinstance(protected, dict)
    return public, {**protected, "storageAccountEndPoint": endpoint}


def start_ours(folder: str, which: str, port: int) -> Contestant:
    """The real watchdog, which starts the others."""
    descriptor = configure(folder, *settings(which, port))
    state = os.path.join(folder, "state")
    watchdog = subprocess.Popen(spawn.module_argv("extension.watchdog", descriptor), stdin=subprocess.DEVNULL)

    def parts() -> dict[str, int]:
        found = {"watchdog": watchdog.pid}
        for name in ("collector", "uploader"):
            with open(os.path.join(state, f"{name}.lock"), encoding="ascii") as file:
                found[name] = int(file.read())
        return found

    def close() -> None:
        watchdog.terminate()
        watchdog.wait(20)

    def shipped() -> int:
        return sum(balance.delivered for balance in ledger.read(state).values())

    return Contestant(OURS, watchdog.pid, parts, close, shipped)


def start_peer(kind: type[peers.NodeExporter] | type[peers.Collectd], folder: str) -> Contestant | None:
    """A peer, or None with a printed reason."""
    try:
        peer = kind(folder, INTERVAL_S)
    except peers.MissingError as reason:
        print(f"{kind.title} left out: {reason}")
        return None
    return Contestant(kind.title, peer.process.pid, dict, peer.close, lambda: peer.samples)


def measure(minutes: float, warm_up: float, which: str) -> int:
    """Run all, print the table; 1 if the aim is missed."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lad-tree-"))
        port = stack.enter_context(draining_sink(0))
        ours = start_ours(folder, which, port)
        stack.callback(ours.close)
        running = [ours]
        for kind in (peers.NodeExporter, peers.Collectd):
            peer = start_peer(kind, folder)
            if peer is not None:
                stack.callback(peer.close)
                running.append(peer)
        time.sleep(warm_up)
        give_up = time.monotonic() + FIRST_UPLOAD_S
        while not ours.shipped():  # the first upload loads the SDK, and that is no part of a minute's work
            if time.monotonic() > give_up:
                raise SystemExit(f"nothing was delivered in {warm_up + FIRST_UPLOAD_S:.0f} s")
            time.sleep(1.0)
        time.sleep((PHASE_S - time.time()) % 60)
        begun, shipped = time.monotonic(), {who.title: who.shipped() for who in running}
        before = [read(who) for who in running]
        time.sleep(minutes * 60)
        seconds = time.monotonic() - begun
        after = [read(who) for who in running]
        shipped = {who.title: who.shipped() - shipped[who.title] for who in running}
        memory = [processes.memory(processes.tree(who.root)) for who in running]
        by_part = {name: processes.memory([pid]) for name, pid in ours.parts().items()}
    a_minute = shipped[OURS] / seconds * 60
    print(f"{seconds:.0f} s, a sample every {INTERVAL_S} s; ours delivered {a_minute:.0f} rows a minute")
    heads = (("CPU-s/h", 9), ("µs/sample", 11), ("wake-ups/min", 14), ("RSS MiB", 9), ("PSS", 7), ("private", 9))
    print(" " * 18 + "".join(head.rjust(width) for head, width in (*heads, ("alone", 7))))
    spent = {}
    for who, a, b, held in zip(running, before, after, memory, strict=True):
        spent[who.title] = (b.cpu_ns - a.cpu_ns) / seconds * 3600 / 1e9
        _row(who.title, spent[who.title], (b.switches - a.switches) / seconds * 60, held)
    for name, held in by_part.items():
        (cpu_a, woken_a), (cpu_b, woken_b) = before[0].by_part[name], after[0].by_part[name]
        _row(f"  {name}", (cpu_b - cpu_a) / seconds * 3.6e-6, (woken_b - woken_a) / seconds * 60, held)
    silent = [title for title, n in shipped.items() if n < seconds // 60]
    if silent:
        print(f"{' and '.join(silent)} delivered nothing: the figures mean nothing")
        return 1
    return _judge(spent)


def _row(title: str, cpu: float, woken: float, held: processes.Memory) -> None:
    micros = cpu / 3600 * INTERVAL_S * 1e6
    print(
        f"{title:18}{cpu:9.3f}{micros:11.0f}{woken:14.1f}{held.rss:9.1f}{held.pss:7.1f}{held.private:9.1f}{held.alone:7.1f}"
    )


def _judge(spent: dict[str, float]) -> int:
    ours = spent[OURS]
    for title, other in spent.items():
        if title != OURS:
            print(f"ours / {title}: {ours / other:.2f}")
    if "node_exporter" not in spent:
        return 0
    met = ours <= spent["node_exporter"]
    print(f"aim: at most node_exporter's CPU: {'met' if met else 'missed'}")
    return 0 if met else 1


def main() -> int:
    """Print the table; 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the window (default 5)")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds before it, at least (default 75)")
    parser.add_argument("--settings", choices=("lad30", "portal"), default="lad30")
    args = parser.parse_args()
    return measure(args.minutes, args.warm_up, args.settings)


if __name__ == "__main__":
    sys.exit(main())
