"""``lad config generate`` and ``lad config check``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extension.config.machine import Machine
    from extension.config.problems import Problem, Problems

_MAX_BYTES = 16 * 1024 * 1024
_GENERATE = """The document that the settings ask for goes to standard output, all problems to standard error.
Exit code: 0 with warnings and notes at most, 1 with errors (the document is printed if there is one), 2 wrong usage."""
_CHECK = """F is a settings file ({"public": ..., "protected": ...}, bare public settings, or a VM agent's N.settings)
or an mdsd XML document. Exit code: 0 without errors, 1 with errors, 2 wrong usage."""


class _InputError(Exception):
    """A file that cannot be used; the text is one line."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``config`` with its two commands; each sets ``run``: Namespace -> exit code."""
    config = subparsers.add_parser("config", help="make the daemon's configuration from settings, or check either")
    commands = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    generate = commands.add_parser("generate", help="settings to mdsd XML", description=_GENERATE)
    generate.add_argument("--public", required=True, metavar="F", help="public settings, JSON; - is standard input")
    generate.add_argument("--protected", metavar="F", help="protected settings, JSON; - is standard input")
    generate.add_argument("--lad", choices=("2.3", "3.0", "4.0"), help="read as this LAD, to the letter")
    generate.add_argument("--vm-uuid", metavar="U", help="this machine's UUID (default: from firmware or machine-id)")
    generate.add_argument("--deployment-id", metavar="D", help="the deployment (default: from the agent's files)")
    generate.set_defaults(run=run_generate)
    check = commands.add_parser("check", help="name every problem of a file", description=_CHECK)
    check.add_argument("file", metavar="F", help="settings JSON or mdsd XML; - is standard input")
    check.add_argument("--json", action="store_true", help="problems as a JSON list on standard output")
    check.set_defaults(run=run_check)


def _bytes(path: str) -> bytes:
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with open(path, "rb") as f:
                data = f.read(_MAX_BYTES + 1)
    except OSError as problem:
        raise _InputError(f"error: {name}: cannot be read: {problem.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise _InputError(f"error: {name}: is larger than {_MAX_BYTES} bytes")
    return data


def _json(data: bytes, path: str) -> object:
    name = "standard input" if path == "-" else path
    try:
        value: object = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        raise _InputError(f"error: {name}: is not UTF-8 (byte {problem.start}). Cure: save it as UTF-8") from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno} column {problem.colno}"
        raise _InputError(f"error: {name} {where}: is not JSON: {problem.msg}. Cure: correct it there") from None
    except (ValueError, RecursionError):
        raise _InputError(
            f"error: {name}: is not JSON that can be read: it nests too deeply or has a huge number"
        ) from None
    return value


def _machine(args: argparse.Namespace) -> Machine:
    from extension.config import machine

    found = machine.Machine("", "")
    if args.vm_uuid is None or args.deployment_id is None:
        found = machine.found()
    uuid = found.vm_uuid if args.vm_uuid is None else args.vm_uuid
    deployment = found.deployment_id if args.deployment_id is None else args.deployment_id
    return machine.Machine(uuid, deployment)


def _complain(problems: Iterable[Problem]) -> None:
    for problem in problems:
        sys.stderr.buffer.write(problem.render().encode("utf-8", "backslashreplace") + b"\n")
    sys.stderr.flush()


def run_generate(args: argparse.Namespace) -> int:
    """``lad config generate``."""
    from extension.config import xmlsafe
    from extension.config.build import generate

    if args.public == "-" and args.protected == "-":
        print("error: only one file can be standard input", file=sys.stderr)
        return 2
    for option, value in (("--vm-uuid", args.vm_uuid), ("--deployment-id", args.deployment_id)):
        if value is not None and not xmlsafe.legal(value):
            print(f"error: {option} has characters that XML cannot carry", file=sys.stderr)
            return 2
    try:
        public = _json(_bytes(args.public), args.public)
        protected = {} if args.protected is None else _json(_bytes(args.protected), args.protected)
    except _InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    made = generate(public, protected, lad=args.lad, machine=_machine(args))
    _complain(made.problems)
    if made.xml is not None:
        sys.stdout.buffer.write(made.xml)
        sys.stdout.flush()
    return 0 if made.ok else 1


def _settings_of(value: object, problems: Problems) -> tuple[object, object, bool]:
    """Public settings, protected settings, and whether the protected ones can be looked at, of any of three forms."""
    if not isinstance(value, dict):
        return value, {}, False
    if "runtimeSettings" in value:
        listed = value["runtimeSettings"]
        first = listed[0] if isinstance(listed, list) and listed else None
        handler = first.get("handlerSettings") if isinstance(first, dict) else None
        if not isinstance(handler, dict):
            problems.error(
                "$.runtimeSettings[0].handlerSettings", "must be an object", "give a VM agent's settings file"
            )
            return {}, {}, False
        protected = handler.get("protectedSettings")
        if isinstance(protected, str):
            problems.note(
                "$.runtimeSettings[0].handlerSettings.protectedSettings", "is encrypted and is not looked at here"
            )
            return handler.get("publicSettings"), {}, False
        return handler.get("publicSettings"), protected, protected is not None
    for public_key, protected_key in (("public", "protected"), ("publicSettings", "protectedSettings")):
        if public_key in value or protected_key in value:
            return value.get(public_key), value.get(protected_key), protected_key in value
    return value, {}, False


def _check_settings(data: bytes, path: str, problems: Problems) -> None:
    from extension.config import machine
    from extension.config.build import generate
    from extension.config.values import PROTECTED

    public, protected, whole = _settings_of(_json(data, path), problems)
    if problems.failed:
        return
    made = generate(public, protected, machine=machine.found())
    # Credentials that are not in the file are not a problem of the file.
    problems.extend(p for p in made.problems if whole or not p.path.startswith(PROTECTED))


def _check_document(data: bytes, path: str, problems: Problems) -> None:
    import socket
    from datetime import datetime, timezone

    from extension.config import document
    from extension.config.resolve import resolve
    from extension.config.secrets import decrypt_hex
    from extension.plan import Options

    read = document.read(data, "standard input" if path == "-" else path, problems)
    if read is not None:
        now = datetime.now(timezone.utc)
        resolve(
            read, Options(), socket.gethostname(), environ=os.environ, decrypt=decrypt_hex, now=now, problems=problems
        )


def run_check(args: argparse.Namespace) -> int:
    """``lad config check``."""
    from extension.config import xmlsafe
    from extension.config.problems import Problems

    problems = Problems()
    try:
        data = _bytes(args.file)
        if xmlsafe.looks_like_xml(data):
            _check_document(data, args.file, problems)
        else:
            _check_settings(data, args.file, problems)
    except _InputError as problem:
        if args.json:
            print(
                json.dumps([{"severity": "error", "path": args.file, "message": str(problem), "cure": "", "value": ""}])
            )
        else:
            print(problem, file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([p.to_json() for p in problems], indent=1))
    else:
        for one in problems:
            sys.stdout.buffer.write(one.render().encode("utf-8", "backslashreplace") + b"\n")
        counts = {s: sum(1 for p in problems if p.severity == s) for s in ("error", "warning", "note")}
        told = ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in counts.items())
        sys.stdout.buffer.write(f"{args.file}: {told}\n".encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    return 1 if problems.failed else 0
