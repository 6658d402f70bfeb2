"""The ``lad`` command: finds the module of the command asked for and nothing else (short-lived commands stay cheap)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from extension import launch
from omi_queries import VERSION
from omi_queries.streams import guarded

if TYPE_CHECKING:
    import argparse


class Command(NamedTuple):
    """``module`` has ``add_parsers(subparsers)``; its parsers set ``run``: (Namespace) -> exit code."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("extension.demo", "the whole life of the extension, on this machine"),
    "vm-agent": Command("extension.vmagent.cli", "install and drive an extension package as a VM agent does"),
    "config": Command("extension.config.cli", "make the daemon's configuration from settings, or check either"),
    "run": Command("extension.run", "the daemon in the foreground"),
    "query": Command("omi_queries.cli", "ask for instances of an SCX class"),
    "omicli": Command("omi_queries.omicli", "the omicli command (lad omicli -h for its own help)"),
    "record": Command("extension.record", "record instances for lad replay"),
    "replay": Command("extension.replay", "run a recording through a document"),
    "tables": Command("extension.view.cli", "tables of a store and their rows"),
    "rows": Command("extension.view.cli", "rows of one table, newest last"),
    "status": Command("extension.view.status", "how the installed daemon is"),
    "audit": Command("extension.view.audit", "prove that every expected row is in its table exactly once"),
}


def _parser(words: Sequence[str]) -> "argparse.ArgumentParser":
    import argparse  # here, because it must find the stand-ins of launch

    parser = argparse.ArgumentParser(
        prog="lad",
        description="Linux guest diagnostics: LAD settings in, performance rows in storage tables out.",
        epilog="Exit codes: 0 fine, 1 a problem was found, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"lad-emulator {VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    if words and words[0] in COMMANDS:
        modules = [COMMANDS[words[0]].module]
    elif any(word in COMMANDS for word in words):
        modules = list(dict.fromkeys(command.module for command in COMMANDS.values()))
    else:  # nothing can be run, so the names will do
        modules = []
        for name, command in COMMANDS.items():
            subparsers.add_parser(name, help=command.help)
    for module in modules:
        importlib.import_module(module).add_parsers(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. A closed pipe downstream is no error, a full disk is said in one line."""
    if argv is None:  # a process of our own
        launch.for_one_command()
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words).parse_args(words)
    run: Callable[[argparse.Namespace], int] = args.run
    return guarded("lad", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
