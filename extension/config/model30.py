"""LAD 3.0 and 4.x settings as plain data; :mod:`extension.config.tree30` makes XML of it (spec/lad-handler.md 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from extension.config.counters30 import Builtin, CounterClass
from extension.config.machine import Machine
from extension.config.model import NAMESPACE, Credential, Period
from extension.config.problems import Problems

JSON_BLOB = "JsonBlob"
EVENT_HUB = "EventHub"
SINK_TYPES = (EVENT_HUB, JSON_BLOB)


@dataclass(frozen=True)
class Reading:
    """How settings are read: ``dialect`` is 3.0 or 4.0, ``exact`` to the letter; ``now`` judges dates (aware)."""

    dialect: str
    exact: bool
    machine: Machine
    now: datetime

    @property
    def telegraf(self) -> bool:
        """Whether the settings were written for LAD 4.x, which collected with telegraf."""
        return self.dialect == "4.0"


class Findings:
    """The problems of one settings file, and whether LAD made no document of it at all."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.refused = False

    def refuse(self, path: str, message: str, cure: str = "", value: str = "") -> None:
        """An error for which LAD wrote no document."""
        self.refused = True
        self.problems.error(path, message, cure, value)


@dataclass(frozen=True)
class Sink:
    """One entry of sinksConfig: ``kind`` as written, ``url`` an Event Hub's URL with its SAS (a secret)."""

    name: str
    kind: str
    url: str = field(repr=False)
    path: str


@dataclass(frozen=True)
class Selected:
    """One counter and the name that its rows carry."""

    counter: Builtin
    specifier: str


@dataclass(frozen=True)
class Group:
    """Counters of one class, condition ("" for none) and rate in seconds: one query into the local table ``event``."""

    event: str
    family: CounterClass
    condition: str
    rate: int
    counters: tuple[Selected, ...]


@dataclass(frozen=True)
class Query:
    """One query of perfCfg; ``store`` is "" for a table, ``JsonBlob``, or ``local`` for an Event Hub."""

    text: str
    event: str
    rate: str
    store: str = ""
    namespace: str = NAMESPACE


@dataclass(frozen=True)
class Hub:
    """An Event Hub that gets each row of the local table ``event``."""

    event: str
    sink: Sink


@dataclass(frozen=True)
class LogSource:
    """A source that log collectors feed, and its routes: (eventName, storeType or "").

    A route with the storeType ``local`` feeds the table of a second Event Hub.
    """

    name: str
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Metrics:
    """Groups -> aggregation -> table and sinks.

    ``detour``: aggregates go through a local table, from which table and sinks are fed (spec 5.3); LAD did so as soon
    as sinks were named, defined or not. ``apart``: each Event Hub but the first has a local table of its own, because
    the daemon takes one for each table.
    """

    groups: tuple[Group, ...] = ()
    periods: tuple[Period, ...] = ()
    detour: bool = False
    sinks: tuple[Sink, ...] = ()
    apart: bool = True


@dataclass(frozen=True)
class Settings:
    """One settings file, read. ``resource_id`` "" where there is none; ``instance_id`` "" outside scale sets."""

    credential: Credential | None
    event_volume: str = "Medium"
    resource_id: str = ""
    instance_id: str = ""
    metrics: Metrics = Metrics()
    perf: tuple[Query, ...] = ()
    logs: tuple[LogSource, ...] = ()
    hubs: tuple[Hub, ...] = ()
