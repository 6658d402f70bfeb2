"""The extension's entry point: the commands that a VM agent calls, as a table (spec/vm-agent.md 6, 7).

Exit codes: 0 done; 1 something failed; 2 usage; 51 not Linux; 52 something is missing (openssl, a part of the
package); 53 settings that cannot be enabled. ``disable`` and ``uninstall`` always exit 0, because any other code
would block removal and upgrade for good.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO

from extension import spawn
from extension.extlog import ExtensionLog
from handler import configure, enabling, environment, launcher, package, removal, state, turn
from handler.context import DONE, FAILED, MISSING, UNSUPPORTED, USAGE, Handler, Outcome
from handler.environment import Environment, EnvironmentFileError
from handler.log import open_log
from handler.service import ServiceError
from handler.settings import find
from handler.status import Reporter


class Command(NamedTuple):
    """One row of the table. ``always_done``: exit 0 whatever happened; ``reports``: ends with a status."""

    operation: str
    run: Callable[[Handler], Outcome]
    always_done: bool = False


def install(handler: Handler) -> Outcome:
    """Check the machine and the package, make the state folder, write the unit; undone if any of it fails."""
    if not handler.platform.startswith("linux"):
        return Outcome("error", UNSUPPORTED, f"this extension runs on Linux only, not on {handler.platform}")
    lacking = package.missing(handler.env.home)
    if lacking:
        named = "; ".join(lacking[:5]) + (f"; and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        return Outcome("error", MISSING, f"the package is incomplete: {named}. Install it again")
    made = state.ensure(handler.state_dir)
    _omi_credentials(handler)
    try:
        if handler.service_mode == "systemd":
            handler.systemd.write()
            handler.log.info(f"{handler.systemd.unit_path} written")
    except ServiceError as error:
        if made:
            handler.log.info(state.remove(handler.state_dir))
        return Outcome("error", FAILED, f"cannot install the service: {error}")
    return Outcome("success", DONE, "Install succeeded")


def _omi_credentials(handler: Handler) -> None:
    """The password of the emulated OMI service, which is off until the settings ask for it."""
    from omi_queries.server import auth

    path = os.path.join(handler.state_dir, "omi", "credentials")
    try:
        if auth.generate(path):
            handler.log.info(f"{path} made")
    except auth.CredentialsError as error:
        handler.log.warning(str(error))  # the service makes it at its first start, or says why it cannot


def update(handler: Handler) -> Outcome:
    """Mark the upgrade, so that the leaving version's ``uninstall`` keeps the rows that are not yet sent."""
    if os.path.isdir(handler.state_dir):
        target = state.mark_upgrade(handler.state_dir, handler.env.version, handler.environ)
        handler.log.info(f"upgrade to version {target}: {handler.state_dir} is kept")
    return Outcome("success", DONE, "Update succeeded")


def daemon(handler: Handler) -> Outcome:
    """Become the watchdog, in the foreground: what the systemd unit runs. Returns only if it cannot."""
    path = configure.descriptor_path(handler.env.home)
    if not os.path.exists(path):
        return Outcome("error", FAILED, f"{path} is missing: nothing has been enabled yet; run enable first")
    argv = spawn.module_argv("extension.watchdog", path)
    handler.log.info(f"Start daemon {argv}")
    os.chdir("/")
    try:
        os.execve(argv[0], argv, launcher.scrubbed(handler.environ))
    except OSError as error:
        return Outcome("error", FAILED, f"cannot run {argv[0]}: {error.strerror}")


COMMANDS: Mapping[str, Command] = {
    "install": Command("Install", install),
    "enable": Command("Enable", enabling.enable),
    "disable": Command("Disable", removal.disable, always_done=True),
    "uninstall": Command("UnInstall", removal.uninstall, always_done=True),
    "update": Command("Update", update),
    "daemon": Command("Daemon", daemon),
}


