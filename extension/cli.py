"""The ``lad`` command: finds the module of the command asked for and nothing else (short-lived commands stay cheap)."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from extension import launch
from omi_queries import VERSION
from omi_queries.streams import guarded

COMMANDS = {
    "demo": "extension.demo",
    "vm-agent": "extension.vmagent.cli",
    "config": "extension.config.cli",
    "run": "extension.run",
    "query": "omi_queries.cli",
    "omicli": "omi_queries.omicli",
    "record": "extension.record",
    "replay": "extension.replay",
    "tables": "extension.view.cli",
    "rows": "extension.view.cli",
    "status": "extension.view.status",
    "audit": "extension.view.audit",
}
"""Command -> module with ``add_parsers(subparsers)``; its parsers set ``run``: (Namespace) -> exit code."""


def _parser(command: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lad",
        description="Linux guest diagnostics: LAD settings in, performance rows in storage tables out.",
        epilog="Exit codes: 0 fine, 1 a problem was found, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"lad-emulator {VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = {COMMANDS[command]} if command in COMMANDS else set(COMMANDS.values())
    for module in sorted(wanted, key=list(COMMANDS.values()).index):
        importlib.import_module(module).add_parsers(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. A closed pipe downstream is no error, a full disk is said in one line."""
    launch.load_later()
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words[0] if words else None)
    args = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] = args.run
    return guarded("lad", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
