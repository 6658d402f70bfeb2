"""``lad replay``: a document and a recording become rows, on a virtual clock, the same ones each time."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extension.plan import Plan
    from extension.rerun import Summary

_HELP = """Run a recording (see lad record) through a document's pipelines on a virtual clock and deliver the rows.
Queries are asked at their own rates between the recording's first and last time; windows that are still open at the
end are not written, and messages dated in windows that are closed are counted only. Exit code: 0 everything was
delivered; 1 something could not be delivered or was refused by its sink, or document or recording cannot be used; 2
wrong usage."""


class ReplayError(Exception):
    """Document, recording or endpoint cannot be used; one line with the reason."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad replay``."""
    parser = subparsers.add_parser("replay", help="run a recording through a document", description=_HELP)
    parser.add_argument("-c", "--config", required=True, metavar="XML", help="mdsd document, such as xmlCfg.xml")
    parser.add_argument("--options", metavar="F", help="options.json (default: the one beside the document, if any)")
    parser.add_argument("--recording", required=True, metavar="F", help="instances and messages, as lad record writes")
    parser.add_argument(
        "--table-endpoint",
        metavar="URL",
        type=_endpoint,
        help="deliver to this store instead of the document's: file:///path/tables.db, http://127.0.0.1:PORT/ACCOUNT "
        "(credentials: the document's for its own account, else the environment's AZURE_STORAGE_KEY and the like)",
    )
    parser.add_argument(
        "--blob-endpoint",
        metavar="URL",
        default="",
        help="where JSON blobs go then; without it they are withheld, as rows for Event Hubs always are then",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.set_defaults(run=run)


def _endpoint(text: str) -> str:
    from extension.view import target

    return target.endpoint(text)


def run(args: argparse.Namespace) -> int:
    """Replay and print the summary; the exit code is the help's."""
    if args.blob_endpoint and not args.table_endpoint:
        _say("error", "--blob-endpoint goes with --table-endpoint")
        return 2
    before = signal.signal(signal.SIGTERM, _terminate)  # so that the temporary folder does not stay behind
    try:
        summary = _replay(args)
    except ReplayError as error:
        _say("error", str(error))
        if args.json:
            print(json.dumps({"error": str(error)}))
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    print(_json(summary) if args.json else _text(summary))
    return 0 if summary.complete else 1


def _terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _replay(args: argparse.Namespace) -> Summary:
    from extension.playback import VirtualClock
    from extension.rerun import rerun
    from extension.store.database import StoreError
    from omi_queries.backends.replay import ReplayBackend
    from omi_queries.recording_file import RecordingError
    from omi_queries.types import QueryError

    plan, withheld = _plan(args)
    clock = VirtualClock(0.0)
    try:
        backend = ReplayBackend(args.recording, clock)
    except QueryError as error:
        raise ReplayError(error.message) from None
    try:
        for note in backend.recording.notes:
            _say("warning", note)
        with tempfile.TemporaryDirectory(prefix="lad-replay-", ignore_cleanup_errors=True) as folder:
            summary = rerun(plan, backend, clock, folder, os.uname().nodename, _say)
    except (RecordingError, StoreError) as error:
        raise ReplayError(str(error)) from None
    except OSError as error:
        raise ReplayError(f"cannot keep the store of the replay in {tempfile.gettempdir()}: {error}") from None
    finally:
        backend.close()
    summary.withheld = withheld
    for what in withheld:
        _say("note", f"{what} are not sent: they would leave for the document's own services")
    for reason in summary.given_up:
        _say("error", f"given up: {reason}")
    return summary


def _plan(args: argparse.Namespace) -> tuple[Plan, list[str]]:
    """The plan of the document, delivering to where the command says, and what is withheld then."""
    from extension import component
    from extension.redirect import redirected

    config = os.path.abspath(args.config)
    beside = os.path.join(os.path.dirname(config), "options.json")
    options = os.path.abspath(args.options) if args.options else beside if os.path.exists(beside) else ""
    try:
        plan, problems = component.load_plan(config, options)
    except component.PlanError as error:
        raise ReplayError(str(error)) from None
    for problem in problems:
        _say("warning", problem)
    if not args.table_endpoint:
        return plan, []
    try:
        return redirected(plan, args.table_endpoint, args.blob_endpoint, os.environ)
    except ValueError as error:
        raise ReplayError(f"--table-endpoint: {error}") from None


def _json(summary: Summary) -> str:
    return json.dumps({**asdict(summary), "rows": summary.rows, "complete": summary.complete}, indent=1)


def _text(summary: Summary) -> str:
    from extension.view.layout import aligned

    lines = []
    for name, table in summary.tables.items():
        dropped = ", ".join(f"{reason}: {n}" for reason, n in table["dropped"].items())
        lines.append((name, str(table["rows"]), str(table["undelivered"]), dropped))
    listed = aligned(("TABLE", "ROWS", "UNDELIVERED", "DROPPED"), lines, frozenset({1, 2})) if lines else ["no rows"]
    messages = f", {summary.messages} messages" if summary.messages else ""
    told = [f"{summary.first} to {summary.last}: {summary.ticks} sampling times{messages}, {summary.rows} rows"]
    told += [f"query of {event} was not asked: {why}" for event, why in summary.refused.items()]
    for counted in (summary.rejected, summary.skipped):
        told += [f"{n} x {reason}" for reason, n in counted.items()]
    return "\n".join([*listed, "", *told])


def _say(level: str, message: str) -> None:
    from omi_queries.cli import printable

    print(f"lad replay: {level}: {printable(message)}", file=sys.stderr)
