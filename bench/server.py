"""The emulated OMI service: requests per second, CPU per request, memory before and after.

``python bench/server.py [--requests N]``: EnumerateInstances over one keep-alive HTTP connection from a raw socket
"""

from __future__ import annotations

import argparse
import base64
import os
import socket
import subprocess
import sys
import tempfile
import time

CLASSES = (
    "SCX_MemoryStatisticalInformation",
    "SCX_ProcessorStatisticalInformation",
    "SCX_DiskDriveStatisticalInformation",
    "SCX_FileSystemStatisticalInformation",
    "SCX_EthernetPortStatistics",
)
AIM_PER_S, AIM_KIB, FLAT_KIB = 400, 30 << 10, 1 << 10
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def request(class_name: str) -> bytes:
    """An EnumerateInstances as pywbem sends it."""
    body = (
        '<?xml version="1.0" encoding="utf-8" ?>\n<CIM CIMVERSION="2.0" DTDVERSION="2.0"><MESSAGE ID="1001" '
        'PROTOCOLVERSION="1.0"><SIMPLEREQ><IMETHODCALL NAME="EnumerateInstances"><LOCALNAMESPACEPATH>'
        '<NAMESPACE NAME="root"/><NAMESPACE NAME="scx"/></LOCALNAMESPACEPATH><IPARAMVALUE NAME="ClassName">'
        f'<CLASSNAME NAME="{class_name}"/></IPARAMVALUE></IMETHODCALL></SIMPLEREQ></MESSAGE></CIM>'
    ).encode()
    authorization = base64.b64encode(b"bench:bench").decode()
    head = (
        'POST /cimom HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-type: application/xml; charset="utf-8"\r\n'
        f"Content-Length: {len(body)}\r\nCIMOperation: MethodCall\r\nCIMMethod: EnumerateInstances\r\n"
        f"CIMObject: root/scx\r\nAuthorization: Basic {authorization}\r\n\r\n"
    )
    return head.encode() + body


def exchange(client: socket.socket, data: bytes) -> bytes:
    """One request and its whole reply."""
    client.sendall(data)
    reply = client.recv(1 << 20)
    while b"\r\n\r\n" not in reply:
        reply += client.recv(1 << 20)
    head, _, body = reply.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(1 << 20)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the service answered {head.splitlines()[0]!r}")
    return body


def rss_kib(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure and print; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    count = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        credentials = os.path.join(folder, "credentials")
        with open(os.open(credentials, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("bench:bench\n")
        argv = [sys.executable, "-m", "omi_queries.server", "--bind", "127.0.0.1:0", "--credentials", credentials]
        with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
            try:
                return 0 if measure(server, count) else 1
            finally:
                server.terminate()


def measure(server: subprocess.Popen[bytes], count: int) -> bool:
    """Print one line per class, then memory over all requests; whether the aims were reached."""
    assert server.stdout is not None
    slowest = float("inf")
    port = int(server.stdout.readline().strip().rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name in CLASSES:
            exchange(client, request(name))
        before = rss_kib(server.pid)
        print(f"{'class':40} {'requests/s':>10} {'CPU µs/request':>15} {'requests/CPU s':>15} {'reply bytes':>12}")
        for name in CLASSES:
            data, size = request(name), 0
            cpu, begin = cpu_s(server.pid), time.perf_counter()
            for _ in range(count // len(CLASSES)):
                size = len(exchange(client, data))
            wall, used = time.perf_counter() - begin, cpu_s(server.pid) - cpu
            done = count // len(CLASSES)
            rate = done / used if used else float("inf")
            slowest = min(slowest, rate)
            print(f"{name:40} {done / wall:10.0f} {used / done * 1e6:15.0f} {rate:15.0f} {size:12}")
        after = rss_kib(server.pid)
    print(f"memory: {before} KiB before, {after} KiB after {count} requests ({after - before:+} KiB)")
    reached = slowest >= AIM_PER_S and after <= AIM_KIB and after - before <= FLAT_KIB
    print(
        f"aim: {AIM_PER_S} a CPU second, {AIM_KIB >> 10} MiB, flat within {FLAT_KIB >> 10} MiB: "
        f"{'met' if reached else 'missed'}"
    )
    return reached


if __name__ == "__main__":
    sys.exit(main())
