"""Runs the real CIM-XML service as a process of its own, and speaks raw HTTP to it."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
VM = CHECKOUT / "tests/fixtures/proc/vm/root"
REQUESTS = CHECKOUT / "tests/fixtures/cimxml-requests"
GOOD = "Basic " + base64.b64encode(b"tester:secret").decode()
WRONG = "Basic " + base64.b64encode(b"tester:wrong").decode()


class Answer(NamedTuple):
    """Status, header fields with names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: str


class Server(NamedTuple):
    """A running service: its process and where it listens (0: not)."""

    process: subprocess.Popen[bytes]
    port: int
    tls_port: int
    folder: Path

    def rss_kib(self) -> int:
        """Resident memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


def credentials(folder: Path) -> Path:
    """A credentials file for tester:secret."""
    path = folder / "credentials"
    path.touch(mode=0o600)
    path.write_text("# users of the tests\ntester:secret\n", encoding="ascii")
    return path


@contextlib.contextmanager
def running(folder: Path, *options: str, root: Path | str = "/", tls: bool = False) -> Iterator[Server]:
    """The service on a free loopback port; stopped by SIGTERM at the end."""
    argv = [sys.executable, "-m", "omi_queries.server", "--bind", "127.0.0.1:0"]
    argv += ["--tls-bind", "127.0.0.1:0"] if tls else []
    argv += ["--credentials", str(credentials(folder)), "--root", str(root), *options]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=(folder / "log").open("wb")) as process:
        try:
            assert process.stdout is not None
            ports = [0, 0]
            for i in range(2 if tls else 1):
                line = process.stdout.readline().decode()
                found = re.fullmatch(r"listening on https?://127\.0\.0\.1:(\d+)\n", line)
                assert found, line + (folder / "log").read_text(encoding="utf-8")
                ports[i] = int(found.group(1))
            yield Server(process, ports[0], ports[1], folder)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


class Client:
    """A raw connection."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self._data = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.sock.sendall(data)

    def answer(self) -> Answer:
        """The next reply."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._data) < length:
            self._more()
        body, self._data = self._data[:length], self._data[length:]
        return Answer(int(first.split()[1]), headers, body.decode("utf-8"))

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the service closed the connection")
        self._data += data

    def closed(self) -> bool:
        """Whether the service ends the connection (waits for it, at most the timeout)."""
        try:
            return self.sock.recv(65536) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def ask(port: int, data: bytes) -> Answer:
    """One request on a connection of its own."""
    with Client(port) as client:
        client.send(data)
        return client.answer()


def post(
    body: str | bytes, method: str, target: str = "root/scx", *, extra: Sequence[str] = (), auth: str = GOOD
) -> bytes:
    """A well-formed request around ``body``."""
    data = body if isinstance(body, bytes) else body.encode()
    lines = [
        "POST /cimom HTTP/1.1", "Host: 127.0.0.1", 'Content-Type: application/xml; charset="utf-8"',
        f"Content-Length: {len(data)}", "CIMOperation: MethodCall", f"CIMMethod: {method}", f"CIMObject: {target}",
        *([f"Authorization: {auth}"] if auth else []), *extra,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + data


def call(method: str, parameters: str = "", namespace: str = "root/scx") -> str:
    """An IMETHODCALL document."""
    path = "".join(f'<NAMESPACE NAME="{part}"/>' for part in namespace.split("/"))
    return (
        '<?xml version="1.0" encoding="utf-8" ?>\n<CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="7" '
        f'PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="{method}"><LOCALNAMESPACEPATH>{path}</LOCALNAMESPACEPATH>'
        f"{parameters}</IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>"
    )


def of_class(name: str) -> str:
    """The ClassName parameter."""
    return f'<IPARAMVALUE NAME="ClassName"><CLASSNAME NAME="{name}"/></IPARAMVALUE>'


def value(name: str, text: object) -> str:
    """A parameter with a VALUE."""
    return f'<IPARAMVALUE NAME="{name}"><VALUE>{text}</VALUE></IPARAMVALUE>'


def result(answer: Answer) -> str:
    """The outcome in the words of the index of captured requests."""
    if answer.status != 200:
        return ""
    failed = re.search(r'<ERROR CODE="(\d+)"', answer.body)
    if failed:
        return f"CIM error {failed.group(1)}"
    first = re.search(r"<IRETURNVALUE><([A-Z.]+)", answer.body)
    end = re.search(r'NAME="EndOfSequence" PARAMTYPE="boolean"><VALUE>(\w+)', answer.body)
    name = first.group(1) if first else "empty/param only"
    return f"returns {name}" + (f" + EndOfSequence {end.group(1)}" if end else "")


def context(answer: Answer) -> str:
    """The enumeration context of a reply."""
    found = re.search(r'NAME="EnumerationContext" PARAMTYPE="string"><VALUE>(\w*)', answer.body)
    return found.group(1) if found else ""


def until(true: object, seconds: float = 20.0) -> None:
    """Wait until ``true()``."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)
