"""Rows of one partition with the same columns, held column by column: what is done to all of them is done at once."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, overload

from extension.rows.edm import EdmValue, Row


class Reals(Sequence[float]):
    """Finite floats as the texts that ``repr`` makes of them, which is how they came and how they go: a number is made
    when one is asked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[float]:
        return map(float, self.texts)

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> "Reals": ...
    def __getitem__(self, at: int | slice) -> "float | Reals":
        return Reals(self.texts[at]) if isinstance(at, slice) else float(self.texts[at])


class Column(NamedTuple):
    """``kinds``: the type of all values, or one each; ``values``: one each, or a text that stands for all of them."""

    name: str
    kinds: str | list[str] | tuple[str, ...]
    values: str | list[Any] | tuple[Any, ...] | Reals

    def pairs(self) -> Iterator[EdmValue]:
        """(type, value) of each; without end if one stands for all of both."""
        return zip(_each(self.kinds), _each(self.values), strict=False)


class Columnar(Sequence[Row]):
    """At least one row. ``counts``: how many rows in turn have the same columns (the two of a metric share theirs);
    ``columns`` have a value for each of them. The rows themselves are made when one is asked for."""

    def __init__(
        self, partition_key: str, row_keys: Sequence[str], counts: Sequence[int], columns: Sequence[Column]
    ) -> None:
        """Raises ValueError if something is missing or left over."""
        self.partition_key, self.row_keys, self.counts, self.columns = partition_key, row_keys, counts, columns
        rows = len(counts)
        short = [column for column in columns for part in column[1:] if not isinstance(part, str) and len(part) != rows]
        if not row_keys or not columns or sum(counts) != len(row_keys) or short:
            values = min((len(c.values) for c in short), default=len(counts))
            raise ValueError(f"{len(row_keys)} row keys for {sum(counts)} rows, of which {values} have all columns")

    @functools.cached_property
    def _rows(self) -> list[Row]:
        names = [column.name for column in self.columns]
        keys = iter(self.row_keys)
        out: list[Row] = []
        for count, *pairs in zip(self.counts, *(column.pairs() for column in self.columns), strict=False):
            columns = dict(zip(names, pairs, strict=True))
            out += [Row(self.partition_key, next(keys), columns) for _ in range(count)]
        return out

    def __len__(self) -> int:
        return len(self.row_keys)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._rows == list(other)

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        return self._rows[at]


def columnar(rows: Sequence[Row]) -> Columnar | None:
    """``rows`` column by column; None if they are not alike."""
    if isinstance(rows, Columnar):
        return rows
    if not rows or not rows[0].columns:
        return None
    partition_key, names = rows[0].partition_key, tuple(rows[0].columns)
    distinct: list[dict[str, EdmValue]] = []
    counts: list[int] = []
    for row in rows:
        if row.partition_key != partition_key:
            return None
        if distinct and row.columns is distinct[-1]:
            counts[-1] += 1
        else:
            distinct.append(row.columns)
            counts.append(1)
    if any(map(names.__ne__, map(tuple, distinct))):
        return None
    typed = zip(*(columns.values() for columns in distinct), strict=True)
    return Columnar(partition_key, [row.row_key for row in rows], counts, list(map(_column, names, typed)))


def _column(name: str, typed: Sequence[EdmValue]) -> Column:
    kinds, values = zip(*typed, strict=True)
    first = values[0]
    same = isinstance(first, str) and values.count(first) == len(values)
    return Column(name, kinds[0] if kinds.count(kinds[0]) == len(kinds) else kinds, first if same else values)


def joined(parts: Sequence[Columnar]) -> Columnar | None:
    """The rows of all parts, in order; None if the parts are not alike."""
    partition_key, width = parts[0].partition_key, len(parts[0].columns)
    if any(part.partition_key != partition_key or len(part.columns) != width for part in parts):
        return None
    lengths = [len(part.counts) for part in parts]
    columns: list[Column] = []
    for names, kinds, values in (zip(*same, strict=True) for same in zip(*(p.columns for p in parts), strict=True)):
        if names.count(names[0]) != len(names):
            return None
        columns.append(Column(names[0], _together(kinds, lengths), _together(values, lengths)))
    row_keys = [key for part in parts for key in part.row_keys]
    return Columnar(partition_key, row_keys, [n for part in parts for n in part.counts], columns)


def _together(given: Sequence[str | Sequence[Any]], lengths: Sequence[int]) -> str | list[Any]:
    """What parts of a column say, each for so many rows; a text if that stands for all of them."""
    first = given[0]
    if isinstance(first, str) and given.count(first) == len(given):
        return first
    out: list[Any] = []
    for one, length in zip(given, lengths, strict=True):
        out += [one] * length if isinstance(one, str) else one
    return out


def _each(given: str | Sequence[Any]) -> Iterable[Any]:
    return repeat(given) if isinstance(given, str) else given
