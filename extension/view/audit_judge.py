"""Why rows are not there, from the store's record of gaps, its queue and its counts of dropped rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from extension.rows import ticks
from extension.store.drops import Ranges, Times
from extension.store.gaps import ALL, NOT_CONFIGURED, Gap, Known, sampled, window_key
from extension.view.audit_expected import Expected, Feed
from extension.view.audit_sheet import Sheet

BEFORE = "before the first sample"
REPLACED = "before the damaged store was replaced"
SILENT = "the collector is not running or has not sampled since"
OPEN = "the window is not closed yet"
QUEUED = "queued"
UNEXPLAINED = "unexplained"
MAX_HOLES = 1000
CLOCK_MARGIN_S = 86400.0
"""Rows are not dropped before their time, by more than a clock may have been set back in between."""


@dataclass(frozen=True)
class Span:
    """No good sample lies in (since, until); ``causes`` in order of time."""

    since: float
    until: float
    causes: tuple[str, ...]


@dataclass
class Hole:
    """Neighbouring windows [since, until) without rows for one cause; ``rows``: how many are missing."""

    since: int
    until: int
    counters: list[str]
    rows: int
    cause: str


@dataclass
class Verdict:
    """One event's audit. ``expected`` counts rows (both copies of a metric row); ``explained``: rows by cause."""

    event: str
    tables: list[str]
    window_s: int
    counters: int
    expected: int = 0
    present: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    unexplained: int = 0
    twice: list[tuple[str, int]] = field(default_factory=list)
    differing: list[tuple[str, int]] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    more_holes: int = 0

    @property
    def ok(self) -> bool:
        """Whether every expected row is there once or is missing for a counted reason."""
        return not (self.unexplained or self.twice or self.differing)


class Dropped:
    """The rows that the ledger counts as dropped, by table and reason: each explains one missing row. ``times``: when
    the last of them was dropped, as far as it is known; ``ranges``: the TIMESTAMPs of those of which they are known.

    ``vague`` counts by (table, reason) the rows that were explained by drops of unknown times.
    """

    def __init__(
        self, counts: Mapping[str, Mapping[str, int]], times: Times | None = None, ranges: Ranges | None = None
    ) -> None:
        self._left = {table.lower(): dict(reasons) for table, reasons in counts.items()}
        self._names = {table.lower(): table for table in counts}
        self._last = {(table.lower(), reason): at for (table, reason), at in (times or {}).items()}
        self._dated: dict[tuple[str, str], list[list[float]]] = {}
        self._undated: dict[tuple[str, str], int] = {}
        for (table, reason), found in (ranges or {}).items():
            self._dated[table.lower(), reason] = [list(one) for one in found]
        for table, reasons in self._left.items():
            for reason, n in reasons.items():
                self._undated[table, reason] = n - int(sum(n for *_, n in self._dated.get((table, reason), ())))
        self.vague: dict[tuple[str, str], int] = {}

    def take(self, tables: Iterable[str], start: float = -math.inf) -> str | None:
        """The reason of one dropped row of any of ``tables``, used up by this; None when none is left that can be
        one of a window that begins at ``start`` (Unix s)."""
        for table in map(str.lower, tables):
            reasons = self._left.get(table, {})
            for reason, n in reasons.items():
                if n > 0 and self._is_of(table, reason, start):
                    reasons[reason] = n - 1
                    return f"dropped: {reason}"
        return None

    def _is_of(self, table: str, reason: str, start: float) -> bool:
        """Whether a dropped row may be of a window; it is used up then."""
        for one in self._dated.get((table, reason), ()):
            if one[2] > 0 and (start == -math.inf or one[0] <= start <= one[1]):
                one[2] -= 1
                return True
        if self._undated[table, reason] <= 0 or self._last.get((table, reason), math.inf) < start - CLOCK_MARGIN_S:
            return False
        self._undated[table, reason] -= 1
        self.vague[table, reason] = self.vague.get((table, reason), 0) + 1
        return True

    def notes(self) -> list[str]:
        """What is not sure about the rows that were explained."""
        out = []
        for (table, reason), n in sorted(self.vague.items()):
            at = self._last.get((table, reason))
            when = "at an unknown time" if at is None else f"until {ticks.iso(int(at) * ticks.SECOND_US)}"
            what = f"{n} of the missing rows are taken for rows that were dropped {when} ({reason})"
            out.append(f"{self._names[table]}: {what}: it is counted how many those were, not which")
        return out


