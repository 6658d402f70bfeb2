"""What the settings of all dialects have in common, as plain data."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from omi_queries import reprs

PORTAL_SAMPLE_RATE = 15
NAMESPACE = "root/scx"
MIB = 1048576


def query_text(columns: str, class_name: str, condition: str) -> str:
    """A query as LAD writes it; ``condition`` may be empty."""
    words = ["SELECT", columns, "FROM", class_name]
    return " ".join([*words, "WHERE", condition] if condition else words)


class Credential(NamedTuple):
    """The storage account: ``kind`` is ``key`` or ``sas``, ``path`` the JSON path of the secret.

    ``endpoint`` is the table endpoint, ``blob_endpoint`` the blob endpoint of the same account.
    """

    account: str
    kind: str
    secret: str
    endpoint: str
    path: str = "$.protected"
    blob_endpoint: str = ""

    def __repr__(self) -> str:
        return reprs.without(self, "secret")


class Period(NamedTuple):
    """One aggregation: ``name`` stands in the table's name, ``duration`` is what mdsd reads."""

    name: str
    duration: str
