"""Rows as JSON text for JSON blobs and Event Hubs, and as lines of the file sink (spec/mdsd.md 5.1 - 5.3). Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from extension.rows import ticks
from extension.rows.edm import EdmValue

_METRIC = {
    "CounterName": "metricName",
    "Average": "average",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "Total": "total",
    "Last": "last",
    "Count": "count",
}
_SEVERITIES = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug")
_TYPES = {"String": "wstr", "Int32": "int32", "Int64": "int64", "Double": "float64", "DateTime": "utc"}


def is_metric(columns: Mapping[str, EdmValue], grain: str) -> bool:
    """Whether the row takes the metric form: a name, a last value and a known duration of its event."""
    return bool(grain) and "CounterName" in columns and "Last" in columns


def missing_statistics(columns: Mapping[str, EdmValue]) -> list[str]:
    """The columns that a metric row needs and this one has not."""
    return [name for name in _METRIC if name not in columns]


def metric_row(
    columns: Mapping[str, EdmValue], at_us: int, resource_id: str, grain: str, dimensions: tuple[str, str, str]
) -> str:
    """The metric form. ``grain``: ISO 8601 duration; ``dimensions``: tenant, role and role instance."""
    tenant, role, instance = (_string(d) for d in dimensions)
    lines = [
        f'{{ "time" : "{seven_digits(at_us)}"',
        f'  "resourceId" : {_string(resource_id)}',
        f'  "timeGrain" : {_string(grain)}',
        f'  "dimensions": {{\n     "Tenant": {tenant},\n     "Role": {role},\n     "RoleInstance": {instance}\n  }}',
    ]
    lines += [f'  "{_METRIC[name]}": {_value(value)}' for name, value in columns.items() if name in _METRIC]
    return ",\n".join(lines) + "\n}"


def log_row(columns: Mapping[str, EdmValue], at_us: int, resource_id: str) -> str:
    """The log form: all columns as properties; category, level and operation as syslog columns name them."""
    category = level = operation = '"Unknown"'
    for name, value in columns.items():
        if name == "Facility":
            category, operation = _value(value), '"LinuxSyslogEvent"'
        elif name == "Severity":
            level = _level(value)
    properties = ",\n".join(f"    {_string(name)} : {_value(value)}" for name, value in columns.items())
    return (
        f'{{ "time" : "{seven_digits(at_us)}",\n  "resourceId" : {_string(resource_id)},\n'
        f'  "properties" : {{\n{properties}\n  }},\n'
        f'  "category" : {category},\n  "level" : {level},\n  "operationName" : {operation}\n}}'
    )


def file_line(columns: Mapping[str, EdmValue], at_us: int, partition_key: str, row_key: str, now_us: int) -> str:
    """One line of the file sink, without its newline; ``now_us``: when the row was made (Unix microseconds)."""
    listed = ", ".join(f"{name}={_shown(value)}" for name, value in columns.items())
    line = (
        f"{seven_digits(now_us)}\t({len(columns)} columns, time {seven_digits(at_us)}, "
        f"_pKey {partition_key or '{empty}'}, _rkey {row_key or '{empty}'}, [{listed}])"
    )
    return line.replace("\r", "\\r").replace("\n", "\\n")


def duration(seconds: int) -> str:
    """ISO 8601 text of a duration as configurations write it: PT1M, PT1H, PT1M30S."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + ("".join(f"{n}{unit}" for n, unit in parts if n) or "0S")


def seven_digits(us: int) -> str:
    """ISO 8601 with Z and always seven digits of fraction."""
    return f"{ticks.iso(us // ticks.SECOND_US * ticks.SECOND_US)[:-1]}.{us % ticks.SECOND_US:06d}0Z"


def _level(value: EdmValue) -> str:
    kind, given = value
    if kind not in ("Int32", "Int64", "Double"):
        return _value(value)
    number = int(given) if math.isfinite(given) else -1
    return _string(_SEVERITIES[number] if 0 <= number < len(_SEVERITIES) else "Other")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(value: EdmValue) -> str:
    """A value as JSON: whole doubles without a point, 17 significant digits; what JSON has no number for is null."""
    kind, given = value
    if given is None:
        return "null"
    if kind == "Boolean":
        return "true" if given else "false"
    if kind in ("Int32", "Int64"):
        return str(int(given))
    if kind == "Double":
        return f"{float(given):.17g}" if math.isfinite(given) else "null"
    if kind == "DateTime":
        return _string(ticks.trimmed(str(given)))
    return _string(str(given))


def _shown(value: EdmValue) -> str:
    kind, given = value
    if kind == "Boolean":
        return "true" if given else "false"
    if kind == "String":
        return f'(wstr)"{given}"'
    if kind == "DateTime":
        return f"(utc)[{ticks.trimmed(str(given))}]"
    if kind == "Double":
        return f"(float64){float(given):g}"
    return f"({_TYPES.get(kind, kind)}){given}"
