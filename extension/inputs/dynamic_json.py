"""Messages of the dynamic-schema JSON input: ``[source, msgId, schemaId, schema|null, data]`` (spec/mdsd.md 6.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from extension.inputs import timestamps
from extension.inputs.answer import Answer, Columns, text
from extension.rows import ticks
from extension.rows.edm import EdmValue

KIND = "djson"

OK, FAILED, UNKNOWN_SCHEMA, DECODE_ERROR, INVALID_SOURCE, SCHEMA_ID_TAKEN = range(6)
"""Codes of an acknowledgement."""

METADATA = frozenset({"TIMESTAMP", "PreciseTimeStamp", "PartitionKey", "RowKey", "N", "RowIndex"})
"""Column names that are the pipeline's own: such columns are left out."""

TYPES = frozenset({"FT_INVALID", "FT_BOOL", "FT_INT32", "FT_INT64", "FT_DOUBLE", "FT_TIME", "FT_STRING"})
MAX_SCHEMAS = 4096
MAX_COLUMNS = 131_072
"""Of all schemas of a connection: mdsd has no bound, memory has."""
_UINT32 = 1 << 32
_INT64 = 1 << 63


@dataclass(frozen=True)
class Schema:
    """``fields``: (name, FT_ type); ``time_index``: the field that dates the event, None for the time of receipt."""

    fields: tuple[tuple[str, str], ...]
    time_index: int | None


class _InvalidError(Exception):
    """The message cannot be decoded; what is wrong, without its values."""


class DynamicDecoder:
    """One connection of the dynamic JSON input; ``known``: the tables that may be named."""

    kind = KIND

    def __init__(self, known: Mapping[str, Columns | None]) -> None:
        self._known = known
        self._schemas: dict[int, Schema] = {}
        self._columns = 0

    def decode(self, message: object, now_us: int) -> Answer:
        """The event of a message. Errors found before the msgId counts answer with msgId 0, as mdsd does."""
        try:
            source, msg_id, schema_id, described, data = _envelope(message)
            if described is not None:
                known = self._schemas.get(schema_id)
                schema = _schema(described)
                if known is None:
                    if len(self._schemas) >= MAX_SCHEMAS or self._columns + len(schema.fields) > MAX_COLUMNS:
                        why = f"a connection may have {MAX_SCHEMAS} schemas of {MAX_COLUMNS} columns in all"
                        return _refused(0, FAILED, "too many schemas", why)
                    self._schemas[schema_id] = schema
                    self._columns += len(schema.fields)
                elif known != schema:
                    return _refused(0, SCHEMA_ID_TAKEN, "schema id already used for another schema", f"id {schema_id}")
            elif schema_id in self._schemas:
                schema = self._schemas[schema_id]
            else:
                return _refused(0, UNKNOWN_SCHEMA, "unknown schema id", f"id {schema_id}")
            if len(data) != len(schema.fields):
                raise _InvalidError(f"{len(data)} values for {len(schema.fields)} columns")
            if not isinstance(msg_id, int) or not -_INT64 <= msg_id < _INT64:
                raise _InvalidError("the msgId is not a 64-bit integer")
            invalid = next((i for i, (_, kind) in enumerate(schema.fields) if kind == "FT_INVALID"), len(data))
            columns, at_us = _columns(schema, data[:invalid])
        except _InvalidError as why:
            return _refused(0, DECODE_ERROR, "cannot be decoded", str(why))
        if invalid < len(data):
            return _refused(msg_id, DECODE_ERROR, "cannot be decoded", "a column has the type FT_INVALID")
        if source not in self._known:
            return _refused(msg_id, INVALID_SOURCE, "unknown source", f"the document has no source {source[:80]!a}")
        event = (source, now_us if at_us is None else at_us, columns)
        return Answer(_ack(msg_id, OK), event, not_stored=_ack(msg_id, FAILED))


def malformed(why: str) -> Answer:
    """The answer to a frame that is not JSON."""
    return _refused(0, DECODE_ERROR, "cannot be decoded", why)


def _ack(msg_id: int, code: int) -> bytes:
    return b"%d:%d\n" % (msg_id % (1 << 64), code)


def _refused(msg_id: int, code: int, reason: str, detail: str) -> Answer:
    return Answer(_ack(msg_id, code), reason=reason, detail=detail)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _envelope(message: object) -> tuple[str, object, int, list[object] | None, list[object]]:
    """The five elements, checked as far as their JSON types go."""
    if not isinstance(message, list) or len(message) != 5:
        raise _InvalidError("the message is not an array of 5 elements")
    source, msg_id, schema_id, schema, data = message
    if not isinstance(source, str):
        raise _InvalidError("the source is not a string")
    if not _number(msg_id):
        raise _InvalidError("the msgId is not a number")
    if not isinstance(schema_id, int) or isinstance(schema_id, bool) or not 0 <= schema_id < 1 << 64:
        raise _InvalidError("the schemaId is not an unsigned integer")
    if not isinstance(data, list):
        raise _InvalidError("the data are not an array")
    if schema is not None and not isinstance(schema, list):
        raise _InvalidError("the schema is neither null nor an array")
    return source, msg_id, schema_id, schema, data


def _schema(described: list[object]) -> Schema:
    """A schema, perhaps preceded by the index of its time column; a first element that is no such index is ignored."""
    index: int | None = None
    if described and not isinstance(described[0], list):
        first, described = described[0], described[1:]
        if isinstance(first, int) and not isinstance(first, bool) and 0 <= first < len(described):
            index = first
    fields: list[tuple[str, str]] = []
    for field in described:
        if not isinstance(field, list) or len(field) != 2:
            raise _InvalidError("the schema has an element that is not [name, type]")
        name, kind = field
        if not isinstance(name, str) or not isinstance(kind, str) or kind not in TYPES:
            raise _InvalidError("the schema has a column without a name or with an unknown type")
        fields.append((text(name), kind))
    return Schema(tuple(fields), index)


def _columns(schema: Schema, data: list[object]) -> tuple[dict[str, EdmValue], int | None]:
    """The columns, and the event's own time (Unix us) if the schema names a time column."""
    columns: dict[str, EdmValue] = {}
    at_us: int | None = None
    for index, ((name, kind), value) in enumerate(zip(schema.fields, data, strict=False)):
        if kind == "FT_TIME":
            us = _time(value)
            converted: EdmValue | None = None if us is None else ("DateTime", ticks.iso(us))
            if index == schema.time_index:
                at_us = us
        else:
            converted = _value(kind, value)
        if converted is None:
            raise _InvalidError(f"the value of {name[:80]!a} does not fit {kind}")
        if name not in METADATA:
            columns[name] = converted
    return columns, at_us


def _value(kind: str, value: object) -> EdmValue | None:
    if kind == "FT_STRING":
        return ("String", text(value)) if isinstance(value, str) else None
    if kind == "FT_BOOL":
        return ("Boolean", value) if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if kind == "FT_DOUBLE":
        try:
            number = float(value)
        except OverflowError:
            return None
        return ("Double", number) if math.isfinite(number) else None
    bits = 31 if kind == "FT_INT32" else 63
    if isinstance(value, float) or not -(1 << bits) <= value < 1 << bits:
        return None
    return (kind[3:].capitalize(), value)


def _time(value: object) -> int | None:
    """Unix microseconds of ``[seconds, nanoseconds]``."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    whole, nanos = value
    for part in (whole, nanos):
        if not isinstance(part, int) or isinstance(part, bool) or part < 0:
            return None
    if nanos >= _UINT32:
        return None
    return timestamps.in_range(whole * ticks.SECOND_US + nanos // 1000)
