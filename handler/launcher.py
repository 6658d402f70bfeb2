"""Start the daemon so that nothing ties it to the command that starts it (spec/vm-agent.md 1.6, 6).

The VM agent kills a command's whole process group on a time-out and keeps its output files: the daemon gets a
session of its own, no inherited descriptors, and only those variables of the agent that it needs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ")
_KEPT_PREFIX = ("LC_", "LAD_")
_KEPT_ANY_CASE = (
    "MDSD_HTTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_RESET = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGXFSZ")


class StartError(Exception):
    """The daemon could not be started; the text says why."""


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the daemon may see: paths, language, time zone, proxies and our own ``LAD_*``."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIX) or name.upper() in _KEPT_ANY_CASE
    }
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return kept


def detach(argv: Sequence[str], environ: Mapping[str, str], output: str) -> int:
    """Run ``argv`` in its own session, output to the (truncated) file ``output``; its pid. StartError if not."""
    try:
        out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot write {output}: {error.strerror}") from None
    read, write = os.pipe()  # closed by a successful exec: what comes through it are the pid and an error
    try:
        child = os.fork()
    except OSError as error:
        for fd in (read, write, out):
            os.close(fd)
        raise StartError(f"cannot start a process: {error.strerror}") from None
    if child == 0:
        _between(argv, environ, out, write)
    os.close(out)
    os.close(write)
    os.waitpid(child, 0)
    report = b""
    while chunk := os.read(read, 4096):
        report += chunk
    os.close(read)
    pid, _, error_text = report.decode("utf-8", "replace").partition("\n")
    if error_text or not pid:
        raise StartError(f"cannot run {argv[0]}: {error_text or 'the starting process ended early'}")
    return int(pid)


def _between(argv: Sequence[str], environ: Mapping[str, str], out: int, report: int) -> None:
    """The two forks; never returns."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.write(report, f"{os.getpid()}\n".encode())
        os.umask(0o077)
        os.chdir("/")
        for name in _RESET:  # an agent that ignores a signal must not make the daemon deaf to it
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        kept = os.dup2(report, 3, inheritable=False) if report != 3 else report
        os.closerange(kept + 1, min(os.sysconf("SC_OPEN_MAX"), 65536))
        report = kept
        os.execve(argv[0], list(argv), dict(environ))
    except BaseException as error:
        os.write(report, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(1)
