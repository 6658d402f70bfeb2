"""The ``omicli`` command (the subset in spec/omi-scx.md 4), answered in this process without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the console command; the exit code is the MI result number."""
    if argv is None:  # a process of our own
        from omi_queries import garbage

        garbage.left()
    from omi_queries.omicli.command import console

    return console(argv)


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad omicli``, which hands everything behind it to the command as it stands."""
    parser = subparsers.add_parser(
        "omicli",
        help="the omicli command (lad omicli -h for its own help)",
        prefix_chars="\0",  # no option is argparse's: -n, -xml, --hostname belong to the command
        add_help=False,
    )
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=lambda args: main(["omicli", *args.words]))
