"""A proxy before a real table service that breaks some exchanges: before the service sees them, or after it acted."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.fault_server import Reply, Seen, content

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_WAIT = {"Retry-After": "1"}
STALE_S = 6.0
"""A fault that met no transaction for so long is over: piled up, they would only measure the back-off."""


@dataclass(frozen=True)
class Break:
    """What is done to one exchange: ``wait`` seconds first; then ``reply`` instead of the service, or the service's own
    answer, of which only ``keep`` parts in a hundred arrive; ``reset``: the connection ends without an answer."""

    reply: Reply | None = None
    wait: float = 0.0
    keep: int = 100
    reset: bool = False
    forward: bool = True


BREAKS: dict[str, Break] = {
    "reset": Break(reset=True, forward=False),
    "answer lost": Break(reset=True),
    "answer cut": Break(keep=60),
    "answer empty": Break(keep=0),
    "silence": Break(wait=3.0, reset=True, forward=False),
    "slow": Break(wait=1.5),
    "slow and lost": Break(wait=1.5, reset=True),
    "500": Break(Reply(500, "OperationTimedOut")),
    "500 after": Break(Reply(500, "InternalError"), wait=0.2),
    "502 html": Break(Reply(502, body="<html>Bad gateway</html>")),
    "503": Break(Reply(503, "ServerBusy", headers=_WAIT)),
    "503 part": Break(Reply(503, "ServerBusy", batch=True, headers=_WAIT)),
    "504": Break(Reply(504)),
    "408": Break(Reply(408)),
    "429": Break(Reply(429, headers=_WAIT)),
    "200 html": Break(Reply(200, body="<html>Please log in</html>")),
    "202 html": Break(Reply(202, body="<html>Please log in</html>")),
    "redirect": Break(Reply(302, headers={"Location": "http://127.0.0.1:9/login"}, body="")),
    "403 key": Break(Reply(403, "AuthenticationFailed", headers=_WAIT)),
    "403 rights": Break(Reply(403, "AuthorizationPermissionMismatch", headers=_WAIT)),
    "404 table": Break(Reply(404, "TableNotFound", "0:The table specified does not exist.", batch=True)),
    "404 html": Break(Reply(404, body="<html>no such page</html>", headers=_WAIT)),
    "409 deleted": Break(Reply(409, "TableBeingDeleted", "0:Being deleted.", batch=True, headers=_WAIT)),
    "409 other": Break(Reply(409, "OperationConflict", headers=_WAIT)),
    "412": Break(Reply(412, headers=_WAIT)),
    "413": Break(Reply(413, "RequestBodyTooLarge")),
    "fewer parts": Break(Reply(accepted=0)),
    "poison row": Break(Reply(400, "InvalidInput", "0:One of the request inputs is not valid.", batch=True)),
}
"""By name; those without ``reply`` act on an exchange that the service has, or would have, taken part in."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this is for."""


class CampaignProxy:
    """Listens on one loopback port for its whole life (outages apart) and passes on to ``target`` (a URL)."""

    def __init__(self, target: str) -> None:
        split = urlsplit(target)
        self._host, self._port, self._path = split.hostname or "", split.port or 80, split.path
        self._breaks: deque[tuple[float, Break]] = deque()
        self.broken = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.listen()

    @property
    def endpoint(self) -> str:
        """Path-style, with the target's account."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    def listen(self) -> None:
        """Begin, or end an outage."""
        if self._server is not None:
            return
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def vanish(self) -> None:
        """Begin an outage: nobody listens, and what was connected is reset."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self._server = None
        with self._lock:
            going = list(self._open)
        for connection in going:
            _reset(connection)

    def break_next(self, name: str, count: int = 1) -> None:
        """Break the next ``count`` transactions in the way that :data:`BREAKS` calls ``name``."""
        self._breaks.extend([(time.monotonic() + STALE_S, BREAKS[name])] * count)

    def mend(self) -> None:
        """Pass everything on from now on."""
        self._breaks.clear()
        self.listen()

    def _next(self, path: str) -> Break:
        if "$batch" not in path:
            return Break()
        while True:
            try:
                until, found = self._breaks.popleft()
            except IndexError:
                return Break()
            if time.monotonic() < until:
                self.broken += 1
                return found

    def _ask(self, request: Seen, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            headers = {k: v for k, v in request.headers.items() if k not in _HOP}
            connection.request(request.method, request.path, body, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with proxy._lock:
                    proxy._open.add(self.connection)

            def finish(self) -> None:
                with proxy._lock:
                    proxy._open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    proxy._serve(self)
                    return
                self.close_connection = True

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {k.lower(): v for k, v in handler.headers.items()}
        request = Seen(handler.command, handler.path, headers, body.decode())
        what = self._next(handler.path)
        time.sleep(what.wait)
        if what.reply is not None:
            status, kind, text = content(what.reply, request)
            answered = {"content-type": kind, **what.reply.headers}
            if what.reply.code and not what.reply.batch:
                answered["x-ms-error-code"] = what.reply.code
        elif what.forward:
            status, answered, text = self._ask(request, body)
        if what.reset:
            handler.close_connection = True
            _reset(handler.connection)
            return
        handler.send_response_only(status)
        for name, value in answered.items():
            if name.lower() not in _HOP:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text[: len(text) * what.keep // 100])
        handler.wfile.flush()
        if what.keep < 100:
            handler.close_connection = True


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
