"""``lad query``: ask a source once and show the instances as a table or as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.classes import NAMESPACE
from omi_queries.types import CimValue, Instance, QueryError, Reading

if TYPE_CHECKING:
    import argparse

RATE_INTERVAL = 1.0
"""Seconds between the two readings of a one-shot query that selects a rate."""


def add_query_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``query`` to the subcommands of ``lad``; ``args.run`` is :func:`query`."""
    parser = subparsers.add_parser(
        "query",
        help="ask for instances of an SCX class",
        description="Ask for instances of an SCX class, for example: "
        "lad query \"SELECT PercentProcessorTime FROM SCX_ProcessorStatisticalInformation WHERE Name='_Total'\". "
        "Rates take two readings one second apart.",
    )
    parser.add_argument("--backend", choices=("auto", "procfs"), default="auto", help="where to ask (default: auto)")
    parser.add_argument("--namespace", default=NAMESPACE, metavar="NS", help=f"CIM namespace (default: {NAMESPACE})")
    parser.add_argument("--root", default="/", metavar="DIR", help="where /proc and /sys are looked up (default: /)")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("text", metavar="SELECT …", help="the query, in quotes")
    parser.set_defaults(run=query)


add_parsers = add_query_parser
"""The name under which the ``lad`` command looks for the parsers of a module."""


def query(args: argparse.Namespace, sleep: Callable[[float], None] = time.sleep) -> int:
    """Run ``lad query``. Exit code 0, also when nothing matches, or 1 if the query cannot be answered."""
    if not os.path.isdir(os.path.join(args.root, "proc")):
        return _fail(f"{os.path.join(args.root, 'proc')} is not a directory; --root must name a folder that has one")
    backend = ProcfsBackend(args.root)
    try:
        reading = _ask(backend, args.namespace, args.text, sleep)
    except QueryError as error:
        return _fail(str(error))
    finally:
        backend.close()
    for warning in reading.warnings:
        _say(f"warning: {warning}")
    for reason in reading.skipped:
        _say(f"note: {reason}")
    if args.json:
        print(json.dumps(reading.instances, indent=2))
    elif reading.instances:
        print(render(reading.instances, shutil.get_terminal_size((120, 24)).columns))
    else:
        _say("note: no instance matches")
    return 0


def _ask(backend: ProcfsBackend, namespace: str, text: str, sleep: Callable[[float], None]) -> Reading:
    stream = backend.open(namespace, text)
    if stream.bound.needs_rate():
        stream.prime()
        sleep(RATE_INTERVAL)
    return stream.read(0.0)


def _fail(message: str) -> int:
    _say(message)
    return 1


def _say(message: str) -> None:
    print(f"lad query: {_printable(message)}", file=sys.stderr)


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
    blocks = [
        "\n".join(f"{name.ljust(longest)}  {_cell(one, name)}".rstrip() for name in one) for one in instances
    ]
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
    return _printable(value) if isinstance(value, str) else str(value)


def _printable(text: str) -> str:
    """Text without line breaks and terminal controls."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
