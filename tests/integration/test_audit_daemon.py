"""``lad audit`` on the real daemon and Azurite: kills, a pause, a credential that expires and is replaced."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from extension import cli
from extension.store import ledger
from tests.azurite_bed import Azurite
from tests.daemon_bed import Daemon, daemon, document, until

RATE, PERIOD = 1, 5


def _audit(bed: Daemon, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    config = str(bed.home / "xmlCfg.xml")
    code = cli.main(["audit", "--since", "10m", "-c", config, "--state-dir", str(bed.state), "--json", *words])
    out, err = capsys.readouterr()
    assert out, err
    return code, json.loads(out)


def _delivered(bed: Daemon) -> int:
    return sum(b.delivered for b in ledger.read(str(bed.state)).values())


def test_every_row_is_accounted_for_after_kills_and_a_pause(
    tmp_path: Path, azurite: Azurite, table_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = document(azurite.key_account(), rate=RATE, period=PERIOD, raw=True)
    text = text.replace('"Metrics"', f'"{table_name}"').replace('"Raw"', f'"Raw{table_name}"')
    with daemon(tmp_path) as bed:
        bed.configure(text, upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        until(lambda: _delivered(bed) > 20, 30, bed.describe)
        bed.kill("uploader")
        bed.kill("collector")
        until(lambda: bed.pid("collector"), 30, bed.describe)
        time.sleep(3)
        stopped = bed.pid("collector")
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(2 * PERIOD + 2)
        os.kill(stopped, signal.SIGCONT)
        before = _delivered(bed)
        until(lambda: _delivered(bed) > before + 30, 30, bed.describe)
        code, found = _audit(bed, capsys)
        assert code == 0, json.dumps(found, indent=1)
        bed.stop()
    raw, *metrics = found["events"]
    assert (raw["event"], len(metrics)) == (f"Raw{table_name}", 2)
    assert all(e["present"] > 0 and e["unexplained"] == 0 for e in found["events"])
    causes = {cause for e in metrics for cause in e["explained"]}
    assert any("held up" in cause for cause in causes), causes
    assert "no samples for" in bed.log.read_text()


def test_a_row_that_somebody_deleted_is_missing(
    tmp_path: Path, azurite: Azurite, table_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.data.tables import TableClient

    account = azurite.key_account()
    with daemon(tmp_path) as bed:
        text = document(account, rate=RATE, period=PERIOD).replace('"Metrics"', f'"{table_name}"')
        bed.configure(text, upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        until(lambda: _delivered(bed) > 40, 40, bed.describe)
        bed.stop()
    assert _audit(bed, capsys, "--endpoint", azurite.table_endpoint)[0] == 0
    with TableClient.from_connection_string(azurite.connection_string, table_name) as client:
        entity = next(iter(client.query_entities("CounterName eq 'UsedMemory'")))
        client.delete_entity(entity)
    code, found = _audit(bed, capsys)
    assert code == 1, (dict(entity), json.dumps(found, indent=1))
    assert sum(e["unexplained"] for e in found["events"]) == 1
    (hole,) = [h for e in found["events"] for h in e["holes"] if h["cause"] == "unexplained"]
    assert hole["counters"] == ["UsedMemory"]


def test_an_expired_sas_spools_and_a_new_one_resumes_without_a_restart(
    tmp_path: Path, azurite: Azurite, table_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def text(expires_in: timedelta) -> str:
        token = azurite.sas(expires_in=expires_in, starts_in=timedelta(days=-30))
        return document(azurite.sas_account(token), rate=RATE, period=PERIOD).replace('"Metrics"', f'"{table_name}"')

    with daemon(tmp_path) as bed:
        bed.configure(text(timedelta(hours=-1)), upload_spread_s=0)
        bed.start()
        until(lambda: sum(b.queued for b in ledger.read(str(bed.state)).values()) > 20, 60, bed.describe)
        until(lambda: bed.health().get("components", {}).get("uploader", {}).get("level") == "error", 30, bed.describe)
        until(lambda: "expired" in bed.status()["formattedMessage"]["message"], 10, bed.describe)
        assert _delivered(bed) == 0
        watchdog = bed.pid("watchdog")
        bed.configure(text(timedelta(days=5)), upload_spread_s=0)
        os.kill(watchdog, signal.SIGHUP)
        until(lambda: _delivered(bed) > 20, 60, bed.describe)
        until(lambda: "expires on" in bed.log.read_text(), 10, bed.describe)
        assert bed.pid("watchdog") == watchdog
        code, found = _audit(bed, capsys)
        assert code == 0, json.dumps(found, indent=1)
        bed.stop()
    log = bed.log.read_text()
    assert log.count("expired on") <= 2  # the credential's end and the service's answer, once each
    assert log.count("expires on") == 1
    assert "sig=" not in log


def test_a_credential_that_may_read_can_be_given(
    tmp_path: Path, azurite: Azurite, capsys: pytest.CaptureFixture[str]
) -> None:
    """LAD's SAS (sp=acluw) fills the tables and cannot read them back."""
    document_file = tmp_path / "xmlCfg.xml"
    unreadable = azurite.sas_account(azurite.sas("acluw"))
    document_file.write_text(document(unreadable, rate=1, period=5))
    (tmp_path / "key").write_text(azurite.key)
    asked = ["audit", "-c", str(document_file), "--state-dir", str(tmp_path / "state"), "--since", "1m"]
    assert cli.main(asked) == 1
    said = capsys.readouterr()
    assert "read (r); make a new one with sp=racluw" in said.err
    assert unreadable.secret not in said.err + said.out
    cli.main([*asked, "--key-file", str(tmp_path / "key"), "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out)["events"]
    assert said.err == ""
