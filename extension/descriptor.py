"""``daemon.json``: where a daemon's files are. Written by the handler (or ``lad run``), read by the three processes.

Paths are absolute; nothing secret stands in it. Plain attributes instead of a dataclass keep the watchdog small.
"""

from __future__ import annotations

import json
import os


class DescriptorError(Exception):
    """The descriptor cannot be used; one line that names the file and key."""


class Descriptor:
    """The fields of ``daemon.json``; ``status_file`` and ``pid_file`` may be "" (none)."""

    def __init__(self, value: dict[str, object], path: str = "") -> None:
        def text(key: str, default: str | None = None) -> str:
            found = value.get(key, default)
            if found is None and default is not None:
                found = default
            if not isinstance(found, str):
                raise DescriptorError(f"{path or 'descriptor'}: key '{key}' must be a string; run enable again")
            return found

        self.path = path
        self.mode = text("mode", "foreground")
        self.home = text("home")
        self.config = text("config")
        self.options = text("options", "")
        self.state_dir = text("state_dir")
        self.log = text("log", "")
        self.log_tag = text("log_tag", "lad-emulator")
        self.status_file = text("status_file", "")
        self.name = text("name", "LinuxDiagnostic")
        self.version = text("version", "")
        self.pid_file = text("pid_file", "")
        self.note = text("note", "")
        self.health_file = text("heartbeat_file", "") or os.path.join(self.state_dir, "daemon.health")
        sequence = value.get("sequence", 0)
        self.sequence = sequence if isinstance(sequence, int) else 0

    @property
    def lock_file(self) -> str:
        """The file whose exclusive flock a running watchdog holds; its content is the watchdog's pid."""
        return os.path.join(self.state_dir, "watchdog.lock")


def read(path: str) -> Descriptor:
    """The descriptor at ``path``. Raises DescriptorError."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError) as error:
        raise DescriptorError(f"cannot read the daemon's descriptor {path}: {error}; run enable again") from error
    if not isinstance(value, dict):
        raise DescriptorError(f"{path}: must be a JSON object; run enable again")
    return Descriptor(value, path)
