"""What a command is given, and what it gives back."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from extension.extlog import ExtensionLog
from handler import configure, service
from handler.environment import Environment
from handler.settings import Found
from handler.status import Reporter

DONE, FAILED, USAGE = 0, 1, 2
UNSUPPORTED, MISSING, BAD_SETTINGS = 51, 52, 53


class Handler(NamedTuple):
    """One call of a command. ``started`` is on the monotonic clock; ``found`` the settings file that counts."""

    env: Environment
    environ: Mapping[str, str]
    state_dir: str
    found: Found | None
    log: ExtensionLog
    status: Reporter
    started: float
    platform: str
    root: str = "/"

    @property
    def service_mode(self) -> str:
        """``systemd`` or ``daemon``."""
        return service.mode(self.environ, os.geteuid(), self.root)

    @property
    def systemd(self) -> service.Systemd:
        """The unit of this extension folder."""
        return service.Systemd(self.env.home, self.state_dir, configure.python(), self.root)

    @property
    def descriptor(self) -> str:
        """This folder's ``daemon.json``."""
        return configure.descriptor_path(self.env.home)

    @property
    def mrseq(self) -> str:
        """The file with the last enabled sequence number."""
        return os.path.join(self.env.home, "mrseq")


class Outcome(NamedTuple):
    """How a command ended: the status to report (None: none), the exit code, one line, substatus entries.

    ``code`` is the status code for outcomes whose exit code is 0.
    """

    status: str | None
    exit_code: int
    message: str
    parts: Sequence[Mapping[str, Any]] = ()
    code: int = 0
