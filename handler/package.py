"""Whether the unpacked package is whole and this Python has what it needs."""

from __future__ import annotations

import importlib.util
import os

LIST = "package.list"
_MODULES = ("extension.watchdog", "extension.collector", "extension.uploader", "omi_queries", "lxml", "tenacity")
_STANDARD = ("sqlite3", "_sqlite3", "ssl", "_ssl", "zlib")


def missing(home: str) -> list[str]:
    """Every file of ``package.list`` that is absent or cut, and every module that cannot be found.

    Lines of the list: size in bytes, blank, path relative to ``home``.
    """
    found = []
    try:
        with open(os.path.join(home, LIST), encoding="utf-8") as source:
            lines = source.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        size, _, path = line.partition(" ")
        try:
            actual = os.stat(os.path.join(home, path)).st_size
        except OSError:
            found.append(f"file {path} is missing")
            continue
        if str(actual) != size:
            found.append(f"file {path} has {actual} instead of {size} bytes")
    found += [f"module {name} is missing from the package" for name in _MODULES if not _findable(name)]
    found += [f"module {name} is missing from this Python" for name in _STANDARD if not _findable(name)]
    return found


def _findable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
