"""The built package driven by the local VM agent below one folder, with settings that go to a local table store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from extension.vmagent.agent import LocalAgent
from extension.vmagent.folder import Settings
from handler import daemon

KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy0wMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmM="
SECRET_PART = "c2VjcmV0LWtleS1vZi0z"
PUBLIC = {
    "perfCfg": [
        {
            "query": "SELECT AvailableMemory, PercentUsedMemory FROM SCX_MemoryStatisticalInformation",
            "table": "LinuxMemory",
        }
    ],
    "sampleRateInSeconds": "15",
}


class Bed:
    """One root with the built package."""

    def __init__(self, base: Path, package: str) -> None:
        self.root = base / "root"
        self.package = package
        env = {key: value for key, value in os.environ.items() if not key.startswith("LAD_")}
        self.agent = LocalAgent(str(self.root), env=env)
        self.state = self.root / "var/lib/lad-emulator"
        self.tables = base / "tables.db"

    def settings(self, **public: Any) -> Settings:
        protected = {
            "storageAccountName": "account",
            "storageAccountKey": KEY,
            "storageAccountEndPoint": f"file://{self.tables}",
        }
        return Settings({**PUBLIC, **public}, protected)

    @property
    def home(self) -> Path:
        return Path(self.agent.status()["home"])

    def watchdog(self) -> int:
        running = daemon.find(str(self.state))
        return running.pid if running else 0

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.agent.status()["status"]
        return found

    def log(self) -> str:
        return (Path(self.agent.log_root) / "LadEmulator.LinuxDiagnostic" / "extension.log").read_text()

    def end(self) -> None:
        for pid, _ in self.agent.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


@contextmanager
def handler_bed(folder: Path, package: str) -> Iterator[Bed]:
    """A bed that leaves nothing running."""
    made = Bed(folder, package)
    yield made
    for _ in range(3):  # a component that finds its watchdog dead starts another one
        made.end()
        time.sleep(0.2)
    assert not made.agent.processes()
