"""LAD 2.3 settings as plain data; :mod:`extension.config.tree23` makes XML of it (spec/lad-handler.md 4)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from lxml import etree

from extension.config.counters import Counter, Family
from extension.config.model import NAMESPACE, PORTAL_SAMPLE_RATE, Credential, Period
from omi_queries import reprs

DEFAULT_SAMPLE_RATE = "60"


class PerfQuery(NamedTuple):
    """One query whose instances become rows of ``table`` as they are."""

    text: str
    table: str
    namespace: str = NAMESPACE


class FileLog(NamedTuple):
    """One tailed file and the table for its lines."""

    file: str
    table: str


class MetricQuery(NamedTuple):
    """Counters of one class, sampled every ``rate`` seconds into the local table ``event``."""

    event: str
    family: Family
    counters: tuple[Counter, ...]
    rate: int = PORTAL_SAMPLE_RATE


class Metrics(NamedTuple):
    """Local queries -> unpivot -> LADQuery. ``resource_id`` as given, ``instance_id`` "" outside scale sets."""

    resource_id: str
    instance_id: str
    queries: tuple[MetricQuery, ...]
    periods: tuple[Period, ...]


class Settings(NamedTuple):
    """One settings file, read. ``base`` is a document that replaces the default one (mdsdCfg)."""

    credential: Credential | None
    event_volume: str = "Medium"
    sample_rate: str = DEFAULT_SAMPLE_RATE
    perf: tuple[PerfQuery, ...] = ()
    files: tuple[FileLog, ...] = ()
    metrics: Metrics | None = None
    app_insights_key: str = ""
    base: etree._Element | None = None

    def __repr__(self) -> str:
        return reprs.without(self, "app_insights_key")
