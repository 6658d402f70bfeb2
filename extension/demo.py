"""``lad demo``: the whole life of the extension on this machine, in a folder of its own, without Azure.

Builds the package, lets the local VM agent install and enable it, waits for a full minute of real samples to arrive
in the embedded table store, disables and uninstalls it, and shows what is in the tables.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from extension.config.counters import FAMILIES
from extension.config.model import MIB
from extension.sinks.base import SinkError
from extension.sinks.local_tables import LocalTablesReader
from extension.vmagent.agent import AgentError, LocalAgent
from extension.vmagent.command import CommandResult
from extension.vmagent.folder import Settings
from extension.vmagent.package import PackageError, find_package
from omi_queries import classes

RESOURCE_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo/providers"
    "/Microsoft.Compute/virtualMachines/this-machine"
)
METRICS = "WADMetricsPT1M"
ARRIVAL_S = 30.0
SAMPLE_S = 15
BAR = 30


@dataclass
class Result:
    """What the demo found; ``to_json`` is what ``--json`` prints."""

    tables: dict[str, int | None] = field(default_factory=dict)
    counters: list[dict[str, Any]] = field(default_factory=list)
    commands: list[CommandResult] = field(default_factory=list)
    left_running: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Every command exited 0, rows arrived, nothing is left running."""
        return not self.problems and not self.left_running and all(c.exit_code == 0 for c in self.commands)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        commands = [
            {"command": c.command, "exit_code": c.exit_code, "seconds": round(c.seconds, 3)} for c in self.commands
        ]
        return {
            "tables": self.tables,
            "counters": self.counters,
            "commands": commands,
            "left_running": self.left_running,
            "problems": self.problems,
        }


class Progress:
    """One line that is written over on a terminal, a line now and then elsewhere; on standard error.

    Nobody has to be there to read it: a closed pipe or terminal must not keep the demo from cleaning up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._tty = sys.stderr.isatty()
        self._clock = clock
        self._said = -1e9
        self._width = 0

    def say(self, text: str) -> None:
        """A step."""
        self._write(("\n" if self._width else "") + text + "\n")
        self._width = 0

    def waiting(self, text: str) -> None:
        """What it waits for and for how long."""
        if self._tty:
            self._write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif self._clock() - self._said >= 10:
            self._said = self._clock()
            self._write(text + "\n")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad demo``."""
    parser = subparsers.add_parser("demo", help="the whole life of the extension, on this machine", description=__doc__)
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="collect for N s (default: a full minute)")
    parser.add_argument("--keep", metavar="DIR", help="keep everything (logs, settings, tables.db) in DIR")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=demo)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds between 1 and 86400, not {text!r}")
    return value


def settings(root: str) -> Settings:
    """LAD 2.3 settings: an xmlCfg with a resourceId, the default queries, an account in the local table store."""
    xml = (
        '<WadCfg><DiagnosticMonitorConfiguration overallQuotaInMB="4096">'
        f'<Metrics resourceId="{RESOURCE_ID}"><MetricAggregation scheduledTransferPeriod="PT1H"/>'
        '<MetricAggregation scheduledTransferPeriod="PT1M"/></Metrics></DiagnosticMonitorConfiguration></WadCfg>'
    )
    public = {"xmlCfg": base64.b64encode(xml.encode()).decode(), "StorageAccount": "demoaccount"}
    protected = {
        "storageAccountName": "demoaccount",
        "storageAccountKey": base64.b64encode(secrets.token_bytes(64)).decode(),
        "storageAccountEndPoint": f"file://{quote(_store(root))}",
    }
    return Settings(public, protected)


