"""What the daemon runs: one mdsd document resolved into plain data, small enough to be handed over as JSON.

A resident collector must not keep lxml, so a short-lived child (``extension.config.plan``) reads ``xmlCfg.xml``
and ``options.json`` and prints a :class:`Plan` as JSON on its standard output.
Field meanings and defaults: spec/mdsd.md 1.2 and 2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """Where an event's rows go.

    ``store`` is ``table`` (Azure table or its local stand-in) or ``local`` (in-memory table of the pipeline);
    ``event`` the eventName; ``moniker`` the account ("" for local); ``full_name`` isFullName;
    ``per_nday`` whether the ten-day suffix is appended (not ``dontUsePerNDayTable``).
    """

    store: str
    event: str
    moniker: str = ""
    full_name: bool = False
    per_nday: bool = True


@dataclass(frozen=True)
class Unpivot:
    """OMIQuery/Unpivot. ``maps``: column -> (new name, factor), where factor = scaleUp / scaleDown."""

    column_name: str
    column_value: str
    columns: tuple[str, ...]
    maps: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """One OMIQuery: ``text`` is asked in ``namespace`` every ``rate`` seconds."""

    namespace: str
    text: str
    rate: int
    target: Target
    unpivot: Unpivot | None = None


@dataclass(frozen=True)
class LadQuery:
    """DerivedEvent/LADQuery: group by ``column_name``, aggregate ``column_value``."""

    column_name: str
    column_value: str
    partition_key: str
    instance_id: str = ""


@dataclass(frozen=True)
class Derived:
    """One DerivedEvent: every ``duration`` seconds the rows of the local table ``source`` become ``target``."""

    source: str
    duration: int
    target: Target
    lad: LadQuery | None = None


@dataclass(frozen=True)
class Account:
    """A credential. ``kind`` is ``key`` or ``sas``; ``secret`` is clear text, so a Plan is never logged or stored."""

    moniker: str
    account: str
    kind: str
    secret: str = field(repr=False)
    table_endpoint: str = ""
    default: bool = False


@dataclass(frozen=True)
class Options:
    """``options.json``: what mdsd had no word for.

    ``proc_root``: where /proc, /sys and /etc are looked up; ``store_*``: bounds of the store in MiB;
    ``upload_spread_s``: machines spread their uploads over so many seconds; ``hang_s``: a component without progress
    for so long is restarted.

    Where values come from: ``omi_backend`` is ``auto``, ``procfs``, ``cimxml`` or ``omicli``; ``omi_endpoint``
    (``http(s)://host[:port]``), ``omi_user``, ``omi_password``, ``omi_ca_file`` (PEM of the authority) and
    ``omi_no_verification`` say how a CIM-XML server is reached; ``omicli_path`` is the command of a real OMI;
    ``rate_window`` is ``delta`` (rates between two samples) or ``scx`` (SCX's own sampler).
    ``omi_service`` and ``omi_service_tls``: ADDRESS:PORT where the emulated OMI service answers, "" for not at all.
    """

    proc_root: str = "/"
    store_max_mib: int = 256
    store_min_free_mib: int = 64
    upload_spread_s: float = 1.5
    hang_s: float = 45.0
    omi_backend: str = "auto"
    omi_endpoint: str = ""
    omi_user: str = ""
    omi_password: str = field(default="", repr=False)
    omi_ca_file: str = ""
    omi_no_verification: bool = False
    omicli_path: str = "/opt/omi/bin/omicli"
    rate_window: str = "delta"
    omi_service: str = ""
    omi_service_tls: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that collector and uploader need of one document.

    ``identity``: (column, value) pairs in document order; ``partitions``: 1, 10 or 100 (eventVolume);
    ``sources``: names of the in-memory tables that documents declare besides queries.
    """

    namespace: str = ""
    event_version: int = 1
    partitions: int = 10
    identity: tuple[tuple[str, str], ...] = ()
    accounts: tuple[Account, ...] = ()
    sources: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    derived: tuple[Derived, ...] = ()
    options: Options = field(default_factory=Options)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able values; :func:`from_json` is the way back."""
        return asdict(self)


def _target(value: dict[str, Any]) -> Target:
    return Target(**value)


def _query(value: dict[str, Any]) -> Query:
    unpivot = value["unpivot"]
    if unpivot is not None:
        maps = {k: (str(v[0]), float(v[1])) for k, v in unpivot["maps"].items()}
        unpivot = Unpivot(unpivot["column_name"], unpivot["column_value"], tuple(unpivot["columns"]), maps)
    return Query(value["namespace"], value["text"], int(value["rate"]), _target(value["target"]), unpivot)


def _derived(value: dict[str, Any]) -> Derived:
    lad = LadQuery(**value["lad"]) if value["lad"] else None
    return Derived(value["source"], int(value["duration"]), _target(value["target"]), lad)


def from_json(value: dict[str, Any]) -> Plan:
    """Rebuild a :class:`Plan` from :meth:`Plan.to_json` (KeyError or TypeError if it is something else)."""
    return Plan(
        namespace=value["namespace"],
        event_version=int(value["event_version"]),
        partitions=int(value["partitions"]),
        identity=tuple((str(k), str(v)) for k, v in value["identity"]),
        accounts=tuple(Account(**a) for a in value["accounts"]),
        sources=tuple(value["sources"]),
        queries=tuple(_query(q) for q in value["queries"]),
        derived=tuple(_derived(d) for d in value["derived"]),
        options=Options(**value["options"]),
    )
