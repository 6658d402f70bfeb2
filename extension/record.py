"""``lad record``: write instances with their times to a file that ``replay:`` answers from."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from omi_queries import classes, recording
from omi_queries.binding import ForeignError
from omi_queries.cli import SourceOptionError, add_source_arguments, in_options, open_source, printable
from omi_queries.recording_file import Writer
from omi_queries.types import Backend, QueryError, QueryStream

CLASSES = (
    "SCX_ProcessorStatisticalInformation",
    "SCX_MemoryStatisticalInformation",
    "SCX_DiskDriveStatisticalInformation",
    "SCX_FileSystemStatisticalInformation",
    "SCX_EthernetPortStatistics",
    "SCX_OperatingSystem",
)
"""What is recorded unless asked otherwise: what diagnostics query, and what costs next to nothing beside it."""
MIN_INTERVAL = 1.0
MAX_INTERVAL = 86400.0


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad record``."""
    parser = subparsers.add_parser(
        "record",
        help="record instances for lad replay",
        description="Record all instances of some classes at regular times, as one JSON object per line. "
        "Stop it with Ctrl-C.",
    )
    parser.add_argument("-o", "--output", required=True, metavar="F", help="the file to write (mode 0600)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument(
        "--interval", type=_interval, default=15.0, metavar="S", help="seconds from one time to the next (default: 15)"
    )
    parser.add_argument("--count", type=_count, default=0, metavar="N", help="stop after N times (default: go on)")
    parser.add_argument(
        "--class", dest="classes", action="append", metavar="C",
        help=f"a class to record, may be repeated (default: {', '.join(CLASSES)})",
    )  # fmt: skip
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not MIN_INTERVAL <= seconds <= MAX_INTERVAL:  # also false for nan
        raise argparse.ArgumentTypeError(f"{text[:40]!a} is not a number of seconds from 1 to 86400")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!a} is not a number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Record until the count is reached or a signal comes; 1 if nothing could be recorded."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return record(args, clock=_steady(), wait=stop.wait)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _steady() -> Callable[[], float]:
    """Unix time that no setting of the clock moves, so that the lines stay in order."""
    ahead = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + ahead


@dataclass
class _Asked:
    name: str
    stream: QueryStream
    trouble: str = ""


@dataclass
class _Recorder:
    """Streams and the file they go to. ``lines`` counts what was written."""

    namespace: str
    asked: list[_Asked]
    writer: Writer
    lines: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def sample(self, due: float) -> None:
        """Record all classes at ``due`` (Unix s). OSError if the file cannot be written."""
        at_us = round(due * 1_000_000)
        for one in self.asked:
            trouble = ""
            try:
                reading = one.stream.read(due)
            except QueryError as error:
                trouble = str(error)
                self.lost[one.name] = self.lost.get(one.name, 0) + 1
            else:
                trouble = "; ".join(reading.skipped)
                found = reading.instances
                self.writer.write(recording.format_sample(at_us, self.namespace, one.name, found, reading.types))
                self.lines += 1
            if trouble and trouble != one.trouble:
                _say(f"{one.name}: {trouble}")
            one.trouble = trouble


def record(args: argparse.Namespace, clock: Callable[[], float], wait: Callable[[float], bool]) -> int:
    """``clock`` gives Unix s; ``wait`` waits that many seconds and returns True when it is time to stop."""
    namespace = args.namespace or classes.NAMESPACE
    if not args.classes and classes.namespace(namespace) not in (classes.NAMESPACE, None):
        return _fail(f"which classes of {namespace}? name each with --class; the usual ones are in {classes.NAMESPACE}")
    try:
        backend = open_source(args, os.environ, _say)
    except (SourceOptionError, QueryError) as error:
        return _fail(str(error))
    try:
        try:
            asked = _streams(backend, namespace, args.classes)
            writer = Writer(args.output, replace=args.force)
        except ForeignError as error:
            return _fail(error.cured().message)
        except QueryError as error:
            return _fail(error.message)  # nobody typed the query that its position is in
        except FileExistsError:
            return _fail(f"{args.output} exists; give another name, or --force to replace it")
        except OSError as error:
            return _fail(f"{args.output}: {error.strerror}")
        recorder = _Recorder(namespace, asked, writer)
        try:
            times = _go(recorder, args.interval, args.count, clock, wait)
        except OSError as error:
            return _fail(f"{args.output}: {error.strerror}; the last line may be incomplete")
        finally:
            writer.close()
    finally:
        backend.close()
    for name, times_lost in recorder.lost.items():
        _say(f"{name}: no answer at {times_lost} of {times} times")
    _say(f"{recorder.lines} lines in {args.output}")
    return 0 if recorder.lines else 1


def _streams(backend: Backend, namespace: str, wanted: list[str] | None) -> list[_Asked]:
    """One stream per class with instances; a base class stands for its subclasses, a class named twice for one."""
    found: dict[str, _Asked] = {}
    for name in wanted or CLASSES:
        known = recording.declared_class(namespace, name)
        served = [one.name for one in classes.served_by(known.name)] if known is not None else []
        for one in served or [name]:
            if one.lower() not in found:
                found[one.lower()] = _Asked(one, backend.open(namespace, " ".join(("SELECT * FROM", one))))
    return list(found.values())


def _go(
    recorder: _Recorder, interval: float, count: int, clock: Callable[[], float], wait: Callable[[float], bool]
) -> int:
    """Sample on multiples of ``interval``; the number of times sampled. A time that has passed already is left out."""
    for one in recorder.asked:
        try:
            one.stream.prime()
        except QueryError as error:
            one.trouble = str(error)
            _say(f"{one.name}: {error}")
    due = _next(clock() + min(1.0, interval / 2), interval)  # the first rates are over half a second at least
    times = 0
    while True:
        left = due - clock()
        while left > 0:
            if wait(min(left, interval)):
                return times
            left = due - clock()
        recorder.sample(due)
        times += 1
        if times == count:
            return times
        if wait(0.0):
            return times
        due = _next(max(clock(), due), interval)


def _next(now: float, interval: float) -> float:
    """The first multiple of ``interval`` after ``now``."""
    return (math.floor(now / interval) + 1) * interval


def _fail(message: str) -> int:
    _say(message)
    return 1


def _say(message: str) -> None:
    print(f"lad record: {printable(in_options(message))}", file=sys.stderr)
