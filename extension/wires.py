"""The pipes between the watchdog and its components (:mod:`extension.channel`), and their pulses."""

from __future__ import annotations

import json
import os
import select

from extension import beats, proc
from extension.channel import MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extension.supervise import Component


class Wires:
    """The pipes of all components that run.

    ``take(component, event)`` gets what a component says; it may raise ValueError, KeyError or TypeError for an event
    that makes no sense. ``odd(component, why)`` is told of those and of lines that are no JSON.
    """

    def __init__(
        self,
        poll: select.poll,
        take: Callable[[Component, dict[str, object]], None],
        odd: Callable[[Component, str], None],
    ) -> None:
        self._poll, self._take, self._odd = poll, take, odd
        self._up: dict[int, tuple[Component, bytearray]] = {}
        self._down: dict[Component, int] = {}
        self._pulses: dict[Component, beats.Pulse] = {}
        self._call = beats.counter()

    def spawn(self, component: Component, argv: Sequence[str], stderr: int) -> int:
        """Start a component's process with its pipes as standard input and output; its pid. Raises OSError."""
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        pulse = beats.Pulse()
        handed = (pulse.fd, self._call)
        try:
            for fd in handed:
                os.set_inheritable(fd, True)
            env = {**os.environ, beats.VARIABLE: ",".join(map(str, handed))}
            pid = proc.spawn(argv, down_read, up_write, stderr, env)
        except OSError:
            os.close(down_write)
            os.close(up_read)
            pulse.close()
            raise
        finally:
            os.close(down_read)
            os.close(up_write)
            os.set_inheritable(self._call, False)
        os.set_inheritable(pulse.fd, False)
        for fd in (down_write, up_read):
            os.set_blocking(fd, False)
        self._down[component] = down_write
        self._pulses[component] = pulse
        self._up[up_read] = (component, bytearray())
        self._poll.register(up_read, select.POLLIN)
        return pid

    def hear(self, fd: int) -> None:
        """Take what can be read from a component's pipe."""
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
                self._take(component, json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                self._odd(component, str(error))

    def feel(self, component: Component) -> None:
        """Take a running component's signs of life; before its first message there are none."""
        pulse = self._pulses.get(component)
        felt = pulse.feel() if pulse is not None and component.state == "running" else None
        if felt is not None:
            at, achieved = felt
            component.progressed("sample" if achieved else "idle", max(at, component.last_progress))

    def ended(self, component: Component) -> None:
        """A component's process is gone: hear its last words and close its pipes."""
        for fd in [fd for fd, (owner, _) in self._up.items() if owner is component]:
            self.hear(fd)
            if fd in self._up:
                self._forget(fd)
        self.feel(component)
        self._pulses.pop(component).close()
        os.close(self._down.pop(component))

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        self._up.pop(fd)
