"""The JSON inputs' sockets, served in turns from somebody else's loop.

One :meth:`Inputs.attend` reads what clients have sent, stores all complete messages in one transaction and only then
acknowledges them. A turn is bounded in bytes, messages and time, and shared evenly among the clients, so that a flood
delays the caller's other work by less than a second; what is left waits in the clients' own socket buffers.
"""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from extension.inputs import DYNAMIC, STATIC, Decoder, Event, decoder, sockets, wanted
from extension.inputs.answer import Answer
from extension.inputs.client import Client
from extension.inputs.complaints import Complaints
from extension.inputs.connection import Connection, Notice
from extension.inputs.listeners import Listeners
from extension.inputs.sockets import Listening
from extension.inputs.tags import MAX_TAGS
from extension.inputs.throttle import Throttle
from extension.plan import Plan
from extension.rows import ticks

FOLDER = "run"
TURN_BYTES = 512 << 10
TURN_MESSAGES = 2000
TURN_S = 0.25
MIN_SHARE = 20
MAX_CLIENTS = 128
MAX_HELD = 8 << 20
"""Bytes of incomplete messages of all clients."""
ACCEPTS = 32

IDLE_S = 60.0
"""A client without traffic for so long gives its place to a new one when all are taken."""
STORE_RETRY_S = (0.5, 30.0)
CLOSE_S = 0.3
"""What has arrived when the inputs are closed is taken for so long."""

Ingest = Callable[[list[Event]], bool]
"""Stores events in one transaction: True once they are durable, False if they could not be stored."""


@dataclass
class _Taken:
    """What one client's messages of this turn came to."""

    client: Client
    answers: list[Answer]
    notices: list[Notice]


