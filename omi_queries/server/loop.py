"""The event loop: one thread, listeners, connections, deadlines. No request waits for another client."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from typing import NamedTuple

from omi_queries.server.connection import Connection, State
from omi_queries.server.exchange import Exchange
from omi_queries.server.limits import Limits
from omi_queries.server.tally import Tally
from omi_queries.server.transport import Transport, Want

_ACCEPTS = 16
_PAUSE_S = 1.0
_EVENTS = {Want.READ: selectors.EVENT_READ, Want.WRITE: selectors.EVENT_WRITE}


class Listener(NamedTuple):
    """A listening socket and what makes a transport of an accepted one."""

    sock: socket.socket
    wrap: Callable[[socket.socket], Transport]


class Loop:
    """Serves until told to stop. ``wake`` is a descriptor that gets readable when ``stopping`` may have changed.

    ``housekeep`` is called in passing and gives the time at which it wants to be called again, or None.
    """

    def __init__(
        self,
        listeners: list[Listener],
        exchange: Exchange,
        limits: Limits,
        clock: Callable[[], float],
        tally: Tally,
        housekeep: Callable[[], float | None],
    ) -> None:
        self._listeners = listeners
        self._exchange = exchange
        self._limits = limits
        self._clock = clock
        self._tally = tally
        self._housekeep = housekeep
        self._selector = selectors.DefaultSelector()
        self._events: dict[Connection, int] = {}
        self._paused_until: float | None = None

    def run(self, wake: socket.socket, stopping: Callable[[], bool]) -> None:
        """Serve until ``stopping()``; then every socket is closed."""
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._listen()
        try:
            while not stopping():
                for key, _ in self._selector.select(self._timeout()):
                    if isinstance(key.data, Connection):
                        key.data.ready()
                        self._settle(key.data)
                    elif isinstance(key.data, Listener):
                        self._accept(key.data)
                    else:
                        wake.recv(4096)
                self._deadlines()
        finally:
            for one in self._events:
                one.close()
            for listener in self._listeners:
                listener.sock.close()
            self._selector.close()

    def _listen(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener.sock, selectors.EVENT_READ, listener)
        self._paused_until = None

    def _timeout(self) -> float | None:
        times = [one.deadline for one in self._events]
        times += [t for t in (self._paused_until, self._housekeep()) if t is not None]
        return max(0.0, min(times) - self._clock()) if times else None

    def _deadlines(self) -> None:
        now = self._clock()
        for one in [one for one in self._events if one.deadline <= now]:
            one.overdue()
            self._settle(one)
        if self._paused_until is not None and self._paused_until <= now:
            self._listen()

    def _accept(self, listener: Listener) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _address = listener.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:  # no descriptors or memory: the others are served meanwhile, without a busy loop
                self._tally.count("connection not accepted: out of descriptors or memory")
                for one in self._listeners:
                    self._selector.unregister(one.sock)
                self._paused_until = self._clock() + _PAUSE_S
                return
            self._admit(listener, sock)

    def _admit(self, listener: Listener, sock: socket.socket) -> None:
        if len(self._events) >= self._limits.connections and not self._make_room():
            self._tally.count("connection refused: too many")
            sock.close()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = listener.wrap(sock)
        except (OSError, ValueError):
            sock.close()
            return
        one = Connection(transport, self._exchange, self._limits, self._clock, self._tally.count)
        self._events[one] = 0
        one.ready()
        self._settle(one)

    def _make_room(self) -> bool:
        """Give up the oldest connection that has shown no credentials, else the one that is idle for longest."""
        unknown = [one for one in self._events if not one.known and one.state is not State.PARKED]
        idle = [one for one in self._events if one.idle]
        if unknown:
            victim = min(unknown, key=lambda one: one.born)
        elif idle:
            victim = min(idle, key=lambda one: one.deadline)
        else:
            return False
        self._tally.count("connection given up for a new one")
        victim.close()
        self._settle(victim)
        return True

    def _settle(self, one: Connection) -> None:
        """Bring the selector in line with what the connection waits for now."""
        had = self._events.get(one)
        if had is None:
            return  # given up for another one while its event was waiting
        if one.state is State.PARKED and not self._may_park(one):
            self._tally.count("connection given up: too many wrong credentials")
            one.close()
        closed = one.state is State.CLOSED
        wanted = 0 if closed or one.state is State.PARKED else _EVENTS[one.want]
        if wanted != had:
            if not had:
                self._selector.register(one, wanted, one)
            elif not wanted:
                self._selector.unregister(one)
            else:
                self._selector.modify(one, wanted, one)
            self._events[one] = wanted
        if closed:
            del self._events[one]

    def _may_park(self, one: Connection) -> bool:
        return sum(other.state is State.PARKED for other in self._events if other is not one) < self._limits.parked
