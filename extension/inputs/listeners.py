"""The sockets of a document kept open: what cannot be opened is named and tried again with growing delay."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from dataclasses import dataclass

from extension.inputs.sockets import Listening, SocketError

RETRY_S = (2.0, 300.0)
CHECK_S = 30.0
"""How often it is looked whether a socket's file is still there: somebody may clean its folder."""
PAUSE_S = (1.0, 60.0)


@dataclass
class _Place:
    """One socket that should be open."""

    open: Callable[[], Listening]
    listening: Listening | None = None
    problem: str = ""
    due: float = 0.0
    delay: float = RETRY_S[0]


class Listeners:
    """Opens what ``openers`` give and registers it with ``selector`` (data: the :class:`Listening`)."""

    def __init__(
        self,
        openers: list[Callable[[], Listening]],
        selector: selectors.BaseSelector,
        log: Callable[[str, str], None],
    ) -> None:
        self._places = [_Place(opener) for opener in openers]
        self._selector = selector
        self._log = log
        self._paused_until = 0.0
        self._pause = PAUSE_S[0]

    def attend(self, now: float) -> None:
        """Open what is due, look after what is open; ``now`` is monotonic."""
        if self._paused_until and now >= self._paused_until:
            self._paused_until = 0.0
            for listening in self.open_ones():
                self._selector.register(listening.socket, selectors.EVENT_READ, listening)
        for place in self._places:
            if now >= place.due:
                self._look_after(place, now)

    def _look_after(self, place: _Place, now: float) -> None:
        if place.listening is not None:
            if place.listening.is_there():
                place.due = now + CHECK_S
                return
            self._log("warning", f"the socket {place.listening.name} was removed; it is made anew")
            self._close(place)
        try:
            place.listening = place.open()
        except SocketError as error:
            if place.problem != str(error):
                self._log("error", str(error))
            place.problem = str(error)
            place.due, place.delay = now + place.delay, min(2 * place.delay, RETRY_S[1])
            return
        self._log("info", f"listening on {place.listening.name}")
        place.problem, place.delay, place.due = "", RETRY_S[0], now + CHECK_S
        if not self._paused_until:
            self._selector.register(place.listening.socket, selectors.EVENT_READ, place.listening)

    def pause(self, now: float) -> None:
        """Accept nothing for a while, longer each time: no descriptors are left."""
        if self._paused_until:
            return
        for listening in self.open_ones():
            self._selector.unregister(listening.socket)
        self._paused_until, self._pause = now + self._pause, min(2 * self._pause, PAUSE_S[1])

    def accepted(self) -> None:
        """Descriptors are left again."""
        self._pause = PAUSE_S[0]

    def open_ones(self) -> list[Listening]:
        """What is open."""
        return [place.listening for place in self._places if place.listening is not None]

    def problems(self) -> list[str]:
        """Why what is not open is not."""
        return [place.problem for place in self._places if place.problem]

    def due(self) -> float:
        """Monotonic time of the next :meth:`attend`."""
        due = min((place.due for place in self._places), default=float("inf"))
        return min(due, self._paused_until) if self._paused_until else due

    def _close(self, place: _Place) -> None:
        if place.listening is not None:
            if not self._paused_until:
                self._selector.unregister(place.listening.socket)
            place.listening.close()
            place.listening = None

    def close(self) -> None:
        """Close all and remove their files."""
        for place in self._places:
            self._close(place)
