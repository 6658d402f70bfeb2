"""One supervised component: its process, its progress, its limits and when it may start again. No clocks, no files."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 300.0
JITTER = 0.2


class Backoff:
    """1 s doubling to 5 min, with jitter, for ever; :meth:`reset` by real progress. ``random()`` gives [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next = BACKOFF_FIRST_S

    def delay(self) -> float:
        """Seconds to wait before the next start; each call doubles the one after."""
        base = self._next
        self._next = min(self._next * 2, BACKOFF_MAX_S)
        return base * (1 - JITTER + 2 * JITTER * self._random())

    def reset(self) -> None:
        """The component has shown that it works."""
        self._next = BACKOFF_FIRST_S


class Component:
    """What the watchdog knows of one component. Times are monotonic seconds. ``on_accepted``: it was started on the
    copy of the configuration that was accepted last (:mod:`extension.accepted`).

    ``state``: ``starting`` until the first progress, ``running``, ``backoff`` (waits for its next start), ``stopped``.
    """

    def __init__(self, name: str, module: str, max_rss_kib: int, max_cpu: float, random: Callable[[], float]) -> None:
        self.name, self.module = name, module
        self.max_rss_kib, self.max_cpu = max_rss_kib, max_cpu
        self.backoff = Backoff(random)
        self.pid = 0
        self.state = "stopped"
        self.level = "ok"
        self.message = ""
        self.restarts = 0
        self.deadline = 60.0
        self.last_progress = 0.0
        self.start_at = 0.0
        self.cpu_ticks = -1
        self.hot_rounds = 0
        self.reason = ""
        self.on_accepted = False

    def started(self, pid: int, now: float) -> None:
        """A process was started."""
        self.pid, self.state, self.last_progress = pid, "starting", now
        self.level, self.message, self.reason = "ok", "starting", ""
        self.cpu_ticks, self.hot_rounds = -1, 0

    def progressed(self, kind: str, now: float) -> None:
        """It achieved something (``sample``, ``batch``) or is alive with nothing to do (``idle``)."""
        self.last_progress = now
        self.state = "running"
        if kind in ("sample", "batch"):
            self.backoff.reset()

    def promised(self, deadline: float, now: float) -> None:
        """It will show progress within ``deadline`` seconds, from now on: what it did before took another time."""
        self.deadline, self.last_progress = deadline, now

    def reported(self, level: str, message: str) -> None:
        """It said how it is."""
        self.level, self.message = level, message

    def ended(self, how: str, now: float) -> float:
        """The process is gone; returns the seconds until its next start."""
        delay = self.backoff.delay()
        self.pid = 0
        self.state = "backoff"
        self.restarts += 1
        self.start_at = now + delay
        said = f"; it said: {self.message}" if self.level != "ok" else ""
        self.message = f"{self.reason or how}; next start in {delay:.0f} s{said}"
        self.level = "error" if self.restarts > 1 or said else "warning"
        return delay

    def hung(self, now: float) -> bool:
        """Whether it shows no progress for longer than it promised."""
        return self.pid != 0 and now - self.last_progress > self.deadline

    def over_limits(self, rss_kib: int, cpu_ticks: int, seconds: float, ticks_per_s: int) -> str:
        """Why it has to be restarted for what it uses, "" if not; called about once a minute.

        Memory counts at once; CPU only over three rounds in a row, so that draining a backlog is no crime.
        """
        if rss_kib > self.max_rss_kib:
            return f"uses {rss_kib // 1024} MiB of memory, limit {self.max_rss_kib // 1024} MiB"
        before, self.cpu_ticks = self.cpu_ticks, cpu_ticks
        if before < 0 or seconds <= 0:
            return ""
        share = (cpu_ticks - before) / ticks_per_s / seconds
        self.hot_rounds = self.hot_rounds + 1 if share > self.max_cpu else 0
        if self.hot_rounds >= 3:
            return f"uses {share:.0%} of a CPU for minutes, limit {self.max_cpu:.0%}"
        return ""

    @property
    def healthy(self) -> bool:
        """Runs and does not complain of an error."""
        return self.state == "running" and self.level != "error"

    def view(self) -> dict[str, object]:
        """For the health file."""
        return {
            "state": self.state,
            "level": self.level,
            "pid": self.pid,
            "restarts": self.restarts,
            "message": self.message,
        }
