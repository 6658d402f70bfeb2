"""``lad query``: ask a source once and show the instances as a table or as JSON, or list what can be asked."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping

from omi_queries import terminal
from omi_queries.binding import ForeignError, bind
from omi_queries.classes import NAMESPACE
from omi_queries.types import Backend, CimValue, Instance, QueryError, Reading

RATE_INTERVAL = 1.0
"""Seconds between the two readings of a one-shot query that selects a rate."""
REPLAY = "replay:"
ENDPOINT_VARIABLE = "LAD_OMI_ENDPOINT"
USER_VARIABLE = "LAD_OMI_USER"
CREDENTIAL_VARIABLE = "LAD_OMI_PASSWORD"

_SOURCES = ("auto", "procfs", "cimxml", "omicli")


def add_query_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``query`` to the subcommands of ``lad``; ``args.run`` is :func:`query`."""
    parser = subparsers.add_parser(
        "query",
        help="ask for instances of an SCX class",
        description="Ask for instances of an SCX class, for example: "
        "lad query \"SELECT PercentProcessorTime FROM SCX_ProcessorStatisticalInformation WHERE Name='_Total'\". "
        "Rates take two readings one second apart.",
    )
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument(
        "--list", nargs="?", const="", metavar="CLASS", help="list the classes, or the properties of one class"
    )
    parser.add_argument("text", nargs="?", metavar="SELECT …", help="the query, in quotes")
    parser.set_defaults(run=query, usage=parser.error)


