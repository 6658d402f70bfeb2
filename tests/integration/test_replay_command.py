"""``lad replay`` with the real store and lanes, into the embedded table store and into services that fail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extension.plan import Account
from extension.sinks.reader import open_reader
from omi_queries.recording import time_text
from tests.daemon_bed import document

T0 = 1_774_000_800  # a full hour
MEMORY = "SCX_MemoryStatisticalInformation"
PROCESSOR = "SCX_ProcessorStatisticalInformation"


def _line(at: float, class_name: str, *instances: dict[str, Any]) -> str:
    line = {"t": time_text(round(at * 1e6)), "namespace": "root/scx", "class": class_name, "instances": instances}
    return json.dumps(line) + "\n"


def _recording(path: Path, seconds: int, step: int = 15) -> Path:
    with open(path, "w") as file:
        for n, at in enumerate(range(T0, T0 + seconds + 1, step)):
            file.write(_line(at, MEMORY, {"Name": "Memory", "AvailableMemory": 1000 + n, "UsedMemory": 7}))
            file.write(_line(at, PROCESSOR, {"Name": "_Total", "PercentProcessorTime": n % 100, "PercentIdleTime": 1}))
    return path


def _account(endpoint: str) -> Account:
    return Account("m", "acct", "key", "c2VjcmV0", endpoint, True)


def _document(folder: Path, endpoint: str, *, raw: bool = True) -> Path:
    config = folder / "xmlCfg.xml"
    config.write_text(document(_account(endpoint), rate=15, period=60, raw=raw))
    return config


def _replay(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "extension.cli", "replay", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **more}, check=False)


def _dump(endpoint: str) -> dict[str, list[Any]]:
    reader = open_reader(_account(endpoint))
    found: dict[str, list[Any]] = {}
    for table in ("Metrics", "RawVer2v0", "SchemasTable"):
        found[table] = [(r.partition_key, r.row_key, r.columns) for r in reader.query(table)]
    return found


def test_every_run_makes_the_same_rows(tmp_path: Path) -> None:
    recording = _recording(tmp_path / "r.ndjson", 3600)
    config = _document(tmp_path, f"file://{tmp_path}/none.db")
    dumps = []
    for name in ("one", "two"):
        endpoint = f"file://{tmp_path}/{name}.db"
        done = _replay("-c", config, "--recording", recording, "--table-endpoint", endpoint, "--json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["complete"]
        assert summary["ticks"] == 241
        dumps.append(_dump(endpoint))
    assert dumps[0] == dumps[1]
    assert not (tmp_path / "none.db").exists()
    raw = dumps[0]["RawVer2v0"]
    assert len(raw) == 241
    # 60 windows of 5 counters; PagesPerSec is not in the recording
    assert len(dumps[0]["Metrics"]) == 60 * 4 * 2
    first = [columns for _, _, columns in dumps[0]["Metrics"] if columns["CounterName"][1] == "AvailableMemory"]
    values = sorted((c["TIMESTAMP"][1], c["Average"][1], c["Count"][1]) for c in first)
    assert [v[1:] for v in values[:4:2]] == [(1001.5, 4), (1005.5, 4)]
    assert not list(tmp_path.glob("**/collector.db"))


def test_the_windows_still_open_at_the_end_are_not_written(tmp_path: Path) -> None:
    endpoint = f"file://{tmp_path}/t.db"
    done = _replay("-c", _document(tmp_path, endpoint), "--recording", _recording(tmp_path / "r.ndjson", 105))
    assert done.returncode == 0, done.stderr
    assert len(_dump(endpoint)["Metrics"]) == 4 * 2
    assert "Metrics" in done.stdout
    assert "UNDELIVERED" in done.stdout


def test_a_message_that_comes_too_late_is_counted_and_nothing_is_undelivered(tmp_path: Path) -> None:
    endpoint = f"file://{tmp_path}/t.db"
    config = _document(tmp_path, endpoint)
    route = '<MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="Raw" duration="PT10S"/></MdsdEventSource>'
    text = config.read_text().replace("<Events>", '<Sources><Source name="s" dynamic_schema="true"/></Sources><Events>')
    config.write_text(text.replace("<OMI>", f"{route}</MdsdEvents><OMI>"))
    columns = [1, ["A", "FT_INT32"], ["T", "FT_TIME"]]
    events = [(30, columns, [1, [T0 + 30, 0]]), (31, None, [2, [T0 + 2, 0]]), (32, None, [3, [T0 + 31, 0]])]
    lines = [
        json.dumps({"t": time_text((T0 + at) * 10**6), "socket": "djson", "message": ["s", at, 1, schema, data]}) + "\n"
        for at, schema, data in events
    ]
    recording = tmp_path / "r.ndjson"
    recording.write_text("".join([_line(T0, MEMORY, {}), *lines, _line(T0 + 60, MEMORY, {})]))
    done = _replay("-c", config, "--recording", recording, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["complete"]
    (dropped,) = [t["dropped"] for t in summary["tables"].values() if t["dropped"]]
    assert dropped == {"late: window closed": 1}
    assert summary["skipped"]["s: too late for Raw"] == 1
    assert "rows are dated in windows that are closed" in done.stderr


def test_what_cannot_be_delivered_is_told_and_exits_1(tmp_path: Path) -> None:
    (tmp_path / "notadb").mkdir()
    endpoint = f"file://{tmp_path}/notadb"
    done = _replay("-c", _document(tmp_path, endpoint), "--recording", _recording(tmp_path / "r.ndjson", 60), "--json")
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert not summary["complete"]
    assert summary["tables"]["RawVer2v0"]["undelivered"] + sum(summary["tables"]["RawVer2v0"]["dropped"].values()) == 5
    assert "notadb" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sink_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    from extension.delivery import Delivery
    from extension.pipeline.engine import Batch
    from extension.plan import Plan
    from extension.rows.edm import Row
    from extension.sinks import azure_tables
    from extension.store.collector_db import CollectorStore

    assert azure_tables  # loading it takes longer than the patience on a busy machine
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # never listens: connections are refused
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/acct"
        store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
        with store.transaction():
            store.queue([Batch("m", "Rows", [Row("p", "r", {"V": ("Int32", 1)})])], 1.0)
        said: list[str] = []
        delivery = Delivery(
            Plan(accounts=(_account(endpoint),)), str(tmp_path), lambda _, text: said.append(text), patience_s=3.0
        )
        assert not delivery.drain()
        assert not delivery.drain()  # and at once: it was given up before
        assert len(delivery.given_up()) == 1
        assert "acct" in delivery.given_up()[0]
        assert "acct: acct: " not in delivery.given_up()[0]
        assert any("refused" in text for text in said)
        assert "c2VjcmV0" not in "".join(said)
        delivery.close()
        store.close()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "there is nothing in it"),
        ("{}\n", "line 1"),
        (_line(T0 + 1, MEMORY, {}) + _line(T0, MEMORY, {}), "lines are in order"),
    ],
)
def test_a_faulty_recording_is_named(tmp_path: Path, content: str, told: str) -> None:
    bad = tmp_path / "bad.ndjson"
    bad.write_text(content)
    done = _replay("-c", _document(tmp_path, f"file://{tmp_path}/t.db"), "--recording", bad)
    assert done.returncode == 1
    assert told in done.stderr
    assert "bad.ndjson" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_faulty_document_or_address_is_named(tmp_path: Path) -> None:
    recording = _recording(tmp_path / "r.ndjson", 60)
    bad = tmp_path / "bad.xml"
    bad.write_text("<MonitoringManagement")
    done = _replay("-c", bad, "--recording", recording, "--json")
    assert done.returncode == 1
    assert "bad.xml" in json.loads(done.stdout)["error"]
    config = _document(tmp_path, f"file://{tmp_path}/t.db")
    done = _replay("-c", config, "--recording", recording, "--table-endpoint", "ftp://x")
    assert done.returncode == 2
    assert "--table-endpoint" in done.stderr
    assert "file:///path/tables.db" in done.stderr
    assert _replay("-c", config, "--recording", recording, "--blob-endpoint", "http://x").returncode == 2


def test_a_query_that_nothing_answers_is_told_and_costs_nothing(tmp_path: Path) -> None:
    endpoint = f"file://{tmp_path}/t.db"
    config = _document(tmp_path, endpoint)
    config.write_text(config.read_text().replace("SELECT AvailableMemory FROM", "SELECT Nope FROM"))
    done = _replay("-c", config, "--recording", _recording(tmp_path / "r.ndjson", 60), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["tables"]["Metrics"]["rows"] == 4 * 2
    assert "Raw" in json.dumps([summary["refused"], summary["skipped"]]) or "Raw" in done.stderr


def test_messages_go_through_the_sockets_decoder(tmp_path: Path) -> None:
    endpoint = f"file://{tmp_path}/t.db"
    config = _document(tmp_path, endpoint, raw=False)
    text = config.read_text()
    text = text.replace("<Events>", '<Sources><Source name="s" dynamic_schema="true"/></Sources><Events>')
    route = (
        '<MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="Raw" dontUsePerNDayTable="true" '
        'duration="PT30S"/></MdsdEventSource></MdsdEvents>'
    )
    config.write_text(text.replace("<Events>", "<Events>" + route))
    recording = _recording(tmp_path / "r.ndjson", 120)
    lines = recording.read_text().splitlines(keepends=True)
    messages = [["s", 1, 1, [["Msg", "FT_STRING"]], ["x"]], ["s", 2, 1, None, ["y"]], ["nosuch", 3, 1, None, ["z"]]]
    sent = [
        json.dumps({"t": time_text((T0 + 5) * 1_000_000), "socket": "djson", "message": m}) + "\n" for m in messages
    ]
    recording.write_text("".join([*lines[:2], *sent, *lines[2:]]))
    done = _replay("-c", config, "--recording", recording, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["messages"] == 3
    assert sum(summary["rejected"].values()) == 1
    rows = _dump(endpoint)["RawVer2v0"]
    assert sorted(columns["Msg"][1] for _, _, columns in rows) == ["x", "y"]
