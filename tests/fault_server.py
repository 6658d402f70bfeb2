"""A table service that misbehaves on demand: what Azurite cannot be made to do (spec/storage.md 1 and 5)."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BOUNDARY = "batchresponse_1"
CHANGESET = "changesetresponse_1"


@dataclass(frozen=True)
class Reply:
    """One answer. ``batch``: a failed part inside a 202, as the service answers a transaction; ``cut``: bytes of the
    body after which the connection is closed; ``reset``: no answer, TCP reset; ``hold``: no answer until the end;
    ``date``: the Date header; ``accepted``: parts of a successful batch (None: as many as were asked for)."""

    status: int = 202
    code: str = ""
    message: str = "No details."
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    batch: bool = False
    cut: int | None = None
    reset: bool = False
    hold: bool = False
    date: str = ""
    accepted: int | None = None


@dataclass(frozen=True)
class Seen:
    """One request; ``peer`` is the client's port, the same for requests of one connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    peer: int = 0


class FaultServer:
    """Serves on a free loopback port; ``script`` is used up one reply per request, then ``judge`` is asked, and what
    it has no reply for succeeds."""

    def __init__(
        self,
        judge: Callable[[Seen], Reply | None] = lambda _request: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script: list[Reply] = []
        self.judge = judge
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._next, self.released))
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Path-style, account ``acct``."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/acct"

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the socket and end the threads."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _next(self, request: Seen) -> Reply:
        self.seen.append(request)
        return self.script.pop(0) if self.script else self.judge(request) or Reply()


def _handler(answer: Callable[[Seen], Reply], released: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {k.lower(): v for k, v in self.headers.items()}
            request = Seen(self.command, self.path, headers, body, self.client_address[1])
            reply = answer(request)
            if reply.hold:
                released.wait(60)
                self.close_connection = True
                return
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self._send(reply, request)

        do_GET = do_PUT = do_POST  # noqa: N815

        def _send(self, reply: Reply, request: Seen) -> None:
            status, kind, text = content(reply, request)
            self.send_response_only(status)
            headers = {
                "Content-Type": kind,
                "Content-Length": str(len(text)),
                "Date": reply.date or self.date_time_string(),
            }
            if reply.code and not reply.batch:
                headers["x-ms-error-code"] = reply.code
            for name, value in (headers | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text if reply.cut is None else text[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

    return Handler


def content(reply: Reply, request: Seen) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer."""
    error = f'{{"odata.error":{{"code":"{reply.code}","message":{{"lang":"en-US","value":"{reply.message}"}}}}}}'
    if reply.body is not None:
        return reply.status, "text/html", reply.body.encode()
    if reply.batch:
        return 202, f"multipart/mixed; boundary={BOUNDARY}", _multipart([(reply.status, error if reply.code else "")])
    if reply.status != 202:
        return reply.status, "application/json", error.encode() if reply.code else b""
    if "$batch" not in request.path:
        return 204, "application/json", b""
    asked = len(re.findall(r"^(?:PUT|POST|PATCH) http", request.body, re.MULTILINE))
    parts = [(204, "")] * (asked if reply.accepted is None else reply.accepted)
    return 202, f"multipart/mixed; boundary={BOUNDARY}", _multipart(parts)


def _multipart(parts: list[tuple[int, str]]) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Type: multipart/mixed; boundary={CHANGESET}", ""]
    for status, body in parts:
        lines += [f"--{CHANGESET}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {status} X", "Content-Type: application/json", "DataServiceVersion: 3.0;", "", body]
    lines += [f"--{CHANGESET}--", f"--{BOUNDARY}--", ""]
    return "\r\n".join(lines).encode()
