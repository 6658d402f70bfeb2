"""Run one handler command as the VM agent runs it (spec/vm-agent.md 6)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

LIMITS = {"install": 900.0, "enable": 300.0, "disable": 900.0, "update": 900.0, "uninstall": 300.0}
TIMED_OUT = 1011  # the agent's own code
OUTPUT_MAX = 3200  # characters kept of standard output and standard error together
WIRE_SERVER = "168.63.129.16"


@dataclass(frozen=True)
class CommandResult:
    """``exit_code`` is 1011 for a time-out; ``seconds`` of wall clock; ``output`` at most 3200 characters."""

    command: str
    version: str
    exit_code: int
    seconds: float
    output: str

    def to_json(self) -> dict[str, object]:
        """The result as JSON-able values."""
        return {
            "command": self.command,
            "version": self.version,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "output": self.output,
        }


def interpreter() -> str:
    """The real Python behind a virtual environment: the package brings its own libraries."""
    return getattr(sys, "_base_executable", "") or sys.executable


def variables(
    command: str, home: str, version: str, sequence: int, extra: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """The handler's environment: the agent's variables, over which the agent's own environment ``base`` goes."""
    values = {
        "AZURE_GUEST_AGENT_EXTENSION_PATH": home,
        "AZURE_GUEST_AGENT_EXTENSION_VERSION": version,
        "AZURE_GUEST_AGENT_WIRE_PROTOCOL_ADDRESS": WIRE_SERVER,
        "AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES": '[{"Key": "ExtensionTelemetryPipeline", "Value": "1.0"}]',
        "ConfigSequenceNumber": str(sequence),
    }
    if command in ("install", "enable"):
        values["AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"] = "NOT_RUN"
    values.update(extra)
    values.update(base)
    return values


def run(command: str, line: str, home: str, version: str, environ: Mapping[str, str], limit: float) -> CommandResult:
    """``/bin/sh -c line`` in ``home`` and a session of its own; its whole process group is killed at ``limit`` s.

    Output goes to unnamed files, so that a background child that keeps them open does not hold the agent up.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile(dir=home) as out, tempfile.TemporaryFile(dir=home) as err:
        child = subprocess.Popen(
            ["/bin/sh", "-c", line],
            cwd=home,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = child.wait(limit)
            note = ""
        except subprocess.TimeoutExpired:
            _kill_group(child.pid)
            child.wait()
            code, note = TIMED_OUT, f"Timeout({limit:g}): {line}\n"
        except BaseException:  # the user's interrupt: leave nothing behind
            _kill_group(child.pid)
            child.wait()
            raise
        output = note + joined(_head(out), _head(err))
    return CommandResult(command, version, code, time.monotonic() - begin, output)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _head(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(4 * OUTPUT_MAX).decode("utf-8", "replace")[:OUTPUT_MAX]


def joined(out: str, err: str) -> str:
    """Both texts in one of at most 3200 characters; each gives up its beginning first, the shorter one less."""
    out, err = out.strip(), err.strip()
    frame = len("[stdout]\n\n\n[stderr]\n")
    room = OUTPUT_MAX - frame
    if len(out) + len(err) > room:
        half = room // 2
        keep_err = min(len(err), max(half, room - len(out)))
        out = out[len(out) - min(len(out), room - keep_err) :]
        err = err[len(err) - keep_err :]
    return f"[stdout]\n{out}\n\n[stderr]\n{err}"
