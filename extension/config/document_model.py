"""An mdsd document as plain data (spec/mdsd.md 1.2). ``at`` is where each element stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

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
"""storeType (lower case) -> kind of store; all but ``appinsights`` are run."""
PRIORITIES = {"high": 60, "medium": 300, "normal": 300, "default": 300, "low": 900}


class Place(NamedTuple):
    """A file (imports have their own) and the line in it, 0 where none is known; as text the path of a problem."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


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
    at: Place
    blob_endpoint: str = ""


@dataclass(frozen=True)
class IdentityElement:
    """IdentityComponent: exactly one of a text, an environment variable or the host name.

    A variable that the environment lacks gives no column.
    """

    name: str
    text: str
    variable: str
    computer_name: bool
    at: Place


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
    at: Place


@dataclass(frozen=True)
class RouteElement:
    """MdsdEventSource/RouteEvent; ``period`` in seconds."""

    source: str
    store: Store
    period: int
    at: Place


@dataclass(frozen=True)
class LadQueryElement:
    """DerivedEvent/LADQuery."""

    column_name: str
    column_value: str
    partition_key: str
    instance_id: str


@dataclass(frozen=True)
class DerivedElement:
    """DerivedEvent; ``duration`` in seconds, ``written`` as it stands in the document."""

    source: str
    duration: int
    store: Store
    lad: LadQueryElement | None
    at: Place
    written: str = ""


@dataclass(frozen=True)
class SourceElement:
    """Source; ``columns`` holds (name, type, mdstype) of its schema, None for a dynamic one."""

    name: str
    columns: tuple[tuple[str, str, str], ...] | None
    at: Place


@dataclass(frozen=True)
class PublisherElement:
    """EventPublisher of the in-memory table ``event``; ``key`` is a URL with a SAS, or hex of DER CMS."""

    event: str
    key: str = field(repr=False)
    decrypt_key_path: str
    at: Place


@dataclass(frozen=True)
class OnBehalfElement:
    """OnBehalf Config of ``event``; ``period_name`` is the timePeriods as written, ``period_s`` its seconds."""

    event: str
    primary: str
    fields: tuple[str, ...]
    period_name: str
    period_s: int
    at: Place


@dataclass(frozen=True)
class Document:
    """A whole document; what could not be read is absent and named in the problems."""

    path: str
    namespace: str = ""
    event_version: int = 1
    event_volume: str = "Medium"
    identity: tuple[IdentityElement, ...] = ()
    accounts: tuple[AccountElement, ...] = ()
    sources: tuple[SourceElement, ...] = ()
    queries: tuple[QueryElement, ...] = ()
    routes: tuple[RouteElement, ...] = ()
    derived: tuple[DerivedElement, ...] = ()
    obo: tuple[tuple[str, str], ...] = ()
    publishers: tuple[PublisherElement, ...] = ()
    on_behalf: tuple[OnBehalfElement, ...] = ()
    identity_aliases: tuple[str, str, str] = ("Tenant", "Role", "RoleInstance")
    dupe_window_s: int = 3600
