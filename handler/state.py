"""The state folder, which outlives a version: made, recognised, kept over an upgrade, removed at the end.

A marker file says that the folder is ours. A folder without it that holds anything else (somebody pointed
``LAD_STATE_DIR`` at a folder of their own) is never removed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from handler import files

MARKER = ".lad-emulator"
UPGRADING = "upgrading"
INSTALLED = "installed.json"
_OURS = frozenset(("accepted", "omi", "reserve", "run"))
_OURS_BEGIN = ("collector.", "uploader.", "watchdog.", "omi_service.", "daemon.health", "run.json", "installed.json")
UPGRADE_LIFE = 2 * 3600.0  # seconds; install, enable and the waits between them are far shorter


class StateError(Exception):
    """The state folder cannot be used; the text names it and the cure."""


def ensure(folder: str) -> bool:
    """Make the folder (0700) and mark it as ours; whether it was made now. StateError if it cannot be used."""
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        try:
            os.mkdir(folder, 0o700)
            made = True
        except FileExistsError:
            made = False
        if made or _holds_only_ours(folder):
            files.replace(os.path.join(folder, MARKER), b"lad-emulator state folder\n")
        if os.path.exists(os.path.join(folder, MARKER)):
            os.chmod(folder, 0o700)
    except OSError as error:
        raise StateError(
            f"cannot use the state folder {folder}: {error.strerror}; set LAD_STATE_DIR to a folder that root owns"
        ) from None
    return made


def _holds_only_ours(folder: str) -> bool:
    """Whether there is nothing in it but what a daemon makes: `lad run` was there first, or the folder was removed
    under a running daemon."""
    return all(name in _OURS or name.startswith(_OURS_BEGIN) for name in os.listdir(folder))


def _is_ours(folder: str) -> bool:
    """Marked, or made anew by a daemon under which it was removed."""
    if os.path.exists(os.path.join(folder, MARKER)):
        return True
    return os.path.exists(os.path.join(folder, "watchdog.lock")) and _holds_only_ours(folder)


def remove(folder: str) -> str:
    """Delete the folder if it is ours; what was done, in words."""
    if not os.path.lexists(folder):
        return f"{folder} was not there"
    if os.path.islink(folder) or not _is_ours(folder):
        return f"{folder} left in place: it has no {MARKER}, so it was not made by this extension"
    import shutil  # here, because no other command needs it

    shutil.rmtree(folder, ignore_errors=True)
    left = sum(len(names) for _, _, names in os.walk(folder)) if os.path.exists(folder) else 0
    return f"{folder} could not be removed wholly: {left} files left" if left else f"{folder} removed"


def write_json(folder: str, name: str, value: Mapping[str, Any]) -> None:
    """Write one small file of the state folder (OSError)."""
    files.replace(os.path.join(folder, name), json.dumps(value, indent=1).encode() + b"\n")


def mark_upgrade(folder: str, version: str, environ: Mapping[str, str]) -> str:
    """Note that ``version`` takes part in an upgrade, so that the leaving version keeps the state; the target.

    ``update`` runs in the new version, on a downgrade in the old one, where the agent's idea of the version that
    is left is wrong (spec/vm-agent.md 7): only the target, ``VERSION``, can be relied upon.
    """
    target = environ.get("VERSION", "").strip() or version
    source = environ.get("AZURE_GUEST_AGENT_UPDATING_FROM_VERSION", "").strip()
    if version != target:
        source = version
    write_json(folder, UPGRADING, {"from": source, "to": target, "time": time.time()})
    return target


def upgrade_target(folder: str, now: float) -> str | None:
    """The version that an upgrade under way leads to, or None if there is none (or only an old mark)."""
    try:
        value = json.loads(files.read_text(os.path.join(folder, UPGRADING)) or "")
        target, marked = value["to"], float(value["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return target if isinstance(target, str) and abs(now - marked) < UPGRADE_LIFE else None
