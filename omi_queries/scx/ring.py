"""SCX's own sampler without its thread: a bounded ring of raw counters, taken at fixed distances.

A sample is due every ``period`` seconds from the first one on. Whoever reads takes what is due; if nobody came in
time, the ring knows how many periods lie between two samples, so that late readers get averages over a longer time,
never wrong ones.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from omi_queries.scx.family import Counters

_ROUNDING = 1e-6  # seconds; a due time added up of floats may come out a little before its slot


class Sample(NamedTuple):
    """``slot``: how many periods after the first sample; ``at``: seconds since boot."""

    slot: int
    at: float
    raw: Mapping[str, Sequence[int]]


class Span(NamedTuple):
    """What one row counted between the oldest and the newest sample that have it."""

    change: list[int]
    periods: int
    milliseconds: int


class Ring:
    """At most ``size`` samples, ``period`` whole seconds apart."""

    def __init__(self, period: int, size: int, take: Callable[[], Counters]) -> None:
        self.period = period
        self._size = size
        self._take = take
        self._origin = 0.0
        self.samples: list[Sample] = []

    def next_due(self) -> float | None:
        """When the next sample is due in seconds since boot; None before the first."""
        return self._origin + (self.samples[-1].slot + 1) * self.period if self.samples else None

    def sample(self, now: float) -> bool:
        """Take a sample if one is due (the first is at once). True if one was taken."""
        due = self.next_due()
        if due is not None and now < due:
            return False
        taken = self._take()
        if not self.samples:
            self._origin = taken.at
        slot = int((taken.at - self._origin + _ROUNDING) // self.period)
        if self.samples and slot <= self.samples[-1].slot:
            return False
        self.samples.append(Sample(slot, taken.at, taken.raw))
        recent = [one for one in self.samples if one.slot > slot - self._size]
        self.samples = recent if len(recent) > 1 else self.samples[-2:]
        return True

    def span(self, name: str) -> Span | None:
        """What row ``name`` counted over the ring; None if fewer than two samples have it."""
        if not self.samples:
            return None
        new = self.samples[-1]
        row = new.raw.get(name)
        old = next((one for one in self.samples if name in one.raw), None)
        if row is None or old is None or old is new:
            return None
        change = [max(0, n - o) for n, o in zip(row, old.raw[name], strict=True)]
        return Span(change, new.slot - old.slot, int((new.at - old.at) * 1000))

    def per_second(self, delta: int, periods: int) -> int:
        """Two integer divisions, as the original does."""
        return delta // periods // self.period

    def state(self) -> dict[str, Any] | None:
        """JSON-able; None before the first sample."""
        if not self.samples:
            return None
        rows = [[one.slot, one.at, {name: list(row) for name, row in one.raw.items()}] for one in self.samples]
        return {"origin": self._origin, "period": self.period, "samples": rows}

    def fits(self, state: object, width: int, now: float) -> bool:
        """Whether :meth:`restore` would take it."""
        return bool(self.samples) or _checked(state, self.period, width, now) is not None

    def restore(self, state: object, width: int, now: float) -> bool:
        """Take over :meth:`state` of an earlier process, unless there are samples already (then True: they are
        newer). False if it does not fit."""
        if self.samples:
            return True
        found = _checked(state, self.period, width, now)
        if found is None:
            return False
        self._origin, self.samples = found
        return True


def _checked(state: object, period: int, width: int, now: float) -> tuple[float, list[Sample]] | None:
    """Origin and samples: increasing slots, times up to ``now``, rows of ``width`` non-negative integers.

    The slots of a ring with another period (the configuration was changed) mean other times.
    """
    if not isinstance(state, Mapping) or state.get("period", period) != period:
        return None
    origin, rows = state.get("origin"), state.get("samples")
    if type(origin) is not float or not 0.0 <= origin <= now or not isinstance(rows, list) or not 0 < len(rows) <= 60:
        return None
    samples: list[Sample] = []
    for entry in rows:
        if not isinstance(entry, list) or len(entry) != 3:
            return None
        slot, at, raw = entry
        if type(slot) is not int or type(at) is not float or not isinstance(raw, Mapping) or not origin <= at <= now:
            return None
        if samples and (slot <= samples[-1].slot or at < samples[-1].at):
            return None
        for name, row in raw.items():
            if not isinstance(name, str) or not isinstance(row, list) or len(row) != width:
                return None
            if any(type(value) is not int or value < 0 for value in row):
                return None
        samples.append(Sample(slot, at, {name: tuple(row) for name, row in raw.items()}))
    return origin, samples
