"""Endpoints that refuse: named in status with the cure, rows kept, sent when it is mended."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from extension.plan import Account
from extension.sinks.reader import open_reader
from extension.store import ledger
from tests.azurite_bed import Azurite, unique_table
from tests.daemon_bed import daemon, document, until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens_then_the_service_comes_back(tmp_path: Path, azurite: Azurite) -> None:
    table = unique_table()
    endpoint = f"http://127.0.0.1:{_free_port()}/{azurite.account}"
    nowhere = Account("m", azurite.account, "key", azurite.key, endpoint, True)
    text = document(nowhere, rate=1, period=5).replace('"Metrics"', f'"{table}"')
    with daemon(tmp_path) as bed:
        bed.configure(text, upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        until(lambda: "refused" in str(bed.health()["components"]["uploader"]["message"]), 40, bed.describe)
        until(lambda: bed.status()["status"] in ("warning", "error"), 10, bed.describe)
        uploader = next(s for s in bed.status()["substatus"] if s["name"] == "uploader")
        assert "refused" in uploader["formattedMessage"]["message"]
        assert next(s for s in bed.status()["substatus"] if s["name"] == "collector")["status"] == "success"
        queued = until(lambda: sum(b.queued for b in ledger.read(str(bed.state)).values()), 20, bed.describe)
        assert queued > 0
        lines = [line for line in bed.log.read_text().splitlines() if "refused" in line and "uploader" in line]
        assert len(lines) == 1  # one line per state change, however many attempts
        bed.configure(text.replace(nowhere.table_endpoint, azurite.table_endpoint), upload_spread_s=0)
        os.kill(bed.pid("watchdog"), signal.SIGHUP)
        until(lambda: (b := ledger.read(str(bed.state)).get(table)) and b.delivered > queued, 60, bed.describe)
        until(lambda: bed.status()["status"] == "success", 10, bed.describe)
        bed.stop()
        assert azurite.key not in bed.log.read_text()
    assert sum(1 for _ in open_reader(azurite.key_account()).query(table)) > queued


def test_a_wrong_key_is_an_error_that_says_so(tmp_path: Path, azurite: Azurite) -> None:
    wrong = Account("m", azurite.account, "key", "d3Jvbmc=" * 8, azurite.table_endpoint, True)
    with daemon(tmp_path) as bed:
        bed.configure(document(wrong, rate=1, period=5), upload_spread_s=0)
        bed.start()
        until(lambda: "uploader" in bed.health().get("components", {}), 20, bed.describe)
        until(lambda: bed.health()["components"]["uploader"]["level"] == "error", 40, bed.describe)
        message = bed.health()["components"]["uploader"]["message"]
        assert "key" in message, message
        until(lambda: bed.status()["status"] == "error", 10, bed.describe)
        assert "d3Jvbmc" not in bed.describe()
        bed.stop()


def test_an_expired_sas_is_named(tmp_path: Path, azurite: Azurite) -> None:
    from datetime import timedelta

    token = azurite.sas(expires_in=timedelta(minutes=-5), starts_in=timedelta(hours=-2))
    with daemon(tmp_path) as bed:
        bed.configure(document(azurite.sas_account(token), rate=1, period=5), upload_spread_s=0)
        bed.start()
        until(lambda: "expired" in str(bed.health().get("components", {}).get("uploader")), 40, bed.describe)
        assert token.rpartition("sig=")[2] not in bed.describe()
        bed.stop()
