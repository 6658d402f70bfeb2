"""The listening sockets: where they are, what is in the way, who else is there (spec/mdsd.md 6, 7.2)."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from dataclasses import dataclass

ROLE = "lad_mdsd"
"""mdsd's role name under LAD: the sockets are ``<folder>/lad_mdsd_json.socket`` and ``…_djson.socket``."""
BACKLOG = 64
MAX_PATH = 107
"""Bytes of a unix socket's path: sun_path is 108 with its end (unix(7))."""
MODE = 0o660
FOLDER_MODE = 0o750
LOOPBACK = "127.0.0.1"


class SocketError(Exception):
    """A socket cannot be opened; one line that names it and the cure."""


@dataclass(frozen=True)
class Listening:
    """``kind`` of the input, the listening socket, and what to call it (its path, or address:port)."""

    kind: str
    socket: socket.socket
    name: str
    path: str = ""
    inode: tuple[int, int] = (0, 0)

    def is_there(self) -> bool:
        """Whether clients can find it: the path is still that of this socket."""
        if not self.path:
            return True
        try:
            return _inode(self.path) == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Stop listening, and remove the file if it is still ours."""
        self.socket.close()
        if self.path and self.is_there():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def path(folder: str, kind: str) -> str:
    """``<folder>/lad_mdsd_<kind>.socket``."""
    return os.path.join(folder, f"{ROLE}_{kind}.socket")


def listen_unix(folder: str, kind: str) -> Listening:
    """Listen on the unix socket of ``kind`` in ``folder`` (made if need be), mode 0660.

    A file that a dead process left is replaced; SocketError names a process that serves it.
    """
    name = path(folder, kind)
    if len(os.fsencode(name)) > MAX_PATH:
        raise SocketError(
            f"the socket path {name} has more than {MAX_PATH} bytes; set inputs_dir to a folder with a shorter path"
        )
    try:
        os.makedirs(folder, mode=FOLDER_MODE, exist_ok=True)
        _clear(name)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o777 & ~MODE)
        try:
            made.bind(name)
        except OSError:
            made.close()
            raise
        finally:
            os.umask(before)
        os.chmod(name, MODE)
        made.listen(BACKLOG)
        return Listening(kind, made, name, name, _inode(name))
    except OSError as error:
        raise SocketError(f"cannot listen on {name}: {error.strerror or error}") from error


def listen_tcp(kind: str, port: int) -> Listening:
    """Listen on 127.0.0.1:``port``. SocketError if that cannot be."""
    name = f"{LOOPBACK}:{port}"
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((LOOPBACK, port))
        made.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SocketError(f"cannot listen on {name}: {why}; choose another port with inputs_tcp") from error
    return Listening(kind, made, name)


def _inode(name: str) -> tuple[int, int]:
    found = os.lstat(name)
    return found.st_dev, found.st_ino


def _clear(name: str) -> None:
    """Remove a socket file that nobody serves; SocketError if somebody does or it is no socket. Raises OSError."""
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{name} is in the way and is no socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            os.unlink(name)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:  # its queue is full: somebody listens, if slowly
            raise SocketError(f"{name} is served by another process; end it, or set inputs_dir") from None
        raise SocketError(f"{name} is served by {_peer(probe)}; end it, or set inputs_dir")


def _peer(connected: socket.socket) -> str:
    """The process that listens at the other end."""
    pid: int = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    name = ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        name = f" ({file.read().strip()})"
    return f"process {pid}{name}"
