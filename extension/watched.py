"""What the watchdog supervises, and what it asks the system about: no state of its own."""

from __future__ import annotations

import json
import os
import signal

from extension import proc, spawn
from extension.supervise import Component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension import descriptor

CHECK_DEADLINE_S = 30.0
STDERR_MAX = 1 << 20


def components(where: descriptor.Descriptor) -> list[Component]:
    """Collector and uploader, and the emulated OMI service where options.json asks for it."""
    found = [
        Component("collector", "extension.collector", 64 << 10, 0.25, _chance),
        Component("uploader", "extension.uploader", 160 << 10, 0.80, _chance),
    ]
    try:
        with open(where.options, encoding="utf-8") as file:
            options = json.load(file)
    except (OSError, ValueError):
        return found  # none, or unreadable: the collector says so in its own report
    if isinstance(options, dict) and (options.get("omi_service") or options.get("omi_service_tls")):
        found.append(Component("omi_service", "extension.omi_service", 64 << 10, 0.50, _chance))
    return found


def refusal(where: descriptor.Descriptor) -> str:
    """Why the configuration cannot be run, as its reader says; "" if it can."""
    argv = spawn.module_argv("extension.config.plan", where.config, *([where.options] if where.options else []))
    try:
        code, output = proc.capture(argv, CHECK_DEADLINE_S)
        if code == 0:
            return ""
        found = json.loads(output or b"{}").get("problems") or []
        named = "; ".join(f"{p['path']}: {p['message']}" for p in found if p.get("severity") == "error")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"cannot read the configuration {where.config}: {error}"
    return named or f"the reader of {where.config} ended with {code}"


def has_terminal() -> bool:
    """Whether this process still has the terminal it was started from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _chance() -> float:
    """[0, 1) for jitter; the random module would cost more memory than this process's whole loop."""
    return int.from_bytes(os.urandom(4), "big") / (1 << 32)


def signal_name(number: int) -> str:
    """``SIGTERM`` and the like."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_words(where: descriptor.Descriptor) -> int:
    """Where a component's last words go: daemon.log beside the descriptor, started anew when it is large."""
    if where.mode == "foreground":
        return os.dup(2)
    path = os.path.join(os.path.dirname(where.path), "daemon.log")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if os.fstat(fd).st_size > STDERR_MAX:
            os.ftruncate(fd, 0)
        return fd
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
