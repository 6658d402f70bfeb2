"""A real collector and uploader over a scripted source, on clocks that the test moves, into an embedded table store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extension.collecting import Collector
from extension.delivery import Delivery
from extension.plan import Account, Derived, LadQuery, Plan, Query, Target, Unpivot
from extension.sinks.entity import Entity, Reader
from extension.sinks.local_tables import LocalTablesReader
from extension.store.collector_db import CollectorStore
from extension.view import audit
from omi_queries.types import Instance, QueryError, Reading

MINUTE = 1795252680
TYPES = {"A": "uint64", "B": "uint64"}
UNPIVOT = Unpivot("CounterName", "Value", ("A", "B"), {"A": ("\\A", 1.0), "B": ("\\B", 1.0)})
QUERY = Query("root/scx", "SELECT A, B", 15, Target("local", "s"), UNPIVOT)


class Stream:
    """Gives the source's values at once, without rates."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def prime(self) -> None:
        pass

    def read(self, tick: float) -> Reading:
        if self._source.fails:
            raise QueryError(1, "no answer")
        return Reading([dict(self._source.values)] if self._source.values else [], TYPES, "script")

    def state(self) -> dict[str, Any] | None:
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:
        return True


class Source:
    name = "script"

    def __init__(self) -> None:
        self.values: Instance = {"A": 1, "B": 2}
        self.fails = False

    def open(self, namespace: str, text: str) -> Stream:
        return Stream(self)

    def close(self) -> None:
        pass


def metrics(source: str = "s", duration: int = 60, event: str = "M") -> Derived:
    return Derived(
        source, duration, Target("table", event, "m", full_name=True), LadQuery("CounterName", "Value", "pk")
    )


def plan_of(folder: Path, queries: tuple[Query, ...] = (QUERY,), derived: tuple[Derived, ...] = (metrics(),)) -> Plan:
    accounts = (Account("m", "acc", "key", "", f"file://{folder}/tables.db", default=True),)
    return Plan(event_version=2, identity=(("Host", "h"),), accounts=accounts, queries=queries, derived=derived)


class Bench:
    """``now`` is the wall clock, ``boot`` the time since boot."""

    def __init__(self, folder: Path, plan: Plan | None = None, now: float = MINUTE - 20) -> None:
        self.folder = folder
        self.plan = plan or plan_of(folder)
        self.now, self.boot = float(now), 1000.0
        self.source = Source()
        self.said: list[str] = []
        self.start()

    def start(self) -> None:
        """A new collector on the same store, as after a kill."""
        self.store = CollectorStore(
            str(self.folder / "state"), max_bytes=64 << 20, report=self.said.append, clock=lambda: self.now
        )
        self.collector = Collector(
            self.plan, self.source, self.store, lambda: self.now, lambda _level, text: self.said.append(text), "h",
            boottime=lambda: self.boot,
        )  # fmt: skip
        self.collector.start()

    def wait(self, seconds: float) -> None:
        """Time goes by and nothing samples."""
        self.now += seconds
        self.boot += seconds

    def step(self, seconds: float) -> None:
        """The wall clock is set."""
        self.now += seconds

    def run(self, seconds: float) -> None:
        """Sample for so many seconds."""
        end = self.boot + seconds
        while True:
            due = max(0.0, self.collector.next_due() - self.now) + 0.0003
            if self.boot + due > end:
                break
            self.wait(due)
            self.collector.tick()
        self.wait(max(0.0, end - self.boot))

    def deliver(self) -> None:
        """Upload what is queued."""
        delivery = Delivery(self.plan, str(self.folder / "state"), lambda _level, text: self.said.append(text))
        assert delivery.drain()
        delivery.close()
        self.store.forget_delivered()

    def reader(self, _moniker: str = "m") -> Reader:
        return LocalTablesReader(str(self.folder / "tables.db"))

    def rows(self) -> list[Entity]:
        """The metric rows that are keyed by time, newest last; every one stands for its twin."""
        reader = self.reader()
        names = [name for name in reader.tables() if name != "SchemasTable"]
        found = [e for name in names for e in reader.query(name)]
        reader.close()
        return sorted((e for e in found if e.row_key[:1].isdigit()), key=lambda e: e.row_key, reverse=True)

    def audit(self, since: float = MINUTE - 60) -> dict[str, Any]:
        return audit.examine(self.plan, str(self.folder / "state"), since, self.now, self.reader)
