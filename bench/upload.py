"""Client CPU per uploaded row, in batches of 100, against a server that looks at lengths only.

The product's sink, the SDK's ``submit_transaction`` and bare http.client (json.dumps of ready dictionaries, nothing
checked, nothing signed) take turns in one run, so that each sees the same machine. Times are CPU (user + system) of
this process; the server is another.

    python bench/upload.py [--rounds N] [--batches N] [--backlog ROWS]

The aim was set where the SDK took 319 µs and the bare client 12.6; other machines are judged by the ratios to these.
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
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import upload_backlog
from extension.plan import Account
from extension.rows.columnar import columnar
from extension.rows.edm import EdmValue, Row
from extension.sinks import azure_batch, open_sink
from extension.sinks.limits import check_batch
from tests.sdk_transaction import SdkSink, entity_of

AIM_US, SDK_US, BARE_US = 25.0, 319.0, 12.6
"""The aim, and what the two others took on the machine where it was set."""
ROWS = 100
OURS, SDK, BARE = "this product's sink", "submit_transaction", "bare http.client"
BY_COLUMN, CHECKING, ENCODING = "  of ours: by column", "  of ours: checking", "  of ours: encoding"
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


def bare_body(port: int, table: str, rows: Sequence[Row]) -> bytes:
    """A body by plain means: a dictionary and json.dumps per row."""
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
    return "\r\n".join(parts).encode()


def bare_client(port: int) -> Callable[[str, Sequence[Row]], None]:
    """The floor: the same rows as JSON over one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    head = {"Content-Type": "multipart/mixed; boundary=batch_1"}

    def send(table: str, rows: Sequence[Row]) -> None:
        connection.request("POST", "/acct/$batch", bare_body(port, table, rows), head)
        answer = connection.getresponse()
        if answer.status != 202 or answer.read().count(b"HTTP/1.1 204") != len(rows):
            raise SystemExit("the draining sink did not take the rows")

    return send


def cost_us(work: Callable[[], object], rows: int) -> float:
    """CPU microseconds per row of ``work``."""
    before = time.process_time()
    work()
    return (time.process_time() - before) / rows * 1e6


def compare(rounds: int, batches: int) -> bool:
    """Print the table and the verdict; whether the aim is met."""
    with draining_sink() as port:
        account = Account("m", "acct", "key", SECRET, f"http://127.0.0.1:{port}/acct")
        ours, sdk, bare = open_sink(account), SdkSink(account), bare_client(port)
        parts: dict[str, Callable[[Sequence[Row]], object]] = {
            OURS: lambda rows: ours.send("Bench", rows),
            SDK: lambda rows: sdk.send("Bench", rows),
            BARE: lambda rows: bare("Bench", rows),
            BY_COLUMN: columnar,
            CHECKING: lambda rows: check_batch("Bench", rows),
            ENCODING: lambda rows: azure_batch.encode("http://127.0.0.1/acct", "Bench", rows),
        }
        share = {SDK: 10}  # it takes so long that a tenth is enough
        costs: dict[str, list[float]] = {name: [] for name in parts}
        for turn in range(rounds + 1):
            for name, part in parts.items():
                loads: list[Sequence[Row]] = [make_rows(b) for b in range(max(batches // share.get(name, 1), 1))]
                if name in (CHECKING, ENCODING):  # they come after it
                    loads = [columnar(rows) or rows for rows in loads]
                found = cost_us(lambda part=part, loads=loads: [part(rows) for rows in loads], len(loads) * ROWS)  # type: ignore[misc]
                if turn:  # the first turn warms caches and connections
                    costs[name].append(found)
        ours.close()
        sdk.close()
    size = len(azure_batch.encode("http://127.0.0.1/acct", "Bench", make_rows(0))[0]) / ROWS
    print(f"batches of {ROWS} rows, {len(entity_of(make_rows(0)[0])) - 2} columns, {size:.0f} bytes per row sent")
    print(f"{'':24}{'CPU µs/row':>12}{'times bare':>12}")
    medians = {name: statistics.median(found) for name, found in costs.items()}
    for name, median in medians.items():
        print(f"{name:24}{median:12.1f}{median / medians[BARE]:12.2f}")
    return _judge(medians)


def _judge(medians: dict[str, float]) -> bool:
    ours, fine = medians[OURS], True
    for name, then in ((BARE, BARE_US), (SDK, SDK_US)):
        ratio, aim = ours / medians[name], AIM_US / then
        fine &= ratio <= aim
        verdict = "met" if ratio <= aim else "missed"
        print(f"aim: at most {aim:.3g} times {name} ({AIM_US:g} of {then:g} µs/row): {verdict} ({ratio:.3g})")
    print(f"  as it is, {ours:.1f} µs/row; {ours / medians[BARE] * BARE_US:.1f} where the aim was set")
    return fine


def main() -> int:
    """Print the figures; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, default=16, help="batches per contestant and round")
    parser.add_argument("--backlog", type=int, default=288_000, help="rows to drain (0: none)")
    args = parser.parse_args()
    fine = compare(args.rounds, args.batches)
    if args.backlog:
        with draining_sink() as port:
            bare, rows = bare_client(port), make_rows(0)

            def floor() -> float:
                return cost_us(lambda: [bare("Bench", rows) for _ in range(5)], 5 * ROWS)

            fine &= upload_backlog.drain(port, max(args.backlog // ROWS, 1), make_rows, floor, BARE_US)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
