"""``lad tables``: the tables of a store and their row counts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from extension.view.layout import aligned


def render(tables: Mapping[str, int | None], *, as_json: bool) -> str:
    """The listing; a count is ``-`` (JSON: null) where counting would need a scan of the table."""
    if as_json:
        return json.dumps(dict(tables), indent=2)
    if not tables:
        return "no tables"
    lines = [(name, "-" if count is None else str(count)) for name, count in tables.items()]
    return "\n".join(aligned(("TABLE", "ROWS"), lines, frozenset({1})))
