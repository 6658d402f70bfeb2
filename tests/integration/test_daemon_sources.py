"""A CIM-XML server and an omicli that hang, die and come back under a running daemon: no sample is missing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from extension.plan import Account
from extension.rows import keys
from extension.sinks.base import SinkError
from extension.sinks.reader import open_reader
from extension.view import status
from tests.cimxml_bed import PASSWORD, USER, start_process
from tests.daemon_bed import COUNTERS, PARTITION_KEY, Daemon, daemon, document, until
from tests.omicli_bed import FakeOmicli

RATE, PERIOD = 2, 10
MEMORY = {
    "Name": ("string", "Memory"),
    "AvailableMemory": ("uint64", 111),
    "UsedMemory": ("uint64", 222),
    "PagesPerSec": ("uint64", 333),
}
PROCESSOR = {
    "Name": ("string", "_Total"),
    "PercentProcessorTime": ("uint8", 44),
    "PercentIdleTime": ("uint8", 55),
}
ANSWERS = {
    "SCX_MemoryStatisticalInformation": [("SCX_MemoryStatisticalInformation", MEMORY)],
    "SCX_ProcessorStatisticalInformation": [("SCX_ProcessorStatisticalInformation", PROCESSOR)],
}
GIVEN = {name: value for part in (MEMORY, PROCESSOR) for name, (_, value) in part.items()}


def _account(folder: Path) -> Account:
    return Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{folder}/tables.db", True)


def _sources(bed: Daemon) -> list[dict[str, Any]]:
    return list(status.gather(str(bed.state))["sources"].values())


def _all_from(bed: Daemon, source: str) -> bool:
    found = _sources(bed)
    return len(found) == len(COUNTERS) and all(s["source"] == source for s in found)


def _next_window() -> float:
    now = time.time()
    return now // PERIOD * PERIOD + PERIOD


def _rest_until(moment: float) -> None:
    while time.time() < moment:
        time.sleep(0.1)


def _check_windows(folder: Path, begin: float, end: float, away: tuple[float, float]) -> None:
    """Every window has every sample; those outside ``away`` have the values of the better source."""
    found = {e.row_key: e for e in open_reader(_account(folder)).query("Metrics", partition_key=PARTITION_KEY)}
    starts = range(int(begin), int(end) // PERIOD * PERIOD, PERIOD)
    assert len(starts) >= 3
    for start in starts:
        for name in [n for counters in COUNTERS.values() for n in counters]:
            for key in keys.metric_row_keys(name, start):
                assert key in found, (name, start)
                row = {column: value for column, (_, value) in found[key].columns.items()}
                assert row["Count"] == PERIOD // RATE, (name, start, row)
                if start + PERIOD <= away[0] or start >= away[1]:
                    assert row["Minimum"] == row["Maximum"] == GIVEN[name], (name, start, row)


def _configure(bed: Daemon, folder: Path, **options: object) -> None:
    bed.configure(document(_account(folder), rate=RATE, period=PERIOD), upload_spread_s=0, **options)
    bed.start()
    bed.wait_healthy()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_cim_server_that_goes_and_comes(tmp_path: Path, how: str) -> None:
    (tmp_path / "answers.json").write_text(json.dumps(ANSWERS))
    server = start_process(0, tmp_path / "answers.json")
    try:
        with daemon(tmp_path) as bed:
            endpoint = f"http://127.0.0.1:{server.port}"
            _configure(bed, tmp_path, omi_endpoint=endpoint, omi_user=USER, omi_password=PASSWORD)
            until(lambda: _all_from(bed, "cimxml"), 40, bed.describe)
            until(lambda: bed.status()["status"] == "success", 10, bed.describe)
            begin = _next_window()
            _rest_until(begin + PERIOD + 1)
            gone = time.time()
            server.send(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
            until(lambda: _all_from(bed, "procfs"), 10, bed.describe)
            why = {s["why"] for s in _sources(bed)}
            assert len(why) == 1
            assert endpoint in next(iter(why))
            assert ("no answer within" if how == "stopped" else "refused") in next(iter(why))
            until(lambda: bed.status()["status"] == "warning", 10, bed.describe)
            assert endpoint in bed.status()["formattedMessage"]["message"]
            if how == "stopped":
                server.send(signal.SIGCONT)
            else:
                server.stop()
                server = start_process(server.port, tmp_path / "answers.json")
            until(lambda: _all_from(bed, "cimxml"), 60, bed.describe)
            back = time.time()
            until(lambda: bed.status()["status"] == "success", 10, bed.describe)
            end = _next_window() + PERIOD
            _rest_until(end + 4)
            collector = bed.pid("collector")
            workers = [p for p in _children(collector) if "cimxml_worker" in _command(p)]
            assert len(workers) == 1
            bed.stop()
            _check_windows(tmp_path, begin, end, (gone, back))
            assert not any(os.path.exists(f"/proc/{p}") for p in workers)
            log = bed.log.read_text()
            assert log.count("samples come from /proc") == 1
            assert "answers again" in log
            assert PASSWORD not in log + bed.describe() + (bed.state / "collector.db").read_bytes().decode("latin-1")
    finally:
        server.stop()


def test_an_omicli_that_hangs_and_comes_back(tmp_path: Path) -> None:
    fake = FakeOmicli(tmp_path)
    for name, [(_, values)] in ANSWERS.items():
        lines = "".join(f"    {'[Key] ' if n == 'Name' else ''}{n}={v}\n" for n, (_, v) in values.items())
        fake.answer(name, f"instance of {name}\n{{\n{lines}}}\n")
    with daemon(tmp_path) as bed:
        _configure(bed, tmp_path, omicli_path=fake.path)
        until(lambda: _all_from(bed, "omicli"), 40, bed.describe)
        begin = _next_window()
        _rest_until(begin + PERIOD + 1)
        gone = time.time()
        fake.mode("hang")
        until(lambda: _all_from(bed, "procfs"), 10, bed.describe)
        assert all("no answer within" in s["why"] and fake.path in s["why"] for s in _sources(bed))
        collector = bed.pid("collector")
        fake.mode("ok")
        until(lambda: _all_from(bed, "omicli"), 60, bed.describe)
        back = time.time()
        end = _next_window() + PERIOD
        _rest_until(end + 4)
        assert bed.pid("collector") == collector
        bed.stop()
        _check_windows(tmp_path, begin, end, (gone, back))


def test_a_class_that_only_the_server_has(tmp_path: Path) -> None:
    """Its rows are the server's, with its types; without the server it alone has none, and status says why."""
    name = "Apache_HTTPDServerStatistics"
    apache = {"InstanceID": ("string", "a"), "TotalPctCPU": ("uint8", 7), "Requests": ("uint64", 1 << 40)}
    (tmp_path / "answers.json").write_text(json.dumps({**ANSWERS, name: [(name, apache)]}))
    query = (
        f'<OMIQuery cqlQuery="SELECT TotalPctCPU, Requests FROM {name}" eventName="Apache" omiNamespace="root/apache" '
        f'sampleRateInSeconds="{RATE}" dontUsePerNDayTable="true"/></OMI>'
    )
    text = document(_account(tmp_path), rate=RATE, period=PERIOD).replace("</OMI>", query)
    server = start_process(0, tmp_path / "answers.json")
    try:
        with daemon(tmp_path) as bed:
            endpoint = f"http://127.0.0.1:{server.port}"
            bed.configure(text, upload_spread_s=0, omi_endpoint=endpoint, omi_user=USER, omi_password=PASSWORD)
            bed.start()
            until(lambda: _rows(tmp_path, "ApacheVer2v0"), 60, bed.describe)
            row = _rows(tmp_path, "ApacheVer2v0")[-1]
            assert row["TotalPctCPU"] == ("Int32", 7)
            assert row["Requests"] == ("Int64", 1 << 40)
            server.stop()
            until(lambda: _source(bed, "Apache")["source"] == "none", 30, bed.describe)
            why = _source(bed, "Apache")["why"]
            assert name in why
            assert "connection refused" in why
            until(lambda: _source(bed, "memoryStats")["source"] == "procfs", 10, bed.describe)
            until(lambda: name in bed.status()["formattedMessage"]["message"], 30, bed.describe)
            assert "values come from /proc instead" in bed.status()["formattedMessage"]["message"]
            server = start_process(server.port, tmp_path / "answers.json")
            until(lambda: _source(bed, "Apache")["source"] == "cimxml", 60, bed.describe)
            assert _source(bed, "Apache")["why"] == ""
            bed.stop()
    finally:
        server.stop()


def _source(bed: Daemon, event: str) -> dict[str, Any]:
    found: dict[str, Any] = status.gather(str(bed.state))["sources"][event]
    return found


def _rows(folder: Path, table: str) -> list[dict[str, Any]]:
    try:
        return [dict(e.columns) for e in open_reader(_account(folder)).query(table)]
    except SinkError:
        return []


def _children(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry))
            except (OSError, IndexError):
                continue
    return found


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
