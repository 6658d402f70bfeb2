"""``lad status``: is the daemon running, where do values come from, and where are the rows."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

from extension import descriptor, locks, paths
from extension.store import ledger
from extension.store.bounds import free_bytes
from extension.store.database import StoreError, open_reader, unreadable

STALE_HEALTH_S = 180.0
OLD_QUEUE_S = 300.0
DROP_NEWS_S = 86400.0
"""Rows that were dropped longer ago are information, not a problem: their counts stay for as long as the store."""
_NO_HEALTH = "the daemon runs and has not reported yet"
_EXPIRY = "expiry"  # expiry.NOTE: that module is imported where there is such a note
LEAST_FREE = 256 << 10
"""Bytes of free disk below which nothing can be relied on to be written."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad status``."""
    parser = subparsers.add_parser("status", help="how the installed daemon is", description=__doc__)
    parser.add_argument("--state-dir", help="state folder (default: LAD_STATE_DIR or /var/lib/lad-emulator)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=status)


def gather(folder: str, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """The state of the store in ``folder``: ``daemon``, ``components``, ``sources``, ``events``, ``problems``.

    ``problems`` is a list of {code, message}; empty when all is well.
    """
    now = clock()
    problems: list[dict[str, str]] = []

    def problem(code: str, message: str) -> None:
        problems.append({"code": code, "message": message})

    running = locks.holder(os.path.join(folder, "watchdog.lock"))
    health = _read_json(os.path.join(folder, "daemon.health"))
    components = health.get("components")
    components = components if isinstance(components, dict) else {}
    told = health.get("time")
    silent = now - (told if isinstance(told, (int, float)) else 0)
    closed = paths.closed(folder)
    if not os.path.isdir(folder):
        problem("not-installed", f"{folder} does not exist: nothing is installed here")
    elif closed:
        problem("state-unreadable", closed)
    elif running is None:
        problem("daemon-stopped", "the daemon is not running; the VM agent's enable starts it")
    elif silent > STALE_HEALTH_S:
        problem("daemon-silent", f"the daemon has not reported for {silent:.0f} s" if health else _NO_HEALTH)
    if running is not None:
        for name, part in components.items():
            if part.get("level") != "ok":
                problem(f"{name}-{part.get('level')}", f"{name}: {part.get('message')}")
        if health.get("refused"):
            problem("configuration-refused", str(health["refused"]))
    refused = _refused_settings(folder)
    if refused:
        problem("settings-refused", refused)
    if _free(folder) < LEAST_FREE:
        # Said here as well: on a full disk the daemon cannot even write its report.
        problem("disk-full", f"hardly anything is free on the disk of {folder}: samples may be lost; free some space")
    report, notes = _reports(folder)
    for event, why in report.get("refused", {}).items():
        problem("query-refused", f"{event}: {why}")
    events = {}
    try:
        for table, balance in sorted(ledger.read(folder).items()):
            oldest = balance.oldest_queued
            age = None if oldest is None else round(max(0.0, now - oldest), 1)
            events[table] = {**asdict(balance), "oldest_queued_age_s": age}
            for reason, n in balance.dropped.items():
                at = balance.last_dropped.get(reason)
                if _is_news(at, now):
                    problem("rows-dropped", _drop_text(table, n, reason, at, now))
            if oldest is not None and now - oldest > OLD_QUEUE_S:
                problem("rows-waiting", f"{table}: {balance.queued} rows wait, the oldest for {_ago(now, oldest)}")
    except (StoreError, sqlite3.Error) as error:
        problem("store-unreadable", unreadable(folder, error))
    for expired, text in _endings(notes.pop(_EXPIRY, ""), now):
        problem("credential-expired" if expired else "credential-expiring", text)
    for account, text in notes.items():
        level, _, message = text.partition(" ")
        if message:
            problem(f"upload-{level}", f"account {account}: {message}")
    return {
        "daemon": {
            "running": None if closed else running is not None,
            "pid": running,
            "state_dir": folder,
            **_installed(folder),
        },
        "components": components if running is not None else {},
        "sources": report.get("sources", {}),
        "skipped": report.get("skipped", {}),
        "events": events,
        "problems": problems,
    }


def _is_news(at: float | None, now: float) -> bool:
    return at is None or abs(now - at) < DROP_NEWS_S


def _drop_text(table: str, rows: int, reason: str, at: float | None, now: float) -> str:
    last = "" if at is None else f", the last {_ago(now, at)} ago"
    return f"{table}: {rows} rows dropped ({reason}){last}"


def _free(folder: str) -> int:
    try:
        return free_bytes(folder)
    except OSError:
        return LEAST_FREE  # there is no such folder, which is a problem of its own


def _installed(folder: str) -> dict[str, str]:
    known = paths.installed(folder)
    return {k: known[k] for k in ("name", "version", "home", "config", "log") if k in known}


def _refused_settings(folder: str) -> str:
    """What the handler said of settings that came after those that the daemon runs by, if they were refused."""
    home = paths.installed(folder).get("home")
    if not home:
        return ""
    try:
        where = descriptor.read(os.path.join(home, "daemon.json"))
        statuses = os.path.dirname(where.status_file)
        names = os.listdir(statuses) if statuses else []
    except (descriptor.DescriptorError, OSError):
        return ""
    numbers = [int(name[:-7]) for name in names if name.endswith(".status") and name[:-7].isdecimal()]
    newest = max(numbers, default=0)
    if newest <= where.sequence:
        return ""
    try:
        with open(os.path.join(statuses, f"{newest}.status"), encoding="utf-8") as file:
            told = json.load(file)[0]["status"]
        return str(told["formattedMessage"]["message"]) if told["status"] == "error" else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _reports(folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The collector's report and the uploader's notes on each account."""
    report: dict[str, Any] = {}
    notes: dict[str, str] = {}
    try:
        collected = open_reader(os.path.join(folder, "collector.db"))
        if collected is not None:
            with closing(collected) as db:
                row = db.execute("SELECT value FROM meta WHERE key='report'").fetchone()
                report = json.loads(row[0]) if row else {}
        uploaded = open_reader(os.path.join(folder, "uploader.db"))
        if uploaded is not None:
            with closing(uploaded) as db:
                noted = "SELECT key, value FROM meta WHERE key LIKE 'problem:%' OR key=?"
                for key, value in db.execute(noted, (_EXPIRY,)):
                    notes[key.removeprefix("problem:")] = value
    except (StoreError, sqlite3.Error, ValueError):
        return report, notes
    return report, notes


def _endings(note: str, now: float) -> list[tuple[bool, str]]:
    """(expired, text) of each credential that ends soon."""
    if not note:
        return []
    from extension import expiry

    return expiry.of_note(note, now)


def _ago(now: float, then: float) -> str:
    seconds = int(max(0, now - then))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def status(args: argparse.Namespace) -> int:
    """Print the state; 0 when there is no problem, 1 otherwise."""
    found = gather(paths.state_dir(args.state_dir))
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        print("\n".join(_lines(found, time.time())))
    return 1 if found["problems"] else 0


def _lines(found: dict[str, Any], now: float) -> list[str]:
    daemon = found["daemon"]
    name = f"{daemon.get('name', 'daemon')} {daemon.get('version', '')}".strip()
    how = {True: f"running, pid {daemon['pid']}", False: "not running", None: "cannot be seen"}[daemon["running"]]
    out = [f"{name}: {how}"]
    out += [f"  {n:10} {c['state']:9} {c['message']}" for n, c in found["components"].items()]
    if found["events"]:
        width = max(len(t) for t in found["events"])
        out += ["", f"{'table':{width}}  produced  delivered  queued  dropped  last success"]
        for table, b in found["events"].items():
            last = f"{_ago(now, b['last_success'])} ago" if b["last_success"] else "never"
            dropped = sum(b["dropped"].values())
            out.append(f"{table:{width}}  {b['produced']:8}  {b['delivered']:9}  {b['queued']:6}  {dropped:7}  {last}")
        for table, b in found["events"].items():
            for reason, n in b["dropped"].items():
                at = b["last_dropped"].get(reason)
                if not _is_news(at, now):  # what is news stands under the problems
                    out.append(_drop_text(table, n, reason, at, now))
            if b["oldest_queued_age_s"]:
                out.append(f"{table}: the oldest queued row has waited for {_ago(now, b['oldest_queued'])}")
            error = b["last_error"]
            if error and error["time"] > (b["last_success"] or 0):
                out.append(f"{table}: {error['code']} {_ago(now, error['time'])} ago: {error['message']}")
    if found["sources"]:
        out += ["", "sources"]
        out += [
            f"  {e}: {s['source']} every {s['rate']} s" + (f" because {s['why']}" if s.get("why") else "")
            for e, s in found["sources"].items()
        ]
    out += ["", *(f"problem {p['code']}: {p['message']}" for p in found["problems"])]
    return out if found["problems"] else [*out[:-1], "", "no problems"]
