"""One client connection: bytes in, replies out, in what state it is and until when. It never blocks."""

from __future__ import annotations

import enum
from collections.abc import Callable

from omi_queries.server.exchange import Exchange, Refusal
from omi_queries.server.httpwire import CONTINUE, Head, HttpError, Reply, RequestReader
from omi_queries.server.limits import Limits
from omi_queries.server.transport import Transport, Want

_RECV = 64 * 1024
_DRAIN_S = 1.0
_DRAIN_BYTES = 256 * 1024


class State(enum.Enum):
    """``PARKED`` waits before the answer to a wrong password; ``DRAIN`` reads what a client still sends after a reply
    that ends the connection, so that the reply is not lost with a reset."""

    HANDSHAKE = 0
    READ = 1
    WRITE = 2
    PARKED = 3
    DRAIN = 4
    CLOSED = 5


class Connection:
    """``clock`` gives monotonic seconds, ``count`` takes a reason for something that was refused or given up."""

    def __init__(
        self,
        transport: Transport,
        exchange: Exchange,
        limits: Limits,
        clock: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._limits = limits
        self._clock = clock
        self._count = count
        self._reader = RequestReader(limits)
        self._refusal: Refusal | None = None
        self._refused: Head | None = None
        self._judged = False
        self._out = memoryview(b"")
        self._after = State.READ
        self._drained = 0
        self.born = clock()
        self.known = False
        self.state = State.HANDSHAKE
        self.want = Want.READ
        self.deadline = self.born + limits.request_s

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._transport.fileno()

    @property
    def idle(self) -> bool:
        """Whether it waits for a request of which nothing has come yet."""
        return self.state is State.READ and not self._reader.started

    def ready(self) -> None:
        """The socket is what :attr:`want` asked for, or the connection is new."""
        try:
            if self.state is State.HANDSHAKE:
                self._handshake()
            elif self.state is State.READ:
                self._read()
            elif self.state is State.WRITE:
                self._write()
                self._advance()
            elif self.state is State.DRAIN:
                self._drain()
        except (OSError, ValueError):
            self.close()

    def overdue(self) -> None:
        """The deadline has passed."""
        if self.state is State.PARKED:
            self._refuse()
            self._go_on()
        elif self.state is State.READ and self._reader.started:
            self._count("request not complete in time")
            self._reply(Reply(408, close=True), None)
        else:
            if self.state is State.HANDSHAKE:
                self._count("TLS handshake not complete in time")
            elif self.state is State.WRITE:
                self._count("reply not taken in time")
            self.close()

    def close(self) -> None:
        """Give up the connection."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._transport.close()

    def _handshake(self) -> None:
        want = self._transport.handshake()
        if want is not None:
            self.want = want
            return
        self.state, self.want = State.READ, Want.READ
        self._read()

    def _read(self) -> None:
        data = self._transport.recv(_RECV)
        if isinstance(data, Want):
            self.want = data
            return
        if not data:
            self.close()
            return
        if not self._reader.started:
            self.deadline = self._clock() + self._limits.request_s
        self._reader.feed(data)
        self.want = Want.READ
        self._advance()

    def _advance(self) -> None:
        """Serve the requests that are complete, as long as their replies are taken."""
        while self.state is State.READ:
            try:
                head = self._reader.read_head()
                if head is None or (not self._judged and self._refused_early(head)):
                    return
                body = self._reader.read_body()
            except HttpError as error:
                self._count(f"HTTP {error.status}: {error.reason}")
                self._reply(Reply(error.status, close=True), None)
                return
            if body is None:
                return
            self._judged = False
            if self._refusal is not None:
                self._park_or_refuse(head)
            else:
                self._reply(self._serve(head, body), head)

    def _refused_early(self, head: Head) -> bool:
        """Judge a request by its head; True if it got its answer without its body."""
        self._refusal = self._exchange.judge(head)
        self._judged = True
        self.known = self.known or self._refusal is None
        if self._refusal is not None and self._refusal.reply.close:
            self._park_or_refuse(head)
            return True
        asked = head.expects and head.length != 0 and not self._reader.buffered
        if self._refusal is None and asked and self._transport.send(memoryview(CONTINUE)) != len(CONTINUE):
            self.close()
            return True
        return False

    def _serve(self, head: Head, body: bytes) -> Reply:
        try:
            return self._exchange.serve(head, body)
        except Exception as error:  # a defect costs this request, never the service
            self._count(f"HTTP 500: {type(error).__name__}")
            return Reply(500, close=True)

    def _park_or_refuse(self, head: Head) -> None:
        self._refused = head
        refusal = self._refusal
        if refusal is not None and refusal.reply.status == 401:
            self._count("request with wrong credentials" if refusal.delayed else "request without credentials")
        if refusal is not None and refusal.delayed:
            self.state = State.PARKED
            self.deadline = self._clock() + self._limits.refusal_s
        else:
            self._refuse()

    def _refuse(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            self.state = State.READ
            self._reply(refusal.reply, self._refused)

    def _go_on(self) -> None:
        """Serve the requests that came while a reply was held back."""
        try:
            self._advance()
        except (OSError, ValueError):
            self.close()

    def _reply(self, reply: Reply, head: Head | None) -> None:
        keep = head is not None and head.keep
        self._out = memoryview(reply.encode(keep, head.version if head else (1, 1)))
        self._after = State.READ if keep and not reply.close else State.DRAIN
        self.state = State.WRITE
        self.deadline = self._clock() + self._limits.reply_s
        try:
            self._write()
        except (OSError, ValueError):
            self.close()

    def _write(self) -> None:
        while self._out:
            sent = self._transport.send(self._out)
            if isinstance(sent, Want):
                self.want = sent
                return
            self._out = self._out[sent:]
            self.deadline = self._clock() + self._limits.reply_s
        self.want = Want.READ
        self.state = self._after
        now = self._clock()
        if self.state is State.DRAIN:
            self.deadline = now + _DRAIN_S
            self._transport.finish()
        else:
            started = self._reader.started
            self.deadline = now + (self._limits.request_s if started else self._limits.idle_s)

    def _drain(self) -> None:
        data = self._transport.recv(_RECV)
        if isinstance(data, Want):
            self.want = data
            return
        self._drained += len(data)
        if not data or self._drained > _DRAIN_BYTES:
            self.close()
