"""LAD 3.0 settings all the way: the default 48 counters through the real daemon into local tables and JSON blobs."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from extension.config import defaults
from extension.config.build import generate
from extension.config.counters30 import CLASSES
from extension.config.machine import Machine
from extension.sinks.local_tables import LocalTablesReader
from tests.daemon_bed import daemon, until

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
RESOURCE = "/subscriptions/0f1e/resourceGroups/rg-one/providers/Microsoft.Compute/virtualMachines/web-01"
PREFIX = "WADMetricsPT10SP10DV2S"
SPECIFIERS = {family.specifier(one) for family in CLASSES for one in family.counters}


def _settings() -> dict[str, Any]:
    """The default settings, filled in, every 5 s over windows of 10 s, with a sink."""
    given = json.loads(json.dumps(defaults.public_settings()).replace(defaults.RESOURCE_ID, RESOURCE))
    monitor = given["ladCfg"]["diagnosticMonitorConfiguration"]
    monitor["metrics"]["metricAggregation"] = [{"scheduledTransferPeriod": "PT10S"}]
    monitor["performanceCounters"]["sinks"] = "metricsjson"
    for counter in monitor["performanceCounters"]["performanceCounterConfiguration"]:
        counter["sampleRate"] = "PT5S"
    return {**given, "StorageAccount": "local"}


def test_default_counters_become_rows_and_blobs(tmp_path: Path) -> None:
    secret = {
        "storageAccountName": "local",
        "storageAccountEndPoint": f"file://{tmp_path}/tables.db",
        "sinksConfig": {"sink": [{"name": "metricsjson", "type": "JsonBlob"}]},
    }
    made = generate(_settings(), secret, machine=Machine("5A5A-0001", "dep"), now=NOW)
    assert made.ok, [p.render() for p in made.problems]
    assert made.xml is not None

    def names() -> set[object]:
        store = str(tmp_path / "tables.db")
        if not os.path.exists(store):
            return set()
        reader = LocalTablesReader(store)
        tables = [name for name in reader.tables() if name.startswith(PREFIX)]
        found = {entity.columns["CounterName"][1] for name in tables for entity in reader.query(name)}
        reader.close()
        return found

    def blobs() -> list[Path]:
        return list((tmp_path / "metricsjson").rglob("PT1H.json"))

    with daemon(tmp_path) as bed:
        bed.configure(made.xml.decode(), upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        until(lambda: {"/builtin/memory/usedmemory", "/builtin/processor/percentidletime"} <= names(), 60, bed.describe)
        until(blobs, 60, bed.describe)
        bed.stop()
    assert names() <= SPECIFIERS
    written = blobs()[0]
    assert f"resourceId={RESOURCE}/i=5A5A-0001/y=" in str(written)
    records = json.loads(written.read_text())["records"]
    assert {record["metricName"] for record in records} <= SPECIFIERS
    assert {record["timeGrain"] for record in records} == {"PT10S"}
