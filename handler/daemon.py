"""The running daemon as the handler sees it: find it, judge it, signal it, end it.

The watchdog holds an exclusive flock on ``<state_dir>/watchdog.lock`` (content: its pid) while it runs and
reports in ``<state_dir>/daemon.health``. A pid counts only while its command line names the module, so a
recycled pid is never signalled.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import json
import os
import signal
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from extension import locks, proc, statusfile
from handler import files

WATCHDOG = "extension.watchdog"
CHILDREN = ("extension.collector", "extension.uploader", "extension.omi_service")
FRESH = 180.0  # seconds: the watchdog writes its health at least every 60
_STATES = {"running": "success", "starting": "transitioning", "stopped": "transitioning"}
_LEVELS = {"ok": "success", "warning": "warning", "error": "error"}
_WORST = ("error", "warning", "transitioning", "success")


class Component(NamedTuple):
    """One part of the daemon: ``state`` running, starting, backoff, stopped; ``level`` ok, warning, error."""

    name: str
    state: str
    level: str
    pid: int
    message: str

    @property
    def status(self) -> str:
        """The component as a status word."""
        by_state = _STATES.get(self.state, "error")
        by_level = _LEVELS.get(self.level, by_state)
        return by_state if by_level == "success" else by_level


class Health(NamedTuple):
    """What the watchdog wrote last; ``time`` is Unix seconds."""

    pid: int
    sequence: int
    time: float
    healthy: bool
    refused: str  # why a new configuration was not taken; "" if none was refused
    components: tuple[Component, ...]

    @property
    def parts(self) -> list[dict[str, Any]]:
        """One substatus per component."""
        parts = []
        for item in self.components:
            text = f"{item.state}: {item.message}" if item.message else item.state
            parts.append(statusfile.substatus(item.name, item.status, 1 if item.status == "error" else 0, text))
        if self.refused:
            text = f"new configuration refused, the old one runs: {self.refused}"
            parts.append(statusfile.substatus("configuration", "error", 1, text))
        return parts

    @property
    def verdict(self) -> str:
        """The whole daemon as one status word: the worst of its components'."""
        if self.refused:
            return "error"
        found = {item.status for item in self.components}
        worst = next((word for word in _WORST if word in found), "transitioning")
        return "transitioning" if worst == "success" and not self.healthy else worst


class Running(NamedTuple):
    """A living watchdog; ``descriptor`` is its daemon.json, ``age`` its run time in seconds, ``health`` its own.

    ``stopped``: it is held by a signal (SIGSTOP) or a debugger.
    """

    pid: int
    descriptor: str
    age: float
    health: Health | None
    stopped: bool = False

    @property
    def home(self) -> str:
        """The extension folder it was started for."""
        return os.path.dirname(self.descriptor)

    def reports(self, now: float) -> bool:
        """Whether it gives signs of life: not stopped, and young itself or by its health file."""
        if self.stopped:
            return False
        fresh = self.health is not None and self.health.pid == self.pid and abs(now - self.health.time) < FRESH
        return fresh or self.age < FRESH


