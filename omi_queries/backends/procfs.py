"""The source that is always there: /proc, /sys and statvfs, below any root."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from omi_queries import descriptors as limits
from omi_queries.binding import Bound, Selection, bind
from omi_queries.scx.families import SCX, TRUE_DELTA, Families
from omi_queries.scx.family import Ask, Counters, Family, Wants, Where, everything
from omi_queries.scx.sampled import Sampled
from omi_queries.scx.shared import Injected
from omi_queries.types import Instance, Reading

if TYPE_CHECKING:
    from omi_queries.scx.ipv4 import Addresses
    from omi_queries.scx.volume import GeometryOf

NAME = "procfs"
_STATE_VERSION = 1
_MAX_WANTED = 512
"""Instances of a class whose part in a query is remembered: it depends on nothing but their names."""


def boottime_now() -> float:
    """Seconds since boot, suspend included; no change of the wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ProcfsBackend:
    """Answers queries from the files below ``root``.

    ``boottime`` gives seconds since boot, ``wall`` Unix time, ``statvfs`` is asked for every mounted file system by
    its path below the root, ``page_size`` is in bytes, ``hz`` the clock ticks per second. ``addresses`` and
    ``geometry`` ask the kernel about interfaces and disks; by default they do so for the root /, and elsewhere the
    routing tables below the root are read and disks are not asked. ``descriptors`` is
    asked, when there is a query for processes, how many of their files may stay open between readings (only for the
    root /); by default as many as leave room below the soft limit.

    ``rate_window`` "delta": rates are true deltas between a stream's own readings. "scx": SCX's own sampler (60 s, six
    samples, its rounding and defects), which has no thread here: samples are taken by reads and by
    :meth:`sample_due`. Not for use by several threads at once.
    """

    name = NAME

    def __init__(
        self,
        root: str = "/",
        *,
        boottime: Callable[[], float] = boottime_now,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
        page_size: int | None = None,
        rate_window: str = TRUE_DELTA,
        wall: Callable[[], float] = time.time,
        hz: int | None = None,
        descriptors: Callable[[], int] = limits.own,
        addresses: Addresses | None = None,
        geometry: GeometryOf | None = None,
    ) -> None:
        if rate_window not in (TRUE_DELTA, SCX):
            raise ValueError(f"rate window {rate_window!a} is neither {TRUE_DELTA!a} nor {SCX!a}")
        injected = Injected(
            boottime, wall, statvfs, page_size or os.sysconf("SC_PAGE_SIZE"), hz or os.sysconf("SC_CLK_TCK"),
            descriptors, addresses, geometry,
        )  # fmt: skip
        self._families = Families(root, injected, rate_window == SCX)
        self._boottime = boottime
        self._boot_id = ""

    def open(self, namespace: str, text: str, dialect: str = "wql") -> ProcfsStream:
        """Prepare a query; QueryError if namespace, class, properties or syntax are wrong."""
        bound = bind(namespace, text, dialect)
        parts = [(s, self._families.get(s.cim_class.name)) for s in bound.selections]
        return ProcfsStream(bound, parts, self)

    def close(self) -> None:
        """Give up descriptors."""
        self._families.close()

    def next_sample_due(self) -> float | None:
        """When SCX's sampler wants its next sample, in seconds since boot; None if there is no such sampler yet."""
        return min((due for ring in self._families.rings() if (due := ring.next_due()) is not None), default=None)

    def sample_due(self) -> int:
        """Take the samples of SCX's sampler that are due now; how many were taken."""
        now = self._boottime()
        started = [ring for ring in self._families.rings() if ring.samples]
        return sum(ring.sample(now) for ring in started)

    def boot_id(self) -> str:
        """The running kernel's boot id, "" if it cannot be read."""
        if not self._boot_id:
            try:
                with open(self._families.sources.path("/proc/sys/kernel/random/boot_id"), encoding="ascii") as file:
                    self._boot_id = file.read(64).strip()
            except (OSError, ValueError):
                return ""
        return self._boot_id

    def boottime(self) -> float:
        """Seconds since boot now."""
        return self._boottime()


