"""EDM values as people and as JSON readers want them. Pure."""

from __future__ import annotations

import base64
import math

from extension.rows.edm import EdmValue
from extension.sinks.entity import Entity

Plain = str | int | float | bool | None


def iso_time(text: str) -> str:
    """An ISO 8601 UTC time with Z and only the fraction digits that say something."""
    body = text[:-1] if text.endswith("Z") else text.removesuffix("+00:00")
    whole, dot, fraction = body.partition(".")
    fraction = fraction.rstrip("0")
    return whole + (dot + fraction if fraction else "") + "Z"


def plain(typed: EdmValue) -> Plain:
    """A value for JSON: times ISO 8601 with Z, NaN and infinities as the table service writes them, binary base64."""
    kind, value = typed
    if kind == "DateTime":
        return iso_time(str(value))
    if kind == "Double" and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def shown(typed: EdmValue) -> str:
    """A value for people: whole numbers without a point, others with six digits."""
    value = plain(typed)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
    return "".join(c if c.isprintable() else "?" for c in str(value))


def event_time(entity: Entity) -> str:
    """When the row's event was: column TIMESTAMP, else PreciseTimeStamp, else the service's Timestamp (ISO, Z)."""
    for name in ("TIMESTAMP", "PreciseTimeStamp"):
        kind, value = entity.columns.get(name, ("", ""))
        if kind == "DateTime":
            return iso_time(str(value))
    return iso_time(entity.timestamp)


def as_json(entity: Entity) -> dict[str, Plain]:
    """PartitionKey, RowKey and the columns as plain values."""
    keys: dict[str, Plain] = {"PartitionKey": entity.partition_key, "RowKey": entity.row_key}
    return keys | {name: plain(value) for name, value in entity.columns.items()}
