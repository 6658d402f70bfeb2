"""Named values: what Unpivot makes of instances that have nothing but listed properties, as counters do.

The records of such a run differ in a name and a value only, so they need not be made one by one to be stored. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extension.pipeline.records import NUMERIC, Record, clean
from extension.plan import Unpivot
from extension.rows.edm import EdmValue, from_cim, plain_kind

MAX_INT64 = (1 << 63) - 1


@dataclass(frozen=True)
class Named:
    """Records of one time, in order: each has the text ``names[i]`` in column ``by`` and a value in column ``of``."""

    at_us: int
    by: str
    of: str
    names: list[str]
    kinds: list[str]
    values: list[Any]
    numeric_names: frozenset[str]
    """Those that have a number."""

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        for name, kind, value in zip(self.names, self.kinds, self.values, strict=True):
            yield self.at_us, Record({self.by: ("String", name), self.of: (kind, value)})

    def packed(self) -> dict[str, list[list[Any]]]:
        """As :func:`extension.store.bodies.encode` arranges the records."""
        kinds = self.kinds
        alike = kinds.count(kinds[0]) == len(kinds)
        return {"c": [[self.by, "String", self.names], [self.of, kinds[0] if alike else kinds, self.values]]}


class Namer:
    """Makes :class:`Named` of the instances of one query; ``types``: property -> CIM type."""

    def __init__(self, spec: Unpivot, types: Mapping[str, str]) -> None:
        self.types = types
        self.spec = spec
        self._columns = {
            name: (label[1], factor, types.get(name, "string"), plain_kind(types.get(name, "string")))
            for name, (label, factor) in spec.parts.items()
        }
        self._names: list[str] = []
        self._distinct = frozenset[str]()

    def named(self, instances: Iterable[Mapping[str, object]], at_us: int) -> Named | None:
        """The values in the order of the instances; None if they have anything besides, or nothing."""
        columns = self._columns
        names: list[str] = []
        kinds: list[str] = []
        values: list[Any] = []
        for instance in instances:
            for name, given in instance.items():
                column = columns.get(name)
                if column is None:
                    return None
                label, factor, cim_type, kind = column
                value: Any = given
                if not (kind == "Double" and type(given) is float) and not (
                    type(given) is int and kind in ("Int32", "Int64") and 0 <= given <= MAX_INT64
                ):
                    kind, value = _converted(cim_type, given)
                if factor is not None and kind in NUMERIC:
                    kind, value = "Double", float(value) * factor
                names.append(label)
                kinds.append(kind)
                values.append(value)
        spec = self.spec
        if not names or spec.column_name == spec.column_value:
            return None
        if names != self._names:  # most samples have the same
            self._names, self._distinct = names, frozenset(names)
        numeric = self._distinct
        if not NUMERIC.issuperset(kinds):
            numeric = frozenset(name for name, kind in zip(names, kinds, strict=True) if kind in NUMERIC)
        return Named(at_us, spec.column_name, spec.column_value, names, kinds, values, numeric)


def _converted(cim_type: str, given: object) -> EdmValue:
    kind, value = from_cim(cim_type, given)
    return kind, clean(value) if kind == "String" else value
