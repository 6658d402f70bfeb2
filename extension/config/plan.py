"""The short-lived child that turns ``xmlCfg.xml`` and ``options.json`` into a plan for processes without lxml.

``python -m extension.config.plan XMLCFG [OPTIONS]`` prints one JSON object:
``{"plan": {...} | null, "problems": [{"severity", "path", "message", "cure", "value"}, ...]}`` and exits 0 with a plan,
1 without, 2 for wrong arguments. The output carries decrypted secrets: it goes to a pipe, never to a file or a log.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Mapping
from datetime import datetime, timezone

from extension.config import document, options, xmlsafe
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.config.secrets import decrypt_hex
from extension.plan import Plan


def _bytes(path: str, problems: Problems) -> bytes | None:
    try:
        # a pipe without a writer would block here, and the watchdog that waits for the answer with it
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                problems.error(path, "is no regular file", "check the path")
                return None
            return file.read(xmlsafe.MAX_BYTES + 1)
    except OSError as problem:
        problems.error(path, f"cannot be read: {problem.strerror}", "check the path and its permissions")
        return None


def _options(path: str, problems: Problems) -> object:
    data = _bytes(path, problems)
    if data is None:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as problem:
        problems.error(path, f"is not JSON: {problem}", "write one JSON object")
        return None


def planned(
    config: str, options_path: str | None, hostname: str, environ: Mapping[str, str], now: datetime
) -> tuple[Plan | None, Problems]:
    """The plan of the document at ``config`` and everything that was noticed on the way."""
    problems = Problems()
    chosen = _options(options_path, problems) if options_path else None
    settings = options.read(chosen, options_path or "options", problems)
    xml = _bytes(config, problems)
    if xml is None:
        return None, problems
    read = document.read(xml, config, problems, environ=environ)
    if read is None:
        return None, problems
    plan = resolve(read, settings, hostname, environ=environ, decrypt=decrypt_hex, now=now, problems=problems)
    return plan, problems


def main() -> int:
    """Entry point of the child; see the module's text."""
    if len(sys.argv) not in (2, 3):
        print("usage: python -m extension.config.plan XMLCFG [OPTIONS]", file=sys.stderr)
        return 2
    chosen = sys.argv[2] if len(sys.argv) == 3 else None
    plan, problems = planned(sys.argv[1], chosen, socket.gethostname(), os.environ, datetime.now(timezone.utc))
    found = {"plan": plan.to_json() if plan else None, "problems": [p.to_json() for p in problems]}
    try:
        print(json.dumps(found), flush=True)
    except BrokenPipeError:  # who asked has been killed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter's own flush complains
        return 1
    return 0 if plan else 1


if __name__ == "__main__":
    sys.exit(main())
