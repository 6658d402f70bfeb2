"""The table rows of a window's metrics at once, where the service takes their column names as they are. Pure.

All counters of a window have the same columns, so what depends on names and identity is worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping

from extension.pipeline import sizes
from extension.pipeline.metrics import Statistics, metric_columns
from extension.plan import LadQuery
from extension.rows import keys
from extension.rows.columns import repaired
from extension.rows.edm import EdmValue, Row


def metric_rows(
    counters: Mapping[str, Statistics],
    spec: LadQuery,
    window_start: int,
    identity: Mapping[str, EdmValue],
    stamp: EdmValue,
) -> list[tuple[Row, int]] | None:
    """Two rows per counter, with mdsd's estimate of their size, as the records of
    :func:`extension.pipeline.metrics.metric_records` become rows; ``stamp`` is their TIMESTAMP.

    None if it takes more than that: names to be repaired, rows without keys of their own or too large.
    """
    partition_key = spec.partition_key
    fixed_size = -1
    rows: list[tuple[Row, int]] = []
    for name, s in counters.items():
        columns = {**metric_columns(name, s, spec), **identity, "TIMESTAMP": stamp}
        name_size = 2 * sizes.text_bytes(name) if columns[spec.column_name][1] is name else 0
        if fixed_size < 0:
            if repaired(columns)[1] or not partition_key:
                return None
            fixed_size = sizes.of_columns(columns)[0] - name_size + 2 * sizes.text_bytes(partition_key) + 4
        first, second = keys.metric_row_keys(name, window_start, spec.instance_id)
        size = fixed_size + name_size + 2 * sizes.text_bytes(first)
        if size > sizes.MAX_COLUMN:
            return None
        rows += ((Row(partition_key, first, columns), size), (Row(partition_key, second, columns), size))
    return rows
