"""The files of the ``omiserver`` command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple


class Paths(NamedTuple):
    """The files of the command."""

    folder: str
    conf: str
    credentials: str
    cert: str
    key: str
    pid: str
    log: str


def paths(environment: Mapping[str, str]) -> Paths:
    """Where the files are."""
    folder = os.path.join(environment.get("LAD_STATE_DIR") or "/var/lib/lad-emulator", "omi")
    names = ("omiserver.conf", "credentials", "omi.pem", "omikey.pem", "omiserver.pid", "omiserver.log")
    return Paths(folder, *(os.path.join(folder, name) for name in names))
