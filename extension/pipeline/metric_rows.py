"""The table rows of a window's metrics at once, where the service takes their column names as they are. Pure.

All counters of a window have the same columns, so what depends on names and identity is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from extension.pipeline import sizes
from extension.pipeline.batches import BATCH_BYTES, BATCH_ROWS
from extension.pipeline.metrics import Statistics, metric_columns, metric_series
from extension.plan import LadQuery
from extension.rows import keys
from extension.rows.columnar import Column, Columnar
from extension.rows.columns import repaired
from extension.rows.edm import EdmValue


def metric_rows(
    counters: Mapping[str, Statistics],
    spec: LadQuery,
    window_start: int,
    identity: Mapping[str, EdmValue],
    stamp: EdmValue,
) -> list[tuple[Columnar, int]] | None:
    """Two rows per counter, as the records of :func:`extension.pipeline.metrics.metric_records` become rows, in
    portions of a batch, with mdsd's estimate of the size of each; ``stamp`` is their TIMESTAMP.

    None if it takes more than that: names to be repaired, rows without keys of their own or too large.
    """
    if not counters:
        return []
    constant = {**identity, "TIMESTAMP": stamp}
    name, s = next(iter(counters.items()))
    columns = {**metric_columns(name, s, spec), **constant}
    if repaired(columns)[1] or not spec.partition_key:
        return None
    named = columns[spec.column_name][1] is name
    fixed_size = sizes.of_columns(columns)[0] + 2 * sizes.text_bytes(spec.partition_key) + 4
    fixed_size -= 2 * sizes.text_bytes(name) if named else 0
    made: list[tuple[Columnar, int]] = []
    for part in _portions(counters):
        row_keys = keys.all_metric_row_keys(part, window_start, spec.instance_id)
        texts = 2 * sizes.text_bytes("".join(row_keys[::2])) + (2 * sizes.text_bytes("".join(part)) if named else 0)
        if fixed_size + texts > sizes.MAX_COLUMN:  # if not even all their names are too much, no row is too large
            return None
        size = 2 * (fixed_size * len(part) + texts)
        if size > BATCH_BYTES:
            return None
        made.append((Columnar(spec.partition_key, row_keys, [2] * len(part), _columns(part, spec, constant)), size))
    return made


def _columns(part: Mapping[str, Statistics], spec: LadQuery, constant: Mapping[str, EdmValue]) -> list[Column]:
    """A column that comes twice stands where it first came, with what came last."""
    made = {name: Column(name, kind, values) for name, (kind, values) in metric_series(part, spec).items()}
    for name, (kind, value) in constant.items():
        made[name] = Column(name, kind, value if isinstance(value, str) else [value] * len(part))
    return list(made.values())


def _portions(counters: Mapping[str, Statistics]) -> Iterator[Mapping[str, Statistics]]:
    """So many at a time as have their two rows in one batch."""
    most = BATCH_ROWS // 2
    if len(counters) <= most:
        yield counters
        return
    left = iter(counters.items())
    while part := dict(islice(left, most)):
        yield part
