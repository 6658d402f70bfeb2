"""What the watchdog lets others see: the health file, the agent's status file, the pid file."""

from __future__ import annotations

import json
import os
import time

from extension import statusfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extension.descriptor import Descriptor
    from extension.supervise import Component

_ORDER = ("error", "warning", "transitioning", "success")
_BEFORE_STAMP = b'{"time": '
_STATUS = {"ok": "success", "warning": "warning", "error": "error"}


class HealthFile:
    """Says the same again by setting the time in the file that is there: to put another in its place once a minute
    takes seven times as long. Readers find whole JSON at any moment: one number takes the place of another."""

    def __init__(self) -> None:
        self._path, self._fd, self._width = "", -1, 0
        self._said: dict[str, object] = {}

    def write(self, path: str, facts: dict[str, object], now: float) -> None:
        """``facts`` as of ``now`` (Unix s). Raises OSError."""
        stamp = f"{now:.6f}".encode()
        if facts == self._said and len(stamp) == self._width and self._is_at(path):
            os.pwrite(self._fd, stamp, len(_BEFORE_STAMP))
            return
        self.close()
        replace(path, _BEFORE_STAMP + stamp + b", " + json.dumps(facts).encode()[1:])
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._path, self._said, self._width = path, facts, len(stamp)

    def _is_at(self, path: str) -> bool:
        """Whether the file at ``path`` is the one that was written last."""
        if self._fd < 0 or path != self._path:
            return False
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._fd))
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the file; the next one is a new one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class Publisher:
    """Writes the files of one descriptor; a file that cannot be written is told to ``complain`` and nothing else."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._health = HealthFile()
        self._shown = ""

    def forget(self) -> None:
        """Write the status file anew at the next occasion, whatever it said."""
        self._shown = ""

    def publish(self, where: Descriptor, components: Sequence[Component], refused: str, final: bool) -> None:
        """Health, and the status file if what it says has changed; ``final``: the watchdog stops, status stays."""
        health = {
            "pid": os.getpid(),
            "sequence": where.sequence,
            "healthy": all(c.healthy for c in components) and not refused,
            "refused": refused,
            "components": {c.name: c.view() for c in components},
        }
        try:
            self._health.write(where.health_file, health, time.time())
        except OSError as error:
            self._complain(f"cannot write {where.health_file}: {error}")
        if where.status_file and not final:
            self._status(where, components, refused)

    def _status(self, where: Descriptor, components: Sequence[Component], refused: str) -> None:
        parts = [_substatus(c) for c in components]
        if refused:
            parts.append(("configuration", "error", f"new configuration refused, the old one runs: {refused}"))
        shown = repr(parts)
        if shown == self._shown or not os.path.isdir(os.path.dirname(where.status_file)):
            return
        self._shown = shown
        worst = next((s for s in _ORDER if any(p[1] == s for p in parts)), "success")
        bad = [f"{name}: {message}" for name, status, message in parts if status != "success"]
        document = statusfile.status_document(
            where.name,
            "Enable",
            worst,
            1 if worst == "error" else 0,
            statusfile.noted("; ".join(bad), where.note) if bad else statusfile.enabled_text(where.note),
            [statusfile.substatus(n, s, 1 if s == "error" else 0, m) for n, s, m in parts],
        )
        try:
            statusfile.write(where.status_file, document)
        except OSError as error:
            self._complain(f"cannot write {where.status_file}: {error}")

    def pids(self, where: Descriptor, collector: int) -> None:
        """The two-line pid file: watchdog, collector."""
        if not where.pid_file:
            return
        try:
            replace(where.pid_file, f"{os.getpid()}\n{collector}\n".encode())
        except OSError as error:
            self._complain(f"cannot write {where.pid_file}: {error}")


def _substatus(component: Component) -> tuple[str, str, str]:
    status = _STATUS.get(component.level, "error")
    if component.state == "starting" and status == "success":
        status = "transitioning"
    return component.name, status, f"{component.state}: {component.message}"


def replace(path: str, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step, mode 0600."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]  # of an almost full disk it takes a part without an error
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
