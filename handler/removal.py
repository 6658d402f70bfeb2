"""``disable`` and ``uninstall``: end what runs, send what is left, remove what was made."""

from __future__ import annotations

import os
import time

from extension import spawn
from handler import daemon, files, launcher, service, state
from handler.context import DONE, Handler, Outcome
from handler.service import ServiceError

FLUSH_DEADLINE = 25.0  # seconds for the last rows to go out


def disable(handler: Handler) -> Outcome:
    """Stop the daemon of this folder."""
    _stop(handler)
    return Outcome("success", DONE, "Disable succeeded")


def uninstall(handler: Handler) -> Outcome:
    """Stop, send what is left and remove the state; in an upgrade the state stays for the new version."""
    _stop(handler)
    target = state.upgrade_target(handler.state_dir, time.time())
    other = daemon.find(handler.state_dir)
    if target is not None and target != handler.env.version:
        handler.log.info(f"upgrade to version {target}: {handler.state_dir} is kept")
    elif other is not None:
        handler.log.warning(f"{handler.state_dir} is kept: the daemon of {other.home} (pid {other.pid}) uses it")
    else:
        _flush(handler)
        handler.log.info(state.remove(handler.state_dir))
        _remove_unit(handler)
    for name in ("lad.pids", "daemon.log", "daemon.json", "daemon.json.off", "options.json", "xmlCfg.xml"):
        path = os.path.join(handler.env.home, name)
        if files.remove(path):
            handler.log.info(f"{path} removed")
    return Outcome("success", DONE, "Uninstall succeeded")


def _stop(handler: Handler) -> None:
    if handler.systemd.owns_unit() and handler.service_mode == "systemd":
        try:
            handler.systemd.stop()
            handler.log.info(f"{service.UNIT} stopped")
        except ServiceError as error:
            handler.log.error(str(error))
    running = daemon.find(handler.state_dir)
    if running and not _may_end(handler, running):
        handler.log.warning(f"the daemon of {running.home} (pid {running.pid}) is another version's: left running")
        return
    descriptor = running.descriptor if running and running.descriptor else handler.descriptor
    ended, killed = daemon.stop(handler.state_dir, descriptor)
    if killed:
        handler.log.warning(f"{killed} processes had to be killed, {ended} ended by themselves")
    else:
        handler.log.info(f"{ended} processes ended" if ended else "no daemon was running")


def _may_end(handler: Handler, running: daemon.Running) -> bool:
    """Our own daemon, or one whose folder is gone."""
    ours = os.path.realpath(running.descriptor) == os.path.realpath(handler.descriptor)
    return ours or not os.path.isdir(running.home)


def _flush(handler: Handler) -> None:
    """Write partial windows and send what is queued; a failure is logged, never fatal."""
    if not os.path.exists(handler.descriptor) or not os.path.isdir(handler.state_dir):
        return
    argv = spawn.module_argv("extension.finish", handler.descriptor)
    code, output = service.run_command(argv, FLUSH_DEADLINE, launcher.scrubbed(handler.environ))
    if code == DONE:
        handler.log.info(f"last rows sent{': ' + output if output else ''}")
    else:
        handler.log.warning(f"the last rows could not all be sent (exit code {code}): {output or 'no reason given'}")


def _remove_unit(handler: Handler) -> None:
    if not handler.systemd.owns_unit():
        return
    try:
        handler.systemd.remove()
        handler.log.info(f"{handler.systemd.unit_path} removed")
    except (ServiceError, OSError) as error:
        handler.log.error(f"{handler.systemd.unit_path} not removed: {error}")
