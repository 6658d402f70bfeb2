"""One handler's folder in the agent's lib dir: its files as the VM agent keeps them (spec/vm-agent.md 2-5)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extension import statusfile
from extension.vmagent import secrets
from extension.vmagent.package import MANIFEST, PackageError, manifest

NOT_INSTALLED, INSTALLED, ENABLED, FAILED_UPGRADE = "NotInstalled", "Installed", "Enabled", "FailedUpgrade"
STATES = (NOT_INSTALLED, INSTALLED, ENABLED, FAILED_UPGRADE)


@dataclass(frozen=True)
class Settings:
    """What a user gives: public settings, and protected ones that are encrypted before they touch the disk."""

    public: Any = None
    protected: Any = None


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as out:
        out.write(data)
    os.replace(temporary, path)


@dataclass(frozen=True)
class Folder:
    """``<lib_dir>/<name>-<version>``."""

    lib_dir: str
    log_root: str
    name: str
    version: str

    @property
    def home(self) -> str:
        """The handler's folder and working directory."""
        return os.path.join(self.lib_dir, f"{self.name}-{self.version}")

    @property
    def log_folder(self) -> str:
        """Where the handler logs; it survives uninstall."""
        return os.path.join(self.log_root, self.name)

    def path(self, *parts: str) -> str:
        """A path below the folder."""
        return os.path.join(self.home, *parts)

    @property
    def state(self) -> str:
        """HandlerState; NotInstalled if the file is missing or odd."""
        try:
            with open(self.path("config", "HandlerState"), encoding="ascii", errors="replace") as source:
                text = source.read(64).strip()
        except OSError:
            return NOT_INSTALLED
        return text if text in STATES else NOT_INSTALLED

    def set_state(self, state: str) -> None:
        """Write HandlerState."""
        write_file(self.path("config", "HandlerState"), state.encode())

    def set_status(self, status: str, code: int, message: str) -> None:
        """Write HandlerStatus, what the agent itself reports of the handler."""
        value = {
            "name": self.name,
            "version": self.version,
            "status": status,
            "code": code,
            "message": message,
            "supports_multi_config": False,
            "extension_status": None,
        }
        write_file(self.path("config", "HandlerStatus"), json.dumps(value).encode())

    def manifest(self) -> dict[str, Any]:
        """``handlerManifest`` of the unpacked package; PackageError names what is odd."""
        path = self.path(MANIFEST)
        try:
            with open(path, encoding="utf-8-sig") as source:
                text = source.read()
        except (OSError, UnicodeDecodeError) as error:
            raise PackageError(f"cannot read {path}: {error}") from None
        return manifest(text, path)[1]

    def prepare(self) -> None:
        """Make the folders and write HandlerEnvironment.json, as at every start of the agent."""
        for folder in (self.path("config"), self.path("status")):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        events = os.path.join(self.log_folder, "events")
        os.makedirs(events, mode=0o700, exist_ok=True)
        value = [
            {
                "name": self.name,
                "version": 1.0,
                "handlerEnvironment": {
                    "logFolder": self.log_folder,
                    "configFolder": self.path("config"),
                    "statusFolder": self.path("status"),
                    "heartbeatFile": self.path("heartbeat.log"),
                    "eventsFolder": events,
                    "eventsFolder_preview": events,
                },
            }
        ]
        write_file(self.path("HandlerEnvironment.json"), json.dumps(value).encode(), 0o644)

    @property
    def sequence(self) -> int | None:
        """The current sequence number: the highest of the settings files, which are never deleted."""
        return self._highest("config", "settings")

    def _highest(self, folder: str, ending: str) -> int | None:
        try:
            names = os.listdir(self.path(folder))
        except OSError:
            return None
        stems = [name.removesuffix(f".{ending}") for name in names if name.endswith(f".{ending}")]
        return max((int(stem) for stem in stems if stem.isascii() and stem.isdigit()), default=None)

    def settings_path(self, sequence: int) -> str:
        """``config/N.settings``."""
        return self.path("config", f"{sequence}.settings")

    def write_settings(self, sequence: int, settings: Settings | None) -> None:
        """Write ``N.settings``; an empty file if there are none. TenantError if they cannot be encrypted."""
        if settings is None:
            write_file(self.settings_path(sequence), b"", 0o644)
            return
        sealed = thumbprint = None
        if settings.protected is not None:
            thumbprint = secrets.tenant(self.lib_dir)
            sealed = secrets.encrypt(self.lib_dir, thumbprint, json.dumps(settings.protected).encode())
        body = {
            "publicSettings": settings.public,
            "protectedSettings": sealed,
            "protectedSettingsCertThumbprint": thumbprint,
        }
        value = {"runtimeSettings": [{"handlerSettings": body}]}
        write_file(self.settings_path(sequence), json.dumps(value).encode(), 0o644)

    def refresh_settings(self, sequence: int) -> None:
        """Write the same settings again (a new time, the same content), as the agent does before each enable."""
        path = self.settings_path(sequence)
        try:
            with open(path, "rb") as source:
                data = source.read()
        except FileNotFoundError:
            data = b""
        write_file(path, data, 0o644)

    def extension_status(self) -> Mapping[str, Any] | None:
        """``status`` of the current sequence number's status file, or None if there is none that can be read."""
        sequence = self.sequence
        if sequence is None:
            return None
        try:
            with open(self.path("status", f"{sequence}.status"), encoding="utf-8") as source:
                value = json.load(source)
            status = value[0]["status"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return status if isinstance(status, dict) and status.get("status") in statusfile.STATES else None
