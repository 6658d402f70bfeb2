"""``lad config generate``, ``check``, ``init`` and ``convert``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from extension.config.inputfile import InputError, json_value, read
from extension.config.inputfile import name as named

if TYPE_CHECKING:
    from extension.config.document_report import Message
    from extension.config.machine import Machine
    from extension.config.problems import Problem, Problems

_GENERATE = """The document that the settings ask for goes to standard output, all problems to standard error.
Exit code: 0 with warnings and notes at most, 1 with errors (the document is printed if there is one), 2 wrong usage."""
_CHECK = """F is a settings file ({"public": ..., "protected": ...}, bare public or protected settings, a template or
Terraform file with one LinuxDiagnostic extension, or a VM agent's N.settings) or an mdsd XML document. Exit code: 0
without errors, 1 with errors, 2 wrong usage.
With --mdsd-strict, F is a document: standard output is that of mdsd -v, and any message of mdsd gives 1."""


_INIT = """The public settings of LAD 3.0 and 4.x with all 48 builtin counters, as the portal writes them, go to
standard output. Fill in the placeholders (__NAME__) of both forms before use: account, resource id, account SAS."""

_CONVERT = """Settings (public, or public and protected in one file, or a VM agent's N.settings) or an mdsd document
into another form on standard output, without secrets: those go to the file of --protected-out only. What has no
counterpart in the other form is listed on standard error. Exit code: 0 everything has a counterpart, 1 something has
none or F is faulty, 2 wrong usage."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``config`` with its commands; each sets ``run``: Namespace -> exit code."""
    config = subparsers.add_parser("config", help="make the daemon's configuration from settings, or check either")
    commands = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    generate = commands.add_parser("generate", help="settings to mdsd XML", description=_GENERATE)
    generate.add_argument("--public", required=True, metavar="F", help="public settings, JSON; - is standard input; "
                          "a file that has both is enough")  # fmt: skip
    generate.add_argument("--protected", metavar="F", help="protected settings, JSON; - is standard input")
    generate.add_argument("--lad", choices=("2.3", "3.0", "4.0"), help="read as this LAD, to the letter")
    generate.add_argument("--vm-uuid", metavar="U", help="this machine's UUID (default: from firmware or machine-id)")
    generate.add_argument("--deployment-id", metavar="D", help="the deployment (default: from the agent's files)")
    generate.set_defaults(run=run_generate)
    check = commands.add_parser("check", help="name every problem of a file", description=_CHECK)
    check.add_argument("file", metavar="F", help="settings JSON or mdsd XML; - is standard input")
    check.add_argument("--json", action="store_true", help="problems as a JSON list on standard output")
    check.add_argument("--mdsd-strict", action="store_true", help="judge a document as mdsd -v does")
    check.set_defaults(run=run_check)
    init = commands.add_parser("init", help="settings to start from, with placeholders", description=_INIT)
    forms = init.add_mutually_exclusive_group()
    forms.add_argument("--protected", action="store_true", help="the protected settings instead")
    forms.add_argument("--both", action="store_true", help="both, as one object with public and protected")
    init.set_defaults(run=run_init)
    _add_convert(commands)


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser("convert", help="settings or a document in another form", description=_CONVERT)
    convert.add_argument("file", metavar="F", help="settings JSON or mdsd XML; - is standard input")
    convert.add_argument("--to", required=True, choices=("2.3", "3.0", "mdsd"), help="the form to convert to")
    convert.add_argument("--protected", metavar="F", help="protected settings, where F has public ones only")
    convert.add_argument(
        "--protected-out",
        metavar="F",
        help="write the protected settings there (for mdsd: the document with its secrets), mode 0600",
    )
    convert.add_argument(
        "--vm-uuid", metavar="U", help="the UUID in a document for JSON blobs and scale sets (default: this machine's)"
    )
    convert.set_defaults(run=run_convert)


def _machine(args: argparse.Namespace) -> Machine:
    from extension.config import machine

    found = machine.Machine("", "")
    if args.vm_uuid is None or args.deployment_id is None:
        found = machine.found()
    uuid = found.vm_uuid if args.vm_uuid is None else args.vm_uuid
    deployment = found.deployment_id if args.deployment_id is None else args.deployment_id
    return machine.Machine(uuid, deployment, found.proxy)


def _complain(problems: Iterable[Problem]) -> None:
    for problem in problems:
        sys.stderr.buffer.write(problem.render().encode("utf-8", "backslashreplace") + b"\n")
    sys.stderr.flush()


def run_generate(args: argparse.Namespace) -> int:
    """``lad config generate``."""
    from extension.config import settings_file, xmlsafe
    from extension.config.build import generate
    from extension.config.problems import Problems
    from extension.config.values import PROTECTED, PUBLIC

    problems = Problems()
    if args.public == "-" and args.protected == "-":
        print("error: only one file can be standard input", file=sys.stderr)
        return 2
    for option, value in (("--vm-uuid", args.vm_uuid), ("--deployment-id", args.deployment_id)):
        if value is not None and not xmlsafe.legal(value):
            print(f"error: {option} has characters that XML cannot carry", file=sys.stderr)
            return 2
    settings: dict[str, object] = {}
    unread = 0
    for root, path in ((PUBLIC, args.public), (PROTECTED, args.protected)):
        try:
            if path is not None:
                settings[root] = json_value(read(path), path, root, problems)
        except InputError as problem:
            print(f"error: {problem}", file=sys.stderr)
            unread += 1
    if unread:
        return 1
    public, protected = settings_file.unwrapped(settings, problems)
    if problems.failed:
        _complain(problems)
        return 1
    made = generate(public, protected, lad=args.lad, machine=_machine(args))
    problems.extend(made.problems)
    _complain(problems)
    if made.xml is not None:
        sys.stdout.buffer.write(made.xml)
        sys.stdout.flush()
    return 0 if made.ok else 1


def _check_settings(data: bytes, path: str, problems: Problems) -> None:
    from extension.config import machine, settings_file
    from extension.config.build import generate
    from extension.config.lad23_keys import PROTECTED_KEYS

    protected_keys = (*PROTECTED_KEYS, "sinksConfig", "disableStorageAccount")
    parts = settings_file.split(json_value(data, path, "$", problems), protected_keys, problems)
    if problems.failed:
        return
    made = generate(parts.public, parts.protected, machine=machine.found())
    problems.extend(settings_file.of_the_file(made.problems, parts))


def _tell_as_mdsd(verdict: list[Message], problems: Problems, as_json: bool) -> int:
    """What ``mdsd -v`` prints, on standard output; what only this program has noticed goes to standard error."""
    from extension.config.document_check import rendered

    if as_json:
        print(json.dumps([p.to_json() for p in problems], indent=1))
    else:
        sys.stdout.buffer.write(rendered(verdict).encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        told = {message.text for message in verdict}
        _complain(p for p in problems if p.message not in told)
    return 1 if verdict else 0


def run_check(args: argparse.Namespace) -> int:
    """``lad config check``."""
    from extension.config import xmlsafe
    from extension.config.problems import Problems

    problems, name = Problems(), named(args.file)
    try:
        data = read(args.file)
        empty_document = not data.strip() and name.endswith(".xml")
        if args.mdsd_strict or empty_document or xmlsafe.looks_like_xml(data):
            from extension.config import document_check

            verdict = document_check.check(data, name, problems)
            if args.mdsd_strict:
                return _tell_as_mdsd(verdict, problems, args.json)
        else:
            _check_settings(data, args.file, problems)
    except InputError as problem:
        if args.json:
            print(json.dumps([problem.problem.to_json()]))
        else:
            print(f"error: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([p.to_json() for p in problems], indent=1))
    else:
        for one in problems:
            sys.stdout.buffer.write(one.render().encode("utf-8", "backslashreplace") + b"\n")
        counts = {s: sum(1 for p in problems if p.severity == s) for s in ("error", "warning", "note")}
        told = ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in counts.items())
        sys.stdout.buffer.write(f"{name}: {told}\n".encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    return 1 if problems.failed else 0


def run_init(args: argparse.Namespace) -> int:
    """``lad config init``."""
    from extension.config import defaults

    chosen: dict[str, object] = defaults.public_settings()
    if args.protected:
        chosen = defaults.protected_settings()
    elif args.both:
        chosen = {"public": chosen, "protected": defaults.protected_settings()}
    print(json.dumps(chosen, indent=2))
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """``lad config convert``."""
    from extension.config import convert

    return convert.run(args)