class Inputs:
    """The sockets of ``plan``: unix sockets in its ``inputs_dir`` (default ``run`` in ``state_dir``), TCP if asked.

    ``ingest`` stores; ``count(reason, n)`` takes what is not stored, by reason; ``log(level, text)`` reports.
    ``clock`` gives Unix seconds, ``monotonic`` those of all deadlines, ``cpu`` those that the process has used.
    """

    def __init__(
        self,
        plan: Plan,
        state_dir: str,
        ingest: Ingest,
        count: Callable[[str, int], None],
        log: Callable[[str, str], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._plan, self._ingest, self._log = plan, ingest, log
        self._clock, self._monotonic = clock, monotonic
        self._complaints = Complaints(count, log, monotonic)
        self._selector = selectors.EpollSelector()
        self._clients: list[Client] = []
        self._paused_until = 0.0
        self._pause = STORE_RETRY_S[0]
        self._cpu, self._throttle = cpu, Throttle(monotonic)
        self.stored = 0
        self._listeners = Listeners(_openers(plan, state_dir), self._selector, log)
        self._listeners.attend(monotonic())

    def fileno(self) -> int:
        """Readable when :meth:`attend` has something to do."""
        return self._selector.fileno()

    def problems(self) -> list[str]:
        """Why sockets are not open, and that the store takes nothing."""
        found = self._listeners.problems()
        if self._paused_until:
            found.append("the JSON inputs wait: their events cannot be stored")
        return found

    def names(self) -> list[str]:
        """The sockets that are open: paths, and address:port."""
        return [listening.name for listening in self._listeners.open_ones()]

    def attention_in(self) -> float:
        """Seconds until :meth:`attend` has to be called even if nothing is readable; inf for never."""
        if not self._waits and any(c.more and not c.connection.blocked for c in self._clients):
            return 0.0
        due = min((client.deadline(self._waits)[0] for client in self._clients), default=math.inf)
        due = min(due, self._listeners.due(), self._paused_until or math.inf)
        wait = max(0.0, due - self._monotonic())
        return min(wait, self._throttle.resumes_in()) if self._throttle.closed else wait

    def attend(self) -> bool:
        """One turn; True if it stored events."""
        now, used, before = self._monotonic(), self._cpu(), self.stored
        if self._paused_until and now >= self._paused_until:
            self._paused_until = 0.0
        self._throttle.spend(0.0, 0)
        self._listeners.attend(now)
        stored = self._turn(now, [(key.data, events) for key, events in self._selector.select(0)])
        self._throttle.spend(self._cpu() - used, self.stored - before)
        for client in self._clients:
            self._watch(client)
        return stored

    def _turn(self, now: float, ready: list[tuple[object, int]]) -> bool:
        """Serve what is ready; True if events were stored."""
        for who, _ in ready:
            if isinstance(who, Listening):
                self._accept(who, now)
        clients = [(who, events) for who, events in ready if isinstance(who, Client) and who.mask]  # one may be evicted
        for client, events in clients:
            if events & selectors.EVENT_WRITE:
                client.send(now)
        self._read([who for who, events in clients if events & selectors.EVENT_READ], now)
        stored = self._process(now)
        self._bound()
        for client in list(self._clients):
            self._expire(client, now)
        return stored

    def close(self) -> None:
        """Close everything and remove the sockets' files. Whatever was acknowledged is stored.

        What has arrived by now is still taken, as far as that goes at once: a client that waits for no reply could not
        know that it has to be sent again, and one that does would send it twice.
        """
        for listening in self._listeners.open_ones():
            self._accept(listening, self._monotonic())
        self._listeners.close()
        self._take_the_rest()
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()

    def _take_the_rest(self) -> None:
        begun = time.monotonic()  # the real time, whatever runs the deadlines: a client may never cease to send
        while self._clients and not self._waits and time.monotonic() - begun < CLOSE_S:
            for client in self._clients:
                self._watch(client)
            ready = [(key.data, events) for key, events in self._selector.select(0)]
            if not ready and not any(c.more and not c.connection.blocked for c in self._clients):
                break
            self._turn(self._monotonic(), ready)

    # -- clients

    def _accept(self, listening: Listening, now: float) -> None:
        for _ in range(ACCEPTS):
            try:
                made, _peer = listening.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._complaints.about(listening.name, "no connection can be accepted", os.strerror(error.errno))
                    self._listeners.pause(now)
                    return
                continue  # the client has gone already
            self._listeners.accepted()
            if len(self._clients) >= MAX_CLIENTS and not self._evict(now):
                made.close()
                why = f"{MAX_CLIENTS} are open and all of them are in use"
                self._complaints.about(listening.name, "connection refused", why)
                continue
            made.setblocking(False)
            if made.family == socket.AF_INET:
                with suppress(OSError):  # it may have been reset already
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(made, listening, Connection(self._decoder(listening.kind)), now)
            self._clients.append(client)
            self._watch(client)

    def _decoder(self, kind: str) -> Decoder:
        return decoder(kind, self._plan, lambda: MAX_TAGS // max(1, len(self._clients)))

    def _evict(self, now: float) -> bool:
        """Close the client that has been idle longest, if long enough."""
        idle = [c for c in self._clients if not c.connection.held and not c.connection.replies]
        oldest = min(idle, key=lambda c: c.active, default=None)
        if oldest is None or now - oldest.active < IDLE_S:
            return False
        self._complaints.about(oldest.listening.name, "idle connection closed", "its place was needed")
        self._drop(oldest)
        return True

    def _drop(self, client: Client) -> None:
        if client.mask:
            self._selector.unregister(client.socket)
        client.mask = 0
        client.socket.close()
        self._clients.remove(client)

    def _watch(self, client: Client) -> None:
        """Ask for the events that the client's state has a use for."""
        mask = client.events(self._waits)
        if mask == client.mask:
            return
        if not client.mask:
            self._selector.register(client.socket, mask, client)
        elif not mask:
            self._selector.unregister(client.socket)
        else:
            self._selector.modify(client.socket, mask, client)
        client.mask = mask

    @property
    def _waits(self) -> bool:
        """Whether no client is served now: the store takes nothing, or they have cost too much."""
        return bool(self._paused_until) or self._throttle.closed

    # -- a turn

    def _read(self, clients: list[Client], now: float) -> None:
        clients.sort(key=lambda c: c.active)  # who has waited longest comes first
        budget = TURN_BYTES
        for client in clients:
            if budget <= 0:
                return
            if not client.events(self._waits) & selectors.EVENT_READ:
                continue
            size = client.read(now)
            if size is None:
                continue
            budget -= size
            if client.closing_since is None:
                client.more = True
            elif not size:
                self._drop(client)

    def _process(self, now: float) -> bool:
        """Take complete messages, store their events together, then reply."""
        if self._waits:
            return False
        waiting = [c for c in self._clients if c.more and not c.connection.blocked]
        if not waiting:
            return False
        waiting.sort(key=lambda c: c.active)
        share = max(MIN_SHARE, TURN_MESSAGES // len(waiting))
        taken: list[_Taken] = []
        for client in waiting:
            if taken and self._monotonic() - now > TURN_S:
                break
            taken.append(self._take(client, share, now))
        events = [answer.event for part in taken for answer in part.answers if answer.event is not None]
        stored = not events or self._store(events, now)
        for part in taken:
            part.client.connection.reply(part.answers, stored, part.notices)
            for notice in part.notices:
                self._complaints.about(part.client.listening.name, notice.reason, notice.detail)
            part.client.more = part.client.more and not part.client.connection.broken
            part.client.send(now)
        return stored and bool(events)

    def _take(self, client: Client, share: int, now: float) -> _Taken:
        notices: list[Notice] = []
        answers: list[Answer] = []
        while client.more:
            some = client.connection.take(MIN_SHARE, int(self._clock() * ticks.SECOND_US), notices)
            answers += some
            client.more = len(some) == MIN_SHARE
            if len(answers) >= share or self._monotonic() - now > TURN_S:
                break
        if not client.more and client.taken(bool(answers), now):
            notices.append(Notice("closed in the middle of a message"))
        client.active = now
        return _Taken(client, answers, notices)

    def _store(self, events: list[Event], now: float) -> bool:
        if self._ingest(events):
            self.stored += len(events)
            if self._pause > STORE_RETRY_S[0]:
                self._log("info", "events of the JSON inputs are stored again")
            self._pause = STORE_RETRY_S[0]
            return True
        self._complaints.about("JSON inputs", "not stored and not acknowledged: the store takes nothing", n=len(events))
        self._paused_until, self._pause = now + self._pause, min(2 * self._pause, STORE_RETRY_S[1])
        return False

    # -- bounds

    def _expire(self, client: Client, now: float) -> None:
        due, why = client.deadline(self._waits)
        if now >= due and why:
            self._complaints.about(client.listening.name, "connection closed", why)
        if now >= due or client.over(now):
            self._drop(client)

    def _bound(self) -> None:
        """Cut off the largest incomplete messages while all together are too large."""
        held = sum(client.connection.held for client in self._clients)
        while held > MAX_HELD:
            largest = max(self._clients, key=lambda c: c.connection.held)
            why = f"the incomplete messages of all connections exceed {MAX_HELD >> 20} MiB"
            self._complaints.about(largest.listening.name, "connection closed", why)
            held -= largest.connection.held
            self._drop(largest)


def _openers(plan: Plan, state_dir: str) -> list[Callable[[], Listening]]:
    folder = os.path.abspath(plan.options.inputs_dir or os.path.join(state_dir, FOLDER))
    made: list[Callable[[], Listening]] = [
        lambda: sockets.listen_unix(folder, STATIC),
        lambda: sockets.listen_unix(folder, DYNAMIC),
    ]
    if plan.options.inputs_tcp:
        made.append(lambda: sockets.listen_tcp(STATIC, plan.options.inputs_tcp))
    return made


def open_inputs(
    plan: Plan,
    state_dir: str,
    ingest: Ingest,
    count: Callable[[str, int], None],
    log: Callable[[str, str], None],
) -> Inputs | None:
    """The sockets of a document that needs them, None for one that has no source to feed."""
    return Inputs(plan, state_dir, ingest, count, log) if wanted(plan) else None
