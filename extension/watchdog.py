"""Process 0: starts, watches, limits and restarts collector and uploader, and says how they are. It never gives up.

One loop that sleeps in poll() until a component speaks, a child ends, a signal comes or a deadline passes.
Standard library only, and little of it: this process lives as long as the machine.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time

from extension import accepted, descriptor, locks, orphans, proc, spawn, watched
from extension.extlog import ExtensionLog
from extension.handover import Handover
from extension.health import Publisher
from extension.wires import Wires

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from extension.supervise import Component

STOP_S = 8.0
HOUSEKEEPING_S = 60.0
EARLY_S = 25.0
"""Housekeeping is done so much before its time when the watchdog is awake anyway: sleeping on is what costs least."""
FIRST_HEALTH_S = 1.0
STATUS_SETTLE_S = 0.5
CONFIG_ERROR = 53
"""A component's exit code when the configuration gives it nothing to run (as in :mod:`extension.component`)."""


class Watchdog:
    """Supervises the components of one :class:`Descriptor` until told to stop. ``lock`` is the held lock's descriptor.

    ``lost``: it stopped because the lock is not at its place any more.
    """

    def __init__(self, where: descriptor.Descriptor, log: ExtensionLog, lock: int) -> None:
        self.where = where
        self.lost = False
        self._lock = lock
        self.log = log
        self.components = watched.components(where)
        self._handover = Handover(self._kill)
        self._stamp = accepted.stamp(where)
        self._terminal = where.mode == "foreground" and watched.has_terminal()
        self._poll = select.poll()
        self._wires = Wires(self._poll, self._take, self._odd)
        self._stopping = False
        self._reload = False
        self._why = ""
        self._publish_at = 0.0
        self._publisher = Publisher(log.error)
        self._kept_house = time.monotonic()
        self._refused = ""
        self._signal, self._signalled = os.pipe()
        for fd in (self._signal, self._signalled):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        self._poll.register(self._signal, select.POLLIN)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        elif number != signal.SIGCHLD:
            self._stopping = True
            self._why = signal.Signals(number).name

    # -- the loop

    def run(self) -> None:
        """Until SIGTERM/SIGINT or until the extension's or the state folder is gone; then everything is stopped."""
        self.log.info(f"watchdog started, pid {os.getpid()}, configuration {self.where.config}")
        now = time.monotonic()
        for component in self.components:
            component.start_at = now
            component.state = "backoff"
        self._publish_at = now + FIRST_HEALTH_S
        while not self._stopping:
            now = time.monotonic()
            for component in self.components:
                self._wires.feel(component)
            self._start_due(now)
            self._end_hung(now)
            if now - self._kept_house >= HOUSEKEEPING_S - EARLY_S:
                self._keep_house(now)
            self._handover.act(now)
            if self._reload and not self._handover:
                self._reload = False
                self._load_again()  # before the report: one of a refusal that is over would be taken for a new one
                if self._stopping:
                    break
            if self._publish_at and now >= self._publish_at:
                self._publish()
            self._wait(self._next_deadline(now) - now)
            # The collector looks for both at each sample and ends without them, which wakes this process.
            if not os.path.isdir(self.where.home):
                self._stopping, self._why = True, f"the extension's folder {self.where.home} is gone"
            elif not locks.is_there(self._lock, self.where.lock_file):
                self._stopping = self.lost = True
                self._why = f"{self.where.lock_file} is gone: somebody has removed the state folder"
        self.stop()

    def _next_deadline(self, now: float) -> float:
        moments = [self._kept_house + HOUSEKEEPING_S]
        if self._publish_at:
            moments.append(self._publish_at)
        for component in self.components:
            moments.append(component.last_progress + component.deadline + 0.1 if component.pid else component.start_at)
        return max(min(*moments, self._handover.next()), now)

    def _wait(self, seconds: float) -> None:
        for fd, _ in self._poll.poll(int(seconds * 1000) + 1):
            if fd == self._signal:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    continue
            else:
                self._wires.hear(fd)
        self._reap()

    # -- components

    def _start_due(self, now: float) -> None:
        for component in self.components:
            if component.pid == 0 and now >= component.start_at:
                self._start(component, now)

    def _start(self, component: Component, now: float) -> None:
        stderr = watched.last_words(self.where)
        try:
            pid = self._wires.spawn(component, self._argv(component), stderr)
        except OSError as error:
            component.ended(f"cannot be started: {error}", now)
            self._change(component)
            return
        finally:
            os.close(stderr)
        component.started(pid, now)
        self._publisher.pids(self.where, self.components[0].pid)
        self._publish_soon(now)

    def _argv(self, component: Component) -> list[str]:
        """A component that starts while a new configuration is refused goes on with the one accepted before."""
        component.on_accepted = bool(self._refused) and accepted.usable(self.where)
        if not self._refused:
            self._stamp = accepted.stamp(self.where)
        extra = [accepted.WORD] if component.on_accepted else []
        return spawn.module_argv(component.module, self.where.path, *extra)

    def _odd(self, component: Component, why: str) -> None:
        self.log.warning(f"{component.name} sent an unreadable message ({why})")

    def _take(self, component: Component, event: dict[str, object]) -> None:
        now = time.monotonic()
        kind = event["ev"]
        if kind == "progress":
            changed = component.state != "running"
            component.progressed(str(event["kind"]), now)
            if changed:
                self._change(component)
                self._accept(component)
        elif kind == "ready":
            if component in self.components:
                self._handover.ready(component.name, now)
        elif kind == "state":
            component.reported(str(event["level"]), str(event["message"]))
            self._change(component)
        elif kind == "log":
            write = {"error": self.log.error, "warning": self.log.warning}.get(str(event["level"]), self.log.info)
            write(f"{component.name}: {event['message']}")
        elif kind == "hello":
            component.promised(float(str(event["deadline"])), now)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for component in (*self.components, *self._handover.components):
                if component.pid == pid:
                    self._ended(component, os.waitstatus_to_exitcode(status))

    def _ended(self, component: Component, code: int) -> None:
        self._wires.ended(component)
        if code < 0:
            orphans.end(component.pid)
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {watched.signal_name(-code)}"
        if self._handover.gone(component) or self._stopping:
            component.pid, component.state = 0, "stopped"
            return
        said = component.message
        component.ended(how, time.monotonic())
        if code == CONFIG_ERROR and not component.on_accepted and accepted.usable(self.where):
            self._refuse(self._refused or said)
            component.start_at = time.monotonic()
        self._publisher.pids(self.where, self.components[0].pid)
        self.log.error(f"{component.name} {component.message}")
        self._change(component)

    def _end_hung(self, now: float) -> None:
        for component in self.components:
            if component.hung(now):
                component.reason = f"showed no progress for {component.deadline:.0f} s and was killed"
                component.last_progress = now
                self._kill(component, signal.SIGKILL)

    def _kill(self, component: Component, number: int) -> None:
        if component.pid:
            try:
                os.kill(component.pid, number)
            except ProcessLookupError:
                return

    def _keep_house(self, now: float) -> None:
        elapsed = now - self._kept_house
        self._kept_house = now
        if self._refused and accepted.stamp(self.where) != self._stamp:
            self._reload = True  # somebody has mended it
        for component in self.components:
            used = proc.usage(component.pid)
            if used is None:
                continue
            why = component.over_limits(used[0], used[1], elapsed, os.sysconf("SC_CLK_TCK"))
            if why:
                component.reason = why
                self._kill(component, signal.SIGTERM)
                component.last_progress = min(component.last_progress, now - component.deadline + STOP_S)
        self._publish()  # now: later would be one more time to wake up

    # -- reload and stop

    def _load_again(self) -> None:
        """SIGHUP: check the new configuration first; what runs goes on if it is unusable."""
        if self._terminal and not watched.has_terminal():
            self._stopping, self._why = True, "the terminal is gone"
            return
        self.log.info("reload requested")
        try:
            new = descriptor.read(self.where.path)
        except descriptor.DescriptorError as error:
            self._refuse(str(error))
            return
        self._stamp = accepted.stamp(new)
        found = watched.refusal(new)
        if found:
            self._refuse(found)
            return
        self._refused = ""
        old, self.where, self.components = self.components, new, watched.components(new)
        now = time.monotonic()
        for component in self.components:
            component.state, component.start_at = "backoff", now
        self._publisher.forget()
        self._handover.begin(old, now)
        self._handover.unwanted([c.name for c in self.components], now)
        self._start_due(now)

    def _refuse(self, why: str) -> None:
        self._refused = why
        self.log.error(f"the new configuration is refused, the old one goes on: {why}")
        self._publish_soon(time.monotonic())

    def _accept(self, component: Component) -> None:
        """A component runs on the configuration: remember it, if it is still the one that was read."""
        if component.on_accepted or component not in self.components or accepted.stamp(self.where) != self._stamp:
            return
        try:
            accepted.keep(self.where)
        except OSError as error:
            self.log.warning(f"cannot keep a copy of the configuration in {self.where.state_dir}: {error}")

    def _stop_components(self) -> None:
        """SIGTERM, some seconds, SIGKILL. Signals that come meanwhile are kept for later."""
        stopping, self._stopping = self._stopping, True
        ending = [*self.components, *self._handover.components]
        for component in ending:
            self._kill(component, signal.SIGTERM)
            self._kill(component, signal.SIGCONT)
        end = time.monotonic() + STOP_S
        killed = False
        while any(c.pid for c in ending):
            left = end - time.monotonic()
            if left <= 0 and not killed:
                killed = True
                for component in ending:
                    if component.pid:
                        self.log.warning(f"{component.name} did not stop in {STOP_S:.0f} s and was killed")
                    self._kill(component, signal.SIGKILL)
            self._wait(max(min(left, 1.0), 0.05))
        self._stopping = stopping or self._why != ""

    def stop(self) -> None:
        """Stop the components, say so, and remove what only a running watchdog has."""
        self.log.info(f"stopping ({self._why})")
        self._stop_components()
        for component in self.components:
            component.level, component.message = "ok", "stopped"
        self._publish()
        if self.where.pid_file and os.path.exists(self.where.pid_file):
            os.unlink(self.where.pid_file)
        self.log.info("stopped")

    # -- what others see

    def _change(self, component: Component) -> None:
        self._publish_soon(time.monotonic())
        if component.state == "running" and component.level == "ok" and component.message != "starting":
            self.log.info(f"{component.name} is running: {component.message}")

    def _publish_soon(self, now: float) -> None:
        """Changes come in flocks: one write for all."""
        self._publish_at = min(self._publish_at or now + STATUS_SETTLE_S, now + STATUS_SETTLE_S)

    def _publish(self) -> None:
        self._publish_at = 0.0
        self._publisher.publish(self.where, self.components, self._refused, self._stopping)


