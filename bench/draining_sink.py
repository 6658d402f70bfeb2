"""A server that takes uploads and looks at nothing but lengths: what is left is the client's own cost.

Started by ``bench/upload.py`` as a process of its own: ``python bench/draining_sink.py ROWS`` prints its port, then
answers every POST to ``$batch`` as a table service that took ROWS rows (0: as many as it has), and every other request
with 204.
"""

from __future__ import annotations

import socketserver
import sys


def answer(rows: int) -> bytes:
    """A whole 202 for a transaction of ``rows`` rows, in the shape that the service gives it."""
    part = (
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n"
        "DataServiceVersion: 1.0;\r\nETag: W/\"datetime'2026-11-21T09%3A17%3A55.638998Z'\"\r\n\r\n\r\n"
    )
    body = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        + part * rows
        + "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )
    head = (
        "HTTP/1.1 202 Accepted\r\nContent-Type: multipart/mixed; boundary=batchresponse_1\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Handler(socketserver.StreamRequestHandler):
    """One connection, kept alive."""

    disable_nagle_algorithm = True
    rows = 0
    taken: bytes = b""

    def handle(self) -> None:
        """Read head and body of each request, answer, until the client closes."""
        while True:
            first = self.rfile.readline(65536)
            if not first.strip():
                return
            length = 0
            while (line := self.rfile.readline(65536).strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            parts = 0
            while length > 0:
                data = self.rfile.read(min(length, 1 << 18) if self.rows else length)
                if not data:
                    return
                length -= len(data)
                parts += 0 if self.rows else data.count(b"\r\nPUT ")
            taken = self.taken if self.rows else answer(parts)
            self.wfile.write(taken if b"$batch" in first else b"HTTP/1.1 204 No Content\r\n\r\n")


class Server(socketserver.ThreadingTCPServer):
    """Ends with its process, whatever connections are open."""

    daemon_threads = True


def main() -> int:
    """Serve until killed."""
    Handler.rows = int(sys.argv[1])
    Handler.taken = answer(Handler.rows)
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
