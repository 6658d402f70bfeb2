"""``lad tables`` and ``lad rows``: read any table store back (embedded, emulator, Azure)."""

from __future__ import annotations

import argparse
import os
import sys
import time

from extension.sinks.base import SinkError
from extension.sinks.reader import Reader, open_reader
from extension.view import rows as rows_view
from extension.view import tables as tables_view
from extension.view import target
from omi_queries import terminal

SHOWN_ROWS = 200


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad tables`` and ``lad rows``."""
    listing = subparsers.add_parser(
        "tables",
        help="tables of a store and their rows",
        description="List the tables of a table store and count their rows.",
    )
    target.add_options(listing)
    listing.add_argument("--json", action="store_true", help="object: table -> row count (null where not counted)")
    listing.set_defaults(run=tables)

    reading = subparsers.add_parser(
        "rows", help="rows of one table, newest last", description="Show the rows of one table, newest last."
    )
    reading.add_argument("table", metavar="TABLE", help="table name (case does not matter)")
    reading.add_argument(
        "--since", metavar="SPAN", type=_span, help="only rows with TIMESTAMP in the last 90s, 10m, 2h, 1d"
    )
    reading.add_argument("--counter", metavar="C", help="only rows whose CounterName is or ends with C (any case)")
    reading.add_argument("--partition", metavar="KEY", help="only this PartitionKey")
    reading.add_argument(
        "--limit", metavar="N", type=_count, help=f"the newest N rows (default: {SHOWN_ROWS}; all with --json)"
    )
    copies = reading.add_mutually_exclusive_group()
    copies.add_argument("--once", action="store_true", help="each metric row once (default, but not with --json)")
    copies.add_argument("--all", action="store_true", help="both copies of each metric row (default with --json)")
    target.add_options(reading)
    reading.add_argument("--json", action="store_true", help="list of objects with plain values")
    reading.set_defaults(run=rows)


add_view_parsers = add_parsers


def tables(args: argparse.Namespace) -> int:
    """Run ``lad tables``; exit code 0, or 1 with one line on standard error."""
    reader = _reader(args, "tables")
    if reader is None:
        return 1
    try:
        print(tables_view.render(reader.tables(), as_json=args.json))
    except SinkError as error:
        return _fail("tables", str(error))
    finally:
        reader.close()
    return 0


def rows(args: argparse.Namespace) -> int:
    """Run ``lad rows``; exit code 0 (also when no row matches), or 1 with one line on standard error."""
    reader = _reader(args, "rows")
    if reader is None:
        return 1
    selection = rows_view.Selection(
        since=None if args.since is None else time.time() - args.since,
        counter=args.counter,
        partition_key=args.partition,
        once=args.once or not (args.all or args.json),
        limit=args.limit if args.limit is not None else None if args.json else SHOWN_ROWS,
    )
    try:
        found = rows_view.collect(reader, args.table, selection)
    except SinkError as error:
        return _fail("rows", str(error) + (_known_tables(reader) if error.http_status == 404 else ""))
    finally:
        reader.close()
    if args.json:
        print(rows_view.render_json(found.rows))
    else:
        width = terminal.size().columns if sys.stdout.isatty() else None
        print("\n".join(rows_view.render_text(found.rows, width)))
    _explain(args, found)
    return 0


def _explain(args: argparse.Namespace, found: rows_view.Found) -> None:
    """Say on standard error what is not shown and why nothing may be."""
    if found.matched > len(found.rows) and args.limit is None:
        left = found.matched - len(found.rows)
        print(f"lad rows: {left} older rows are not shown (--limit N shows more)", file=sys.stderr)
    if not found.rows and args.counter and found.counters:
        some = sorted(found.counters)
        more = f" and {len(some) - 10} more" if len(some) > 10 else ""
        print(
            f"lad rows: no CounterName ends with {args.counter}; there are {', '.join(some[:10])}{more}",
            file=sys.stderr,
        )
    elif not found.rows and args.since is not None:
        print(
            "lad rows: no TIMESTAMP that young (it is the start of a row's window); try a longer --since",
            file=sys.stderr,
        )


def _reader(args: argparse.Namespace, command: str) -> Reader | None:
    try:
        account, proxy = target.resolve_way(args, os.environ)
        return open_reader(account, proxy=proxy)
    except (target.TargetError, SinkError) as error:
        _fail(command, str(error))
        return None


def _known_tables(reader: Reader) -> str:
    try:
        names = list(reader.tables())
    except SinkError:
        return ""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"; there are {', '.join(names[:10])}{more}" if names else "; there are no tables"


def _fail(command: str, message: str) -> int:
    print(f"lad {command}: {message}", file=sys.stderr)
    return 1


def _span(text: str) -> int:
    try:
        return rows_view.span_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: write 1 or more")
    return int(text)