def read_health(state_dir: str) -> Health | None:
    """The health file, or None if there is none that can be read."""
    text = files.read_text(os.path.join(state_dir, "daemon.health"))
    try:
        value = json.loads(text or "")
        return Health(
            pid=int(value["pid"]),
            sequence=int(value["sequence"]),
            time=float(value["time"]),
            healthy=value["healthy"] is True,
            refused=str(value.get("refused") or ""),
            components=tuple(_component(name, part) for name, part in (value.get("components") or {}).items()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _component(name: str, part: dict[str, Any]) -> Component:
    return Component(
        name, str(part.get("state")), str(part.get("level")), int(part.get("pid") or 0), str(part.get("message") or "")
    )


def arguments(pid: int) -> list[str]:
    """A process's command line; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as source:
            return source.read().decode("utf-8", "surrogateescape").split("\0")[:-1]
    except OSError:
        return []


def alive(pid: int, module: str) -> bool:
    """Whether ``pid`` runs ``module`` and is not merely waiting to be reaped (its command line is empty then)."""
    return pid > 1 and proc.is_module(pid, module)


def age(pid: int) -> float:
    """Seconds since a process started; 0 if it is gone (proc(5): stat field 22, uptime)."""
    stat = files.read_text(f"/proc/{pid}/stat")
    uptime = files.read_text("/proc/uptime")
    try:
        ticks = int((stat or "").rpartition(")")[2].split()[19])
        return max(0.0, float((uptime or "").split()[0]) - ticks / os.sysconf("SC_CLK_TCK"))
    except (ValueError, IndexError):
        return 0.0


def lock_is_held(state_dir: str) -> bool:
    """Whether some process holds the watchdog's lock."""
    return locks.holder(os.path.join(state_dir, "watchdog.lock")) is not None


def find(state_dir: str) -> Running | None:
    """The watchdog of this state folder, or None if none runs."""
    pid = locks.holder(os.path.join(state_dir, "watchdog.lock"))
    if pid is None or not alive(pid, WATCHDOG):
        return None
    argv = arguments(pid)
    descriptor = argv[-1] if argv and argv[-1].endswith(".json") else ""
    health = read_health(state_dir)
    return Running(pid, descriptor, age(pid), health if health and health.pid == pid else None, _is_stopped(pid))


def _is_stopped(pid: int) -> bool:
    stat = (files.read_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return stat[:1] in (["T"], ["t"])


def of_descriptor(descriptor: str, modules: Sequence[str] = (WATCHDOG, *CHILDREN)) -> list[int]:
    """Every living process of ``modules`` whose command line names this descriptor.

    Those too that no lock file leads to, because somebody removed the state folder under them.
    """
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if descriptor in arguments(pid) and any(alive(pid, module) for module in modules)]


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else 0


def children(state_dir: str, pid_file: str) -> list[int]:
    """Pids of living collectors and uploaders that the watchdog (maybe dead by now) wrote down."""
    health = read_health(state_dir)
    known = [part.pid for part in health.components] if health else []
    known += [_number(line) for line in (files.read_text(pid_file, 256) or "").split("\n")[1:3]]
    for module in CHILDREN:
        lock = os.path.join(state_dir, module.rpartition(".")[2] + ".lock")
        known.append(_number((files.read_text(lock, 64) or "").split("\n")[0]))
    return [pid for pid in dict.fromkeys(known) if any(alive(pid, module) for module in CHILDREN)]


def stop(state_dir: str, descriptor: str, *, grace: float = 10.0) -> tuple[int, int]:
    """End the watchdog and its components; (ended, killed) counts processes that went by themselves and by force.

    SIGTERM and ``grace`` seconds for an orderly end, then SIGTERM to the components for 3 s, then SIGKILL.
    Meanwhile the descriptor is out of the way, so that orphaned components do not start another watchdog.
    """
    aside = f"{descriptor}.off"
    moved = _rename(descriptor, aside)
    pid_file = os.path.join(os.path.dirname(descriptor), "lad.pids")
    try:
        running = find(state_dir)
        found = [running.pid] if running else []
        targets = list(dict.fromkeys([*found, *of_descriptor(descriptor, (WATCHDOG,))]))
        orphans = [*children(state_dir, pid_file), *of_descriptor(descriptor, CHILDREN)]
        _end(targets, grace)
        orphans = list(dict.fromkeys([*orphans, *children(state_dir, pid_file)]))
        _end(_living(orphans), 3.0)
        forced = _living([*targets, *orphans])
        _signal(forced, signal.SIGKILL)
        _wait_gone(forced, 2.0)
        total = len(targets) + len(orphans)
        return total - len(forced), len(forced)
    finally:
        if moved:
            _rename(aside, descriptor)


def _end(pids: Sequence[int], seconds: float) -> None:
    """SIGTERM, which a stopped process only sees once it is continued; and some seconds."""
    _signal(pids, signal.SIGTERM)
    _signal(pids, signal.SIGCONT)
    _wait_gone(pids, seconds)


def _rename(source: str, target: str) -> bool:
    try:
        os.replace(source, target)
    except OSError:
        return False
    return True


def _living(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if any(alive(pid, module) for module in (WATCHDOG, *CHILDREN))]


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in _living(pids):
        try:
            os.kill(pid, number)
        except OSError:
            continue  # it ended on its own between the look and the signal


def _wait_gone(pids: Sequence[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _living(pids) and time.monotonic() < deadline:
        time.sleep(0.05)


def wait_healthy(state_dir: str, pid: int, sequence: int, since: float, seconds: float) -> Health | None:
    """Wait until the watchdog ``pid`` reports sequence number ``sequence`` as healthy, refuses it, or is gone.

    ``since``: Unix seconds; older reports do not count. Returns the newest report that does, or None.
    ``pid`` 0 stands for whichever watchdog holds the lock.
    """
    deadline = time.monotonic() + seconds
    while True:
        health = read_health(state_dir)
        if health and (health.time < since or (pid and health.pid != pid)):
            health = None
        if health and health.refused:
            return health
        if health and health.sequence != sequence:
            health = None
        if (health and health.healthy) or time.monotonic() >= deadline or (pid and not alive(pid, WATCHDOG)):
            return health
        time.sleep(0.1)
