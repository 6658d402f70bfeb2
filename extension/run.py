"""``lad run``: the daemon in the foreground, on any mdsd document."""

from __future__ import annotations

import argparse
import json
import os
import sys

from extension import component, paths, spawn


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lad run``."""
    parser = subparsers.add_parser("run", help="the daemon in the foreground", description=__doc__)
    parser.add_argument("-c", "--config", help="mdsd XML document (default: the installed one)")
    parser.add_argument("--options", help="options.json (default: the one beside the document, if any)")
    parser.add_argument("--state-dir", help="where samples and unsent rows are kept")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the document, then become the watchdog; returns only on an error (1)."""
    state = paths.state_dir(args.state_dir)
    known = paths.installed(state)
    config = args.config or known.get("config")
    if not config:
        print(f"lad run: nothing is installed in {state}; name a document with -c", file=sys.stderr)
        return 2
    config = os.path.abspath(config)
    beside = os.path.join(os.path.dirname(config), "options.json")
    options = os.path.abspath(args.options) if args.options else beside if os.path.exists(beside) else ""
    try:
        _, problems = component.load_plan(config, options)
        os.makedirs(state, mode=0o700, exist_ok=True)
        where = os.path.join(state, "run.json")
        files = {"home": state, "config": config, "options": options, "state_dir": state}
        with open(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"mode": "foreground", **files}, file)
    except component.PlanError as error:
        print(f"lad run: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        found = f"{error.filename or state}: {error.strerror}"
        print(f"lad run: cannot use the state folder: {found}; give another with --state-dir", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"lad run: {problem}", file=sys.stderr)
    argv = spawn.module_argv("extension.watchdog", where)
    os.execv(argv[0], argv)
