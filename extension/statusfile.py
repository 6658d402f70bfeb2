"""``N.status``: the file in which an extension tells the VM agent how it is (spec/vm-agent.md 8).

The agent reads element 0 of a JSON array, at most 128 KiB of it unabridged, and waits 8 s whenever the file
is missing or not JSON: so it is replaced in one step and kept small.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

STATES = ("transitioning", "warning", "error", "success")
MAX_MESSAGE = 1024  # characters of one message
MAX_FILE = 120 * 1024  # bytes of the whole file; the agent abridges from 128 KiB on
_MAX_NAME = 256


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = " ... [cut]"
    return text[: limit - len(mark)] + mark


def _entry(name: str, status: str, code: int, message: str) -> dict[str, Any]:
    if status not in STATES:
        raise ValueError(f"status must be one of {', '.join(STATES)}, not {status!r}")
    return {
        "name": _cut(name, _MAX_NAME),
        "status": status,
        "code": int(code),
        "formattedMessage": {"lang": "en-US", "message": _cut(message, MAX_MESSAGE)},
    }


def enabled_text(note: str) -> str:
    """What a status says of settings in force; ``note`` is what was odd about them, "" if nothing."""
    return f"Enable succeeded, with warnings: {note}" if note else "Enable succeeded"


def noted(trouble: str, note: str) -> str:
    """What a status says of a daemon in trouble, which what was odd about its settings may explain."""
    return f"{trouble}; about the settings: {note}" if note else trouble


def substatus(name: str, status: str, code: int, message: str) -> dict[str, Any]:
    """One component's part of the status; ValueError if ``status`` is not one of :data:`STATES`."""
    return _entry(name, status, code, message)


def status_document(
    name: str,
    operation: str,
    status: str,
    code: int,
    message: str,
    substatus: Sequence[Mapping[str, Any]] = (),
    version: str = "1.0",
    now: Callable[[], float] = time.time,
) -> list[dict[str, Any]]:
    """The status file's content, an array of one object. ``now`` gives Unix seconds; times are in UTC."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now()))
    body = _entry(name, status, code, message)
    body["operation"] = operation
    body["configurationAppliedTime"] = stamp
    if substatus:
        body["substatus"] = [dict(part) for part in substatus]
    return [{"version": version, "timestampUTC": stamp, "status": body}]


def encode(document: Sequence[Mapping[str, Any]]) -> bytes:
    """JSON bytes under :data:`MAX_FILE`; substatus entries that do not fit are left out and counted."""
    data = _dump(document)
    parts = list(document[0]["status"].get("substatus", ())) if document else []
    kept = len(parts)
    while len(data) > MAX_FILE and kept > 0:
        kept -= max(1, kept // 8)
        left_out = f"{len(parts) - kept} more entries did not fit into the status file"
        rest = _entry("omitted", "warning", 0, left_out)
        status = {**document[0]["status"], "substatus": [*parts[:kept], rest]}
        data = _dump([{**document[0], "status": status}, *document[1:]])
    return data


def _dump(document: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"


def write(path: str, document: Sequence[Mapping[str, Any]]) -> None:
    """Put ``document`` at ``path`` in one step (temporary file, then rename); OSError if it cannot."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(encode(document))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
