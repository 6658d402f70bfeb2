"""A real HTTP proxy for tests: CONNECT and absolute-form requests, Basic credentials; every host is one upstream."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Listens on a loopback port and passes everything on to 127.0.0.1:``upstream``, whatever host is asked for.

    ``seen``: the first line of each request; ``user``: ``name:password`` that it wants, "" for none.
    """

    upstream: int
    user: str = ""
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head, rest = _head(client)
            if not head:
                return
            first, _, fields = head.partition("\r\n")
            self.seen.append(first)
            wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
            given = re.search(r"(?im)^proxy-authorization: *(.*?) *\r?$", fields)
            if self.user and (given is None or given.group(1) != wanted):
                client.sendall(b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.upstream), 10) as server:
                method, target, version = first.split(" ")
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
                else:
                    path = re.sub(r"^http://[^/]*", "", target)
                    kept = re.sub(r"(?im)^(?:proxy-\S+|connection): .*?\r\n", "", fields + "\r\n")
                    server.sendall(f"{method} {path} {version}\r\nConnection: close\r\n{kept}\r\n".encode("latin-1"))
                server.sendall(rest)
                forth = threading.Thread(target=_pipe, args=(client, server), daemon=True)
                forth.start()
                if method != "CONNECT":
                    answer, more = _head(server)
                    client.sendall(f"{answer}\r\nConnection: close\r\n\r\n".encode("latin-1") + more)
                _pipe(server, client)
                forth.join(10)


def _head(client: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return "", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
