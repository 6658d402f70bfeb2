"""LAD 3.0 and 4.x settings as plain data; :mod:`extension.config.tree30` makes XML of it (spec/lad-handler.md 5)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from extension.config.counters30 import Builtin, CounterClass
from extension.config.model import NAMESPACE, Credential, Period
from extension.config.problems import Problems
from omi_queries import reprs

JSON_BLOB = "JsonBlob"
EVENT_HUB = "EventHub"
SINK_TYPES = (EVENT_HUB, JSON_BLOB)


class Findings:
    """The problems of one settings file, and whether LAD made no document of it at all."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.refused = False

    def refuse(self, path: str, message: str, cure: str = "", value: str = "") -> None:
        """An error for which LAD wrote no document."""
        self.refused = True
        self.problems.error(path, message, cure, value)


class Sink(NamedTuple):
    """One entry of sinksConfig: ``kind`` as written, ``url`` an Event Hub's URL with its SAS (a secret)."""

    name: str
    kind: str
    url: str
    path: str

    def __repr__(self) -> str:
        return reprs.without(self, "url")


class Selected(NamedTuple):
    """One counter and the name that its rows carry."""

    counter: Builtin
    specifier: str


class Group(NamedTuple):
    """Counters of one class, condition ("" for none) and rate in seconds: one query into the local table ``event``."""

    event: str
    family: CounterClass
    condition: str
    rate: int
    counters: tuple[Selected, ...]


class Query(NamedTuple):
    """One query of perfCfg; ``store`` is "" for a table, ``JsonBlob``, or ``local`` for an Event Hub."""

    text: str
    event: str
    rate: str
    store: str = ""
    namespace: str = NAMESPACE


class Hub(NamedTuple):
    """An Event Hub that gets each row of the local table ``event``."""

    event: str
    sink: Sink


class LogSource(NamedTuple):
    """A source that log collectors feed, and its routes: (eventName, storeType or "").

    A route with the storeType ``local`` feeds the table of a second Event Hub.
    """

    name: str
    routes: tuple[tuple[str, str], ...]


class Metrics(NamedTuple):
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


class Settings(NamedTuple):
    """One settings file, read. ``resource_id`` "" where there is none; ``instance_id`` "" outside scale sets."""

    credential: Credential | None
    event_volume: str = "Medium"
    resource_id: str = ""
    instance_id: str = ""
    metrics: Metrics = Metrics()
    perf: tuple[Query, ...] = ()
    logs: tuple[LogSource, ...] = ()
    hubs: tuple[Hub, ...] = ()
