"""What collector and uploader do alike: find their files, get their plan, hold their lock, outlive the watchdog."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from extension import accepted, descriptor, locks, orphans, plan, proc, spawn
from extension.channel import Channel

PLAN_DEADLINE_S = 30.0
LOCK_PATIENCE_S = 5.0
CONFIG_ERROR = 53
COLLECTOR = "extension.collector"
WATCHDOG = "extension.watchdog"
DYING_PATIENCE_S, DYING_LOOK_S = 10.0, 0.02
"""How long and how often (s) it is waited for a watchdog that is being killed to let go of its lock."""


class PlanError(Exception):
    """The configuration gives no plan; one line with the problems."""


class LockError(Exception):
    """Another process of this component holds the store and does not end."""


def load_plan(config: str, options: str) -> tuple[plan.Plan, list[str]]:
    """The plan of a document, made by a short-lived child so that lxml never stays here; and its warnings.

    Raises PlanError naming every error of the document.
    """
    argv = spawn.module_argv("extension.config.plan", config, *([options] if options else []))
    try:
        code, output = proc.capture(argv, PLAN_DEADLINE_S)
        answer = json.loads(output) if output else {}
    except (OSError, ValueError) as error:
        raise PlanError(f"cannot read the configuration {config}: {error}") from error
    problems = answer.get("problems") or []
    if code != 0 or not answer.get("plan"):
        text = "; ".join(_one_line(p) for p in problems if p.get("severity") == "error")
        raise PlanError(text or f"cannot read the configuration {config} (reader ended with {code})")
    return plan.from_json(answer["plan"]), [_one_line(p) for p in problems]


def _one_line(problem: dict[str, str]) -> str:
    cure = problem.get("cure")
    return f"{problem.get('path', '')}: {problem.get('message', '')}" + (f" ({cure})" if cure else "")


def hold_lock(state_dir: str, module: str) -> int:
    """Hold ``<component>.lock`` for the life of this process: one writer per store file.

    A predecessor that its watchdog has lost (both were killed, or it is stopped) is given some seconds, then killed;
    so are the programs that one which was killed has left behind.
    Returns the descriptor; raises LockError.
    """
    path = os.path.join(state_dir, module.rpartition(".")[2] + ".lock")
    before = locks.last(path) if module == COLLECTOR else 0  # no other asks anybody
    try:
        fd = _take(path, module)
    except locks.HeldError as held:
        raise LockError(f"{held}; end it or use another state folder") from None
    orphans.end(before)
    return fd


def _take(path: str, module: str) -> int:
    try:
        return locks.take(path, LOCK_PATIENCE_S)
    except locks.HeldError as held:
        if held.pid and proc.is_module(held.pid, module):
            os.kill(held.pid, signal.SIGKILL)
    return locks.take(path, LOCK_PATIENCE_S)


def start(module: str) -> tuple[descriptor.Descriptor, plan.Plan, Channel] | int:
    """A component's descriptor, plan and channel; or its exit code when it cannot run (already reported)."""
    channel = Channel()
    channel.send("hello", deadline=60)
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], [accepted.WORD]):
        channel.state("error", f"usage: {module} DESCRIPTOR [{accepted.WORD}]")
        return 2
    try:
        where = descriptor.read(sys.argv[1])
        os.makedirs(where.state_dir, mode=0o700, exist_ok=True)
        if len(sys.argv) == 3:
            accepted.redirect(where)
        loaded, warnings = load_plan(where.config, where.options)
        channel.send("ready")  # a predecessor can go: its lock is all that is missing
        hold_lock(where.state_dir, module)
    except (descriptor.DescriptorError, PlanError) as error:
        channel.state("error", f"configuration: {error}")
        return CONFIG_ERROR
    except (LockError, OSError) as error:
        channel.state("error", str(error))
        return 1
    if module == COLLECTOR:
        for text in warnings:
            channel.log("warning", f"configuration: {text}")
    return where, loaded, channel


def _served(lock_file: str) -> bool:
    """Whether a watchdog holds the lock.

    The kernel closes the files of a killed process one by one, on a busy machine with pauses: our pipe may be gone
    before its lock. Such a process has no command line any more; it serves nobody.
    """
    end = time.monotonic() + DYING_PATIENCE_S
    while (pid := locks.holder(lock_file)) is not None:
        if proc.is_module(pid, WATCHDOG):
            return True
        if time.monotonic() >= end:
            return False  # the one that is started then says who is in its way
        time.sleep(DYING_LOOK_S)
    return False


def after_orphaned(where: descriptor.Descriptor, patience_s: float = 0.0) -> None:
    """The watchdog is gone without a word: start another, unless one serves already ``patience_s`` seconds later.

    Only for a daemon without an init system (systemd restarts its own, a foreground run ends with its terminal), and
    only while the extension is still there: ``disable`` removes the descriptor first.
    """
    if where.mode != "daemon":
        return
    time.sleep(patience_s)
    if _served(where.lock_file) or not os.path.isdir(where.home) or not os.path.exists(where.path):
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    argv = spawn.module_argv(WATCHDOG, where.path)
    env = dict(os.environ)
    pid = os.fork()
    if pid == 0:  # in between: a new session, so that nothing ties the new watchdog to this process
        os.setsid()
        proc.spawn(argv, null, null, 2, env)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(null)