class _Part:
    """One class of a query with its own earlier counters."""

    def __init__(self, selection: Selection, family: Family) -> None:
        self.selection = selection
        self.family = family
        self.wants: Wants = everything
        self.where: Where | None = None
        if selection.matches is not None and selection.by_key:
            self.wants = functools.lru_cache(maxsize=_MAX_WANTED)(selection.wants)
        elif selection.matches is not None:
            self.where = Where(selection.looks_at, selection.matches)
        self.exact = bool(getattr(family, "exact", False))
        self.earlier: Counters | None = None
        self.latest: Counters | None = None

    def prime(self) -> None:
        self.earlier, self.latest = None, self.family.counters()

    def read(self, tick: float, again: bool, skip: Callable[[str], None]) -> list[Instance]:
        """The answer at ``tick``; ``again`` if that tick was asked before, so that rates have the same beginning."""
        old = self.earlier if again else self.latest
        selection = self.selection
        ask = Ask(tick, old, selection.needs, self.wants, skip, self.where)
        latest, found = self.family.sample(ask)
        # a file that could not be read is no reason to forget where the next rates begin
        self.earlier, self.latest = old, latest if latest.raw or old is None else old
        return selection.apply(found, self.exact)

    def saved(self) -> dict[str, Any] | None:
        if isinstance(self.family, Sampled):
            return self.family.ring.state()
        if self.latest is None or not self.family.width:
            return None
        return {"at": self.latest.at, "raw": {name: list(row) for name, row in self.latest.raw.items()}}

    def take_over(self, saved: Counters) -> None:
        self.earlier, self.latest = None, saved

    def ring_fits(self, saved: object, now: float) -> bool:
        family = self.family
        return isinstance(family, Sampled) and family.ring.fits(saved, family.width, now)

    def restore_ring(self, saved: object, now: float) -> bool:
        family = self.family
        return isinstance(family, Sampled) and family.ring.restore(saved, family.width, now)


class ProcfsStream:
    """A query over one class, or over all classes of a base class."""

    def __init__(self, bound: Bound, parts: list[tuple[Selection, Family]], backend: ProcfsBackend) -> None:
        self.bound = bound
        self._parts = [_Part(selection, family) for selection, family in parts]
        self._backend = backend
        self._tick: float | None = None

    def prime(self) -> None:
        """Take the raw counters now, so that the next read has rates."""
        self._tick = None
        for part in self._parts:
            part.prime()

    def read(self, tick: float) -> Reading:
        """Answer the query; streams of the backend that are asked with the same tick see the same snapshot."""
        skipped: dict[str, int] = {}

        def skip(reason: str) -> None:
            skipped[reason] = skipped.get(reason, 0) + 1

        again = self._tick is not None and tick == self._tick
        self._tick = tick
        found: list[Instance] = []
        for part in self._parts:
            found += part.read(tick, again, skip)
        return Reading(found, self.bound.types, NAME, skipped, self.bound.warnings)

    def state(self) -> dict[str, Any] | None:
        """Raw counters of the last reading by class, with the boot id; None if there are none or no boot id."""
        boot = self._backend.boot_id()
        saved = {part.selection.cim_class.name: part.saved() for part in self._parts}
        kept = {name: value for name, value in saved.items() if value is not None}
        if not boot or not kept:
            return None
        return {"version": _STATE_VERSION, "boot": boot, "classes": kept}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Go on from :meth:`state` of an earlier process; False, and nothing changed, if it is of no use now."""
        if not isinstance(state, Mapping) or state.get("version") != _STATE_VERSION:
            return False
        boot, saved = self._backend.boot_id(), state.get("classes")
        if not boot or state.get("boot") != boot or not isinstance(saved, Mapping):
            return False
        now = self._backend.boottime()
        sampled = [part for part in self._parts if isinstance(part.family, Sampled)]
        if sampled:
            rings = [(part, saved.get(part.selection.cim_class.name)) for part in sampled]
            if not all(part.ring_fits(ring, now) for part, ring in rings):
                return False
            self._tick = None
            return all(part.restore_ring(ring, now) for part, ring in rings)
        wanted = [part for part in self._parts if part.family.width]
        taken = [_counters(saved.get(p.selection.cim_class.name), p.family.width, now) for p in wanted]
        if any(one is None for one in taken) or not any(one.raw for one in taken if one is not None):
            return False  # a query without rates keeps no counters: nothing that one with rates could go on from
        for part, one in zip(wanted, taken, strict=True):
            if one is not None:
                part.take_over(one)
        self._tick = None
        return True


def _counters(saved: object, width: int, now: float) -> Counters | None:
    """Saved counters, checked: read earlier than ``now``, rows of ``width`` non-negative integers."""
    if not isinstance(saved, Mapping):
        return None
    at, raw = saved.get("at"), saved.get("raw")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0.0 <= at <= now:
        return None
    if not isinstance(raw, Mapping):
        return None
    for name, row in raw.items():
        if not isinstance(name, str) or not isinstance(row, list) or len(row) != width:
            return None
        if any(type(value) is not int or value < 0 for value in row):
            return None
    return Counters(float(at), {name: tuple(row) for name, row in raw.items()})
