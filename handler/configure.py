"""From settings to the files that the daemon runs by: xmlCfg.xml, options.json, daemon.json."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from handler import files, settings
from handler.environment import Environment

if TYPE_CHECKING:
    from extension.config.problems import Problem

NO_SETTINGS = (
    "no settings file in {folder}: the VM agent writes N.settings there; set the extension's public and protected "
    "settings"
)


class RefusedError(Exception):
    """Settings that are not enabled: ``problems`` are complete lines, ``exit_code`` is 53 or 52."""

    def __init__(self, problems: tuple[str, ...], exit_code: int = settings.BAD_SETTINGS) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.exit_code = exit_code


class Configuration(NamedTuple):
    """What the settings become; ``warnings`` and ``notes`` are one-line texts."""

    xml: bytes
    options: Mapping[str, Any]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    public: Any
    protected_keys: tuple[str, ...]
    redacted: str
    deployment_id: str


def open_settings(found: settings.Found | None, environment: Environment) -> settings.Settings:
    """Read and decrypt the settings file that counts; RefusedError with the reason."""
    from extension.config.secrets import SecretError, decrypt_cms

    if found is None:
        raise RefusedError((NO_SETTINGS.format(folder=environment.config_folder),))

    def decrypt(message: bytes, cert: str | None, key: str) -> bytes:
        if not _on_path("openssl"):
            raise settings.SettingsError(
                "protectedSettings need the openssl command to be decrypted, and it is not on PATH; "
                "install the openssl package",
                settings.MISSING_DEPENDENCY,
            )
        try:
            return decrypt_cms(message, cert, key)
        except SecretError as error:
            cure = "repair the openssl package" if error.tool else "set the extension again, for this VM's certificate"
            raise settings.SettingsError(
                f"$.runtimeSettings[0].handlerSettings.protectedSettings: {error}; {cure}",
                settings.MISSING_DEPENDENCY if error.tool else settings.BAD_SETTINGS,
            ) from None

    try:
        return settings.load(found, environment.lib_dir, decrypt)
    except settings.SettingsError as error:
        raise RefusedError((str(error),), error.exit_code) from None


def generate(opened: settings.Settings, environment: Environment) -> Configuration:
    """Turn opened settings into the daemon's configuration; RefusedError with every error that there is."""
    from extension.config.build import generate as build
    from extension.config.machine import found as machine_found
    from handler.log import redacted

    machine = machine_found(waagent_dir=environment.lib_dir)
    made = build(opened.public, opened.protected, machine=machine, seal=_seal(opened))
    errors = _texts(made.problems, "error")
    if errors or made.xml is None:
        raise RefusedError(errors or ("the settings make no configuration document",))
    protected = opened.protected if isinstance(opened.protected, dict) else {}
    return Configuration(
        xml=made.xml,
        options=made.options,
        warnings=_texts(made.problems, "warning"),
        notes=_texts(made.problems, "note"),
        public=opened.public,
        protected_keys=tuple(str(key) for key in protected),
        redacted=redacted(opened.public, opened.protected),
        deployment_id=machine.deployment_id,
    )


def _texts(problems: Iterable["Problem"], severity: str) -> tuple[str, ...]:
    """The problems of one severity as lines: path, what is wrong, cure."""
    return tuple(p.render().removeprefix(f"{severity}: ") for p in problems if p.severity == severity)


def _seal(opened: settings.Settings) -> Any:
    """Secrets in xmlCfg.xml are encrypted for the VM's certificate where there is one."""
    from extension.config.secrets import seal_for

    if opened.cert is None or opened.key is None or not _on_path("openssl"):
        return None
    return seal_for(opened.cert, opened.key)


def _on_path(name: str) -> bool:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders if folder)


def descriptor_path(home: str) -> str:
    """``daemon.json`` of an extension folder."""
    return os.path.join(home, "daemon.json")


def config_path(home: str) -> str:
    """``xmlCfg.xml`` of an extension folder."""
    return os.path.join(home, "xmlCfg.xml")


def descriptor(
    environment: Environment, state_dir: str, mode: str, sequence: int, status_file: str | None
) -> dict[str, Any]:
    """The daemon's descriptor (extension/descriptor.py); nothing secret in it."""
    home = environment.home
    return {
        "mode": mode,
        "home": home,
        "config": config_path(home),
        "options": os.path.join(home, "options.json"),
        "state_dir": state_dir,
        "log": os.path.join(environment.log_folder, "extension.log"),
        "log_tag": environment.tag,
        "status_file": status_file,
        "name": environment.name,
        "version": environment.version,
        "sequence": sequence,
        "pid_file": os.path.join(home, "lad.pids"),
        "heartbeat_file": os.path.join(state_dir, "daemon.health"),
    }


def install(made: Configuration, described: Mapping[str, Any]) -> None:
    """Put the three files in place, all or none (OSError)."""
    files.replace_all(
        {
            str(described["config"]): made.xml,
            str(described["options"]): _json(made.options),
            descriptor_path(str(described["home"])): _json(described),
        }
    )


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def python() -> str:
    """The interpreter that runs the daemon: the one that runs this."""
    return sys.executable
