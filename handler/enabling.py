"""``enable``: make the settings the daemon's configuration and make sure that the daemon runs.

Called on every new goal state, agent start and reboot, mostly with nothing changed: then a healthy daemon is left
alone. Settings that cannot be enabled change nothing: the daemon goes on with those it has.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from extension import spawn, statusfile
from handler import configure, daemon, files, launcher, settings, state
from handler.configure import Configuration, RefusedError
from handler.context import BAD_SETTINGS, DONE, FAILED, Handler, Outcome
from handler.service import ServiceError

HEALTH_WAIT = 7.0  # seconds for the daemon to report health
TOTAL = 9.0  # seconds that the whole command aims at
_STOP_GRACE = 3.0
_NOTE_MAX = 2000  # characters; a status takes about half of them


def enable(handler: Handler) -> Outcome:
    """See the module; the outcome's parts are the daemon's components."""
    running = _living(handler)
    refuses = running is not None and running.health is not None and running.health.refused
    if running and not refuses and _unchanged(handler) and _is_ours(handler, running):
        handler.log.info(f"sequence number unchanged and the daemon (pid {running.pid}) is alive: left alone")
        _enabled(handler)
        return _report(handler, running.health, str(_described(handler).get("note") or ""))
    handler.status.report("Enable", "transitioning", 0, "Enabling")
    try:
        opened = configure.open_settings(handler.found, handler.env)
        if opened.protected is not None:
            handler.log.info("Config decoded correctly.")
        made = configure.generate(opened, handler.env)
    except RefusedError as error:
        return _refused(handler, running, error)
    _log_settings(handler, made)
    return _apply(handler, running, made)


def _living(handler: Handler) -> daemon.Running | None:
    """The daemon, unless there is none or it is ours and gives no sign of life: then it is ended."""
    running = daemon.find(handler.state_dir)
    if running is None or not _is_ours(handler, running) or running.reports(time.time()):
        return running
    why = "is stopped (SIGSTOP)" if running.stopped else "gives no sign of life"
    handler.log.warning(f"the running daemon (pid {running.pid}) {why}: ending it")
    daemon.stop(handler.state_dir, running.descriptor, grace=_STOP_GRACE)
    return None


def _unchanged(handler: Handler) -> bool:
    """Whether these settings are enabled already: the same number, encrypted for the same certificate."""
    last = (files.read_text(handler.mrseq, 64) or "").strip()
    if handler.found is None or last != str(handler.found.sequence):
        return False
    described = _described(handler)
    if not described or not all(os.path.exists(str(described.get(key))) for key in ("config", "options")):
        return False
    enabled_for = described.get("certificate")
    return enabled_for is None or settings.thumbprint(handler.found) in (None, enabled_for)


def _described(handler: Handler) -> dict[str, Any]:
    """daemon.json as it is; {} if it is not there or not readable."""
    try:
        value = json.loads(files.read_text(handler.descriptor) or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_ours(handler: Handler, running: daemon.Running) -> bool:
    return os.path.realpath(running.descriptor) == os.path.realpath(handler.descriptor)


def _refused(handler: Handler, running: daemon.Running | None, error: RefusedError) -> Outcome:
    """The settings stay out; what was enabled before goes on, and is started if it does not run."""
    for problem in error.problems:
        handler.log.error(problem)
    before = ""
    complete = all(map(os.path.exists, (handler.descriptor, configure.config_path(handler.env.home))))
    if running is None and complete:
        try:
            _start(handler)
            before = ". The daemon was started with the settings enabled before."
        except (launcher.StartError, ServiceError) as failed:
            handler.log.error(str(failed))
    elif running is not None:
        before = ". The running daemon goes on with the settings enabled before."
    count = len(error.problems)
    message = f"Settings not enabled, {count} problem{'s' if count != 1 else ''}: {'; '.join(error.problems)}"
    parts = [{**part, "name": f"setting {number}"} for number, part in enumerate(map(_problem_part, error.problems), 1)]
    return Outcome("error", error.exit_code, _shorten(message, 1000 - len(before)) + before, parts)


def _problem_part(problem: str) -> dict[str, object]:
    return statusfile.substatus("", "error", BAD_SETTINGS, problem)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 40]} ... (all of them are in the substatus)"


def _log_settings(handler: Handler, made: Configuration) -> None:
    log = handler.log
    log.info(f"LAD settings with secrets redacted: {made.redacted}")
    log.info(f"Keys in privateSettings (and some non-secret values): {', '.join(made.protected_keys)}")
    if not (isinstance(made.public, dict) and "eventVolume" in made.public):
        log.info("Event volume not found in config. Using default value: Medium")
    if made.deployment_id:
        log.info(f"Deployment ID found: {made.deployment_id}.")
    else:
        log.info("No Deployment ID (not running in a hosted environment")
    for note in made.notes:
        log.info(note)
    for warning in made.warnings:
        log.warning(warning)


def _apply(handler: Handler, running: daemon.Running | None, made: Configuration) -> Outcome:
    sequence = handler.found.sequence if handler.found else 0
    state.ensure(handler.state_dir)
    if running and not _is_ours(handler, running):
        handler.log.warning(f"the running daemon (pid {running.pid}) belongs to {running.home}: ending it")
        daemon.stop(handler.state_dir, running.descriptor, grace=_STOP_GRACE)
        running = None
    described = configure.descriptor(
        handler.env, handler.state_dir, handler.service_mode, sequence, handler.status.path
    )
    note = "; ".join(made.warnings)[:_NOTE_MAX]
    known = settings.thumbprint(handler.found) if handler.found else None
    configure.install(made, {**described, "note": note, "certificate": known or ""})
    files.remove(f"{handler.descriptor}.off")
    since = time.time()
    try:
        pid = _reload(handler, running) if running else _start(handler)
    except (launcher.StartError, ServiceError) as error:
        return Outcome("error", FAILED, f"the daemon could not be started: {error}")
    left = max(1.0, min(HEALTH_WAIT, TOTAL - (time.monotonic() - handler.started)))
    health = daemon.wait_healthy(handler.state_dir, pid, sequence, since, left)
    if health is None and daemon.find(handler.state_dir) is None:
        tail = (files.read_text(os.path.join(handler.env.home, "daemon.log")) or "").strip()[-400:]
        return Outcome("error", FAILED, f"the daemon ended right after its start: {tail or 'it said nothing'}")
    if health and health.refused:
        return Outcome("error", FAILED, f"the daemon refused the new configuration: {health.refused}", health.parts)
    files.replace(handler.mrseq, str(sequence).encode())
    _enabled(handler)
    return _report(handler, health, note)


def _reload(handler: Handler, running: daemon.Running) -> int:
    """Let the daemon take its new configuration, or start it if it has ended just now; its pid."""
    try:
        os.kill(running.pid, signal.SIGHUP)
    except ProcessLookupError:
        return _start(handler)
    handler.log.info(f"SIGHUP sent to the daemon (pid {running.pid})")
    return running.pid


def _start(handler: Handler) -> int:
    """Start the daemon; its pid, 0 if systemd has it. StartError or ServiceError if it cannot be started."""
    left = daemon.of_descriptor(handler.descriptor)
    if left:
        handler.log.warning(f"{len(left)} processes of a daemon that lost its state folder or watchdog: ending them")
        daemon.stop(handler.state_dir, handler.descriptor, grace=_STOP_GRACE)
    if handler.service_mode == "systemd":
        handler.systemd.write()
        handler.systemd.start()
        handler.log.info(f"{handler.systemd.unit_path} started")
        return 0
    argv = spawn.module_argv("extension.watchdog", handler.descriptor)
    handler.log.info(f"Start daemon {argv}")
    environ = {**launcher.scrubbed(handler.environ), "LAD_STATE_DIR": handler.state_dir}
    return launcher.detach(argv, environ, os.path.join(handler.env.home, "daemon.log"))


def _enabled(handler: Handler) -> None:
    """Note what is installed, for the tools, and that no upgrade is under way any more."""
    env = handler.env
    value = {
        "home": env.home,
        "config": configure.config_path(env.home),
        "options": os.path.join(env.home, "options.json"),
        "log": os.path.join(env.log_folder, "extension.log"),
        "status_folder": env.status_folder,
        "name": env.name,
        "version": env.version,
    }
    known = files.read_text(os.path.join(handler.state_dir, state.INSTALLED))
    try:
        if known is None or json.loads(known) != value:
            state.write_json(handler.state_dir, state.INSTALLED, value)
    except ValueError:
        state.write_json(handler.state_dir, state.INSTALLED, value)
    if files.remove(os.path.join(handler.state_dir, state.UPGRADING)):
        handler.log.info("upgrade finished")


def _report(handler: Handler, health: daemon.Health | None, note: str) -> Outcome:
    """Write the status by the daemon's health; again if that changed meanwhile.

    The watchdog writes the same file when a component changes, and only then: what it wrote between our look at
    its health and our own write must not stay hidden behind an older state.
    """
    outcome = _by_health(health, note)
    for _ in range(3):
        code = outcome.exit_code or outcome.code
        handler.status.report("Enable", outcome.status or "error", code, outcome.message, outcome.parts)
        now = daemon.read_health(handler.state_dir)
        if now is None or now.sequence != handler.status.sequence or time.time() - now.time > daemon.FRESH:
            break
        if health is not None and now.components == health.components:
            break
        health, outcome = now, _by_health(now, note)
    return outcome._replace(status=None)


def _by_health(health: daemon.Health | None, note: str) -> Outcome:
    """The status by what the daemon says of itself; the exit code is 0, because it runs."""
    if health is None:
        return Outcome("transitioning", DONE, "the daemon runs and has not reported its health yet")
    verdict = health.verdict
    if verdict == "success":
        return Outcome("success", DONE, statusfile.enabled_text(note), health.parts)
    odd = "; ".join(
        f"{item.name} {item.state}: {item.message}" for item in health.components if item.status != "success"
    )
    if health.refused:
        odd = f"new configuration refused, the old one runs: {health.refused}" + (f"; {odd}" if odd else "")
    what = {"error": "runs with a failing component", "warning": "runs with a warning"}.get(verdict, "is starting")
    return Outcome(
        verdict,
        DONE,
        statusfile.noted(f"the daemon {what}: {odd or 'not healthy yet'}", note),
        health.parts,
        code=1 if verdict == "error" else 0,
    )