add_parsers = add_query_parser
"""The name under which the ``lad`` command looks for the parsers of a module."""


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where to ask; :func:`open_source` takes them."""
    parser.add_argument(
        "--backend", type=_backend, default="auto", metavar="SOURCE",
        help=f"where to ask: {', '.join(_SOURCES)} or {REPLAY}FILE (default: auto)",
    )  # fmt: skip
    parser.add_argument("--namespace", default=None, metavar="NS", help=f"CIM namespace (default: {NAMESPACE})")
    parser.add_argument("--root", default="/", metavar="DIR", help="where /proc and /sys are looked up (default: /)")
    server = parser.add_argument_group("CIM-XML server")
    server.add_argument("--endpoint", type=_endpoint, metavar="URL", help=f"its address (default: {ENDPOINT_VARIABLE})")
    server.add_argument("--user", metavar="NAME", help=f"user name (default: {USER_VARIABLE})")
    server.add_argument("--password-file", metavar="F", help=f"its first line (default: {CREDENTIAL_VARIABLE})")
    server.add_argument("--ca-file", default="", metavar="F", help="certificates to trust (PEM)")
    server.add_argument("--no-verification", action="store_true", help="accept any certificate")


_OPTIONS = (
    ("omiUser and omiPassword", "--user and --password-file"),
    ("omiCaFile", "--ca-file"),
    ("omiEndpoint", "--endpoint"),
    ("omiBackend", "--backend"),
)


def _backend(text: str) -> str:
    if text in _SOURCES or (text.startswith(REPLAY) and text != REPLAY):
        return text
    raise argparse.ArgumentTypeError(f"{text[:80]!a} is not {', '.join(_SOURCES)} or {REPLAY}FILE")


def _endpoint(text: str) -> str:
    from omi_queries.backends.address import check_url

    if text and (wrong := check_url(text)):  # which never repeats it: there may be a password in it
        raise argparse.ArgumentTypeError(f"the address of the CIM-XML server {in_options(wrong)}")
    return text


class SourceOptionError(Exception):
    """A source that cannot be opened as asked; ``str()`` is one line."""


def open_source(args: argparse.Namespace, env: Mapping[str, str], say: Callable[[str], None]) -> Backend:
    """The backend that the arguments name. SourceOptionError or QueryError if that is not possible.

    ``say`` is told when ``auto`` gets its answers from /proc because the better source does not work.
    """
    name: str = args.backend
    if name.startswith(REPLAY):
        from omi_queries.backends.replay import ReplayBackend

        return ReplayBackend(name.removeprefix(REPLAY))
    endpoint = args.endpoint or env.get(ENDPOINT_VARIABLE, "")
    if name in ("auto", "procfs") and not os.path.isdir(os.path.join(args.root, "proc")):
        where = os.path.join(args.root, "proc")
        raise SourceOptionError(f"{where} is not a directory; --root must name a folder that has one")
    if name == "procfs":
        from omi_queries.backends.procfs import ProcfsBackend

        return ProcfsBackend(args.root)
    if name == "cimxml" and not endpoint:
        raise SourceOptionError(f"the source cimxml needs an address: give --endpoint URL or set {ENDPOINT_VARIABLE}")
    from omi_queries.backends.choose import Settings, open_backend, with_fallback

    settings = Settings(
        endpoint=endpoint,
        user=args.user or env.get(USER_VARIABLE, ""),
        password=_password(args.password_file, env),
        ca_file=args.ca_file,
        no_verification=args.no_verification,
        proc_root=args.root,
        command=True,
    )
    if name == "auto":
        return with_fallback(name, settings, lambda _level, text: say(text), patience_s=settings.deadline_s)
    return open_backend(name, settings)


def _password(path: str | None, env: Mapping[str, str]) -> str:
    if not path:
        return env.get(CREDENTIAL_VARIABLE, "")
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline(4096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SourceOptionError(f"{path}: {reason}") from None


def query(args: argparse.Namespace, sleep: Callable[[float], None] = time.sleep) -> int:
    """Run ``lad query``. Exit code 0, also when nothing matches, or 1 if the query cannot be answered."""
    if args.list is not None:
        if args.text is not None:
            args.usage("--list takes the name of a class, not a query")
        from omi_queries.listing import show

        return show(args.list, args.namespace, args.json, _say)
    if args.text is None:
        args.usage("a query is needed, or --list")
    try:
        backend = open_source(args, os.environ, lambda text: _say(f"note: {text}"))
    except SourceOptionError as error:
        return _fail(str(error))
    except QueryError as error:
        return _fail(f"{error}; {error.result}")
    try:
        reading = _ask(backend, args, sleep)
    except ForeignError as error:
        return _fail(f"{error.cured() if backend.name == 'procfs' else error}; {error.result}")
    except QueryError as error:
        return _fail(f"{error}; {error.result}")
    finally:
        backend.close()
    for warning in reading.warnings:
        _say(f"warning: {warning}")
    for reason in reading.skipped:
        _say(f"note: {reason}")
    if args.json:
        print(json.dumps(reading.instances, indent=2))
    elif any(reading.instances):
        print(render(reading.instances, terminal.size((120, 24)).columns))
    elif reading.instances:
        _say(f"note: {len(reading.instances)} matched, without any of the selected properties")
    else:
        _say("note: no instance matches")
    return 0


def _ask(backend: Backend, args: argparse.Namespace, sleep: Callable[[float], None]) -> Reading:
    namespace = args.namespace or NAMESPACE
    stream = backend.open(namespace, args.text)
    if args.backend in ("auto", "procfs"):
        if _needs_rate(namespace, args.text):
            stream.prime()
            sleep(RATE_INTERVAL)
        return stream.read(0.0)
    return stream.read(math.inf if args.backend.startswith(REPLAY) else 0.0)


def _needs_rate(namespace: str, text: str) -> bool:
    try:
        return bind(namespace, text).needs_rate()
    except QueryError:
        return False  # a class that only a server knows; its rates are that server's


def _fail(message: str) -> int:
    _say(message)
    return 1


def _say(message: str) -> None:
    print(f"lad query: {printable(in_options(message))}", file=sys.stderr)


def in_options(message: str) -> str:
    """A message of a source, whose cures name settings, for somebody at the command line."""
    for setting, option in _OPTIONS:
        message = message.replace(setting, option)
    return message


def render(instances: list[Instance], width: int) -> str:
    """A table if it fits into ``width`` columns, else one ``property  value`` block per instance.

    NULL is shown as NULL, a value that is not known as ``-``.
    """
    columns = list(dict.fromkeys(name for one in instances for name in one))
    rows = [[_cell(one, name) for name in columns] for one in instances]
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(columns)]
    if sum(widths) + 2 * len(widths) - 2 <= width:
        lines = [columns, *rows]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
    longest = max(len(name) for name in columns)
    blocks = ["\n".join(f"{name.ljust(longest)}  {_cell(one, name)}".rstrip() for name in one) for one in instances]
    return "\n\n".join(blocks)


def _cell(instance: Instance, name: str) -> str:
    return _text(instance[name]) if name in instance else "-"


def _text(value: CimValue) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return printable("{" + ", ".join(str(one) for one in value) + "}")
    return printable(value) if isinstance(value, str) else str(value)


def printable(text: str) -> str:
    """Text without line breaks and terminal controls."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
