"""``HandlerEnvironment.json``: where the VM agent wants logs, settings and status (spec/vm-agent.md 4)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from handler import files

FILE = "HandlerEnvironment.json"
PATIENCE = 2.0  # seconds: the agent may be writing the file at this moment
DEFAULT_STATE_DIR = "/var/lib/lad-emulator"
_DEFAULT_NAME = "LadEmulator.LinuxDiagnostic"


class EnvironmentFileError(Exception):
    """The file is missing or not as the agent writes it; the text names the file, the key and the cure."""


class Environment(NamedTuple):
    """Absolute paths of one installed version; ``version`` is the package's, ``schema`` the file's own."""

    home: str
    name: str
    version: str
    schema: str
    log_folder: str
    config_folder: str
    status_folder: str

    @property
    def tag(self) -> str:
        """What stands in brackets in each log line."""
        return f"{self.name}-{self.version}"

    @property
    def lib_dir(self) -> str:
        """The agent's folder, where the tenant's certificates are."""
        return os.path.dirname(self.home)


def state_dir(environ: Mapping[str, str]) -> str:
    """The folder that outlives versions: ``LAD_STATE_DIR``, else :data:`DEFAULT_STATE_DIR`."""
    return os.path.abspath(environ.get("LAD_STATE_DIR") or DEFAULT_STATE_DIR)


def package_version(home: str, environ: Mapping[str, str]) -> str:
    """The package's own ``version`` file, else what the agent says, else the folder's name, else ``0``."""
    text = files.read_text(os.path.join(home, "version"), 64)
    if text and text.strip():
        return text.strip()
    told = environ.get("AZURE_GUEST_AGENT_EXTENSION_VERSION", "").strip()
    return told or os.path.basename(home).partition("-")[2] or "0"


def parse(text: str, home: str, version: str) -> Environment:
    """The array (or bare object) as an :class:`Environment`; EnvironmentFileError names the odd key."""
    where = os.path.join(home, FILE)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentFileError(f"{where} is not JSON ({error}); the VM agent writes it at its next start") from None
    if isinstance(value, list):
        if not value:
            raise EnvironmentFileError(f"{where} is an empty array; restart the VM agent")
        value = value[0]
    if not isinstance(value, dict):
        raise EnvironmentFileError(f"{where} holds neither an object nor an array of one; restart the VM agent")
    folders = value.get("handlerEnvironment")
    if not isinstance(folders, dict):
        raise EnvironmentFileError(f"{where} has no object handlerEnvironment; restart the VM agent")
    name = value.get("name")
    schema = value.get("version")
    return Environment(
        home=home,
        name=name if isinstance(name, str) and name else default_name(home),
        version=version,
        schema="1.0" if schema is None else str(schema),
        log_folder=_folder(folders, "logFolder", where),
        config_folder=_folder(folders, "configFolder", where),
        status_folder=_folder(folders, "statusFolder", where),
    )


def default_name(home: str) -> str:
    """The handler's name by its folder ``<Name>-<Version>``."""
    name, dash, _ = os.path.basename(home).partition("-")
    return name if dash and name else _DEFAULT_NAME


def _folder(folders: Mapping[str, Any], key: str, where: str) -> str:
    value = folders.get(key)
    if not isinstance(value, str) or not os.path.isabs(value):
        raise EnvironmentFileError(f"{where}: handlerEnvironment.{key} is not an absolute path; restart the VM agent")
    return os.path.normpath(value)


def read(
    home: str,
    environ: Mapping[str, str],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    patience: float = PATIENCE,
) -> Environment:
    """Read the file in ``home``, trying again for ``patience`` seconds; EnvironmentFileError after that."""
    deadline = monotonic() + patience
    pause = 0.05
    while True:
        try:
            return parse(_content(home), home, package_version(home, environ))
        except EnvironmentFileError:
            if monotonic() + pause > deadline:
                raise
        sleep(pause)
        pause = min(2 * pause, 0.5)


def _content(home: str) -> str:
    path = os.path.join(home, FILE)
    try:
        with open(path, encoding="utf-8-sig") as source:
            return source.read(1024 * 1024)
    except OSError as error:
        raise EnvironmentFileError(
            f"cannot read {path} ({error.strerror}); the VM agent writes it before it calls a command: "
            "run the command through the VM agent or `lad vm-agent`"
        ) from None
    except UnicodeDecodeError:
        raise EnvironmentFileError(f"{path} is not UTF-8; restart the VM agent") from None
