"""The peers of ``bench/tree.py``, trimmed to the same counters: node_exporter with its scraper, collectd with its sink.

Everything is on loopback. The scraper and the sink are threads of the benchmark: they are not charged to the peers.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable

COLLECTORS = ("cpu", "meminfo", "vmstat", "diskstats", "filesystem", "netdev")
PLUGINS = ("cpu", "memory", "swap", "vmem", "disk", "df", "interface")
_PLUGIN_FOLDERS = ("/usr/lib/collectd", "/usr/lib64/collectd")


class MissingError(Exception):
    """The peer is not on this machine; the text says what to install."""


def _find(*names: str, package: str) -> str:
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
        if found:
            return found
    raise MissingError(f"{names[0]} is not installed (Debian: apt-get install --no-install-recommends {package})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Beat:
    """Calls ``work`` every ``interval`` seconds in a thread until closed."""

    def __init__(self, work: Callable[[], None], interval: float) -> None:
        self._work, self._interval = work, interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(0.0, due - time.monotonic())):
            self._work()
            due += self._interval

    def close(self) -> None:
        """No more calls."""
        self._end.set()
        self._thread.join(5)


class NodeExporter:
    """node_exporter, scraped over one kept connection as Prometheus does it."""

    title = "node_exporter"

    def __init__(self, folder: str, interval: float) -> None:
        program = _find("prometheus-node-exporter", "node_exporter", package="prometheus-node-exporter")
        port = _free_port()
        argv = [program, "--collector.disable-defaults", *(f"--collector.{name}" for name in COLLECTORS)]
        argv += ["--web.disable-exporter-metrics", f"--web.listen-address=127.0.0.1:{port}"]
        with open(os.path.join(folder, "node_exporter.log"), "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.samples = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        _wait_for(self._answers, self.process)
        self._beat = Beat(self._scrape, interval)

    def _answers(self) -> bool:
        self._scrape()
        return self.samples > 0

    def _scrape(self) -> None:
        try:
            self._connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = self._connection.getresponse()
            self.samples += bool(answer.read()) and answer.status == 200
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next scrape connects anew; what is missing shows in ``samples``

    def close(self) -> None:
        """End scraper and process."""
        self._beat.close()
        self._connection.close()
        _end(self.process)


class Collectd:
    """collectd, sending what it reads to a UDP port as its ``network`` plugin does."""

    title = "collectd"

    def __init__(self, folder: str, interval: float) -> None:
        program = _find("collectd", package="collectd-core")
        plugins = next((path for path in _PLUGIN_FOLDERS if os.path.isdir(path)), "")
        if not plugins:
            raise MissingError(f"collectd's plugins are in none of {', '.join(_PLUGIN_FOLDERS)}")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.5)
        config = os.path.join(folder, "collectd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(_collectd_conf(folder, plugins, interval, self._socket.getsockname()[1]))
        with open(os.path.join(folder, "collectd.log"), "wb") as log:
            self.process = subprocess.Popen(
                [program, "-f", "-C", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.samples = 0
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()
        _wait_for(lambda: self.samples > 0, self.process, 2 * interval + 5)

    def _drain(self) -> None:
        while self._socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.samples += bool(self._socket.recv(65536))

    def close(self) -> None:
        """End process and sink."""
        _end(self.process)
        self._socket.close()
        self._thread.join(5)


def _collectd_conf(folder: str, plugins: str, interval: float, port: int) -> str:
    lines = [
        'Hostname "bench"',
        "FQDNLookup false",
        f'BaseDir "{folder}"',
        f'PIDFile "{folder}/collectd.pid"',
        f'PluginDir "{plugins}"',
        'TypesDB "/usr/share/collectd/types.db"',
        f"Interval {interval:g}",
        *(f"LoadPlugin {name}" for name in (*PLUGINS, "network")),
        f'<Plugin network>\n  Server "127.0.0.1" "{port}"\n</Plugin>',
        "<Plugin df>\n  ReportInodes true\n</Plugin>",
    ]
    return "\n".join(lines) + "\n"


def _wait_for(done: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        if process.poll() is not None or time.monotonic() > end:
            _end(process)
            raise MissingError(f"{process.args!r} gave nothing (exit code {process.poll()})")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
