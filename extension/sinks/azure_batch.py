"""Writes entity group transactions: one change set of insert-or-replace in a ``$batch`` body. Pure functions.

The SDK's own ``submit_transaction`` builds the same request through ``email.message`` and takes 25 times as long
(spec/storage.md 3); the shape of the request (parts, headers, type marks) is the one that it sends. What is optional
is left out: a string needs no type mark, a part neither date nor version of its own.
"""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, repeat
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from typing import Any
from urllib.parse import quote

from extension.rows.columnar import Column, Columnar, Reals, columnar
from extension.rows.edm import EdmValue, Row

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:-]*", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(address: str, table: str, rows: Sequence[Row]) -> tuple[bytes, str]:
    """(body, Content-Type) of a transaction that upsert-replaces ``rows`` in ``table``.

    ``address`` is the account's endpoint without a trailing slash, without a SAS. There must be rows, and they must
    have passed :func:`extension.sinks.limits.check_batch`. NULL columns are left out: the service stores none.
    """
    mark = uuid.uuid4().hex
    batch, changes = f"batch_{mark}", f"changeset_{mark}"
    alike = columnar(rows)
    partition = (alike or rows[0]).partition_key
    if alike is None:
        row_keys: Sequence[str] = [row.row_key for row in rows]
        members = [_members(row.columns) for row in rows]
    else:
        row_keys, members = alike.row_keys, _alike_members(alike)
    start = f"\r\n--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "
    put = f"\r\n\r\nPUT {address}/{table}(PartitionKey='{key_in_url(partition)}',RowKey='"
    head = "') HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
    entity = f'{{"PartitionKey":{_text(partition)},"RowKey":'
    more = f"\r\nDataServiceVersion: 3.0\r\nAccept: application/json\r\n\r\n{entity}"
    fixed = len(entity) + 1
    parts = [
        f"{start}{number}{put}{in_url}{head}{fixed + len(key) + len(others)}{more}{key}{others}}}"
        for number, (in_url, key, others) in enumerate(zip(*_keys(row_keys), members, strict=True))
    ]
    first = f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n"
    body = "".join([first, *parts, f"\r\n--{changes}--\r\n\r\n--{batch}--\r\n"])
    return body.encode("ascii"), f"multipart/mixed; boundary={batch}"


def encode_entity(row: Row) -> str:
    """The row as one JSON object in ASCII, every type kept: Int64, Double and DateTime are marked."""
    return f'{{"PartitionKey":{_text(row.partition_key)},"RowKey":{_text(row.row_key)}{_members(row.columns)}}}'


def _keys(keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Keys as they stand in addresses, and as they stand in JSON."""
    if _PLAIN_KEY.fullmatch("".join(keys)):
        return "\n".join(keys).replace(":", "%3A").split("\n"), [f'"{key}"' for key in keys]
    return list(map(key_in_url, keys)), list(map(_text, keys))


def _alike_members(rows: Columnar) -> list[str]:
    """:func:`_members` of each row. All that is the same in all of them is made once."""
    pieces: list[Iterable[str]] = []
    same = ""
    for column in rows.columns:
        text, texts = _column(column, len(rows.counts))
        same += text
        if texts is not None:
            pieces += repeat(same), texts
            same = ""
    members = map("".join, zip(*pieces, repeat(same), strict=False))
    return [text for text, count in zip(members, rows.counts, strict=False) for _ in range(count)]


def _column(column: Column, rows: int) -> tuple[str, Iterable[str] | None]:
    """One column as a member after a comma: what all rows begin it with, and what follows in each, None for nothing."""
    name, kind, values = column
    if isinstance(kind, str) and isinstance(values, str):
        return _members({name: (kind, values)}), None
    if isinstance(kind, str) and isinstance(values, Reals):
        texts: Iterable[str] = values.texts
    elif not isinstance(kind, str) or None in values:
        return "", [_members({name: typed}) for typed in islice(column.pairs(), rows)]
    else:
        texts = map(repr if _plain(kind, values) else _VALUES[kind], values)
    return "," + _name(kind, name), texts


def _plain(kind: str, values: Sequence[Any]) -> bool:
    """Whether ``repr`` writes the values as JSON does."""
    types = set(map(type, values))
    return types == {int} if kind == "Int32" else kind == "Double" and types == {float} and all(map(isfinite, values))


def _members(columns: Mapping[str, EdmValue]) -> str:
    """The columns as members of an object, each after a comma."""
    members = [""]
    for name, (kind, value) in columns.items():
        if value is not None:
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
