"""SCX's own configuration files, honoured where a machine still has them (spec/omi-scx.md 3 and 8)."""

from __future__ import annotations

import os

_FOLDER = "etc/opt/microsoft/scx/conf"
_LIMIT = 1 << 20
ENUM, CONFIG = "scxenum.conf", "scxconfig.conf"


def assignments(text: str) -> dict[str, str]:
    """``KEY=value`` lines, as in os-release(5): quotes taken off, comments and other lines left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key and not key.startswith("#"):
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            found[key.strip()] = value.replace('\\"', '"').replace("\\$", "$").replace("\\\\", "\\")
    return found


def settings(root: str, name: str) -> dict[str, str]:
    """What the file ``name`` below ``root`` assigns; nothing if there is no such file."""
    try:
        with open(os.path.join(root, _FOLDER, name), "rb") as file:
            return assignments(file.read(_LIMIT).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return {}


def lists_virtual_interfaces(root: str) -> bool:
    """Whether scxenum.conf has ``enumvif=true``; the default is false, as SCX's is since 2019."""
    return settings(root, ENUM).get("enumvif", "").lower() == "true"


def number(found: dict[str, str], key: str, default: int, least: int, most: int) -> tuple[int, str]:
    """The number under ``key``, and what is wrong with it if the default is taken in its place ("" if nothing)."""
    text = found.get(key, "")
    if not text:
        return default, ""
    if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
        return int(text), ""
    file = f"/{_FOLDER}/{CONFIG}"
    return default, f"{file}: {key}={text[:40]} is not a number from {least} to {most}, {default} is taken"
