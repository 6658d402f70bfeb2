"""Where the state of an installed extension is, for commands that are not told."""

from __future__ import annotations

import json
import os

DEFAULT_STATE_DIR = "/var/lib/lad-emulator"


def state_dir(given: str | None = None) -> str:
    """``--state-dir``, else ``LAD_STATE_DIR``, else /var/lib/lad-emulator; absolute."""
    return os.path.abspath(given or os.environ.get("LAD_STATE_DIR") or DEFAULT_STATE_DIR)


def closed(folder: str) -> str:
    """Why nothing in an existing folder can be seen, with the cure; "" if it can be, or if there is no such folder."""
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder} can only be read by its owner: run this command as root"
    return ""


def installed(folder: str) -> dict[str, str]:
    """What ``enable`` recorded in ``installed.json`` (home, config, options, log …); {} if nothing is installed."""
    try:
        with open(os.path.join(folder, "installed.json"), encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else {}