def command_name(argument: str) -> str | None:
    """``-enable``, ``--enable``, ``/enable`` and ``enable`` (any case) as ``enable``; None for anything else."""
    name = argument.lstrip("-/").lower()
    return name if name in COMMANDS else None


def main() -> int:
    """Run the command that argv names; see the module for exit codes."""
    return run(sys.argv[1:], os.environ, os.getcwd(), sys.stdout, sys.stderr)


def run(
    argv: list[str],
    environ: Mapping[str, str],
    home: str,
    out: TextIO,
    err: TextIO,
    *,
    platform: str = sys.platform,
    root: str = "/",
    patience: float = environment.PATIENCE,
) -> int:
    """Run one command for the extension folder ``home``; ``root`` is where /etc and /run are looked up.

    ``patience``: seconds to wait for a HandlerEnvironment.json that the agent is writing.
    """
    name = command_name(argv[0]) if len(argv) == 1 else None
    if name is None:
        err.write(f"usage: shim.sh -install | -enable | -disable | -uninstall | -update (not: {' '.join(argv)!r})\n")
        return USAGE
    os.umask(0o077)
    command = COMMANDS[name]
    try:
        env = environment.read(home, environ, patience=patience)
    except EnvironmentFileError as error:
        err.write(f"{name}: {error}\n")
        if not command.always_done:
            return FAILED
        version = environment.package_version(home, environ)
        env = Environment(home, environment.default_name(home), version, "1.0", "", "", "")
    log = open_log(env, out) if env.log_folder else ExtensionLog(os.devnull, env.tag, also=err)
    log.info(f"cwd is {home}")
    if env.log_folder:
        log.info(f"Change log file to {log.path}")
    # what the systemd unit runs is started while enable waits for it
    with contextlib.nullcontext() if command is COMMANDS["daemon"] else turn.alone(home, log):
        handler = _handler(env, environ, log, platform, root, err)
        if handler.found:
            log.info(f"sequence number is {handler.found.sequence}")
            log.info(f"setting file path is{handler.found.path}")
            if handler.found.note:
                log.warning(handler.found.note)
        log.info(f"Dispatching command:{argv[0]}")
        code = _finish(command, handler, _outcome(command, handler), err)
    if log.dropped:
        err.write(f"{name}: {log.dropped} lines could not be written to {log.path}: {log.reason}\n")
    log.close()
    return code


def _handler(
    env: Environment, environ: Mapping[str, str], log: ExtensionLog, platform: str, root: str, err: TextIO
) -> Handler:
    found = find(env.config_folder, environ) if env.config_folder else None
    told = environ.get("ConfigSequenceNumber", "")
    number = int(told) if told.isascii() and told.isdigit() and len(told) < 19 else None
    return Handler(
        env=env,
        environ=environ,
        state_dir=environment.state_dir(environ),
        found=found,
        log=log,
        status=Reporter(env, found.sequence if found else number, log, err),
        started=time.monotonic(),
        platform=platform,
        root=root,
    )


def _outcome(command: Command, handler: Handler) -> Outcome:
    try:
        return command.run(handler)
    except state.StateError as error:
        return Outcome("error", FAILED, str(error))
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return Outcome("error", FAILED, f"{command.operation} failed:{where} {error.strerror or error}")
    except Exception as error:  # a defect: its place goes to the log, one line to the agent
        import traceback  # here, because it reads source files and imports what that takes

        handler.log.error("".join(traceback.format_tb(error.__traceback__)).rstrip())
        return Outcome("error", FAILED, f"{command.operation} failed on an internal error: {type(error).__name__}")


def _finish(command: Command, handler: Handler, outcome: Outcome, err: TextIO) -> int:
    if outcome.status is not None:
        handler.status.report(
            command.operation, outcome.status, outcome.exit_code or outcome.code, outcome.message, outcome.parts
        )
    if outcome.exit_code != DONE:
        err.write(f"{command.operation}: {outcome.message}\n")
    return DONE if command.always_done else outcome.exit_code
