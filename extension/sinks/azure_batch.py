"""Writes entity group transactions: one change set of insert-or-replace in a ``$batch`` body. Pure functions.

The SDK's own ``submit_transaction`` builds the same request through ``email.message`` and takes 25 times as long
(spec/storage.md 3); the shape of the request (parts, headers, type marks) is the one that it sends. What is optional
is left out: a string needs no type mark, a part neither date nor version of its own.
"""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any
from urllib.parse import quote

from extension.rows.edm import EdmValue, Row

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:-]*", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(address: str, table: str, rows: Sequence[Row]) -> tuple[bytes, str]:
    """(body, Content-Type) of a transaction that upsert-replaces ``rows`` in ``table``.

    ``address`` is the account's endpoint without a trailing slash, without a SAS. The rows must have passed
    :func:`extension.sinks.limits.check_batch`. NULL columns are left out: the service stores none.
    """
    mark = uuid.uuid4().hex
    batch, changes = f"batch_{mark}", f"changeset_{mark}"
    between = f"\r\n--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "
    pieces = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n"]
    start, partition = "", None
    columns, members = None, ""
    made = _all_members(rows)
    for index, row in enumerate(rows):
        if row.partition_key != partition:
            partition = row.partition_key
            start = f"\r\n\r\nPUT {address}/{table}(PartitionKey='{key_in_url(partition)}',RowKey='"
        if row.columns is not columns:  # the two rows of a metric share theirs
            columns = row.columns
            members = next(made)
        entity = f'{{"PartitionKey":{_text(partition)},"RowKey":{_text(row.row_key)}{members}}}'
        pieces.append(
            f"{between}{index}{start}{key_in_url(row.row_key)}') HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(entity)}\r\nDataServiceVersion: 3.0\r\nAccept: application/json\r\n\r\n{entity}"
        )
    pieces.append(f"\r\n--{changes}--\r\n\r\n--{batch}--\r\n")
    return "".join(pieces).encode("ascii"), f"multipart/mixed; boundary={batch}"


def encode_entity(row: Row) -> str:
    """The row as one JSON object in ASCII, every type kept: Int64, Double and DateTime are marked."""
    return f'{{"PartitionKey":{_text(row.partition_key)},"RowKey":{_text(row.row_key)}{_members(row.columns)}}}'


def _all_members(rows: Sequence[Row]) -> Iterator[str]:
    """:func:`_members` of each set of columns in turn; by column where all have the same names, which is cheaper."""
    distinct = [row.columns for row, before in zip(rows, (None, *rows), strict=False) if _other(row, before)]
    names = tuple(distinct[0]) if distinct else ()
    if not names or any(tuple(columns) != names for columns in distinct):
        return map(_members, distinct)
    found = [_column(name, [columns[name] for columns in distinct]) for name in names]
    return map("".join, zip(*found, strict=True))


def _other(row: Row, before: Row | None) -> bool:
    return before is None or row.columns is not before.columns


def _column(name: str, values: list[EdmValue]) -> list[str]:
    """One column of all rows as members, each after a comma; NULLs are empty."""
    first = values[0]
    if isinstance(first[1], str) and values.count(first) == len(values):
        return [_members({name: first})] * len(values)
    if all(kind == "Double" and type(value) is float for kind, value in values):
        head = "," + _name("Double", name)
        return [head + _double(value) for _, value in values]
    return [_members({name: value}) for value in values]


def _members(columns: Mapping[str, EdmValue]) -> str:
    """The columns as members of an object, each after a comma."""
    # The list is joined once: a dict for json.dumps would double the cost of a row.
    members = [""]
    for name, (kind, value) in columns.items():
        if kind == "String" and value is not None and value.isascii():
            members.append(_name(kind, name) + _quoted(value))
        elif value is not None:
            members.append(_name(kind, name) + _VALUES[kind](value))
    return ",".join(members)


def key_in_url(key: str) -> str:
    """A key as it stands between the quotes of an entity's address: percent-encoded, single quotes doubled."""
    if _PLAIN_KEY.fullmatch(key):
        return key.replace(":", "%3A")
    return quote(key.replace("'", "''"), safe="")


def repaired(text: str) -> str:
    """``text`` without lone surrogates (no service stores them; they come from file names that are not UTF-8).

    Pairs are joined to the character they stand for, lone halves become U+FFFD.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@functools.lru_cache(maxsize=1024)
def _name(kind: str, name: str) -> str:
    mark = f'{_text(name + "@odata.type")}:"Edm.{kind}",' if kind in _MARKED else ""
    return f"{mark}{_text(name)}:"


def _text(value: str) -> str:
    return _quoted(value if value.isascii() else repaired(value))


def _double(value: float) -> str:
    text = repr(float(value))
    return text if text[-1].isdigit() else _NOT_FINITE[text]


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _int64(value: int) -> str:
    return f'"{int(value)}"'


def _int32(value: int) -> str:
    return str(int(value))


_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_MARKED = frozenset({"Int64", "Double", "DateTime"})
_VALUES: dict[str, Callable[[Any], str]] = {
    "String": _text,
    "DateTime": _text,
    "Double": _double,
    "Int64": _int64,
    "Int32": _int32,
    "Boolean": _boolean,
}
