"""Runs a fault campaign: the real daemon and table service under a timeline of faults; what must hold at its end."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from extension import proc
from extension.plan import Account
from extension.rows import keys, ticks
from extension.sinks.entity import Entity
from extension.sinks.reader import open_reader
from extension.store import ledger
from tests.campaign_plan import COMPONENTS, Fault
from tests.campaign_proxy import CampaignProxy
from tests.daemon_bed import COUNTERS, PARTITION_KEY, Daemon, document, until
from tests.shifted_code import Clock, install

RATE, PERIOD = 1, 10
HANG_S = 6.0
DISK_MIB = 24
PATIENCE_S = 150
"""Back-off of processes and of uploads after the last fault."""
NAMES = [name for counters in COUNTERS.values() for name in counters]
Said = Callable[[str], None]


class NoDiskError(Exception):
    """No small disk of its own can be had here; the text says why."""


@contextlib.contextmanager
def small_disk(folder: Path, mib: int = DISK_MIB) -> Iterator[None]:
    """A tmpfs of ``mib`` MiB at ``folder`` while this lasts. Raises NoDiskError."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        raise NoDiskError("not root: the disk cannot be filled")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        raise NoDiskError(f"no tmpfs can be mounted: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # files of a failed test may still be open


def fill(folder: Path) -> None:
    """Write ``folder/ballast`` until the disk is full."""
    with open(folder / "ballast", "ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


@dataclass
class Campaign:
    """``bed`` writes to ``account`` through ``proxy``, by ``clock``; ``say`` is told what is done."""

    bed: Daemon
    clock: Clock
    proxy: CampaignProxy
    account: Account
    table: str
    say: Said = print
    done: Counter[str] = field(default_factory=Counter)
    alive: Counter[int] = field(default_factory=Counter)
    """Second of the clock -> how often the collector was seen running."""
    last_words: str = ""
    """Logs of the daemon, kept for a report."""
    _stopped: dict[str, int] = field(default_factory=dict)
    _edition: int = 0
    _versions: int = 0

    @property
    def raw_table(self) -> str:
        """The table of the rows that are stored as they are sampled."""
        return f"{self.table}RawVer2v0"

    def configure(self) -> None:
        """Write a document; each differs a little from the one before."""
        self._edition += 1
        through = Account("m", self.account.account, "key", self.account.secret, self.proxy.endpoint, True)
        text = document(through, rate=RATE, period=PERIOD, raw=True)
        text = text.replace('"Metrics"', f'"{self.table}"').replace('"Raw"', f'"{self.table}Raw"')
        self.bed.configure(
            f"{text}<!-- edition {self._edition} -->",
            upload_spread_s=0,
            hang_s=HANG_S,
            store_max_mib=8,
            store_min_free_mib=1,
        )

    def run(self, faults: list[Fault]) -> tuple[int, int]:
        """Go through the timeline, then end every fault; the metric windows [first, last) that must be there."""
        self._install()
        self.configure()
        self.bed.start()
        self.bed.wait_healthy()
        begin = self.clock.now()
        zero = time.monotonic()
        agenda = [(fault.at, number, fault, True) for number, fault in enumerate(faults)]
        heapq.heapify(agenda)
        while agenda:
            self._look_until(zero + agenda[0][0])
            at, number, fault, begins = heapq.heappop(agenda)
            if not begins:
                self._end(fault)
                continue
            how = f"{fault.shift:+.1f}s" if fault.kind == "clock" else f"{fault.lasts:.1f}s x{fault.count}"
            self.say(f"{time.monotonic() - zero:7.2f} {fault.kind} {fault.what} {how}")
            self.done[fault.kind] += 1
            self._begin(fault)
            if fault.lasts:
                heapq.heappush(agenda, (max(at + fault.lasts, time.monotonic() - zero), number, fault, False))
        self.proxy.mend()
        self.clock.set(0.0)  # the table service and the audit go by the real one
        self._look_until(time.monotonic() + 1)
        return int(begin) // PERIOD * PERIOD + PERIOD, self._settle()

    def _look_until(self, moment: float) -> None:
        while time.monotonic() < moment:
            if self.bed.pid("collector"):
                self.alive[int(self.clock.now())] += 1
            if self.bed.process is not None:
                self.bed.process.poll()
            self._enable_again()
            time.sleep(min(0.2, max(0.0, moment - time.monotonic())))

    def _enable_again(self) -> None:
        """What an agent's next ``enable`` does where faults have killed all three before one could start another."""
        if not any(map(self.bed.pid, COMPONENTS)) and not self.bed.pids():
            self.say("nothing runs any more: enabled again")
            self.bed.start()

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "kill":
            self.bed.kill(fault.what)
        elif fault.kind == "stop":
            pid = self.bed.pid(fault.what)
            if pid:
                os.kill(pid, signal.SIGSTOP)
                self._stopped[fault.what] = pid
        elif fault.kind == "answer":
            self.proxy.break_next(fault.what, fault.count)
        elif fault.kind == "outage":
            self.proxy.vanish()
        elif fault.kind == "disk":
            fill(self.bed.state)
        elif fault.kind == "clock":
            self.clock.set(fault.shift)
        elif fault.kind == "reload":
            self.configure()
            pid = self.bed.pid("watchdog")
            if pid:
                os.kill(pid, signal.SIGHUP)
        elif fault.kind == "upgrade":
            self._upgrade()

    def _end(self, fault: Fault) -> None:
        if fault.kind == "stop":
            pid = self._stopped.pop(fault.what, 0)
            if pid and proc.is_module(pid, f"extension.{fault.what}"):
                os.kill(pid, signal.SIGCONT)
        elif fault.kind == "outage":
            self.proxy.listen()
        elif fault.kind == "disk":
            (self.bed.state / "ballast").unlink(missing_ok=True)

    def _upgrade(self) -> None:
        """Stop everything, then start another copy of the program on another document with the same state, as an
        agent's update does."""
        for name in COMPONENTS:
            pid = self._stopped.pop(name, 0)
            if pid and proc.is_module(pid, f"extension.{name}"):
                os.kill(pid, signal.SIGCONT)
        # As disable does: else what a watchdog that was just killed has left behind starts another one after the stop.
        (self.bed.home / "daemon.json").unlink(missing_ok=True)
        if self.bed.pid("watchdog"):
            self.bed.stop(30)
        self._install()
        self.configure()
        self.bed.start()

    def _install(self) -> None:
        """A copy of the program of its own for each version; the one before is gone."""
        before, self._versions = self.bed.code, self._versions + 1
        self.bed.code = install(self.bed.folder / f"version{self._versions}", self.clock)
        if before is not None:
            shutil.rmtree(before)

    def _settle(self) -> int:
        """Wait until all is healthy, closed and delivered, then stop; the end (Unix s) of the last window."""
        describe = self.bed.describe
        until(self._watched, PATIENCE_S, describe)
        self.bed.wait_healthy(PATIENCE_S)
        last = int(self.clock.now()) // PERIOD * PERIOD
        until(lambda: min(self._closed(), default=0) >= last, PATIENCE_S, describe)
        self.bed.stop(30)
        self.bed.start()  # a lane that waits for its next attempt begins anew
        self.bed.wait_healthy(PATIENCE_S)
        until(self._delivered, PATIENCE_S, describe)
        self.bed.stop(30)
        return last

    def _watched(self) -> bool:
        self._enable_again()
        return bool(self.bed.pid("watchdog"))

    def _delivered(self) -> bool:
        """Whether nothing waits but what was queued a moment ago."""
        recent = time.time() - 5
        waiting = [b.oldest_queued for b in self.balances().values() if b.oldest_queued is not None]
        return min(waiting, default=recent) >= recent

    def _closed(self) -> list[int]:
        with contextlib.closing(sqlite3.connect(self.bed.state / "collector.db", timeout=10)) as db:
            return [int(end) for (end,) in db.execute("SELECT closed FROM windows")]

    def balances(self) -> dict[str, ledger.Balance]:
        """The ledger."""
        return ledger.read(str(self.bed.state))

    # -- what must hold

    def check(self, first: int, last: int) -> list[str]:
        """What is wrong with tables and ledger; [] if every row is there exactly once or is counted as dropped."""
        self.last_words = self.bed.describe()
        balances = self.balances()
        found = {table: self._read(table) for table in balances if table.startswith(self.table)}
        wrong = []
        for table in sorted(found):
            balance = balances[table]
            lost = sum(balance.dropped.values())
            self.say(
                f"{table}: produced {balance.produced}, delivered {balance.delivered}, queued {balance.queued}, "
                f"dropped {balance.dropped}, found {len(found[table])}"
            )
            if balance.produced != balance.delivered + balance.queued + lost:
                wrong.append(f"{table}: {balance}")
            # a row whose answer was lost may be there, and refused when it was sent again; after a clock was set back,
            # the row of a window that had begun is written early and replaced
            least = balance.delivered if table != self.table or not self.done["clock"] else 0
            if not least <= len(found[table]) <= balance.delivered + balance.queued + lost:
                wrong.append(f"{table}: {len(found[table])} rows found, {balance}")
        raw = Counter(str(e.columns["TIMESTAMP"][1]) for e in found.get(self.raw_table, {}).values())
        wrong += [f"sampled {n} times at {when}" for when, n in raw.items() if n > 1]
        return wrong + self._check_metrics(found.get(self.table, {}), set(raw), first, last) + self._audit(first)

    def _audit(self, first: int) -> list[str]:
        """What ``lad audit`` finds."""
        command = [sys.executable, "-m", "extension.cli", "audit", "-c", str(self.bed.home / "xmlCfg.xml")]
        command += ["--state-dir", str(self.bed.state), "--since", ticks.iso(first * 10**6), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and json.loads(done.stdout)["ok"]:
            return []
        return [f"lad audit: exit code {done.returncode}: {done.stdout[-6000:]}{done.stderr[-2000:]}"]

    def _read(self, table: str) -> dict[tuple[str, str], Entity]:
        rows = list(open_reader(self.account).query(table))
        by_key = {(e.partition_key, e.row_key): e for e in rows}
        assert len(by_key) == len(rows)
        return by_key

    def _check_metrics(
        self, found: dict[tuple[str, str], Entity], sampled: set[str], first: int, last: int
    ) -> list[str]:
        """``sampled``: the times of the raw rows. Each is stored with samples of its window, or neither is."""
        wrong, missing, unsampled, idle = [], 0, 0, 0
        for start in range(first, last, PERIOD):
            rows = {
                (name, copy): found.get((PARTITION_KEY, key))
                for name in NAMES
                for copy, key in enumerate(keys.metric_row_keys(name, start))
            }
            gone = [name for name, entity in rows.items() if entity is None]
            seconds = range(start, start + PERIOD)
            if len(gone) == len(rows) and not any(ticks.iso(second * 10**6) in sampled for second in seconds):
                unsampled += 1
                idle += sum(self.alive[second] > 0 for second in seconds) > PERIOD * 3 // 4
                continue
            missing += len(gone)
            for (name, _), entity in rows.items():
                if entity is not None and not 0 < int(entity.columns["Count"][1]) <= PERIOD // RATE:
                    wrong.append(f"{ticks.iso(start * 10**6)} {name}: {entity.columns['Count']} samples")
        balance = self.balances()[self.table]
        dropped = sum(balance.dropped.values()) + balance.queued
        windows = (last - first) // PERIOD
        self.say(f"{windows} windows, {unsampled} without a sample, {missing} rows missing")
        if idle > 2 + windows // 20:
            wrong.append(f"in {idle} windows without a sample the collector was running")
        if missing > dropped:
            wrong.append(f"{missing} metric rows are missing, {dropped} are accounted for")
        return wrong
