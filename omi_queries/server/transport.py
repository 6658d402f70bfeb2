"""Bytes over a non-blocking socket, plain or TLS, as the event loop sees them."""

from __future__ import annotations

import enum
import socket
from typing import Protocol


class Want(enum.Enum):
    """What the socket must become before the operation can go on."""

    READ = 1
    WRITE = 2


class Transport(Protocol):
    """One connection. OSError means that it is broken."""

    def fileno(self) -> int:
        """The descriptor to wait for."""

    def handshake(self) -> Want | None:
        """Go on with the handshake; None when it is done."""

    def recv(self, size: int) -> bytes | Want:
        """Up to ``size`` bytes, b"" at the end."""

    def send(self, data: memoryview) -> int | Want:
        """How many bytes of ``data`` were taken."""

    def finish(self) -> None:
        """Say that no more will be sent."""

    def close(self) -> None:
        """Give up the connection."""


class Plain:
    """A TCP connection as it is."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._sock.fileno()

    def handshake(self) -> Want | None:
        """Nothing to do."""
        return None

    def recv(self, size: int) -> bytes | Want:
        """Up to ``size`` bytes, b"" at the end."""
        try:
            return self._sock.recv(size)
        except (BlockingIOError, InterruptedError):
            return Want.READ

    def send(self, data: memoryview) -> int | Want:
        """How many bytes of ``data`` were taken."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return Want.WRITE

    def finish(self) -> None:
        """Say that no more will be sent."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give up the connection."""
        self._sock.close()
