"""The local VM agent: the orders of commands of spec/vm-agent.md 7, on this machine and below one folder.

Below ``root``: ``var/lib/waagent`` (packages' folders, certificates), ``var/log/azure/<Name>`` (logs) and
``var/lib/lad-emulator`` (what the extension keeps over upgrades). Unless the caller's environment says otherwise,
handlers get ``LAD_STATE_DIR`` there, ``LAD_SERVICE=daemon`` (a local run never touches the machine's systemd) and
``LAD_PYTHON`` (the interpreter that runs this).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from extension.vmagent import command as commands
from extension.vmagent.command import CommandResult
from extension.vmagent.folder import (
    ENABLED,
    FAILED_UPGRADE,
    INSTALLED,
    NOT_INSTALLED,
    Folder,
    Settings,
    write_file,
)
from extension.vmagent.package import Package, PackageError, open_package

_LOG_MAX = 10 * 1024 * 1024
_ERROR_CODES = {"install": 1007, "enable": 1009, "update": 1008, "disable": 1010, "uninstall": 1000}
_AFTER = {
    "install": (INSTALLED, "NotReady", "Plugin installed but not enabled"),
    "enable": (ENABLED, "Ready", "Plugin enabled"),
    "disable": (INSTALLED, "NotReady", "Plugin disabled"),
}

Run = Callable[[str, str, str, str, Mapping[str, str], float], CommandResult]


class AgentError(Exception):
    """What was asked for does not fit what is installed; the text says what to do instead."""


class LocalAgent:
    """Drives one extension below ``root``; ``env`` is the agent's own environment."""

    def __init__(self, root: str, *, env: Mapping[str, str] = os.environ, run: Run = commands.run) -> None:
        self.root = os.path.realpath(root)
        self.lib_dir = os.path.join(self.root, "var/lib/waagent")
        self.log_root = os.path.join(self.root, "var/log/azure")
        self.env = dict(env)
        self.env.setdefault("LAD_STATE_DIR", os.path.join(self.root, "var/lib/lad-emulator"))
        self.env.setdefault("LAD_SERVICE", "daemon")
        self.env.setdefault("LAD_PYTHON", commands.interpreter())
        self._run = run
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):  # this tool's own, not a VM agent's
            self.env.pop(name, None)

    # -- what a user asks for

    def install(self, package: str, settings: Settings | None = None) -> list[CommandResult]:
        """Put package and settings in place and run the install command (again, if it is installed)."""
        with self._alone():
            return self._install(open_package(package), settings)

    def enable(self, package: str | None = None, settings: Settings | None = None) -> list[CommandResult]:
        """New settings under the next sequence number if given, else the same; installs first if need be."""
        with self._alone():
            folder = self._current()
            if folder is None or folder.state in (NOT_INSTALLED, FAILED_UPGRADE):
                if package is None:
                    raise AgentError(f"nothing is installed below {self.root}; give --package")
                done = self._install(open_package(package), settings)
                folder = self._current()
                if done[-1].exit_code != 0 or folder is None:
                    return done
            else:
                done = []
                wanted = open_package(package) if package is not None else None
                if wanted and (wanted.name, wanted.version) != (folder.name, folder.version):
                    raise AgentError(
                        f"{folder.name} {folder.version} is installed, the package is {wanted.name} "
                        f"{wanted.version}; use update"
                    )
                folder.prepare()
                if settings is not None:
                    folder.write_settings(_next(folder.sequence), settings)
            return [*done, self._enable(folder)]

    def noop(self) -> list[CommandResult]:
        """Enable again with nothing changed, as after a new goal state or a reboot."""
        with self._alone():
            folder = self._needed()
            folder.prepare()
            return [self._enable(folder)]

    def disable(self) -> list[CommandResult]:
        """Run the disable command."""
        with self._alone():
            folder = self._needed()
            folder.prepare()
            return [self._call(folder, "disable")]

    def uninstall(self) -> list[CommandResult]:
        """Disable if enabled (a failure stops here), uninstall, delete the folder; the logs stay."""
        with self._alone():
            folder = self._needed()
            folder.prepare()
            done = []
            if folder.state == ENABLED:
                done.append(self._call(folder, "disable"))
                if done[-1].exit_code != 0:
                    return done
            if folder.state == INSTALLED:
                done.append(self._call(folder, "uninstall"))
            self._delete(folder)
            return done

    def update(self, package: str, settings: Settings | None = None) -> list[CommandResult]:
        """Old disable, new update, old uninstall, new install, new enable, with the agent's rules for failures."""
        with self._alone():
            return self._update(self._needed(), open_package(package), settings)

    def status(self) -> dict[str, Any]:
        """``handler``, ``version``, ``home``, ``state``, ``sequence`` and ``status`` (of the status file)."""
        folder = self._current()
        if folder is None:
            nothing = dict.fromkeys(("handler", "version", "home", "sequence", "status"))
            return {**nothing, "state": NOT_INSTALLED}
        return {
            "handler": folder.name,
            "version": folder.version,
            "home": folder.home,
            "state": folder.state,
            "sequence": folder.sequence,
            "status": folder.extension_status(),
        }

    def processes(self) -> list[tuple[int, str]]:
        """(pid, command line) of every process that runs something below ``root`` or an installed extension."""
        found = []
        wanted = (self.lib_dir + "/").encode()
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as source:
                        line = source.read()
                except OSError:
                    continue
                if any(part.startswith(wanted) for part in line.split(b"\0")):
                    found.append((int(name), line.replace(b"\0", b" ").decode("utf-8", "replace").strip()))
        return found

    # -- the agent's steps

    def _folder(self, name: str, version: str) -> Folder:
        return Folder(self.lib_dir, self.log_root, name, version)

    def _current(self) -> Folder | None:
        """The folder that counts: enabled before installed before anything else."""
        folders = []
        try:
            entries = os.listdir(self.lib_dir)
        except (FileNotFoundError, NotADirectoryError):
            entries = []
        for entry in entries:
            name, dash, version = entry.partition("-")
            if dash and name and os.path.isdir(os.path.join(self.lib_dir, entry, "config")):
                folders.append(self._folder(name, version))
        order = (ENABLED, INSTALLED, FAILED_UPGRADE, NOT_INSTALLED)
        return min(folders, key=lambda folder: (order.index(folder.state), folder.home), default=None)

    def _needed(self) -> Folder:
        folder = self._current()
        if folder is None:
            raise AgentError(f"nothing is installed below {self.root}; run install or enable with --package")
        return folder

    def _install(self, package: Package, settings: Settings | None) -> list[CommandResult]:
        folder = self._folder(package.name, package.version)
        other = self._current()
        if other is not None and other.home != folder.home and other.state in (INSTALLED, ENABLED):
            raise AgentError(f"{other.name} {other.version} is {other.state}; use update, or uninstall it first")
        os.makedirs(self.lib_dir, mode=0o700, exist_ok=True)
        before = folder.state
        if before in (NOT_INSTALLED, FAILED_UPGRADE):
            package.unpack(folder.home)
        folder.prepare()
        if before in (NOT_INSTALLED, FAILED_UPGRADE):
            folder.set_state(NOT_INSTALLED)
        if settings is not None:
            folder.write_settings(_next(folder.sequence), settings)
        elif folder.sequence is None:
            folder.write_settings(0, None)
        result = self._call(folder, "install")
        if before == ENABLED and result.exit_code == 0:
            folder.set_state(ENABLED)
        return [result]

    def _enable(self, folder: Folder) -> CommandResult:
        folder.refresh_settings(folder.sequence or 0)
        return self._call(folder, "enable")

    def _update(self, old: Folder, package: Package, settings: Settings | None) -> list[CommandResult]:
        new = self._folder(package.name, package.version)
        if new.name != old.name:
            raise AgentError(f"{old.name} is installed, the package is {new.name}; uninstall the old one first")
        if new.home == old.home:
            raise AgentError(f"{old.name} {old.version} is installed already; use noop or enable")
        package.unpack(new.home)
        new.prepare()
        goes_on = _true(new.manifest().get("continueOnUpdateFailure"))
        done: list[CommandResult] = []
        disabled = "NOT_RUN"
        if old.state == ENABLED:
            old.prepare()
            done.append(self._call(old, "disable"))
            disabled = str(done[-1].exit_code)
            if done[-1].exit_code != 0 and not goes_on:
                new.set_state(NOT_INSTALLED)
                return done
            old.set_state(INSTALLED)
        self._carry_over(old, new, settings)
        facts = {
            "AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE": disabled,
            "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": old.version,
            "VERSION": new.version,
        }
        done.append(self._call(new, "update", facts))
        if done[-1].exit_code != 0:
            new.set_state(FAILED_UPGRADE)
            return done
        done.append(self._call(old, "uninstall"))
        removed = done[-1].exit_code
        if removed != 0 and not goes_on:
            new.set_state(NOT_INSTALLED)
            return done
        self._delete(old)
        facts = {"AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE": str(removed)}
        if str(new.manifest().get("updateMode") or "UpdateWithInstall").lower() == "updatewithinstall":
            done.append(self._call(new, "install", facts))
            if done[-1].exit_code != 0:
                return done
        new.refresh_settings(new.sequence or 0)
        done.append(self._call(new, "enable", facts))
        return done

    @staticmethod
    def _carry_over(old: Folder, new: Folder, settings: Settings | None) -> None:
        """Status files, ``mrseq`` and the current settings go to the new version's folder."""
        for name in os.listdir(old.path("status")) if os.path.isdir(old.path("status")) else ():
            shutil.copy2(old.path("status", name), new.path("status", name))
        if os.path.exists(old.path("mrseq")):
            shutil.copy2(old.path("mrseq"), new.path("mrseq"))
        if settings is not None:
            new.write_settings(_next(old.sequence), settings)
        elif old.sequence is None:
            new.write_settings(0, None)
        else:
            shutil.copy2(old.settings_path(old.sequence), new.settings_path(old.sequence))

    def _call(self, folder: Folder, name: str, facts: Mapping[str, str] | None = None) -> CommandResult:
        """Run one of the manifest's commands and note state, status and log as the agent does."""
        relative = folder.manifest().get(f"{name}Command")
        if not isinstance(relative, str) or not relative.strip("/ "):
            raise PackageError(f"{folder.home}/HandlerManifest.json has no {name}Command")
        line = f"{shlex.quote(folder.home)}/{relative.lstrip('/')}"
        environ = commands.variables(name, folder.home, folder.version, folder.sequence or 0, facts or {}, self.env)
        result = self._run(name, line, folder.home, folder.version, environ, commands.LIMITS[name])
        self._log(folder, line, result)
        if result.exit_code == 0 and name in _AFTER:
            state, status, message = _AFTER[name]
            folder.set_state(state)
            folder.set_status(status, 0, message)
        elif result.exit_code != 0:
            code = commands.TIMED_OUT if result.exit_code == commands.TIMED_OUT else _ERROR_CODES[name]
            text = f"[ExtensionOperationError] Non-zero exit code: {result.exit_code}, {line}\n{result.output}"
            folder.set_status("NotReady", code, text)
            if name == "enable":
                folder.set_state(INSTALLED)
        return result

    def _log(self, folder: Folder, line: str, result: CommandResult) -> None:
        """Append to CommandExecution.log; its beginning goes when it is over 10 MiB."""
        path = os.path.join(folder.log_folder, "CommandExecution.log")
        with contextlib.suppress(OSError):
            if os.path.getsize(path) > _LOG_MAX:
                with open(path, "rb") as source:
                    source.seek(-_LOG_MAX // 2, os.SEEK_END)
                    source.readline()
                    write_file(path, source.read())
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with open(path, "a", encoding="utf-8", opener=_private) as out:
            out.write(
                f"{stamp} {'INFO' if result.exit_code == 0 else 'ERROR'} [{folder.name}-{folder.version}] "
                f"Command: {line}, exit code {result.exit_code}, {result.seconds:.1f} s\n{result.output}\n"
            )

    def _delete(self, folder: Folder) -> None:
        shutil.rmtree(folder.home, ignore_errors=True)
        if os.path.exists(folder.home):
            raise AgentError(f"{folder.home} could not be deleted wholly; see who still uses it")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One command at a time below one root."""
        os.makedirs(self.lib_dir, mode=0o700, exist_ok=True)
        fd = os.open(os.path.join(self.lib_dir, ".vm-agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AgentError(f"another `lad vm-agent` is at work below {self.root}; wait for its end") from None
            yield
        finally:
            os.close(fd)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _next(sequence: int | None) -> int:
    return 0 if sequence is None else sequence + 1


def _true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def read_settings(text: str, where: str) -> Any:
    """A settings file's JSON object; AgentError names file, line and column (never the content)."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise AgentError(f"{where} line {error.lineno} column {error.colno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        raise AgentError(f"{where}: not JSON that can be read") from None
    return value