def main() -> int:
    """``extension.watchdog DESCRIPTOR``: 0 after a stop, 1 when it cannot run; 0 also when another one runs already."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))  # once the lock is ours, a reload may be asked for
    try:
        where = descriptor.read(sys.argv[1])
        os.makedirs(where.state_dir, mode=0o700, exist_ok=True)
    except (IndexError, descriptor.DescriptorError, OSError) as error:
        print(f"watchdog: {error or 'usage: watchdog DESCRIPTOR'}", file=sys.stderr)
        return 1
    console = sys.stderr if where.mode == "foreground" else None
    log = ExtensionLog(where.log or os.devnull, where.log_tag, also=console)
    try:
        lock = locks.take(where.lock_file)
    except locks.HeldError as held:
        log.info(f"a watchdog with pid {held.pid} serves {where.state_dir} already; this one ends")
        return 0 if where.mode == "daemon" else 1
    except OSError as error:
        why = f"cannot lock {where.lock_file}: {error.strerror or errno.errorcode.get(error.errno or 0)}"
        log.error(why)
        if console is None:
            print(why, file=sys.stderr)  # to daemon.log, which enable quotes
        return 1
    watchdog = Watchdog(where, log, lock)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
    watchdog.run()
    os.close(lock)
    if not watchdog.lost:
        return 0
    if where.mode == "daemon" and os.path.exists(where.path) and locks.holder(where.lock_file) is None:
        argv = spawn.module_argv("extension.watchdog", where.path)
        os.execv(argv[0], argv)  # anew, with an empty state folder
    return 1
