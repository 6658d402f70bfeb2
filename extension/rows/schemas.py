"""SchemasTable rows: which columns a table's rows have (spec/mdsd.md 3.4)."""

from __future__ import annotations

from collections.abc import Mapping

from extension import hashes
from extension.rows import ticks
from extension.rows.edm import EdmValue, Row

TABLE = "SchemasTable"
Signature = tuple[tuple[str, str], ...]
"""(name, mdstype) of columns."""
_MDS = {
    "String": "mt:wstr",
    "Boolean": "mt:bool",
    "Int32": "mt:int32",
    "Int64": "mt:int64",
    "Double": "mt:float64",
    "DateTime": "mt:utc",
}
_TIMES = (("TIMESTAMP", "mt:utc"), ("PreciseTimeStamp", "mt:utc"))
_KEYS = (("PartitionKey", "mt:wstr"), ("RowKey", "mt:wstr"), ("N", "mt:wstr"), ("RowIndex", "mt:wstr"))
_ADDED = frozenset(name for name, _ in (*_TIMES, *_KEYS))


def signature(columns: Mapping[str, EdmValue]) -> Signature:
    """(name, mdstype) of the data and identity columns in row order."""
    return tuple((name, _MDS[value[0]]) for name, value in columns.items() if name not in _ADDED)


def schema_row(physical: str, columns: Signature, host: str, now_us: int) -> Row:
    """The SchemasTable row of a table.

    ``physical``: table name without date suffix and unhashed; ``columns``: :func:`signature` of data and identity
    columns; ``host``: the uploader's name; ``now_us``: Unix microseconds.
    """
    listed = (*_TIMES, *columns, *_KEYS)
    text = ",".join(f"{name},{mds}" for name, mds in sorted(listed, key=lambda c: c[0].encode()))
    digest = hashes.digest("md5", text.encode()).hex()
    body = "".join(f'<Column name="{name}" type="{mds}"></Column>' for name, mds in listed)
    n = f"{len(physical) % 10:019d}"
    string = {
        "N": n,
        "PhysicalTableName": physical,
        "MD5Hash": digest,
        "Schema": f'<MdsConfig><Schemas><Schema name="Schema_{digest}">{body}</Schema></Schemas></MdsConfig>',
        "Uploader": host,
    }
    cols: dict[str, EdmValue] = {"TIMESTAMP": ("DateTime", "1601-01-01T00:00:00.0000001Z")}
    cols.update({k: ("String", v) for k, v in string.items()})
    cols["UploadTS"] = ("DateTime", ticks.iso(now_us))
    cols.update({f"Reserved{i}": ("String", "") for i in (1, 2, 3)})
    return Row(f"{n}___0504911232000000001", f"{physical}___{digest}", cols)