def spans(known: Known, feed: Feed, counter: str) -> list[Span]:
    """When ``feed`` gave nothing for ``counter``, in order of time and joined where they overlap."""
    found: list[Span] = []
    since = known.since.get(feed.query)
    if since is not None:
        first = (since // feed.rate + 1) * feed.rate
        found.append(Span(-math.inf, first, (REPLACED if known.replaced else BEFORE,)))
        if known.gaps_from is not None and known.gaps_from > first:
            found.append(Span(-math.inf, known.gaps_from, ("gaps of that time are not on record any more",)))
    if known.last_sample is not None:
        newest = known.last_sample + feed.rate  # an answer comes a little after the tick that asked for it
        ends = (g.until for g in known.gaps.get(feed.query, ()) if g.until is not None and g.until < newest)
        begin = sampled(feed.rate, known.last_sample, max(ends, default=None))
        found.append(Span(begin, math.inf, (SILENT,)))
    found += [_span(g) for g in known.gaps.get(feed.query, ()) if g.counter in (ALL, counter)]
    found.sort(key=lambda s: (s.since, s.until))
    joined: list[Span] = []
    for span in found:
        if joined and span.since < joined[-1].until:
            last = joined[-1]
            causes = tuple(dict.fromkeys((*last.causes, *span.causes)))
            joined[-1] = Span(last.since, max(last.until, span.until), causes)
        else:
            joined.append(span)
    return joined


def _span(gap: Gap) -> Span:
    return Span(gap.since, math.inf if gap.until is None else gap.until, (gap.cause,))


class Reasons:
    """Answers why a window of ``expected`` has no row of a counter."""

    def __init__(self, expected: Expected, known: Known | None) -> None:
        self._expected = expected
        self._known = known
        self._spans: dict[tuple[Feed, str], list[Span]] = {}
        self._parts: dict[tuple[Feed, str], list[Span]] = {}

    def due(self, counter: str, start: int) -> bool:
        """Whether any query samples in the window at all: a window may be shorter than a rate."""
        begin, end = self._interval(start)
        return any(-(-begin // f.rate) * f.rate < end for f in self._expected.series[counter])

    def why(self, counter: str, start: int) -> str | None:
        """The cause; None if samples were taken, so that there should be a row."""
        if self._known is None:
            return None
        begin, end = self._interval(start)
        causes = self._unread(start)
        if causes:
            return causes[0]
        for feed in self._expected.series[counter]:
            if not self._covered(feed, counter, begin, end):
                closed = self._known.closed.get(self._expected.consumer)
                needed = start + self._expected.window_s + int(self._expected.dated_at_end)
                return OPEN if closed is not None and needed > closed else None
            causes += self._causes(feed, counter, begin, end)
        return "; ".join(dict.fromkeys(causes))

    def _unread(self, start: int) -> list[str]:
        """Why nothing read the samples, be they there or not: the event was not (yet) in the configuration."""
        assert self._known is not None  # why() has seen to it
        key, window_s = window_key(self._expected.consumer), self._expected.window_s
        since = self._known.since.get(key)
        if since is not None and start < since // window_s * window_s:
            return [REPLACED if self._known.replaced else BEFORE]
        absent = self._known.gaps.get(key, ())
        return [NOT_CONFIGURED for g in absent if g.since < start + window_s and (g.until or 0.0) > start]

    def _interval(self, start: int) -> tuple[int, int]:
        begin = start - self._expected.lead_s
        return begin, begin + self._expected.window_s

    def _covered(self, feed: Feed, counter: str, begin: int, end: int) -> bool:
        key = (feed, counter)
        if key not in self._spans:
            assert self._known is not None  # why() has seen to it
            self._spans[key] = spans(self._known, feed, counter)
        return any(s.since < begin and s.until >= end for s in self._spans[key])

    def _causes(self, feed: Feed, counter: str, begin: int, end: int) -> list[str]:
        """The causes that have to do with the window, not those of all that is joined with it."""
        assert self._known is not None  # why() has seen to it
        key = (feed, counter)
        if key not in self._parts:
            gaps = [_span(g) for g in self._known.gaps.get(feed.query, ()) if g.counter in (ALL, counter)]
            self._parts[key] = gaps
        own = [c for s in self._parts[key] if s.since < end and s.until > begin for c in s.causes]
        if own:
            return own
        return [c for s in self._spans[key] if s.since < begin and s.until >= end for c in s.causes]


def judge(sheet: Sheet, tables: Sequence[str], known: Known | None, dropped: Dropped) -> Verdict:
    """Compare what is there with what is expected."""
    expected = sheet.expected
    verdict = Verdict(expected.event, list(tables), expected.window_s, len(sheet.counters), present=sheet.present())
    verdict.twice, verdict.differing = sheet.twice(), sheet.differing()
    reasons = Reasons(expected, known)
    collected: list[Hole] = []
    for window in range(sheet.windows):
        start = sheet.start_of(window)
        for number, counter in enumerate(sheet.counters):
            absent = sheet.absent(number, window)
            if not absent and sheet.copies:
                verdict.expected += sheet.copies
                continue
            if not reasons.due(counter, start):
                verdict.expected += sheet.copies - len(absent)
                continue
            verdict.expected += sheet.copies
            why = None if all(absent) else reasons.why(counter, start)
            for queued in absent:
                cause = QUEUED if queued else why or dropped.take(tables, start)
                if cause is None:
                    verdict.unexplained += 1
                else:
                    verdict.explained[cause] = verdict.explained.get(cause, 0) + 1
                _extend(collected, start, expected.window_s, counter, cause or UNEXPLAINED)
    verdict.holes = _joined(collected)
    verdict.more_holes = max(0, len(verdict.holes) - MAX_HOLES)
    verdict.holes = sorted(verdict.holes, key=lambda h: (h.cause != UNEXPLAINED, h.since))[:MAX_HOLES]
    return verdict


def _extend(holes: list[Hole], start: int, window_s: int, counter: str, cause: str) -> None:
    """Add a missing row to the holes of its window."""
    for hole in reversed(holes):
        if hole.since != start:
            break
        if hole.cause == cause:
            hole.rows += 1
            if hole.counters[-1] != counter:
                hole.counters.append(counter)
            return
    holes.append(Hole(start, start + window_s, [counter], 1, cause))


def _joined(holes: list[Hole]) -> list[Hole]:
    """Neighbouring windows that miss the same counters for the same cause are one hole."""
    out: list[Hole] = []
    last: dict[tuple[str, tuple[str, ...]], Hole] = {}
    for hole in holes:
        key = (hole.cause, tuple(hole.counters))
        before = last.get(key)
        if before is not None and before.until == hole.since:
            before.until = hole.until
            before.rows += hole.rows
        else:
            out.append(hole)
            last[key] = hole
    return out
