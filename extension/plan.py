"""What the daemon runs: one mdsd document resolved into plain data, small enough to be handed over as JSON.

A resident collector must not keep lxml, so a short-lived child (``extension.config.plan``) reads ``xmlCfg.xml``
and ``options.json`` and prints a :class:`Plan` as JSON on its standard output.
Field meanings and defaults: spec/mdsd.md 1.2 and 2.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """Where an event's rows go.

    ``store`` is ``table`` (Azure table or its local stand-in), ``local`` (in-memory table of the pipeline),
    ``jsonblob`` (block blobs, spec/mdsd.md 5.1) or ``file`` (a text file, 5.3; ``event`` is its path, relative to
    /tmp); ``event`` the eventName; ``moniker`` the account ("" for local and file); ``full_name`` isFullName;
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

    @functools.cached_property
    def parts(self) -> dict[str, tuple[tuple[str, str], float | None]]:
        """Each listed column once -> (the name it gives, as a typed value; its factor, None if it is not mapped)."""
        found: dict[str, tuple[tuple[str, str], float | None]] = {}
        for column in self.columns:
            label, factor = self.maps.get(column, (column, None))
            found[column] = (("String", label), factor)
        return found

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """All names that are given."""
        return frozenset(label for (_, label), _ in self.parts.values())


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
    """One DerivedEvent: every ``duration`` seconds the rows of the local table ``source`` become ``target``.

    ``grain``: the duration as the document writes it, which JSON metrics repeat; "" where none is known.
    """

    source: str
    duration: int
    target: Target
    lad: LadQuery | None = None
    grain: str = ""


@dataclass(frozen=True)
class Source:
    """An in-memory table that the document declares: it is fed by the JSON inputs.

    ``columns``: (name, type, mdstype) of its Schema in order, e.g. ``("Msg", "str", "mt:wstr")``; None for a dynamic
    schema, whose messages bring their own.
    """

    name: str
    columns: tuple[tuple[str, str, str], ...] | None = None


@dataclass(frozen=True)
class Route:
    """One RouteEvent: every ``period`` seconds (at least 10) the rows of the table ``source`` go to ``target``."""

    source: str
    period: int
    target: Target


@dataclass(frozen=True)
class Publisher:
    """An Event Hub: each row put into the in-memory table ``event`` is sent to ``url`` too.

    ``url`` is a secret in clear text: the hub's https URL, with the parts of its SAS as the query.
    """

    event: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class OnBehalf:
    """How the JSON blobs of ``event`` are named instead of the usual way (OnBehalf Config, spec/mdsd.md 5.1).

    ``primary`` is the name of the field whose value begins the path, ``fields`` the names of the others in order,
    each with its value in :attr:`Plan.obo`; ``period_name`` is the blob's own name, such as ``PT1H``, and
    ``period_s`` its length in seconds.
    """

    event: str
    primary: str
    fields: tuple[str, ...]
    period_name: str
    period_s: int


@dataclass(frozen=True)
class Account:
    """A credential. ``kind`` is ``key`` or ``sas`` (of an account or a service); ``secret`` is clear text, so a Plan
    is never logged or stored. ``table_endpoint`` and ``blob_endpoint`` are whole URLs without a trailing slash."""

    moniker: str
    account: str
    kind: str
    secret: str = field(repr=False)
    table_endpoint: str = ""
    default: bool = False
    blob_endpoint: str = ""


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

    Inputs: ``inputs_dir`` is the folder of the JSON sockets, "" for ``run`` in the state folder; ``inputs_tcp`` the
    port on 127.0.0.1 of the static JSON input, 0 for none. ``json_blob_twice``: both mirrored copies of a metric row
    go to JSON blobs, as mdsd did. ``http_proxy``: ``[http://][user:password@]host[:port]`` for uploads.
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
    inputs_dir: str = ""
    inputs_tcp: int = 0
    json_blob_twice: bool = False
    http_proxy: str = field(default="", repr=False)


@dataclass(frozen=True)
class Plan:
    """Everything that collector and uploader need of one document.

    ``identity``: (column, value) pairs in document order; ``partitions``: 1, 10 or 100 (eventVolume);
    ``sources``: the in-memory tables that documents declare besides queries; ``obo``: (name, value) of each
    OboDirectPartitionField, such as resourceId; ``identity_aliases``: the names of the identity columns that are
    Tenant, Role and RoleInstance in JSON metrics; ``dupe_window_s``: for so many seconds a TAG of the static JSON
    input is a duplicate.
    """

    namespace: str = ""
    event_version: int = 1
    partitions: int = 10
    identity: tuple[tuple[str, str], ...] = ()
    accounts: tuple[Account, ...] = ()
    sources: tuple[Source, ...] = ()
    queries: tuple[Query, ...] = ()
    derived: tuple[Derived, ...] = ()
    routes: tuple[Route, ...] = ()
    publishers: tuple[Publisher, ...] = ()
    obo: tuple[tuple[str, str], ...] = ()
    on_behalf: tuple[OnBehalf, ...] = ()
    identity_aliases: tuple[str, str, str] = ("Tenant", "Role", "RoleInstance")
    dupe_window_s: int = 3600
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
    return Derived(value["source"], int(value["duration"]), _target(value["target"]), lad, value["grain"])


def _source(value: dict[str, Any]) -> Source:
    columns = value["columns"]
    if columns is not None:
        columns = tuple((str(name), str(kind), str(mds)) for name, kind, mds in columns)
    return Source(value["name"], columns)


def _on_behalf(value: dict[str, Any]) -> OnBehalf:
    fields, period_s = tuple(value["fields"]), int(value["period_s"])
    return OnBehalf(value["event"], value["primary"], fields, value["period_name"], period_s)


def from_json(value: dict[str, Any]) -> Plan:
    """Rebuild a :class:`Plan` from :meth:`Plan.to_json` (KeyError or TypeError if it is something else)."""
    tenant, role, instance = value["identity_aliases"]
    return Plan(
        namespace=value["namespace"],
        event_version=int(value["event_version"]),
        partitions=int(value["partitions"]),
        identity=tuple((str(k), str(v)) for k, v in value["identity"]),
        accounts=tuple(Account(**a) for a in value["accounts"]),
        sources=tuple(_source(s) for s in value["sources"]),
        queries=tuple(_query(q) for q in value["queries"]),
        derived=tuple(_derived(d) for d in value["derived"]),
        routes=tuple(Route(r["source"], int(r["period"]), _target(r["target"])) for r in value["routes"]),
        publishers=tuple(Publisher(**p) for p in value["publishers"]),
        obo=tuple((str(k), str(v)) for k, v in value["obo"]),
        on_behalf=tuple(_on_behalf(o) for o in value["on_behalf"]),
        identity_aliases=(tenant, role, instance),
        dupe_window_s=int(value["dupe_window_s"]),
        options=Options(**value["options"]),
    )
