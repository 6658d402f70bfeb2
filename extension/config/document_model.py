"""An mdsd document as plain data (spec/mdsd.md 1.2). ``at`` is where each element stands."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from omi_queries import reprs

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


class AccountElement(NamedTuple):
    """Account (``kind`` key) or SharedAccessSignature (``kind`` sas). ``key`` is clear text or hex of DER CMS."""

    kind: str
    moniker: str
    account: str
    key: str
    decrypt_key_path: str
    table_endpoint: str
    default: bool
    at: Place
    blob_endpoint: str = ""

    def __repr__(self) -> str:
        return reprs.without(self, "key")


class IdentityElement(NamedTuple):
    """IdentityComponent: exactly one of a text, an environment variable or the host name.

    A variable that the environment lacks gives no column.
    """

    name: str
    text: str
    variable: str
    computer_name: bool
    at: Place


class Store(NamedTuple):
    """Where an event goes: ``kind`` as in :data:`STORES`, ``moniker`` "" for the default account."""

    kind: str
    event: str
    moniker: str
    full_name: bool
    per_nday: bool


class UnpivotElement(NamedTuple):
    """Unpivot; ``maps`` holds (column, new name, factor) in document order, first entry of a column only."""

    column_name: str
    column_value: str
    columns: tuple[str, ...]
    maps: tuple[tuple[str, str, float], ...]


class QueryElement(NamedTuple):
    """OMIQuery; ``rate`` in seconds."""

    namespace: str
    text: str
    rate: int
    store: Store
    unpivot: UnpivotElement | None
    at: Place


class RouteElement(NamedTuple):
    """MdsdEventSource/RouteEvent; ``period`` in seconds."""

    source: str
    store: Store
    period: int
    at: Place


class LadQueryElement(NamedTuple):
    """DerivedEvent/LADQuery."""

    column_name: str
    column_value: str
    partition_key: str
    instance_id: str


class DerivedElement(NamedTuple):
    """DerivedEvent; ``duration`` in seconds, ``written`` as it stands in the document."""

    source: str
    duration: int
    store: Store
    lad: LadQueryElement | None
    at: Place
    written: str = ""


class SourceElement(NamedTuple):
    """Source; ``columns`` holds (name, type, mdstype) of its schema, None for a dynamic one."""

    name: str
    columns: tuple[tuple[str, str, str], ...] | None
    at: Place


class PublisherElement(NamedTuple):
    """EventPublisher of the in-memory table ``event``; ``key`` is a URL with a SAS, or hex of DER CMS."""

    event: str
    key: str
    decrypt_key_path: str
    at: Place

    def __repr__(self) -> str:
        return reprs.without(self, "key")


class OnBehalfElement(NamedTuple):
    """OnBehalf Config of ``event``; ``period_name`` is the timePeriods as written, ``period_s`` its seconds."""

    event: str
    primary: str
    fields: tuple[str, ...]
    period_name: str
    period_s: int
    at: Place


class Document(NamedTuple):
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
