"""A child process at the other end of two pipes: started without :mod:`subprocess`, never waited for without end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence

REAP_S = 0.5
PARENT_VARIABLE = "LAD_CHILD_OF"
BEGUN_VARIABLE = "LAD_CHILD_OF_BEGUN"
"""They hold the pid of who started a child and when that process began (proc(5): starttime): what a killed process
leaves behind is found by them, and told from the children of a process that has the same pid by now."""
_GUARD = 'read -r _ || kill -s KILL -- "-$0"'
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR2)
_UNWANTED = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what would send a client through a proxy or to other certificates (spec/cim-xml.md T3-T5)."""
    return {k: v for k, v in environ.items() if not k.lower().endswith("_proxy") and k.upper() not in _UNWANTED}


def begun(pid: int) -> str:
    """When a process began, in clock ticks since boot; "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError):
        return ""


class Guard:
    """A shell that kills the process group ``group`` when this process ends, however it does, before :meth:`release`.

    For commands: a daemon's children are found by the next one. Without a shell there is no guard.
    """

    def __init__(self, group: int) -> None:
        self._pid = 0
        read, self._hold = os.pipe()
        try:
            self._pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _GUARD, str(group)],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=list(_SIGNALS),
            )
        except OSError:
            self.release()
        finally:
            os.close(read)

    def release(self) -> None:
        """The group has ended."""
        if self._hold < 0:
            return
        with contextlib.suppress(OSError):
            os.write(self._hold, b"\n")
        os.close(self._hold)
        self._hold = -1
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # it has nothing left to do, and is reaped at once
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)


class Child:
    """A running ``argv`` in a process group of its own; its standard error is thrown away. OSError if it won't start.

    Reads and writes never block. ``out`` collects what it wrote, up to ``limit`` bytes. ``guarded``: its group does
    not outlive this process.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], limit: int, *, guarded: bool = False) -> None:
        self._limit = limit
        self.out = bytearray()
        self.ended = False
        self.overflow = False
        self.code: int | None = None
        their_in, self._to = os.pipe()
        self._from, their_out = os.pipe()
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.pid = os.posix_spawn(
                argv[0],
                list(argv),
                {**environ, PARENT_VARIABLE: str(os.getpid()), BEGUN_VARIABLE: begun(os.getpid())},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, their_in, 0),
                    (os.POSIX_SPAWN_DUP2, their_out, 1),
                    (os.POSIX_SPAWN_DUP2, null, 2),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=list(_SIGNALS),
            )
        except OSError:
            os.close(self._to)
            os.close(self._from)
            raise
        finally:
            for fd in (their_in, their_out, null):
                os.close(fd)
        self._guard = Guard(self.pid) if guarded else None
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)

    def close_input(self) -> None:
        """Nothing more will be written."""
        if self._to >= 0:
            os.close(self._to)
            self._to = -1

    def write(self, data: bytes) -> bool:
        """Hand over a small message at once; False if the child does not take it whole."""
        try:
            return self._to >= 0 and os.write(self._to, data) == len(data)
        except OSError:
            return False

    def listen(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds and take what there is; False if there was nothing to take."""
        if self.ended or not self._poll.poll(max(0, int(timeout * 1000 + 0.999))):
            return False
        while True:
            try:
                data = os.read(self._from, 65536)
            except BlockingIOError:
                return True
            if not data:
                self.ended = True
                return True
            if len(self.out) + len(data) > self._limit:
                self.overflow = self.ended = True
                return True
            self.out += data

    def exit_code(self, timeout: float) -> int | None:
        """Its exit code (-N for signal N), None if it has not ended after ``timeout`` seconds."""
        until = time.monotonic() + timeout
        while self.code is None:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.code = 0
                break
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                break
            else:
                time.sleep(0.002)
        if self._guard is not None and self.code is not None:
            self._guard.release()
        return self.code

    def kill(self) -> bool:
        """SIGKILL to its whole process group, pipes closed; False if it could not be reaped (it sits in the kernel)."""
        self.close_input()
        if self._from >= 0:
            self._poll.unregister(self._from)
            os.close(self._from)
            self._from = -1
        self.ended = True
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.exit_code(REAP_S) is not None


class Graveyard:
    """Children that were killed and could not be reaped at once; no more than ``limit`` of them may pile up."""

    def __init__(self, limit: int = 4) -> None:
        self._children: list[Child] = []
        self._limit = limit

    def bury(self, child: Child) -> None:
        """Kill a child, now or as soon as the kernel lets it go."""
        if not child.kill():
            self._children.append(child)

    def full(self) -> bool:
        """Whether so many killed children hang in the kernel that no other should be started."""
        self._children = [c for c in self._children if c.exit_code(0) is None]
        return len(self._children) >= self._limit
