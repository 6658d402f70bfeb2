"""Client CPU per uploaded row, in batches of 100, against a server that looks at lengths only.

The product's sink, the SDK's ``submit_transaction`` and bare http.client (json.dumps of ready dictionaries, nothing
checked, nothing signed) take turns in one run, so that each sees the same machine. Times are CPU (user + system) of
this process; the server is another.

    python bench/upload.py [--rounds N] [--batches N] [--backlog ROWS]

``--backlog``: as many rows in a store are then drained by a real uploader process, and its CPU and memory are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import upload_backlog
from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import azure_batch, open_sink
from extension.sinks.limits import check_batch
from tests.sdk_transaction import SdkSink, entity_of

AIM_US = 25.0
ROWS = 100
PARTITION = ":002Fsubscriptions:002F" + "0123456789abcdef" * 8
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def make_rows(batch: int) -> list[Row]:
    """A hundred rows as WADMetrics tables have them: 13 columns, keys of about 150 and 80 characters."""
    return [Row(PARTITION, _key(batch, i), _columns(batch * ROWS + i)) for i in range(ROWS)]


def _key(batch: int, i: int) -> str:
    ticks = 2516070481199999999 - batch * 600000000
    return f"{ticks}__:005CProcessor:005CPercentProcessorTime{i:04d}__0123456789abcdef01234567"


def _columns(n: int) -> dict[str, EdmValue]:
    value = 1000.0 / (n + 7)
    return {
        "CounterName": ("String", "\\Processor\\PercentProcessorTime"),
        "Total": ("Double", value * 4),
        "Minimum": ("Double", value / 3),
        "Maximum": ("Double", value * math.pi),
        "Average": ("Double", value),
        "Last": ("Double", value * 1.1),
        "Raw": ("Double", float(n)),
        "Count": ("Int32", 4),
        "DeploymentId": ("String", "c9c8552dc3a1421da8ecc0c284082a39"),
        "Host": ("String", "vm-reference-01"),
        "Role": ("String", "IaaS"),
        "RoleInstance": ("String", "_vm-reference-01"),
        "TIMESTAMP": ("DateTime", "2026-11-21T09:18:00.0000000Z"),
    }


@contextlib.contextmanager
def draining_sink(rows: int = ROWS) -> Iterator[int]:
    """A running server's port."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "draining_sink.py")
    argv = [sys.executable, "-I", script, str(rows)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.kill()


def bare_client(port: int) -> Callable[[str, list[Row]], None]:
    """The floor: the same rows as JSON over one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    head = {"Content-Type": "multipart/mixed; boundary=batch_1"}

    def send(table: str, rows: list[Row]) -> None:
        parts = ["--batch_1\r\nContent-Type: multipart/mixed; boundary=changeset_1\r\n"]
        start = f"PUT http://127.0.0.1:{port}/acct/{table}(PartitionKey='{quote(PARTITION)}',RowKey='"
        for row in rows:
            plain = {"PartitionKey": PARTITION, "RowKey": row.row_key}
            plain |= {name: value for name, (_, value) in row.columns.items()}
            parts.append(
                "--changeset_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                f"{start}{row.row_key}') HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{json.dumps(plain)}"
            )
        parts.append("--changeset_1--\r\n--batch_1--\r\n")
        connection.request("POST", "/acct/$batch", "\r\n".join(parts).encode(), head)
        answer = connection.getresponse()
        if answer.status != 202 or answer.read().count(b"HTTP/1.1 204") != len(rows):
            raise SystemExit("the draining sink did not take the rows")

    return send


def cost_us(work: Callable[[], object], rows: int) -> float:
    """CPU microseconds per row of ``work``."""
    before = time.process_time()
    work()
    return (time.process_time() - before) / rows * 1e6


def compare(rounds: int, batches: int) -> float:
    """Print the table; returns the product's cost per row in microseconds."""
    with draining_sink() as port:
        account = Account("m", "acct", "key", SECRET, f"http://127.0.0.1:{port}/acct")
        ours, sdk, bare = open_sink(account), SdkSink(account), bare_client(port)
        parts: dict[str, Callable[[list[Row]], object]] = {
            "this product's sink": lambda rows: ours.send("Bench", rows),
            "submit_transaction": lambda rows: sdk.send("Bench", rows),
            "bare http.client": lambda rows: bare("Bench", rows),
            "  of ours: checking": lambda rows: check_batch("Bench", rows),
            "  of ours: encoding": lambda rows: azure_batch.encode("http://127.0.0.1/acct", "Bench", rows),
        }
        share = {"submit_transaction": 10}  # it takes so long that a tenth is enough
        costs: dict[str, list[float]] = {name: [] for name in parts}
        for turn in range(rounds + 1):
            for name, part in parts.items():
                loads = [make_rows(b) for b in range(max(batches // share.get(name, 1), 1))]
                found = cost_us(lambda part=part, loads=loads: [part(rows) for rows in loads], len(loads) * ROWS)  # type: ignore[misc]
                if turn:  # the first turn warms caches and connections
                    costs[name].append(found)
        ours.close()
        sdk.close()
    size = len(azure_batch.encode("http://127.0.0.1/acct", "Bench", make_rows(0))[0]) / ROWS
    print(f"batches of {ROWS} rows, {len(entity_of(make_rows(0)[0])) - 2} columns, {size:.0f} bytes per row sent")
    print(f"{'':24}{'CPU µs/row':>12}{'times bare':>12}")
    floor = statistics.median(costs["bare http.client"])
    for name, found_all in costs.items():
        median = statistics.median(found_all)
        print(f"{name:24}{median:12.1f}{median / floor:12.2f}")
    return statistics.median(costs["this product's sink"])


def main() -> int:
    """Print the figures; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=50, help="batches per contestant and round")
    parser.add_argument("--backlog", type=int, default=288_000, help="rows to drain (0: none)")
    args = parser.parse_args()
    fine = (ours := compare(args.rounds, args.batches)) <= AIM_US
    print(f"aim: at most {AIM_US:g} µs/row: {'met' if fine else 'missed'} ({ours:.1f})")
    if args.backlog:
        with draining_sink() as port:
            fine &= upload_backlog.drain(port, max(args.backlog // ROWS, 1), make_rows)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
