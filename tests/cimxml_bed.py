"""A CIM-XML server of the tests' own, whose answers a test writes, and which can misbehave in every way known."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

USER, PASSWORD = "tester", "pa55-w0rd"
MEMORY = "SCX_MemoryStatisticalInformation"

Values = dict[str, "tuple[str, object]"]
"""Property -> (CIM type, value); the value goes out as it is, None as NULL."""


def memory(available: object = 1234, percent: object = 40) -> Values:
    """An instance of :data:`MEMORY`."""
    return {
        "Name": ("string", "Memory"),
        "AvailableMemory": ("uint64", available),
        "PercentUsedMemory": ("uint8", percent),
    }


def prop(name: str, cim_type: str, value: object) -> str:
    """One PROPERTY (or PROPERTY.ARRAY for a list)."""
    if isinstance(value, list):
        items = "".join(f"<VALUE>{escape(str(item))}</VALUE>" for item in value)
        head = f"<PROPERTY.ARRAY NAME={quoteattr(name)} TYPE={quoteattr(cim_type)}>"
        return f"{head}<VALUE.ARRAY>{items}</VALUE.ARRAY></PROPERTY.ARRAY>"
    body = "" if value is None else f"<VALUE>{escape(str(value))}</VALUE>"
    return f"<PROPERTY NAME={quoteattr(name)} TYPE={quoteattr(cim_type)}>{body}</PROPERTY>"


def named_instance(class_name: str, values: Values) -> str:
    """One VALUE.NAMEDINSTANCE."""
    name = escape(str(values.get("Name", ("string", "x"))[1]))
    key = f'<KEYBINDING NAME="Name"><KEYVALUE VALUETYPE="string">{name}</KEYVALUE></KEYBINDING>'
    inside = "".join(prop(n, t, v) for n, (t, v) in values.items())
    cls = quoteattr(class_name)
    return (
        f"<VALUE.NAMEDINSTANCE><INSTANCENAME CLASSNAME={cls}>{key}</INSTANCENAME>"
        f"<INSTANCE CLASSNAME={cls}>{inside}</INSTANCE></VALUE.NAMEDINSTANCE>"
    )


def message(method: str, inside: str, message_id: str = "1001") -> bytes:
    """A whole reply."""
    return (
        '<?xml version="1.0" encoding="utf-8" ?><CIM CIMVERSION="2.0" DTDVERSION="2.0">'
        f'<MESSAGE ID="{message_id}" PROTOCOLVERSION="1.0"><SIMPLERSP><IMETHODRESPONSE NAME="{method}">'
        f"{inside}</IMETHODRESPONSE></SIMPLERSP></MESSAGE></CIM>"
    ).encode()


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "aaaaaaaaaa">'
    + b"".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">'.encode() for i in range(1, 10))
    + b"]><CIM>&a9;</CIM>"
)


@dataclass
class FakeServer:
    """``answers``: class -> instances, each (class name, values). ``mode`` picks how requests are treated."""

    answers: dict[str, list[tuple[str, Values]]] = field(default_factory=dict)
    mode: str = "ok"
    port: int = 0
    scheme: str = "http"
    fixed: bytes = b""
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def reply(self, body: str) -> tuple[str, bytes]:
        """(method, reply) for a request's body."""
        found = re.search(r'<IMETHODCALL NAME="(\w+)"', body)
        method = found.group(1) if found else "None"
        named = re.search(r'NAME="ClassName"><CLASSNAME NAME="(\w+)"', body)
        class_name = named.group(1) if named else ""
        self.requests.append(f"{method} {class_name}")
        if method == "GetClass":
            return method, message(method, '<ERROR CODE="5" DESCRIPTION="no such class"/>')
        if class_name not in self.answers:
            return method, message(method, '<ERROR CODE="5" DESCRIPTION="no such class here"/>')
        inside = "".join(named_instance(n, v) for n, v in self.answers[class_name])
        return method, message(method, f"<IRETURNVALUE>{inside}</IRETURNVALUE>")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        fake = self.fake
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fake.authorizations.append(self.headers.get("Authorization", ""))
        with contextlib.suppress(OSError):
            _MODES.get(fake.mode, _ok)(self, fake, body)

    def send(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", 'application/xml; charset="utf-8"')
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _ok(h: _Handler, fake: FakeServer, body: str) -> None:
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if h.headers.get("Authorization") != expected:
        h.send(b"", 401, WWW_Authenticate='Basic realm="test"')
        return
    h.send(fake.reply(body)[1])


def _drip(h: _Handler, fake: FakeServer, body: str) -> None:
    data = fake.reply(body)[1]
    h.send_response(200)
    h.send_header("Content-Type", "application/xml")
    h.send_header("Content-Length", str(len(data)))
    h.end_headers()
    for i in range(len(data)):
        h.wfile.write(data[i : i + 1])
        h.wfile.flush()
        if fake.release.wait(0.05):
            return


def _redirect(h: _Handler, fake: FakeServer, body: str) -> None:
    fake.reply(body)
    h.send(b"", 307, Location=f"http://127.0.0.1:{fake.port}/elsewhere")


def _gzip_bomb(h: _Handler, fake: FakeServer, body: str) -> None:
    fake.reply(body)
    h.send(gzip.compress(b" " * (200 << 20), 1), 200, Content_Encoding="gzip")


def _endless(h: _Handler, fake: FakeServer, body: str) -> None:
    h.send_response(200)
    h.send_header("Content-Type", "application/xml")
    h.send_header("Connection", "close")
    h.end_headers()
    while not fake.release.is_set():
        h.wfile.write(b" " * (1 << 20))


def _hang(h: _Handler, fake: FakeServer, body: str) -> None:
    fake.reply(body)
    fake.release.wait(60)


def _changed(change: Callable[[bytes], bytes]) -> Callable[[_Handler, FakeServer, str], None]:
    def answer(h: _Handler, fake: FakeServer, body: str) -> None:
        h.send(change(fake.reply(body)[1]))

    return answer


def _cim_error(h: _Handler, fake: FakeServer, body: str) -> None:
    method, _ = fake.reply(body)
    h.send(message(method, '<ERROR CODE="1" DESCRIPTION="provider broke"/>'))


def _status(h: _Handler, fake: FakeServer, body: str) -> None:
    h.send(b"", 503)


def _html(h: _Handler, fake: FakeServer, body: str) -> None:
    data = b"<html>hello</html>"
    h.send_response(200)
    h.send_header("Content-Type", "text/html")
    h.send_header("Content-Length", str(len(data)))
    h.end_headers()
    h.wfile.write(data)


def _close(h: _Handler, fake: FakeServer, body: str) -> None:
    h.close_connection = True
    h.connection.close()


def _close_once(h: _Handler, fake: FakeServer, body: str) -> None:
    fake.mode = "ok"
    _close(h, fake, body)


_MODES: dict[str, Callable[[_Handler, FakeServer, str], None]] = {
    "drip": _drip,
    "redirect": _redirect,
    "gzip-bomb": _gzip_bomb,
    "endless": _endless,
    "hang": _hang,
    "wrong-id": _changed(lambda data: data.replace(b'ID="1001"', b'ID="9"')),
    "xml-bomb": _changed(lambda _data: BOMB),
    "garbage": _changed(lambda _data: b"\x00\xff not xml"),
    "truncated": _changed(lambda data: data[: len(data) // 2]),
    "empty": _changed(lambda _data: b""),
    "cim-error": _cim_error,
    "503": _status,
    "html": _html,
    "close": _close,
    "close-once": _close_once,
    "fixed": lambda h, fake, _body: h.send(fake.fixed),
}


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[str, str]:
    """(certificate, key) files, self-signed for the address."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=fake", "-addext", f"subjectAltName=IP:{host}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what these tests are about."""


@contextlib.contextmanager
def serving(fake: FakeServer, tls: tuple[str, str] | None = None) -> Iterator[FakeServer]:
    """Serve on 127.0.0.1 (on ``fake.port`` if it has one already) until the block ends."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = _Quiet(("127.0.0.1", fake.port), handler)
    fake.port = server.server_address[1]
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        fake.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class ServerProcess:
    """The server as a process of its own, to be stopped and killed."""

    process: subprocess.Popen[bytes]
    port: int

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.wait(10)


def start_process(port: int, answers: Path) -> ServerProcess:
    """A server on ``port`` (0: any); ``answers``: JSON class -> instances."""
    argv = [sys.executable, "-m", "tests.cimxml_bed", str(port), str(answers)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    assert process.stdout is not None
    return ServerProcess(process, int(process.stdout.readline()))


def main() -> None:
    """``PORT ANSWERS``: serve until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    given = json.loads(Path(sys.argv[2]).read_text())
    with serving(FakeServer(given, port=int(sys.argv[1]))) as fake:
        print(fake.port, flush=True)
        signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    main()
