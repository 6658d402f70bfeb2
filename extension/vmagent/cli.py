"""``lad vm-agent``: a small local VM agent on the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from extension.vmagent.agent import AgentError, LocalAgent, read_settings
from extension.vmagent.command import CommandResult
from extension.vmagent.folder import Settings
from extension.vmagent.package import PackageError, find_package
from extension.vmagent.secrets import TenantError

ACTIONS = {
    "install": "put package and settings in place and run the install command",
    "enable": "new settings (if given) under the next sequence number; installs first if need be",
    "disable": "run the disable command",
    "uninstall": "disable if enabled, uninstall, delete the folder",
    "update": "replace the installed version by --package, in the agent's order",
    "noop": "enable again with nothing changed",
    "status": "what is installed and what its status file says",
}
_USAGE = 2
_SETTINGS_MAX = 16 * 1024 * 1024


def add_parsers(subparsers: Any) -> None:
    """Add ``vm-agent``; the parsed arguments' ``run`` is :func:`vm_agent`."""
    parser = subparsers.add_parser(
        "vm-agent",
        help="install and drive an extension package as a VM agent does",
        description="A local VM agent: everything is kept below --root, nothing of the machine's own agent is touched.",
        epilog="; ".join(f"{name}: {text}" for name, text in ACTIONS.items()),
    )
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="|".join(ACTIONS))
    parser.add_argument("--package", metavar="ZIP|DIR", help="extension package (default: our own, built if need be)")
    parser.add_argument("--root", required=True, metavar="DIR", help="folder that stands for the machine's /")
    parser.add_argument("--public", metavar="F", help="public settings, a JSON file, or - for standard input")
    parser.add_argument("--protected", metavar="F", help="protected settings, a JSON file, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=vm_agent)


add_vm_agent_parser = add_parsers


def vm_agent(args: argparse.Namespace) -> int:
    """Run one action; 0 if all commands exited 0 and the status is no error, 1 if not, 2 usage."""
    if args.public == "-" and args.protected == "-":
        return _fail("only one of --public and --protected can be read from standard input", _USAGE)
    if args.action not in ("install", "enable", "update") and (args.public or args.protected):
        return _fail(f"{args.action} takes no settings; use enable", _USAGE)
    try:
        agent = LocalAgent(args.root)
        settings = _settings(args.public, args.protected)
        done = _act(agent, args.action, args.package, settings)
        now = agent.status()
    except (AgentError, PackageError, TenantError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or args.root}: {error.strerror}", 1)
    return _tell(now, args.action, done, args.json)


def _fail(message: str, code: int) -> int:
    print(f"lad vm-agent: {message}", file=sys.stderr)
    return code


def _act(agent: LocalAgent, action: str, package: str | None, settings: Settings | None) -> list[CommandResult]:
    if action == "install":
        return agent.install(package or find_package(), settings)
    if action == "enable":
        if package is None and agent.status()["handler"] is None:
            package = find_package()
        return agent.enable(package, settings)
    if action == "update":
        return agent.update(package or find_package(), settings)
    if action == "status":
        return []
    return {"disable": agent.disable, "uninstall": agent.uninstall, "noop": agent.noop}[action]()


def _settings(public: str | None, protected: str | None) -> Settings | None:
    """Both files read, and taken out of what people keep them in; None if neither was given."""
    if public is None and protected is None:
        return None
    from extension.config.problems import Problems
    from extension.config.settings_file import is_wrapped, unwrapped
    from extension.config.values import PROTECTED, PUBLIC

    given = {root: _read(path) for root, path in ((PUBLIC, public), (PROTECTED, protected)) if path is not None}
    if not any(isinstance(one, dict) and is_wrapped(one) for one in given.values()):
        return Settings(given.get(PUBLIC), given.get(PROTECTED))
    problems = Problems()
    parts = unwrapped(given, problems)
    if problems.failed:
        raise AgentError(next(p.render() for p in problems if p.severity == "error"))
    return Settings(parts[0], parts[1] or None)


def _read(path: str | None) -> Any:
    if path is None:
        return None
    where = "standard input" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_SETTINGS_MAX + 1)
        else:
            with open(path, "rb") as source:
                data = source.read(_SETTINGS_MAX + 1)
    except OSError as error:
        raise AgentError(f"cannot read {where}: {error.strerror}") from None
    if len(data) > _SETTINGS_MAX:
        raise AgentError(f"{where} is larger than {_SETTINGS_MAX} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AgentError(f"{where} is not UTF-8 at byte {error.start}") from None
    return read_settings(text, where)


def _tell(now: dict[str, Any], action: str, done: Sequence[CommandResult], as_json: bool) -> int:
    failed = any(result.exit_code != 0 for result in done)
    status = now["status"] or {}
    bad_status = action in ("enable", "noop", "update", "status") and status.get("status") == "error"
    missing = action == "status" and now["handler"] is None
    ok = not (failed or bad_status or missing)
    if as_json:
        ran = [result.to_json() for result in done]
        print(json.dumps({"action": action, "ok": ok, "commands": ran, **now}, indent=1))
    else:
        for result in done:
            print(f"{result.command:<10} {result.version:<10} exit {result.exit_code:<4} {result.seconds:6.1f} s")
            if result.exit_code != 0:
                print(_indented(result.output))
        print("\n".join(_lines(now)))
    return 0 if ok else 1


def _lines(now: dict[str, Any]) -> list[str]:
    if now["handler"] is None:
        return ["nothing is installed"]
    head = f"{now['handler']} {now['version']}: {now['state']}, sequence number {now['sequence']}"
    lines = [head, f"home {now['home']}"]
    status = now["status"]
    if status is None:
        return [*lines, "no status file"]
    message = (status.get("formattedMessage") or {}).get("message", "")
    lines.append(f"{status.get('operation', '')} {status['status']} (code {status.get('code')}): {message}")
    for part in status.get("substatus") or ():
        text = (part.get("formattedMessage") or {}).get("message", "")
        lines.append(f"  {part.get('name')} {part.get('status')}: {text}")
    return lines


def _indented(text: str) -> str:
    return os.linesep.join(f"    {line}" for line in text.splitlines())
