"""The record that travels between pipeline stages, and the stages that change one record (spec/mdsd.md 2, 2.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extension.plan import Unpivot
from extension.rows import ticks
from extension.rows.edm import EdmValue, from_cim

NUMERIC = frozenset({"Int32", "Int64", "Double"})
_KEYS = ("PartitionKey", "RowKey")


@dataclass(frozen=True)
class Record:
    """Columns of one event, and the keys if a metric stage has made them already ("" = none yet).

    ``twin``: the second of the two mirrored records of one metric, which JSON outputs leave out.
    """

    columns: dict[str, EdmValue]
    partition_key: str = ""
    row_key: str = ""
    twin: bool = False


def from_instance(instance: Mapping[str, object], types: Mapping[str, str]) -> dict[str, EdmValue]:
    """EDM columns of a CIM instance, in its order, with text as UTF-8 can carry it; ``types``: property -> CIM type."""
    found = ((name, from_cim(types.get(name, "string"), value)) for name, value in instance.items())
    return {clean(name): (kind, clean(value) if kind == "String" else value) for name, (kind, value) in found}


def keyed(columns: dict[str, EdmValue]) -> Record:
    """The record of an instance. Properties named as the keys are its keys (spec/mdsd.md 3.2)."""
    found = {name: columns.pop(name)[1] for name in _KEYS if name in columns}
    partition_key, row_key = (str(found.get(name, "")) for name in _KEYS)
    return Record(columns, partition_key, row_key)


def from_event(columns: Mapping[str, EdmValue]) -> dict[str, EdmValue]:
    """The columns of an event that a client sent: text as UTF-8 can carry it (JSON allows lone surrogates), times
    without trailing zeros."""
    return {clean(name): _event_value(value) for name, value in columns.items()}


def _event_value(value: EdmValue) -> EdmValue:
    kind, given = value
    if not isinstance(given, str):
        return value
    return (kind, ticks.trimmed(given) if kind == "DateTime" else clean(given))


def clean(text: str) -> str:
    """Text as UTF-8 can carry it."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def unpivot(columns: Mapping[str, EdmValue], spec: Unpivot) -> list[dict[str, EdmValue]]:
    """One set of columns per listed column that is present, in the order of ``columns``: the others, the (mapped) name
    and the (scaled) value.

    A mapped number becomes Double even with factor 1; an unmapped one keeps its type; strings and booleans are not
    scaled. Listed names that are absent are ignored; no match gives an empty list.
    """
    parts, by, of = spec.parts, spec.column_name, spec.column_value
    rest = {name: value for name, value in columns.items() if name not in parts}
    out: list[dict[str, EdmValue]] = []
    for name, value in columns.items():
        part = parts.get(name)
        if part is None:
            continue
        label, factor = part
        if factor is not None and value[0] in NUMERIC:
            value = ("Double", float(value[1]) * factor)
        out.append({**rest, by: label, of: value})
    return out


def with_identity(columns: Mapping[str, EdmValue], identity: Sequence[tuple[str, str]]) -> dict[str, EdmValue]:
    """The columns followed by the identity columns."""
    return {**columns, **{name: ("String", value) for name, value in identity}}
