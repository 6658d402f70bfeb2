"""Starting and waiting for child processes without the weight of :mod:`subprocess` in resident processes."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR2)
EXEC_LOOKS, EXEC_LOOK_S = 200, 0.005
"""How often and how long (s) it is waited for the command line of a process that is being executed."""


def spawn(argv: Sequence[str], stdin: int, stdout: int, stderr: int, env: Mapping[str, str] | None = None) -> int:
    """Start ``argv`` with these three descriptors and nothing else open; returns its pid. Raises OSError."""
    return os.posix_spawn(
        argv[0],
        list(argv),
        dict(os.environ if env is None else env),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ],
        setsigmask=[],
        setsigdef=list(_SIGNALS),
    )


def capture(argv: Sequence[str], timeout: float, limit: int = 32 << 20) -> tuple[int, bytes]:
    """Run ``argv`` with empty input; (exit code, standard output). Standard error goes where ours goes.

    Exit code 124 when ``timeout`` seconds or ``limit`` bytes were exceeded (the child is killed), -N for signal N.
    """
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    read, write = os.pipe()
    try:
        pid = spawn(argv, null, write, 2)
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(null)
        os.close(write)
    deadline = time.monotonic() + timeout
    chunks: list[bytes] = []
    size = 0
    poll = select.poll()
    poll.register(read, select.POLLIN)
    try:
        while size <= limit:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                size = limit + 1
                break
            chunk = os.read(read, 65536)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
    finally:
        os.close(read)
    if size > limit:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return 124, b""
    status = _wait(pid, deadline)
    return status, b"".join(chunks)


def _wait(pid: int, deadline: float) -> int:
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 124
        time.sleep(0.005)


def is_module(pid: int, module: str, folder: str = "/proc", sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether process ``pid`` runs ``module`` of this project: a recycled pid does not.

    A process that has just been executed has an empty command line until the kernel has copied it: that is waited for.
    One that is waiting to be reaped, or of the kernel, has none either, and no program: those are told at once.
    """
    for _ in range(EXEC_LOOKS):
        try:
            with open(f"{folder}/{pid}/cmdline", "rb") as file:
                line = file.read()
            if line:
                return module.encode() in line.split(b"\0")
            os.readlink(f"{folder}/{pid}/exe")
        except OSError:
            return False
        sleep(EXEC_LOOK_S)
    return False


def usage(pid: int) -> tuple[int, int] | None:
    """(resident KiB, CPU clock ticks) of a process (proc(5): stat), None if it is gone."""
    if not pid:
        return None
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(fd, 4096).rpartition(b")")[2].split()
        finally:
            os.close(fd)
        return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024, int(fields[11]) + int(fields[12])
    except (OSError, IndexError, ValueError):
        return None
