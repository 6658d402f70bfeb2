"""Prove from the tables that every expected row is there exactly once, and name what is missing with its cause.

Read are the tables of the configuration (or of --endpoint) and the store's record of what was sampled, queued and
dropped. The exit code is 0 when every row is there once or missing for a counted reason, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from extension import component, paths
from extension.pipeline import places
from extension.plan import Account, Plan, Target
from extension.rows import keys, schemas, ticks
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.sinks.entity import Reader
from extension.sinks.reader import open_reader
from extension.store import gaps, ledger
from extension.store.database import StoreError, unreadable
from extension.view import audit_sheet, target
from extension.view.audit_expected import expectations
from extension.view.audit_judge import UNEXPLAINED, Dropped, Verdict, judge
from extension.view.audit_sheet import Sheet
from extension.view.audit_strays import Schemas, Strays, unaudited
from extension.view.layout import aligned
from extension.view.since import unix_since

DAY_S = 86400
MAX_CELLS = 30_000_000
"""Expected rows of one audit: a few bytes each are kept in memory."""
SHOWN_HOLES = 40
Load = Callable[[str, str], tuple[Plan, list[str]]]


class AuditError(Exception):
    """Nothing can be audited; one line that says what to give."""


@dataclass(frozen=True)
class Store:
    """What the state folder knows: the record, rows that wait as (table, row), the rows dropped."""

    known: gaps.Known | None
    waiting: Iterator[tuple[str, Row]]
    dropped: Dropped


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad audit``."""
    parser = subparsers.add_parser(
        "audit", help="prove that every expected row is in its table exactly once", description=__doc__
    )
    parser.add_argument(
        "--since",
        metavar="T",
        type=_since,
        default="1d",
        help="from when: 90s, 10m, 2h, 1d ago, or a time like 2026-11-21T09:00:00Z (default: 1d)",
    )
    parser.add_argument("-c", "--config", metavar="XML", help="mdsd document (default: the installed one)")
    parser.add_argument("--state-dir", help="state folder (default: LAD_STATE_DIR or /var/lib/lad-emulator)")
    parser.add_argument(
        "--endpoint", metavar="URL", type=target.endpoint, help="read the tables there, whatever the document says"
    )
    parser.add_argument("--account", metavar="NAME", help="account name of --endpoint, where it has none")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--key-file", metavar="F", help="file with the account key (- for standard input)")
    secret.add_argument("--sas-file", metavar="F", help="file with the SAS (- for standard input)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=audit)


def _since(text: str) -> float:
    try:
        return unix_since(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def audit(args: argparse.Namespace) -> int:
    """Run ``lad audit``."""
    folder = paths.state_dir(args.state_dir)
    try:
        if closed := paths.closed(folder):
            raise AuditError(closed)
        plan = _plan(args, component.load_plan)
        found = examine(plan, folder, args.since, time.time(), _readers(plan, args))
    except (AuditError, target.TargetError, SinkError) as error:
        print(f"lad audit: {error}", file=sys.stderr)
        return 1
    except (StoreError, sqlite3.Error) as error:
        print(f"lad audit: {unreadable(folder, error)}", file=sys.stderr)
        return 1
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        print("\n".join(render(found)))
    return 0 if found["ok"] else 1


def _plan(args: argparse.Namespace, load: Load) -> Plan:
    config, options = args.config, ""
    if config is None:
        state = paths.state_dir(args.state_dir)
        known = paths.installed(state)
        config, options = known.get("config"), known.get("options", "")
        if not config:
            raise AuditError(f"nothing is installed in {state}: name a document with -c")
    config = os.path.abspath(config)
    if not os.path.exists(config):
        raise AuditError(f"there is no document {config}")
    try:
        return load(config, options if options and os.path.exists(options) else "")[0]
    except component.PlanError as error:
        raise AuditError(str(error)) from None


def _readers(plan: Plan, args: argparse.Namespace) -> Callable[[str], Reader]:
    """What opens the reader of an account by its moniker."""
    if args.endpoint:
        account = target.resolve(args, os.environ)
        return lambda _moniker: open_reader(account)
    accounts = {a.moniker: a for a in plan.accounts}
    if (args.key_file or args.sas_file) and len(accounts) != 1:
        raise AuditError(f"the document has {len(accounts)} accounts and the credential is of one: add --endpoint")
    accounts = {moniker: target.with_secret(account, args) for moniker, account in accounts.items()}

    def of(moniker: str) -> Reader:
        account: Account | None = accounts.get(moniker)
        if account is None:
            raise AuditError(f"the document has no account {moniker or '(default)'}: name a store with --endpoint")
        return open_reader(account, proxy=plan.options.http_proxy)

    return of


def examine(plan: Plan, folder: str, since: float, now: float, open_of: Callable[[str], Reader]) -> dict[str, Any]:
    """The audit of [since, now] (Unix s) as JSON-able values. Raises AuditError, SinkError, StoreError,
    sqlite3.Error.

    The store is read before the tables: a row that is delivered in between is found in its table.
    """
    wanted, notes = expectations(plan)
    store = _store(folder)
    if store.known is None:
        notes.append(f"there is no store in {folder}: nothing tells why a row may be missing")
    elif wanted and not any(f.query in store.known.since for e in wanted for fs in e.series.values() for f in fs):
        notes.append(f"the store in {folder} never sampled this document: nothing tells why a row may be missing")
    identity = keys.identity_text(value for _, value in plan.identity)
    partition = keys.partition_number(identity, plan.partitions) + "___"
    tables = places.Tables.of(plan)
    sheets: dict[str, list[tuple[Sheet, list[str]]]] = {}
    cells = 0
    for expected in wanted:
        begin = -(-int(since) // expected.window_s) * expected.window_s
        end = int(now - expected.delay_s) // expected.window_s * expected.window_s
        closed = store.known.closed.get(expected.consumer, 0) if store.known and not expected.dated_at_end else 0
        if end < closed <= now:
            end = closed // expected.window_s * expected.window_s
        cells += max(0, end - begin) // expected.window_s * len(expected.series)
        if cells > MAX_CELLS:
            raise AuditError(f"more than {MAX_CELLS:,} rows are expected since {_iso(since)}: give a later --since")
        sheet = Sheet(expected, begin, end, partition, identity + "___")
        sheets.setdefault(expected.target.moniker, []).append((sheet, _names(tables, expected.target, since, now)))
    strays, described = Strays(), Schemas()
    _put_waiting([one for group in sheets.values() for one in group], store, described)
    mixed = {(t.moniker, name) for t in unaudited(plan, wanted) for name in _names(tables, t, since, now)}
    verdicts = []
    for moniker, group in sheets.items():
        reader = open_of(moniker)
        try:
            _fill(group, reader, strays, {name for m, name in mixed if m == moniker})
            if moniker not in tables.fixed:  # a table's own SAS reads no other table
                described.check((sheet for sheet, _ in group), tables, reader, store.dropped)
        finally:
            reader.close()
        verdicts += [judge(sheet, names, store.known, store.dropped) for sheet, names in group]
    notes += store.dropped.notes()
    strays.explain(store.known, since)
    return _document(verdicts, strays, described, notes, since, now)


def _names(tables: places.Tables, target: Target, since: float, now: float) -> list[str]:
    """The physical tables that rows of the time may be in: their suffix is that of the day they were queued."""
    days = [since + DAY_S * i for i in range(int((now - since) // DAY_S) + 1)]
    return list(dict.fromkeys(tables.name(target, at) for at in [*days, now]))


def _by_table(group: list[tuple[Sheet, list[str]]]) -> dict[str, list[Sheet]]:
    found: dict[str, list[Sheet]] = {}
    for sheet, names in group:
        for name in names:
            found.setdefault(name, []).append(sheet)
    return found


def _put_waiting(group: list[tuple[Sheet, list[str]]], store: Store, described: Schemas) -> None:
    by_table = _by_table(group)
    for table, row in store.waiting:
        if table == schemas.TABLE:
            described.wait(row)
        audit_sheet.put_all(by_table.get(table, ()), row.partition_key, row.row_key, row.columns, queued=True)


def _fill(group: list[tuple[Sheet, list[str]]], reader: Reader, strays: Strays, mixed: set[str]) -> None:
    """Read the tables of ``group``; in those that are ``mixed`` other rows are at home too."""
    for table, sheets in _by_table(group).items():
        metric = {s.expected.partition_key for s in sheets} if all(s.copies > 1 for s in sheets) else {None}
        begin = min(s.since for s in sheets)
        for partition in sorted(metric, key=str):
            for entity in _rows(reader, table, partition, begin):
                pk, rk, columns = entity.partition_key, entity.row_key, entity.columns
                if not audit_sheet.put_all(sheets, pk, rk, columns, queued=False) and table not in mixed:
                    strays.look(table, sheets, pk, rk, columns)


def _rows(reader: Reader, table: str, partition: str | None, begin: int) -> Iterator[Any]:
    """Rows of a table from ``begin`` on; none of a table that does not exist."""
    try:
        yield from reader.query(table, partition_key=partition, time_ge=ticks.iso(begin * ticks.SECOND_US))
    except SinkError as error:
        if error.http_status != 404:
            raise


def _store(folder: str) -> Store:
    path = os.path.join(folder, "collector.db")
    known = gaps.read(path)
    if known is None:
        return Store(None, iter(()), Dropped({}))
    waiting = ledger.waiting(folder)
    balances = ledger.read(folder)
    times = {(table, reason): at for table, b in balances.items() for reason, at in b.last_dropped.items()}
    ranges = {(table, reason): found for table, b in balances.items() for reason, found in b.drop_ranges.items()}
    return Store(known, waiting, Dropped({table: b.dropped for table, b in balances.items()}, times, ranges))


def _document(
    verdicts: list[Verdict], strays: Strays, described: Schemas, notes: list[str], since: float, now: float
) -> dict[str, Any]:
    events = []
    for verdict in verdicts:
        entry = asdict(verdict)
        entry["ok"] = verdict.ok
        for key in ("twice", "differing"):
            entry[key] = [{"counter": c, "window": _iso(w)} for c, w in entry[key]]
        entry["holes"] = [{**h, "since": _iso(h["since"]), "until": _iso(h["until"])} for h in entry["holes"]]
        events.append(entry)
    return {
        "since": _iso(since),
        "until": _iso(now),
        "ok": all(verdict.ok for verdict in verdicts) and described.ok and strays.ok,
        "events": events,
        "extra": {"rows": strays.rows, "named": strays.named, "why": strays.why},
        "schemas": {key: value for key, value in asdict(described).items() if key != "queued"},
        "notes": notes,
    }


def _iso(seconds: float) -> str:
    return ticks.iso(int(seconds) * ticks.SECOND_US)


def render(found: dict[str, Any]) -> list[str]:
    """The audit for people."""
    lines = [f"from {found['since']} to {found['until']}", ""]
    header = ("EVENT", "WINDOW", "COUNTERS", "EXPECTED", "FOUND", "EXPLAINED", "UNEXPLAINED", "TWICE", "DIFFERING")
    cells = [
        (
            e["event"], f"{e['window_s']} s", str(e["counters"]), str(e["expected"]), str(e["present"]),
            str(sum(e["explained"].values())), str(e["unexplained"]), str(len(e["twice"])), str(len(e["differing"])),
        )
        for e in found["events"]
    ]  # fmt: skip
    lines += aligned(header, cells, frozenset(range(2, len(header)))) if cells else ["no event can be audited"]
    for entry in found["events"]:
        holes = entry["holes"]
        lines += [""] if holes or entry["twice"] or entry["differing"] else []
        lines += [_hole(entry["event"], hole) for hole in holes[:SHOWN_HOLES]]
        more = len(holes) - SHOWN_HOLES + entry["more_holes"]
        lines += [f"{entry['event']}: {more} more gaps (see --json)"] if more > 0 else []
        for key, words in (("twice", "is there twice"), ("differing", "has two copies that are not alike")):
            lines += [f"{entry['event']}: {x['window']} {x['counter']} {words}" for x in entry[key][:SHOWN_HOLES]]
    lines += _others(found)
    lines += ["", *(f"note: {note}" for note in found["notes"])] if found["notes"] else []
    return [*lines, "", "every expected row is there or accounted for" if found["ok"] else "rows are not accounted for"]


def _others(found: dict[str, Any]) -> list[str]:
    """Lines on SchemasTable and on rows that should not be there."""
    described, extra = found["schemas"], found["extra"]
    lines = [f"{schemas.TABLE}: MISSING the row of {name}" for name in described["missing"]]
    lines += [f"{schemas.TABLE}: a row of {name} is there under other keys as well" for name in described["twice"]]
    lines += [f"{schemas.TABLE}: {n} rows: {cause}" for cause, n in described["explained"].items()]
    if extra["rows"]:
        why = extra["why"] or "the document does not ask for them"
        lines.append(f"{'extra' if extra['why'] else 'EXTRA'} rows: {extra['rows']}: {why}")
        lines += [f"  {x['table']} {x['window']} {x['RowKey']}" for x in extra["named"][:SHOWN_HOLES]]
    return ["", *lines] if lines else []


def _hole(event: str, hole: dict[str, Any]) -> str:
    counters = hole["counters"]
    which = (counters[0] or "any row") if len(counters) == 1 else f"{len(counters)} counters"
    mark = "MISSING" if hole["cause"] == UNEXPLAINED else "gap"
    return f"{event}: {mark} {hole['since']} to {hole['until']}, {which}, {hole['rows']} rows: {hole['cause']}"
