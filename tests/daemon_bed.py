"""Runs the real daemon (watchdog, collector, uploader) on a document of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import quoteattr

from extension import proc, spawn
from extension.plan import Account

T = TypeVar("T")
PARTITION_KEY = "daemon:002Dbed"

MEMORY = ("AvailableMemory", "UsedMemory", "PagesPerSec")
PROCESSOR = ("PercentProcessorTime", "PercentIdleTime")
COUNTERS = {"memoryStats": MEMORY, "cpuStats": PROCESSOR}
"""Local event -> counters; PagesPerSec and the processor's are rates."""


def document(account: Account, *, rate: int, period: int, raw: bool = False) -> str:
    """An mdsd document: two local queries every ``rate`` s, one metric table ``Metrics`` of ``period`` s windows."""
    element = "Account" if account.kind == "key" else "SharedAccessSignature"
    secret = (
        f'<{element} moniker="m" isDefault="true" account={quoteattr(account.account)} '
        f"key={quoteattr(account.secret)} tableEndpoint={quoteattr(account.table_endpoint)} />"
    )
    queries = ""
    for event, cls, where in (
        ("memoryStats", "SCX_MemoryStatisticalInformation", ""),
        ("cpuStats", "SCX_ProcessorStatisticalInformation", " WHERE Name='_Total'"),
    ):
        columns = ",".join(COUNTERS[event])
        queries += (
            f'<OMIQuery cqlQuery="SELECT {columns} FROM {cls}{where}" eventName="{event}" omiNamespace="root/scx" '
            f'sampleRateInSeconds="{rate}" storeType="local">'
            f'<Unpivot columnName="CounterName" columnValue="Value" columns="{columns}"/></OMIQuery>'
        )
    if raw:
        queries += (
            '<OMIQuery cqlQuery="SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation" eventName="Raw" '
            f'omiNamespace="root/scx" sampleRateInSeconds="{rate}" dontUsePerNDayTable="true"/>'
        )
    derived = "".join(
        f'<DerivedEvent duration="PT{period}S" eventName="Metrics" isFullName="true" dontUsePerNDayTable="true" '
        f'source="{event}"><LADQuery columnName="CounterName" columnValue="Value" partitionKey="{PARTITION_KEY}" '
        'instanceID=""/></DerivedEvent>'
        for event in COUNTERS
    )
    return (
        '<MonitoringManagement eventVersion="2" namespace="" version="1.0">'
        f"<Accounts>{secret}</Accounts>"
        '<Management eventVolume="Medium"><Identity><IdentityComponent name="DeploymentId">d</IdentityComponent>'
        '<IdentityComponent name="Host">bed</IdentityComponent></Identity></Management>'
        f"<Events><OMI>{queries}</OMI><DerivedEvents>{derived}</DerivedEvents></Events></MonitoringManagement>"
    )


@dataclass
class Daemon:
    """A daemon in ``folder``; ``options`` go to options.json. ``code``: a copy of the program to run instead of this
    one (:mod:`tests.shifted_code`)."""

    folder: Path
    mode: str = "daemon"
    code: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "extension.log"

    def configure(self, text: str, **options: object) -> None:
        """Write the document, its options and the descriptor."""
        self.home.mkdir(exist_ok=True)
        (self.home / "xmlCfg.xml").write_text(text)
        (self.home / "options.json").write_text(json.dumps(options))
        (self.folder / "status").mkdir(exist_ok=True)
        descriptor = {
            "mode": self.mode,
            "home": str(self.home),
            "config": str(self.home / "xmlCfg.xml"),
            "options": str(self.home / "options.json"),
            "state_dir": str(self.state),
            "log": str(self.log),
            "log_tag": "bed-1",
            "status_file": str(self.folder / "status" / "0.status"),
            "name": "Bed",
            "version": "1",
            "sequence": 0,
            "pid_file": str(self.home / "lad.pids"),
        }
        (self.home / "daemon.json").write_text(json.dumps(descriptor))

    def start(self) -> None:
        """Start the watchdog in a session of its own."""
        argv = spawn.module_argv("extension.watchdog", str(self.home / "daemon.json"))
        if self.code is not None:
            argv[argv.index("-S") + 1] = str(self.code / "extension" / "launch.py")
        with open(self.folder / "stderr", "ab") as errors:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )

    def pid(self, name: str) -> int:
        """Pid of ``watchdog``, ``collector`` or ``uploader``, 0 if it does not run."""
        lock = self.state / f"{name}.lock"
        with contextlib.suppress(OSError, ValueError):
            pid = int(lock.read_text())
            if proc.is_module(pid, f"extension.{name}"):
                return pid
        return 0

    def kill(self, name: str) -> int:
        """SIGKILL to a component, and wait until it is dead (a signal returns before that); its pid, 0 if none."""
        pid = self.pid(name)
        if pid:
            os.kill(pid, signal.SIGKILL)
            end = time.monotonic() + 10
            while proc.is_module(pid, f"extension.{name}"):
                assert time.monotonic() < end, f"{name} {pid} survives SIGKILL"
                time.sleep(0.005)
        if self.process is not None:
            self.process.poll()
        return pid

    def health(self) -> dict[str, Any]:
        """The watchdog's last report, {} before the first."""
        try:
            value: dict[str, Any] = json.loads((self.state / "daemon.health").read_text())
        except (OSError, ValueError):
            return {}
        return value

    def status(self) -> dict[str, Any]:
        """Element 0's status of the status file."""
        value: dict[str, Any] = json.loads((self.folder / "status" / "0.status").read_text())[0]["status"]
        return value

    def wait_healthy(self, seconds: float = 30) -> None:
        """Until all components run."""
        until(
            lambda: self.health().get("healthy") is True and self.health().get("pid") == self.pid("watchdog"),
            seconds,
            self.describe,
        )

    def describe(self) -> str:
        """For failures: health, log and what went to standard error."""
        texts = [json.dumps(self.health())]
        for path in (self.log, self.folder / "stderr", self.home / "daemon.log"):
            if path.exists():
                texts.append(f"--- {path.name}\n{path.read_text()[-4000:]}")
        return "\n".join(texts)

    def pids(self) -> list[int]:
        """Every process of this daemon that lives, found by the descriptor in its command line."""
        found = []
        mark = str(self.home / "daemon.json").encode()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    if mark in Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0"):
                        found.append(int(entry))
        return found

    def stop(self, seconds: float = 15) -> None:
        """SIGTERM to the watchdog; everything must end within ``seconds``."""
        watchdog = self.pid("watchdog")
        if watchdog:
            os.kill(watchdog, signal.SIGTERM)
        assert watchdog, f"no watchdog to stop\n{self.describe()}"
        self._reap_while(lambda: bool(self.pids()), seconds)

    def _reap_while(self, going: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while going():
            if self.process is not None:
                self.process.poll()
            assert time.monotonic() < end, f"still running: {self.pids()}\n{self.describe()}"
            time.sleep(0.05)

    def kill_all(self) -> None:
        """Whatever is left of this daemon ends now."""
        for _ in range(50):
            left = self.pids()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.poll()
            time.sleep(0.05)


@contextlib.contextmanager
def daemon(folder: Path, mode: str = "daemon") -> Iterator[Daemon]:
    """A daemon that leaves nothing running."""
    made = Daemon(folder, mode)
    try:
        yield made
    finally:
        made.kill_all()


def until(check: Callable[[], T], seconds: float, describe: Callable[[], str] = lambda: "") -> T:
    """Poll ``check`` until it is true; fails with ``describe()`` after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {describe()}"
        time.sleep(0.1)
