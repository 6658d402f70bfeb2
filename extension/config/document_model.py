"""An mdsd document as plain data (spec/mdsd.md 1.2). ``line`` is where each element stands."""

from __future__ import annotations

from dataclasses import dataclass, field

VOLUMES = {"Small": 1, "small": 1, "Medium": 10, "medium": 10, "Large": 100, "large": 100}
STORES = {
    "central": "table",
    "xtable": "table",
    "local": "local",
    "jsonblob": "jsonblob",
    "centraljson": "jsonblob",
    "file": "file",
    "appinsights": "appinsights",
}
"""storeType (lower case) -> kind of store; only ``table`` and ``local`` are run."""
PRIORITIES = {"high": 60, "medium": 300, "normal": 300, "default": 300, "low": 900}


@dataclass(frozen=True)
class AccountElement:
    """Account (``kind`` key) or SharedAccessSignature (``kind`` sas). ``key`` is clear text or hex of DER CMS."""

    kind: str
    moniker: str
    account: str
    key: str = field(repr=False)
    decrypt_key_path: str
    table_endpoint: str
    default: bool
    line: int


@dataclass(frozen=True)
class IdentityElement:
    """IdentityComponent: exactly one of a text, an environment variable or the host name."""

    name: str
    text: str
    variable: str
    computer_name: bool
    line: int


@dataclass(frozen=True)
class Store:
    """Where an event goes: ``kind`` as in :data:`STORES`, ``moniker`` "" for the default account."""

    kind: str
    event: str
    moniker: str
    full_name: bool
    per_nday: bool


@dataclass(frozen=True)
class UnpivotElement:
    """Unpivot; ``maps`` holds (column, new name, factor) in document order, first entry of a column only."""

    column_name: str
    column_value: str
    columns: tuple[str, ...]
    maps: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class QueryElement:
    """OMIQuery; ``rate`` in seconds."""

    namespace: str
    text: str
    rate: int
    store: Store
    unpivot: UnpivotElement | None
    line: int


@dataclass(frozen=True)
class RouteElement:
    """MdsdEventSource/RouteEvent; ``period`` in seconds."""

    source: str
    store: Store
    period: int
    line: int


@dataclass(frozen=True)
class LadQueryElement:
    """DerivedEvent/LADQuery."""

    column_name: str
    column_value: str
    partition_key: str
    instance_id: str


@dataclass(frozen=True)
class DerivedElement:
    """DerivedEvent; ``duration`` in seconds."""

    source: str
    duration: int
    store: Store
    lad: LadQueryElement | None
    line: int


@dataclass(frozen=True)
class Document:
    """A whole document; what could not be read is absent and named in the problems."""

    path: str
    namespace: str = ""
    event_version: int = 1
    event_volume: str = "Medium"
    identity_type: str = ""
    identity: tuple[IdentityElement, ...] = ()
    accounts: tuple[AccountElement, ...] = ()
    sources: tuple[str, ...] = ()
    queries: tuple[QueryElement, ...] = ()
    routes: tuple[RouteElement, ...] = ()
    derived: tuple[DerivedElement, ...] = ()
    obo: tuple[tuple[str, str], ...] = ()
