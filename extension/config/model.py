"""LAD settings as plain data, whichever dialect they were written in; :mod:`extension.config.build` makes XML of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from extension.config.counters import Counter, Family

DEFAULT_SAMPLE_RATE = "60"
PORTAL_SAMPLE_RATE = 15
NAMESPACE = "root/scx"


def query_text(columns: str, class_name: str, condition: str) -> str:
    """A query as LAD writes it; ``condition`` may be empty."""
    words = ["SELECT", columns, "FROM", class_name]
    return " ".join([*words, "WHERE", condition] if condition else words)


@dataclass(frozen=True)
class Credential:
    """The storage account: ``kind`` is ``key`` or ``sas``, ``path`` the JSON path of the secret.

    ``endpoint`` is the table endpoint, ``blob_endpoint`` the blob endpoint of the same account.
    """

    account: str
    kind: str
    secret: str = field(repr=False)
    endpoint: str
    path: str = "$.protected"
    blob_endpoint: str = ""


@dataclass(frozen=True)
class PerfQuery:
    """One query whose instances become rows of ``table`` as they are."""

    text: str
    table: str
    namespace: str = NAMESPACE


@dataclass(frozen=True)
class FileLog:
    """One tailed file and the table for its lines."""

    file: str
    table: str


@dataclass(frozen=True)
class MetricQuery:
    """Counters of one class, sampled every ``rate`` seconds into the local table ``event``."""

    event: str
    family: Family
    counters: tuple[Counter, ...]
    rate: int = PORTAL_SAMPLE_RATE


@dataclass(frozen=True)
class Period:
    """One aggregation: ``name`` stands in the table's name, ``duration`` is what mdsd reads."""

    name: str
    duration: str


@dataclass(frozen=True)
class Metrics:
    """Local queries -> unpivot -> LADQuery. ``resource_id`` as given, ``instance_id`` "" outside scale sets."""

    resource_id: str
    instance_id: str
    queries: tuple[MetricQuery, ...]
    periods: tuple[Period, ...]


@dataclass(frozen=True)
class Settings:
    """One settings file, read. ``base`` is a document that replaces the default one (mdsdCfg)."""

    credential: Credential | None
    event_volume: str = "Medium"
    sample_rate: str = DEFAULT_SAMPLE_RATE
    perf: tuple[PerfQuery, ...] = ()
    files: tuple[FileLog, ...] = ()
    metrics: Metrics | None = None
    app_insights_key: str = field(default="", repr=False)
    base: etree._Element | None = None
