"""Steps of the wall clock and samples that were not taken: how they are noticed, and what they are called. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from extension.pipeline.named import Named
from extension.pipeline.outputs import Output
from extension.pipeline.records import NUMERIC
from extension.plan import Query
from extension.rows import ticks
from extension.store.gaps import ALL

STEP_S = 2.0
"""Smaller differences between the wall clock and the time that went by are how NTP steers a clock."""
RETRACE_S = 60.0
"""A clock that is set back by less is waited for, so that no interval is sampled twice."""
SET_FORWARD = "the clock was set forward"
WRITTEN = "the clock was set back into a window that is written"
HELD_UP = "no sample was taken (the machine was suspended or the collector held up)"


@dataclass
class Elapsed:
    """The wall clock beside the time since boot (both in seconds), at the sample before."""

    wall: float | None = None
    boot: float | None = None

    def step(self, wall: float, boot: float | None) -> float:
        """Seconds by which the wall clock was set since the last call: 0.0 if it was not.

        Without a time since boot only a clock that goes back can be noticed.
        """
        before, self.wall = self.wall, wall
        booted, self.boot = self.boot, boot
        if before is None:
            return 0.0
        if boot is None or booted is None:
            return min(wall - before, 0.0)
        step = (wall - before) - (boot - booted)
        return step if abs(step) >= STEP_S else 0.0


def absent(query: Query, output: Output) -> dict[str, str]:
    """The counters that a run of ``query`` should have given and did not, with the cause; {} when it is complete."""
    if isinstance(output.local, Named) and query.unpivot is not None:
        missing = query.unpivot.names - output.local.numeric_names
        return dict.fromkeys(sorted(missing), "no value") if missing else {}
    records = [record.columns for _, record in output.local] or [r.columns for b in output.batches for r in b.rows]
    if not records and not output.dropped:
        return {ALL: "no instance"}
    if query.unpivot is None:
        return {}
    local = query.target.store == "local"
    name, value = query.unpivot.column_name, query.unpivot.column_value
    wanted = set(counters(query))
    for columns in records:
        if name in columns and (not local or (value in columns and columns[value][0] in NUMERIC)):
            wanted.discard(str(columns[name][1]))
            if not wanted:
                break
    return dict.fromkeys(sorted(wanted), "no value")


def counters(query: Query) -> list[str]:
    """The names that the Unpivot of ``query`` gives; [] without one."""
    spec = query.unpivot
    if spec is None:
        return []
    return list(dict.fromkeys(label[1] for label, _ in spec.parts.values()))


def gap_text(seconds: float, until: float, cause: str) -> str:
    """What the log says of samples that are missing."""
    return f"no samples for {span(seconds)} until {ticks.iso(int(until) * ticks.SECOND_US)}: {cause}"


def span(seconds: float) -> str:
    """A length of time in its two largest units, such as ``3 h 2 min``."""
    left = round(abs(seconds))
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts: list[str] = []
    for size, unit in units:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts) or "0 s"
