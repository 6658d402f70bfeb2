"""The systemd unit, used where systemd is in charge; elsewhere the daemon is a process of its own session."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from handler import files

UNIT = "lad-emulator.service"
TEMPLATE = "lad-emulator.service"
_UNIT_DIR = "etc/systemd/system"
_SECONDS = 30.0

Run = Callable[[Sequence[str], float], "tuple[int, str]"]


def run_command(argv: Sequence[str], seconds: float, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and the end of the output; 124 if it took longer than ``seconds``, 127 if it is not there.

    On a time-out the command's whole process group is killed.
    """
    import subprocess  # here, because most commands run none

    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if environ is None else dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        return 127, error.strerror or "cannot be run"
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return 124, f"no answer within {seconds:g} s"
    return child.returncode, output.decode("utf-8", "replace").strip()[-500:]


class ServiceError(Exception):
    """systemctl refused; the text has its answer."""


class Systemd(NamedTuple):
    """The unit of one extension folder. ``root`` is where /etc and /run are looked up."""

    home: str
    state_dir: str
    python: str
    root: str = "/"
    run: Run = run_command

    @property
    def unit_path(self) -> str:
        """Where the unit file stands."""
        return os.path.join(self.root, _UNIT_DIR, UNIT)

    def write(self) -> bool:
        """Write the unit for this folder and make systemd know it; whether it was new. ServiceError if not."""
        unit = self._rendered()
        if files.read_text(self.unit_path) == unit:
            return False
        try:
            os.makedirs(os.path.dirname(self.unit_path), exist_ok=True)
            files.replace(self.unit_path, unit.encode(), 0o644)
        except OSError as error:
            raise ServiceError(f"cannot write {self.unit_path}: {error.strerror}") from None
        self._systemctl("daemon-reload")
        return True

    def _rendered(self) -> str:
        template = files.read_text(os.path.join(self.home, TEMPLATE))
        if template is None:
            raise ServiceError(f"{os.path.join(self.home, TEMPLATE)} is missing; install the package again")
        for name, value in (("HOME", self.home), ("STATE_DIR", self.state_dir), ("PYTHON", self.python)):
            template = template.replace(f"@{name}@", value.replace("%", "%%"))
        return template

    def owns_unit(self) -> bool:
        """Whether the unit file on this machine starts this folder's daemon."""
        unit = files.read_text(self.unit_path)
        return unit is not None and f"{self.home}/" in unit

    def start(self) -> None:
        """Enable the unit and start it, or restart it if it runs. ServiceError if systemd refuses."""
        self._systemctl("enable", UNIT)
        self._systemctl("restart", UNIT)

    def stop(self) -> None:
        """Stop the unit and take it out of the boot sequence; ServiceError if systemd refuses."""
        self._systemctl("stop", UNIT)
        self._systemctl("disable", UNIT)

    def remove(self) -> None:
        """Remove the unit file; ServiceError if systemd refuses."""
        if files.remove(self.unit_path):
            self._systemctl("daemon-reload")

    def _systemctl(self, *args: str) -> None:
        code, output = self.run(("systemctl", *args), _SECONDS)
        if code != 0:
            raise ServiceError(f"systemctl {' '.join(args)} ended with {code}: {output}")


def mode(environ: Mapping[str, str], euid: int, root: str = "/") -> str:
    """``systemd`` if it is process 1, we are root and ``LAD_SERVICE`` does not say ``daemon``; else ``daemon``."""
    if environ.get("LAD_SERVICE", "").strip().lower() == "daemon" or euid != 0:
        return "daemon"
    return "systemd" if os.path.isdir(os.path.join(root, "run/systemd/system")) else "daemon"