def demo(args: argparse.Namespace) -> int:
    """Run it; 0 when everything went well, 1 otherwise."""
    try:
        with _folder(args.keep) as root, _ended_by_signals():
            result = live(root, args.seconds, Progress())
            kept = root if args.keep else ""
    except (AgentError, PackageError, OSError) as error:
        print(f"lad demo: {error}", file=sys.stderr)
        return 1
    if args.json:
        json.dump(result.to_json(), sys.stdout, indent=1)
        print()
    else:
        print("\n".join(render(result, _unicode(sys.stdout.encoding))))
        if kept:
            print(f"\nkept in {kept}: tables.db, var/log/azure (extension.log), var/lib/waagent")
    return 0 if result.good else 1


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    if keep:
        os.makedirs(keep, mode=0o700, exist_ok=True)
        yield os.path.realpath(keep)
        return
    root = tempfile.mkdtemp(prefix="lad-demo-")
    try:
        yield os.path.realpath(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def _on(numbers: tuple[int, ...], action: Callable[[int, object], None]) -> Iterator[None]:
    before = [(number, signal.signal(number, action)) for number in numbers]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _nothing(_number: int, _frame: object) -> None:
    """Unlike SIG_IGN, a function is not inherited by children."""


def _ended_by_signals() -> contextlib.AbstractContextManager[None]:
    """SIGTERM and a terminal that goes away end the demo as Ctrl-C does: with disable and uninstall.

    A second signal does not end what the first one has begun.
    """

    def interrupt(_number: int, _frame: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, _nothing)
        raise KeyboardInterrupt

    return _on(_SIGNALS, interrupt)


def live(root: str, seconds: float | None, progress: Progress) -> Result:
    """Package, install, enable, rows, disable, uninstall; whatever happens, the end is reached."""
    result = Result()
    # the caller's own installation, if LAD_STATE_DIR names one, is none of the demo's business
    agent = LocalAgent(root, env={k: v for k, v in os.environ.items() if k not in ("LAD_STATE_DIR", "LAD_SERVICE")})
    progress.say("building the extension package")
    package = find_package(out_dir=os.path.join(root, "package"))
    try:
        progress.say("VM agent: install, enable")
        result.commands += agent.install(package, settings(root))
        if result.commands[-1].exit_code == 0:
            result.commands += agent.enable()
        last = result.commands[-1]
        if last.exit_code:
            result.problems.append(f"{last.command} failed: {' '.join(last.output.split())[-500:]}")
            return result
        _collect(root, seconds, progress, result)
    finally:
        with _on(_SIGNALS, _nothing), contextlib.suppress(AgentError):
            progress.say("VM agent: disable, uninstall")
            result.commands += agent.disable()
            result.commands += agent.uninstall()
        result.left_running = [{"pid": pid, "command": line} for pid, line in agent.processes()]
        _read(root, result)
    if not result.tables:
        result.problems.append("no rows arrived")
    return result


def _store(root: str) -> str:
    return os.path.join(root, "tables.db")


def _collect(root: str, seconds: float | None, progress: Progress, result: Result) -> None:
    """Wait for ``seconds``, or for the rows of the first window that lies wholly after now."""
    begun = time.time()
    full = (int(begun) // 60 + 1) * 60
    first_sample = (int(begun) // SAMPLE_S + 1) * SAMPLE_S + 1
    end = max(begun + seconds, first_sample) if seconds is not None else full + 60
    window = f"{time.strftime('%H:%M', time.gmtime(full))}-{time.strftime('%H:%M', time.gmtime(full + 60))} UTC"
    what = f"a full minute of samples ({window})" if seconds is None else f"{seconds:g} s of samples"
    while time.time() < end:
        progress.waiting(f"waiting for {what}: {end - time.time():.0f} s left, {_rows(root)} rows so far")
        time.sleep(min(1.0, max(0.0, end - time.time())))
    if seconds is not None:
        return
    while time.time() < end + ARRIVAL_S:
        if _newest_window(root) >= full:
            progress.say(f"rows of {window} were in the table {max(0.0, time.time() - end):.1f} s after its end")
            return
        progress.waiting(f"waiting for the rows of {window} to arrive, {end + ARRIVAL_S - time.time():.0f} s at most")
        time.sleep(0.2)
    result.problems.append(f"the rows of {window} did not arrive within {ARRIVAL_S:g} s")


@contextlib.contextmanager
def _reader(root: str) -> Iterator[LocalTablesReader | None]:
    try:
        reader = LocalTablesReader(_store(root)) if os.path.exists(_store(root)) else None
    except SinkError:
        reader = None
    try:
        yield reader
    finally:
        if reader is not None:
            reader.close()


def _rows(root: str) -> int:
    with _reader(root) as reader:
        return sum(n or 0 for n in reader.tables().values()) if reader else 0


def _metric_rows(reader: LocalTablesReader) -> Iterator[dict[str, Any]]:
    """The metric rows with time-first keys: columns as plain values."""
    for table in reader.tables():
        if table.startswith(METRICS):
            for entity in reader.query(table, row_key_ge="0", row_key_le="9~"):
                yield {name: value[1] for name, value in entity.columns.items()}


def _newest_window(root: str) -> int:
    from calendar import timegm

    with _reader(root) as reader:
        stamps = {str(r["TIMESTAMP"]) for r in _metric_rows(reader)} if reader else set()
    if not stamps:
        return 0
    return timegm(time.strptime(max(stamps)[:19], "%Y-%m-%dT%H:%M:%S"))


def _read(root: str, result: Result) -> None:
    """Tables with row counts, and per counter the newest window that lasted the whole minute (else the newest)."""
    units = counter_units()
    best: dict[str, dict[str, Any]] = {}
    with _reader(root) as reader:
        if reader is None:
            return
        result.tables = dict(sorted(reader.tables().items()))
        for row in _metric_rows(reader):
            known = best.get(row["CounterName"])
            if known is None or (row["Count"], row["TIMESTAMP"]) > (known["Count"], known["TIMESTAMP"]):
                best[row["CounterName"]] = row
    for name in sorted(best, key=lambda n: list(units).index(n) if n in units else len(units)):
        row = best[name]
        result.counters.append(
            {
                "counter": name,
                "value": row["Last"],
                "unit": units.get(name, ""),
                "average": row["Average"],
                "samples": row["Count"],
                "window": row["TIMESTAMP"],
            }
        )


def counter_units() -> dict[str, str]:
    """CounterName -> unit, for the counters of the LAD 2.3 metric chain."""
    units = {}
    for family in FAMILIES:
        properties = classes.get(family.scx_class).properties
        for counter in family.counters:
            unit = "Bytes" if counter.scale_up == MIB else properties[counter.name].unit
            units[family.specifier(counter)] = unit or "Count"
    return units


def _unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "") == "utf8"


def render(result: Result, fancy: bool) -> list[str]:
    """The report as lines; ``fancy`` allows block characters."""
    out = [""]
    if result.tables:
        width = max(len(t) for t in result.tables)
        out += [f"{'table':{width}}  rows", *(f"{t:{width}}  {n}" for t, n in result.tables.items()), ""]
    if result.counters:
        width = max(len(c["counter"]) for c in result.counters)
        out.append(f"{'counter':{width}}  {'last':>18}  unit")
        out += [f"{c['counter']:{width}}  {_number(c['value']):>18}  {c['unit']}" for c in result.counters]
        out += ["", *_chart([c for c in result.counters if c["unit"] == "Percent"], fancy), ""]
    out += [f"{c.command:10} exit code {c.exit_code}  {c.seconds:5.1f} s" for c in result.commands]
    left = result.left_running
    out.append(f"left running: {len(left)}" + "".join(f"\n  {p['pid']} {p['command']}" for p in left))
    return out + [f"problem: {p}" for p in result.problems]


def _chart(counters: list[dict[str, Any]], fancy: bool) -> list[str]:
    """A bar from 0 to 100 % for the average of each percentage."""
    if not counters:
        return []
    full, empty = ("█", "░") if fancy else ("#", ".")
    width = max(len(c["counter"]) for c in counters)
    lines = []
    for c in counters:
        filled = round(min(max(c["average"], 0.0), 100.0) / 100 * BAR)
        lines.append(f"{c['counter']:{width}}  {full * filled}{empty * (BAR - filled)} {c['average']:5.1f} %")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"
