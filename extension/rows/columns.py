"""Column names that the table service takes: letters, digits and ``_``, no digit first, 255 at most
(spec/storage.md 1, ``PropertyNameInvalid``). Clients of the JSON sockets may send others.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from extension.rows.edm import EdmValue

MAX_NAME = 255


@functools.lru_cache(maxsize=1024)
def valid(name: str) -> str:
    """``name`` itself if the service takes it, else the nearest that it takes."""
    if name.isidentifier() and len(name) <= MAX_NAME:
        return name
    repaired = "".join(c if f"_{c}".isidentifier() else "_" for c in name[: MAX_NAME - 1])
    return repaired if repaired.isidentifier() else f"_{repaired}"


@functools.lru_cache(maxsize=256)
def _all_valid(names: tuple[str, ...]) -> bool:
    return all(valid(name) is name for name in names)


def repaired(columns: Mapping[str, EdmValue]) -> tuple[dict[str, EdmValue], dict[str, int]]:
    """The columns under valid names, in order, and a counted reason per name that had to be another.

    Where two names become one, the later gets ``_2``, ``_3`` and so on: no value is lost.
    """
    if _all_valid(tuple(columns)):
        return dict(columns), {}
    out: dict[str, EdmValue] = {}
    reasons: dict[str, int] = {}
    for name, value in columns.items():
        chosen, number = valid(name), 1
        while chosen in out or (chosen != name and chosen in columns):
            number += 1
            chosen = f"{valid(name)[: MAX_NAME - 6]}_{number}"
        out[chosen] = value
        if chosen != name:
            reasons[f"column {name[:80]!r} written as {chosen[:80]}"] = 1
    return out, reasons
