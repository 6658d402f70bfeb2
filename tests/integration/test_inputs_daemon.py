"""The JSON sockets of a whole daemon: what was acknowledged is in the table, whatever is killed in between."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.inputs import sockets
from extension.plan import Account
from extension.sinks.base import SinkError
from extension.sinks.reader import open_reader
from extension.store import ledger
from tests.daemon_bed import Daemon, daemon, until

PERIOD = 10

DOCUMENT = """<MonitoringManagement eventVersion="2" namespace="" version="1.0">
<Accounts><Account moniker="m" isDefault="true" account="local" key="" tableEndpoint="{endpoint}" /></Accounts>
<Management eventVolume="Medium">
 <Identity><IdentityComponent name="Host">bed</IdentityComponent></Identity></Management>
<Schemas><Schema name="log"><Column name="Msg" type="str" mdstype="mt:wstr" />
 <Column name="Severity" type="str" mdstype="mt:int32" /></Schema></Schemas>
<Sources><Source name="static" schema="log" /><Source name="dynamic" dynamic_schema="true" /></Sources>
<Events><OMI><OMIQuery cqlQuery="SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation" eventName="Mem"
 omiNamespace="root/scx" sampleRateInSeconds="1" dontUsePerNDayTable="true" /></OMI>
<MdsdEvents>
 <MdsdEventSource source="static">
  <RouteEvent eventName="Static" dontUsePerNDayTable="true" duration="PT{period}S" /></MdsdEventSource>
 <MdsdEventSource source="dynamic">
  <RouteEvent eventName="Dynamic" dontUsePerNDayTable="true" duration="PT{period}S" /></MdsdEventSource>
</MdsdEvents></Events></MonitoringManagement>"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the sockets: short enough for a unix socket's path."""
    with tempfile.TemporaryDirectory(prefix="in") as name:
        yield Path(name)


def account(tmp_path: Path) -> Account:
    return Account("m", "local", "key", "", f"file://{tmp_path}/tables.db", True)


def configure(bed: Daemon, tmp_path: Path, folder: Path) -> None:
    text = DOCUMENT.format(endpoint=account(tmp_path).table_endpoint, period=PERIOD)
    bed.configure(text, upload_spread_s=0, inputs_dir=str(folder))


def connect(path: str, deadline_s: float = 30) -> socket.socket:
    """A client, as soon as somebody listens."""
    end = time.monotonic() + deadline_s
    while True:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(10)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            assert time.monotonic() < end, f"nobody listens on {path}"
            time.sleep(0.05)


def ask(client: socket.socket, data: bytes) -> bytes:
    """Send a message and wait for its reply; b"" when the connection ended instead."""
    reply = b""
    with contextlib.suppress(ConnectionError):
        client.sendall(data)
        while not reply.endswith(b"\n"):
            more = client.recv(4096)
            if not more:
                return b""
            reply += more
    return reply


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return b"%d\n%s" % (len(body), body)


def rows(tmp_path: Path, table: str) -> list[dict[str, object]]:
    """The columns of what is in the table; [] while there is none."""
    try:
        return [{k: v[1] for k, v in e.columns.items()} for e in open_reader(account(tmp_path)).query(table)]
    except SinkError:
        return []


def drained(bed: Daemon) -> bool:
    return all(b.queued == 0 for b in ledger.read(str(bed.state)).values())


