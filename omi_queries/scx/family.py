"""What the providers of the statistical classes have in common: the seam to the backend, and deltas."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from omi_queries.classes import CimClass
from omi_queries.types import CimValue, Instance

Raw = Mapping[str, Sequence[int]]
"""Instance (or counter) name -> raw counters."""

Wants = Callable[[str, bool], bool]
"""(instance name, is it an aggregate) -> False if the query rules it out."""


def everything(_name: str, _aggregate: bool) -> bool:
    """Rules out nothing."""
    return True


class Where(NamedTuple):
    """A WHERE that needs values: the properties it looks at, and whether an instance that has them passes."""

    looks_at: frozenset[str]
    passes: Callable[[Instance], bool | None]


class Counters(NamedTuple):
    """Raw counters and when they were read, in seconds since boot."""

    at: float
    raw: Raw


NOTHING = Counters(0.0, {})
"""What a class without rates counts."""


class Ask(NamedTuple):
    """One sample to be taken.

    ``tick`` identifies the instant (None: now, shared with nobody); ``old`` are the counters that rates start from,
    None if there are none; ``needs`` the properties that are looked at; ``skip`` counts a reason for an absence.
    ``where`` rules out more than ``wants``: nobody has to ask it, but it may save work.
    """

    tick: float | None
    old: Counters | None
    needs: frozenset[str]
    wants: Wants
    skip: Callable[[str], None]
    where: Where | None = None


class Family(Protocol):
    """Provider of one class. ``width``: how many raw counters a row has, 0 if the class has no rates."""

    width: int

    def counters(self) -> Counters:
        """The raw counters now."""

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        """The instances, all needed properties set, and the raw counters that they were made from."""


UINT64_MAX = (1 << 64) - 1
NO_EARLIER = "no earlier reading, rates are not known yet"
NO_TIME = "no time passed since the earlier reading, rates are not known"


def elapsed(ask: Ask, new: Counters, rates: frozenset[str]) -> float:
    """Seconds between the two readings.

    0.0 if none of the ``rates`` is needed, or, with the reason counted, if there is no interval.
    """
    if ask.needs.isdisjoint(rates):
        return 0.0
    if ask.old is None:
        ask.skip(NO_EARLIER)
        return 0.0
    seconds = new.at - ask.old.at
    if seconds <= 0.0:
        ask.skip(NO_TIME)
        return 0.0
    return seconds


def deltas(old: Counters | None, name: str, new: Sequence[int]) -> list[int] | None:
    """What was counted between the readings; None if ``name`` was not there in the first one. May be negative."""
    before = old.raw.get(name) if old is not None else None
    if before is None:
        return None
    return [n - o for n, o in zip(new, before, strict=True)]


def per_second(delta: int, seconds: float) -> int:
    """A rate, rounded half up and held to the range of the uint64 properties."""
    return min(int(delta / seconds + 0.5), UINT64_MAX)


def percent(part: int, total: int) -> int:
    """min(100, part of total in percent rounded half up); 0 of nothing (spec/omi-scx.md 8)."""
    return min(100, int(100 * part / total + 0.5)) if total > 0 else 0


def rates_of(cim_class: CimClass) -> frozenset[str]:
    """The properties that need two readings."""
    return frozenset(p.name for p in cim_class.properties.values() if p.rate)


def template(cim_class: CimClass, without: Iterable[str] = ()) -> dict[str, CimValue]:
    """An instance with constants set and all else NULL, but not the properties ``without``."""
    found: dict[str, CimValue] = dict(cim_class.template())
    for name in without:
        del found[name]
    return found
