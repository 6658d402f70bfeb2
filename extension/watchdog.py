"""Process 0: starts, watches, limits and restarts collector and uploader, and says how they are. It never gives up.

One loop that sleeps in poll() until a component speaks, a child ends, a signal comes or a deadline passes.
Standard library only, and little of it: this process lives as long as the machine.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time

from extension import descriptor, locks, proc, spawn
from extension.channel import MAX_LINE
from extension.extlog import ExtensionLog
from extension.health import Publisher
from extension.supervise import Component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

STOP_S = 8.0
HOUSEKEEPING_S = 60.0
FIRST_HEALTH_S = 1.0
STATUS_SETTLE_S = 0.5
CHECK_DEADLINE_S = 30.0
STDERR_MAX = 1 << 20


class Watchdog:
    """Supervises the components of one :class:`Descriptor` until told to stop."""

    def __init__(self, where: descriptor.Descriptor, log: ExtensionLog) -> None:
        self.where = where
        self.log = log
        self.components = components(where)
        self._up: dict[int, tuple[Component, bytearray]] = {}
        self._down: dict[str, int] = {}
        self._poll = select.poll()
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
        """Until SIGTERM/SIGINT or until the extension's folder is gone; then everything is stopped."""
        self.log.info(f"watchdog started, pid {os.getpid()}, configuration {self.where.config}")
        now = time.monotonic()
        for component in self.components:
            component.start_at = now
            component.state = "backoff"
        self._publish_at = now + FIRST_HEALTH_S
        while not self._stopping:
            now = time.monotonic()
            self._start_due(now)
            self._end_hung(now)
            if now - self._kept_house >= HOUSEKEEPING_S:
                self._keep_house(now)
            if self._publish_at and now >= self._publish_at:
                self._publish()
            if self._reload:
                self._reload = False
                self._load_again()
            self._wait(self._next_deadline(now) - now)
            if not os.path.isdir(self.where.home):
                self._stopping, self._why = True, f"the extension's folder {self.where.home} is gone"
        self.stop()

    def _next_deadline(self, now: float) -> float:
        moments = [self._kept_house + HOUSEKEEPING_S]
        if self._publish_at:
            moments.append(self._publish_at)
        for component in self.components:
            moments.append(component.last_progress + component.deadline + 0.1 if component.pid else component.start_at)
        return max(min(moments), now)

    def _wait(self, seconds: float) -> None:
        for fd, _ in self._poll.poll(int(seconds * 1000) + 1):
            if fd == self._signal:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    continue
            else:
                self._hear(fd)
        self._reap()

    # -- components

    def _start_due(self, now: float) -> None:
        for component in self.components:
            if component.pid == 0 and now >= component.start_at:
                self._start(component, now)

    def _start(self, component: Component, now: float) -> None:
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        stderr = self._stderr()
        try:
            pid = proc.spawn(spawn.module_argv(component.module, self.where.path), down_read, up_write, stderr)
        except OSError as error:
            os.close(down_write)
            os.close(up_read)
            component.ended(f"cannot be started: {error}", now)
            self._change(component)
            return
        finally:
            for fd in (down_read, up_write, stderr):
                os.close(fd)
        for fd in (down_write, up_read):
            os.set_blocking(fd, False)
        self._down[component.name] = down_write
        self._up[up_read] = (component, bytearray())
        self._poll.register(up_read, select.POLLIN)
        component.started(pid, now)
        self._publisher.pids(self.where, self.components[0].pid)
        self._publish_soon(now)

    def _stderr(self) -> int:
        """Where a component's last words go: daemon.log beside the descriptor, started anew when it is large."""
        if self.where.mode == "foreground":
            return os.dup(2)
        path = os.path.join(os.path.dirname(self.where.path), "daemon.log")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if os.fstat(fd).st_size > STDERR_MAX:
                os.ftruncate(fd, 0)
            return fd
        except OSError:
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def _hear(self, fd: int) -> None:
        component, buffer = self._up[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._forget(fd)
            return
        buffer += data
        *lines, rest = bytes(buffer).split(b"\n")
        buffer[:] = rest if len(rest) <= MAX_LINE else b""
        for line in lines:
            try:
                event = json.loads(line)
                self._take(component, event)
            except (ValueError, KeyError, TypeError) as error:
                self.log.warning(f"{component.name} sent an unreadable message ({error})")

    def _take(self, component: Component, event: dict[str, object]) -> None:
        now = time.monotonic()
        kind = event["ev"]
        if kind == "progress":
            changed = component.state != "running"
            component.progressed(str(event["kind"]), now)
            if changed:
                self._change(component)
        elif kind == "state":
            component.reported(str(event["level"]), str(event["message"]))
            self._change(component)
        elif kind == "log":
            write = {"error": self.log.error, "warning": self.log.warning}.get(str(event["level"]), self.log.info)
            write(f"{component.name}: {event['message']}")
        elif kind == "wake":
            self._tell("uploader", b"w")
        elif kind == "hello":
            component.deadline = float(str(event["deadline"]))

    def _tell(self, name: str, word: bytes) -> None:
        fd = self._down.get(name)
        if fd is not None:
            try:
                os.write(fd, word)
            except OSError:
                return  # full: it has been told already; broken: its end is about to be noticed

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        self._up.pop(fd)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for component in self.components:
                if component.pid == pid:
                    self._ended(component, os.waitstatus_to_exitcode(status))

    def _ended(self, component: Component, code: int) -> None:
        for fd in [fd for fd, (owner, _) in self._up.items() if owner is component]:
            self._hear(fd)  # its last words
            if fd in self._up:
                self._forget(fd)
        os.close(self._down.pop(component.name))
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
        if self._stopping:
            component.pid, component.state = 0, "stopped"
            return
        component.ended(how, time.monotonic())
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
        for component in self.components:
            used = proc.usage(component.pid)
            if used is None:
                continue
            why = component.over_limits(used[0], used[1], elapsed, os.sysconf("SC_CLK_TCK"))
            if why:
                component.reason = why
                self._kill(component, signal.SIGTERM)
                component.last_progress = min(component.last_progress, now - component.deadline + STOP_S)
        self._publish_soon(now)

    # -- reload and stop

    def _load_again(self) -> None:
        """SIGHUP: check the new configuration first; what runs goes on if it is unusable."""
        self.log.info("reload requested")
        try:
            new = descriptor.read(self.where.path)
            argv = spawn.module_argv("extension.config.plan", new.config, *([new.options] if new.options else []))
            code, output = proc.capture(argv, CHECK_DEADLINE_S)
            if code != 0:
                found = json.loads(output or b"{}").get("problems") or []
                self._refused = "; ".join(
                    f"{p['path']}: {p['message']}" for p in found if p.get("severity") == "error"
                ) or (f"the reader of {new.config} ended with {code}")
            else:
                self._refused = ""
        except (descriptor.DescriptorError, OSError, ValueError, KeyError) as error:
            self._refused = str(error)
        if self._refused:
            self.log.error(f"the new configuration is refused, the running one goes on: {self._refused}")
            self._publish_soon(time.monotonic())
            return
        self._stop_components()
        self.where = new
        self.components = components(new)
        now = time.monotonic()
        for component in self.components:
            component.state, component.start_at = "backoff", now
            component.backoff.reset()
        self._publisher.forget()
        self._start_due(now)

    def _stop_components(self) -> None:
        """SIGTERM, some seconds, SIGKILL. Signals that come meanwhile are kept for later."""
        stopping, self._stopping = self._stopping, True
        for component in self.components:
            self._kill(component, signal.SIGTERM)
            self._kill(component, signal.SIGCONT)
        end = time.monotonic() + STOP_S
        killed = False
        while any(c.pid for c in self.components):
            left = end - time.monotonic()
            if left <= 0 and not killed:
                killed = True
                for component in self.components:
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


def components(where: descriptor.Descriptor) -> list[Component]:
    """Collector and uploader, and the emulated OMI service where options.json asks for it."""
    found = [
        Component("collector", "extension.collector", 64 << 10, 0.25, _chance),
        Component("uploader", "extension.uploader", 160 << 10, 0.80, _chance),
    ]
    try:
        with open(where.options, encoding="utf-8") as file:
            options = json.load(file)
    except (OSError, ValueError):
        return found  # none, or unreadable: the collector says so in its own report
    if isinstance(options, dict) and (options.get("omi_service") or options.get("omi_service_tls")):
        found.append(Component("omi_service", "extension.omi_service", 64 << 10, 0.50, _chance))
    return found


def _chance() -> float:
    """[0, 1) for jitter; the random module would cost more memory than this process's whole loop."""
    return int.from_bytes(os.urandom(4), "big") / (1 << 32)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def main() -> int:
    """``extension.watchdog DESCRIPTOR``: 0 after a stop, 1 when it cannot run; 0 also when another one runs already."""
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
        log.error(f"cannot lock {where.lock_file}: {error.strerror or errno.errorcode.get(error.errno or 0)}")
        return 1
    Watchdog(where, log).run()
    os.close(lock)
    return 0
