"""Components whose successors are being started: they work on until those are ready, then they have to go.

A successor reads its configuration first and only then waits for its predecessor's lock, so that between the two lies
little more than the opening of the store. No clocks and no processes here: times are monotonic seconds, signals are
sent by the caller.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extension.supervise import Component

READY_S = 35.0
"""A successor that is not ready by then (it has a deadline of 30 s for its configuration) does not delay the rest."""
STOP_S = 8.0


class Handover:
    """The components on their way out; ``end(component, signal)`` sends one."""

    def __init__(self, end: Callable[[Component, int], None]) -> None:
        self._end = end
        self._steps: dict[Component, tuple[float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._steps)

    @property
    def components(self) -> list[Component]:
        """Those that still run."""
        return list(self._steps)

    def begin(self, old: Sequence[Component], now: float) -> None:
        """Their successors were started just now."""
        for component in old:
            if component.pid:
                self._steps[component] = (now + READY_S, signal.SIGTERM)

    def ready(self, name: str, now: float) -> None:
        """The successor of that name has what it needs."""
        for component, (_, step) in self._steps.items():
            if component.name == name and step == signal.SIGTERM:
                self._steps[component] = (now, step)

    def unwanted(self, names: Sequence[str], now: float) -> None:
        """Components of other names have no successor and can go at once."""
        for name in {c.name for c in self._steps} - set(names):
            self.ready(name, now)

    def act(self, now: float) -> None:
        """SIGTERM to those whose time has come, SIGKILL to those that have not gone ``STOP_S`` seconds later."""
        for component, (due, step) in list(self._steps.items()):
            if now >= due:
                self._end(component, step)
                if step == signal.SIGTERM:
                    self._end(component, signal.SIGCONT)
                self._steps[component] = (now + STOP_S, signal.SIGKILL)

    def next(self) -> float:
        """When :meth:`act` has something to do; infinity if never."""
        return min((due for due, _ in self._steps.values()), default=float("inf"))

    def gone(self, component: Component) -> bool:
        """Whether this was one of them; it is forgotten."""
        return self._steps.pop(component, None) is not None