def test_routes_are_fed_and_status_counts_what_was_refused(tmp_path: Path, folder: Path) -> None:
    with daemon(tmp_path) as bed:
        configure(bed, tmp_path, folder)
        bed.start()
        with connect(sockets.path(str(folder), "json")) as static:
            assert ask(static, b'{"TAG":"a","SOURCE":"static","DATA":["hello","3"]}') == b"a\n"
            assert ask(static, b'{"TAG":"b","SOURCE":"static","DATA":["hello"]}') == b"b\n"
        with connect(sockets.path(str(folder), "djson")) as dynamic:
            assert ask(dynamic, frame(["dynamic", 1, 1, [["x", "FT_INT64"]], [2**40]])) == b"1:0\n"
            assert ask(dynamic, frame(["nosuch", 2, 1, None, [1]])) == b"2:4\n"
        until(lambda: rows(tmp_path, "DynamicVer2v0") and rows(tmp_path, "StaticVer2v0"), 60, bed.describe)
        bed.stop()
        assert os.listdir(folder) == []
        log = bed.log.read_text()
    [static_row] = rows(tmp_path, "StaticVer2v0")
    assert (static_row["Msg"], static_row["Severity"], static_row["Host"]) == ("hello", 3, "bed")
    [dynamic_row] = rows(tmp_path, "DynamicVer2v0")
    assert dynamic_row["x"] == 2**40
    assert "static: wrong number of columns" in log
    assert "unknown source" in log


def test_a_neighbour_on_the_socket_shows_in_the_status(tmp_path: Path, folder: Path) -> None:
    with daemon(tmp_path) as bed, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as neighbour:
        neighbour.bind(sockets.path(str(folder), "json"))
        neighbour.listen()
        configure(bed, tmp_path, folder)
        bed.start()
        until(
            lambda: (
                f"process {os.getpid()}" in bed.health().get("components", {}).get("collector", {}).get("message", "")
            ),
            60,
            bed.describe,
        )
        assert bed.status()["status"] != "error"
        bed.stop()


class Sender(threading.Thread):
    """Sends numbered messages one by one until told to stop, again after each lost connection."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.acknowledged: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.stop = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError), connect(self.path) as client:
                schema: object = [["n", "FT_INT32"]]
                while not self.stop.is_set():
                    self.attempts[number] += 1
                    if ask(client, frame(["dynamic", number, 1, schema, [number]])) != b"%d:0\n" % number:
                        break
                    self.acknowledged.add(number)
                    number, schema = number + 1, None
                    time.sleep(0.002)


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, folder: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with daemon(tmp_path) as bed:
        configure(bed, tmp_path, folder)
        bed.start()
        bed.wait_healthy()
        sender = Sender(sockets.path(str(folder), "djson"))
        sender.start()
        for _ in range(6):
            before = len(sender.acknowledged)
            until(lambda now=before: len(sender.acknowledged) > now + 50, 60, bed.describe)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 1))
            bed.kill("collector")
        before = len(sender.acknowledged)
        until(lambda: len(sender.acknowledged) > before + 50, 60, bed.describe)
        sender.stop.set()
        sender.join(30)
        assert not sender.is_alive()
        newest = max(sender.acknowledged)
        until(lambda: newest in {r["n"] for r in rows(tmp_path, "DynamicVer2v0")} and drained(bed), 60, bed.describe)
        bed.stop()
    found = Counter(int(str(row["n"])) for row in rows(tmp_path, "DynamicVer2v0"))
    assert sender.acknowledged <= set(found), f"seed {seed}"
    # a message may be stored again only if its sender had to send it again
    assert all(found[n] <= sender.attempts[n] for n in found), f"seed {seed}"


def test_a_flood_does_not_keep_samples_away(tmp_path: Path, folder: Path) -> None:
    with daemon(tmp_path) as bed:
        configure(bed, tmp_path, folder)
        bed.start()
        bed.wait_healthy()
        stop = threading.Event()

        def flood() -> None:
            data = frame(["dynamic", 1, 1, [["x", "FT_STRING"]], ["y" * 1000]]) * 20
            with connect(sockets.path(str(folder), "djson")) as client:
                while not stop.is_set():
                    with contextlib.suppress(ConnectionError, TimeoutError):
                        client.sendall(data)
                        client.recv(1 << 16)

        before = len(rows(tmp_path, "MemVer2v0"))
        threads = [threading.Thread(target=flood, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        # a sample is due each second; their rows go on arriving under the flood, and nobody takes the loop for hung
        until(lambda: len(rows(tmp_path, "MemVer2v0")) >= before + 5, 60, bed.describe)
        stop.set()
        for thread in threads:
            thread.join(30)
        assert bed.health()["components"]["collector"]["restarts"] == 0
        bed.stop()
