"""Credentials change under a running daemon, on a real table service: what waits meanwhile is delivered, once."""

from __future__ import annotations

import os
import signal
import uuid
from datetime import timedelta
from pathlib import Path

from extension.plan import Account
from extension.sinks.reader import open_reader
from extension.store import ledger
from extension.view import status
from tests.azurite_bed import Azurite
from tests.daemon_bed import PARTITION_KEY, Daemon, daemon, document, until

RATE, PERIOD = 1, 5
HOUR = timedelta(hours=1)


def _balance(bed: Daemon, table: str) -> ledger.Balance:
    return ledger.read(str(bed.state)).get(table, ledger.Balance())


def _problems(bed: Daemon) -> list[str]:
    return [problem["code"] for problem in status.gather(str(bed.state))["problems"]]


def _take_over(bed: Daemon, account: Account, table: str) -> None:
    """What enable does with new settings: another document, and a signal."""
    bed.configure(_document(account, table), upload_spread_s=0)
    os.kill(bed.pid("watchdog"), signal.SIGHUP)


def _document(account: Account, table: str) -> str:
    return document(account, rate=RATE, period=PERIOD).replace('"Metrics"', f'"{table}"')


def _more(bed: Daemon, table: str) -> None:
    known = _balance(bed, table).delivered
    until(lambda: _balance(bed, table).delivered > known, 60, bed.describe)


def test_key_to_sas_to_expired_to_sas_without_a_restart(tmp_path: Path, azurite: Azurite) -> None:
    table = "Rotate" + uuid.uuid4().hex[:8]
    wrong = Account("m", azurite.account, "key", "d3Jvbmcga2V5" * 7 + "d3I=", azurite.table_endpoint, True)
    with daemon(tmp_path) as bed:
        bed.configure(_document(azurite.key_account(), table), upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        _more(bed, table)
        watchdog = bed.pid("watchdog")

        _take_over(bed, azurite.sas_account(azurite.sas("rlacuw")), table)
        _more(bed, table)

        expired = azurite.sas_account(azurite.sas("rlacuw", expires_in=timedelta(minutes=-1), starts_in=-HOUR))
        _take_over(bed, expired, table)
        until(lambda: _balance(bed, table).queued > 0, 60, bed.describe)
        until(lambda: "credential-expired" in _problems(bed), 60, bed.describe)
        until(lambda: "upload-error" in _problems(bed), 60, bed.describe)
        assert "the SAS expired at" in bed.log.read_text()

        _take_over(bed, wrong, table)
        until(lambda: "was it rotated?" in bed.log.read_text(), 60, bed.describe)

        _take_over(bed, azurite.sas_account("?" + azurite.sas("rlacuw")), table)
        until(lambda: _balance(bed, table).queued == 0, 60, bed.describe)
        _more(bed, table)
        bed.wait_healthy()
        assert bed.pid("watchdog") == watchdog
        bed.stop()
        log = bed.log.read_text()
        balance = _balance(bed, table)
    assert balance.dropped == {}
    assert balance.produced == balance.delivered + balance.queued
    rows = list(open_reader(azurite.key_account()).query(table, partition_key=PARTITION_KEY))
    assert len(rows) == balance.delivered  # none twice, and none that was counted is missing
    for account in (wrong, expired):
        assert account.secret not in log
        assert account.secret.rpartition("sig=")[2] not in log
