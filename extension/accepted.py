"""A copy of the configuration that was accepted last: what runs on when a later one is refused.

``<state>/accepted/`` holds the document and its options as they stand on disk (secrets stay as encrypted as they are
there), 0600, and where they came from. A component that has to start again while a newer document is refused is
started on this copy. Relative names in a document are not followed from here.
"""

from __future__ import annotations

import json
import os

from extension.health import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from extension.descriptor import Descriptor

WORD = "accepted"
"""The argument after the descriptor that makes a component run on the copy."""
MAX_BYTES = 32 << 20


def _folder(where: Descriptor) -> str:
    return os.path.join(where.state_dir, "accepted")


def stamp(where: Descriptor) -> list[tuple[int, int, int]]:
    """What changes when one of the two files does."""
    found = []
    for path in (where.config, where.options):
        try:
            status = os.stat(path)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return found


def keep(where: Descriptor) -> None:
    """Copy the two files, if they differ from the copy there is. OSError if that cannot be done."""
    folder = _folder(where)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name, path in (("xmlCfg.xml", where.config), ("options.json", where.options)):
        data = _read(path) if path and os.path.exists(path) else b"{}"
        _put(os.path.join(folder, name), data)
    _put(os.path.join(folder, "source.json"), json.dumps([where.config, where.options]).encode())


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_BYTES)


def _put(path: str, data: bytes) -> None:
    if not os.path.exists(path) or _read(path) != data:
        replace(path, data)


def usable(where: Descriptor) -> bool:
    """Whether there is a copy, and of this descriptor's files."""
    try:
        with open(os.path.join(_folder(where), "source.json"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return False
    return bool(found == [where.config, where.options])


def redirect(where: Descriptor) -> None:
    """Let the descriptor name the copies."""
    where.config = os.path.join(_folder(where), "xmlCfg.xml")
    where.options = os.path.join(_folder(where), "options.json")
