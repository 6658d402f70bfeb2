"""One connection and its socket: sending, deadlines, closing. All times are monotonic."""

from __future__ import annotations

import math
import selectors
import socket
from dataclasses import dataclass

from extension.inputs.connection import Connection
from extension.inputs.sockets import Listening

READ_BYTES = 64 << 10
MESSAGE_S = 120.0
"""An incomplete message must be complete so many seconds after its first byte."""
REPLY_S = 60.0
"""A client that has to read its replies must read some within so many seconds."""
LINGER_S = 2.0
"""A client that was cut off has so long to read why its last messages were answered as they were."""


@dataclass
class Client:
    """``more``: there may be complete messages to take; ``mask``: the events that are asked for."""

    socket: socket.socket
    listening: Listening
    connection: Connection
    active: float
    mask: int = 0
    more: bool = False
    incomplete_since: float | None = None
    stalled_since: float | None = None
    closing_since: float | None = None

    def wants(self) -> bool:
        """Whether more can be read from it, as far as it goes."""
        return not (self.more or self.connection.ended or self.connection.blocked)

    def events(self, waits: bool) -> int:
        """The events that it has a use for; ``waits``: nobody is read from now."""
        mask = selectors.EVENT_WRITE if self.connection.replies else 0
        if self.closing_since is not None or (not waits and self.wants()):
            mask |= selectors.EVENT_READ
        return mask

    def read(self, now: float) -> int | None:
        """Take what has come, at most :data:`READ_BYTES`; how many bytes, None if there was nothing to read."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
            self.connection.end("the connection broke")
        self.active = now
        if data:
            self.connection.feed(data)
        else:
            self.connection.end("closed by the client")
        return len(data)

    def taken(self, answered: bool, now: float) -> bool:
        """All complete messages were taken, ``answered`` some; True if the rest is a message cut off by the end."""
        held, connection = self.connection.held, self.connection
        if not held:
            self.incomplete_since = None
        elif answered or self.incomplete_since is None:
            self.incomplete_since = now
        return bool(connection.ended and held and not connection.broken)

    def send(self, now: float) -> None:
        """Send what is waiting, as far as the client reads."""
        replies = self.connection.replies
        sent = 0
        if replies:
            try:
                sent = self.socket.send(replies)
            except BlockingIOError:
                pass
            except OSError:
                self.connection.unheard()
        if sent:
            del replies[:sent]
            self.active = now
        if not replies:
            self.stalled_since = None
        elif sent or self.stalled_since is None:
            self.stalled_since = now

    def over(self, now: float) -> bool:
        """Whether the connection has ended and can be closed now; one that was cut off may read its replies first."""
        if not self.connection.ended or self.more or self.connection.replies or self.closing_since is not None:
            return False
        if not self.connection.broken:
            return True
        self.closing_since = now
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return True
        return False

    def deadline(self, waits: bool) -> tuple[float, str]:
        """When it is closed if nothing happens, and what for ("": that needs no mention)."""
        if self.closing_since is not None:
            return self.closing_since + LINGER_S, ""
        if self.stalled_since is not None and (self.connection.blocked or self.connection.ended):
            return self.stalled_since + REPLY_S, "the client does not read its replies"
        if self.incomplete_since is not None and not waits and self.wants():
            return self.incomplete_since + MESSAGE_S, f"a message was not complete after {MESSAGE_S:.0f} s"
        return math.inf, ""
