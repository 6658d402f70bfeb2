"""The handler's ``extension.log``, and settings made fit to stand in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any, TextIO

from extension.extlog import ExtensionLog
from handler.environment import Environment

FILE = "extension.log"
REDACTED = "REDACTED_SECRET"
_OPEN_PROTECTED = frozenset(("storageaccountname", "storageaccountendpoint"))
_SECRET_NAME = re.compile(r"key$|sas|secret|token|password|pwd|connectionstring|credential", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"[?&]?sig=|AccountKey=|SharedAccessKey=|(?:://|^)[^/@\s]+:[^/@\s]+@", re.IGNORECASE)
_LONG = 200


def open_log(environment: Environment, also: TextIO | None) -> ExtensionLog:
    """``<logFolder>/extension.log``, the folder made if the agent did not."""
    path = os.path.join(environment.log_folder, FILE)
    with contextlib.suppress(OSError):  # the log counts what it cannot write and says so on ``also``
        os.makedirs(environment.log_folder, mode=0o750, exist_ok=True)
    return ExtensionLog(path, environment.tag, also=also)


def redacted(public: Any, protected: Any) -> str:
    """Settings as one JSON line: every protected value but account and endpoint hidden, long texts cut."""
    hidden: dict[str, Any] = {}
    if isinstance(protected, dict):
        for key, value in protected.items():
            shown = key.lower() in _OPEN_PROTECTED and isinstance(value, str) and not _SECRET_VALUE.search(value)
            hidden[key] = value[:_LONG] if shown else REDACTED
    return json.dumps({"public": _public(public, 0), "protected": hidden}, ensure_ascii=False)


def _public(value: Any, depth: int) -> Any:
    """People put secrets into the public part too: what looks like one is hidden there as well."""
    if depth > 40:
        return "..."
    if isinstance(value, dict):
        return {
            key: REDACTED if _SECRET_NAME.search(key) and isinstance(item, str) else _public(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_public(item, depth + 1) for item in value]
    if isinstance(value, str):
        if _SECRET_VALUE.search(value):
            return REDACTED
        return value if len(value) <= _LONG else f"{value[:_LONG]}... [{len(value)} characters]"
    return value
