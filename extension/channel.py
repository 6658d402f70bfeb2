"""The line between the watchdog and a component: JSON lines up (its stdout), and its stdin, which says nothing.

Up: ``{"ev": "hello", "deadline": s}``, ``{"ev": "ready"}``, ``{"ev": "progress", "kind": "sample" | "batch" | "idle"}``
(the first one of a process; the others are beats of its pulse, :mod:`extension.beats`),
``{"ev": "state", "level": "ok" | "warning" | "error", "message": …}``, ``{"ev": "log", "level": …, "message": …}``.
End of file down: the watchdog is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time

from extension import beats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

MAX_LINE = 32768


class Channel:
    """A component's end. Nothing here ever blocks longer than it is told: a stopped watchdog must not stop us."""

    def __init__(self, down: int = 0, up: int = 1) -> None:
        self._down, self._up = down, up
        for fd in (down, up):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
        self.stopping = False
        self.orphaned = False
        self.lost = 0
        self._state = ""
        self._heart = beats.inherited(os.environ)
        self._begun = False
        self._signal, self._signalled = os.pipe()
        for fd in (self._signal, self._signalled):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._poll = select.poll()
        self._poll.register(self._down, select.POLLIN)
        self._poll.register(self._signal, select.POLLIN)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def send(self, event: str, **fields: object) -> None:
        """Tell the watchdog; a full or broken pipe is counted in ``lost``."""
        line = json.dumps({"ev": event, **fields}, separators=(",", ":")).encode()[: MAX_LINE - 1] + b"\n"
        try:
            if os.write(self._up, line) != len(line):
                self.lost += 1
        except OSError:
            self.lost += 1

    def progress(self, kind: str) -> None:
        """Something was achieved: ``sample``, ``batch``, or ``idle`` (alive, nothing due)."""
        if self._heart is not None and self._begun:
            self._heart.beat(kind != "idle")
            return
        self._begun = True
        self.send("progress", kind=kind)

    def call_uploader(self) -> None:
        """Rows were queued."""
        if self._heart is not None:
            beats.add(self._heart.call, 1)

    def await_calls(self) -> None:
        """Let :meth:`wait` end at each :meth:`call_uploader` too."""
        if self._heart is not None:
            self._poll.register(self._heart.call, select.POLLIN)

    def state(self, level: str, message: str) -> None:
        """The component's health; sent when it changes."""
        if self._state != level + message:
            self._state = level + message
            self.send("state", level=level, message=message[:1000])

    def log(self, level: str, message: str) -> None:
        """A line for extension.log: level ``info``, ``warning`` or ``error``."""
        self.send("log", level=level, message=message[:4000])

    def watch(self, fd: int) -> None:
        """Let :meth:`wait` end when ``fd`` becomes readable too; reading it is the caller's part."""
        self._poll.register(fd, select.POLLIN)

    def wait(self, until: float) -> bool:
        """Sleep until the monotonic time ``until``, a call, a watched descriptor or a stop; True when woken."""
        while not self.stopping:
            left = until - time.monotonic()
            if left <= 0:
                return False
            woken = False
            for fd, _ in self._poll.poll(int(left * 1000) + 1):
                if fd == self._down:
                    self._read_down()
                elif fd == self._signal:
                    self._read(fd)
                else:
                    woken = True
                    if self._heart is not None and fd == self._heart.call:
                        beats.take(fd)
            if woken:
                return not self.stopping
        return False

    def _read_down(self) -> None:
        if self._read(self._down) == b"":
            self.orphaned = self.stopping = True

    @staticmethod
    def _read(fd: int) -> bytes | None:
        """What is there; None for nothing."""
        try:
            return os.read(fd, 4096)
        except BlockingIOError:
            return None
