"""``extension.log``: one line format, several writing processes, a bounded size.

Line format (spec/lad-handler.md 2.3), local time::

    YYYY/MM/DD HH:MM:SS [<long name>-<version>] message
    YYYY/MM/DD HH:MM:SS ERROR:[<long name>-<version>] message

Continuation lines of a multi-line message carry the time only. A message is one ``O_APPEND`` write, so that
handler and daemon can share the file. A log that cannot be written never stops its caller: messages are
counted as dropped and their number is written once the disk takes lines again.
"""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

MAX_MESSAGE = 32 * 1024  # characters of one message; the rest is cut and the cut is named
_MODE = 0o640
_PATIENCE_S = 0.5


def render(message: str, tag: str, level: str, now: float) -> str:
    """The text of one message: ``level`` is "" (info), "WARNING" or "ERROR"; ``now`` is Unix seconds."""
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]} ... [{len(message) - MAX_MESSAGE} characters cut]"
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(now))
    head = f"{stamp} {level}:[{tag}] " if level else f"{stamp} [{tag}] "
    first, *rest = message.rstrip("\n").split("\n")
    lines = [head + _printable(first), *(f"{stamp} {_printable(line)}" for line in rest)]
    return "\n".join(lines) + "\n"


def _printable(line: str) -> str:
    """Control characters (terminal escapes, carriage returns) as ``\\xNN``, so that a line stays one line."""
    if line.isprintable():
        return line
    return "".join(c if c == "\t" or c.isprintable() else repr(c)[1:-1] for c in line)


class ExtensionLog:
    """Appends to ``path``; when it would grow over ``max_bytes`` it becomes ``path.1`` … ``path.<keep>``."""

    def __init__(
        self,
        path: str,
        tag: str,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = 10 * 1024 * 1024,
        keep: int = 3,
        also: TextIO | None = None,
    ) -> None:
        self.path = path
        self.tag = tag
        self.dropped = 0  # messages not written since the last one that was
        self.reason = ""  # why the last of them was not
        self._clock = clock
        self._max_bytes = max_bytes
        self._keep = keep
        self._also = also
        self._fd = -1
        self._opened = False

    def info(self, message: str) -> None:
        """Write a message."""
        self._write(message, "")

    def warning(self, message: str) -> None:
        """Write a message marked ``WARNING:``."""
        self._write(message, "WARNING")

    def error(self, message: str) -> None:
        """Write a message marked ``ERROR:``."""
        self._write(message, "ERROR")

    def close(self) -> None:
        """Give the descriptor back; a later message opens the file again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, message: str, level: str) -> None:
        now = self._clock()
        text = render(message, self.tag, level, now)
        if self._also is not None:
            try:
                self._also.write(text)
                self._also.flush()
            except (OSError, ValueError):
                self._also = None  # a closed pipe or terminal: the file goes on alone
        if self.dropped:
            note = f"{self.dropped} log messages before this one were dropped: {self.reason}"
            text = render(note, self.tag, "WARNING", now) + text
        try:
            self._append(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.dropped += 1
            self.reason = error.strerror or type(error).__name__
            self.close()
        else:
            self.dropped = 0

    def _append(self, data: bytes) -> None:
        size = self._open()
        if size and size + len(data) > self._max_bytes:
            self._rotate()
            size = self._open()
            end = time.monotonic() + (0.0 if self.dropped else _PATIENCE_S)
            while size > 2 * self._max_bytes:  # another process holds the rotation lock: just now, or for good
                if time.monotonic() >= end:
                    raise OSError(27, f"log is over its limit and {self.path}.lock is held")
                time.sleep(0.005)
                self._rotate()
                size = self._open()
        written = os.write(self._fd, data)
        if written < len(data):
            os.write(self._fd, b"\n")  # the torn line must not swallow the next one
            raise OSError(28, "the disk took only a part of the line")

    def _open(self) -> int:
        """Make ``_fd`` the file that is at ``path`` now and return its size in bytes."""
        if self._fd >= 0:
            mine = os.fstat(self._fd)
            try:
                there = os.stat(self.path)
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return mine.st_size
            self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, _MODE)
        except FileNotFoundError:
            if not self._opened:
                raise
            os.mkdir(os.path.dirname(self.path), 0o750)  # the folder was removed under us
            self._fd = os.open(self.path, flags, _MODE)
        self._opened = True
        return os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """Shift the files by one, unless another process is doing or has just done it."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            try:
                if os.stat(self.path).st_ino != os.fstat(self._fd).st_ino:
                    return
            except FileNotFoundError:
                return
            for number in range(self._keep, 0, -1):
                older = self.path if number == 1 else f"{self.path}.{number - 1}"
                if os.path.exists(older):
                    os.replace(older, f"{self.path}.{number}")
            if self._keep <= 0:
                os.unlink(self.path)
        finally:
            os.close(lock)
