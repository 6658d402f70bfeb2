"""Steps of the clock under the real processes."""

from __future__ import annotations

import time
from pathlib import Path

from extension.plan import Account
from tests.daemon_bed import daemon, document, until
from tests.shifted_code import Clock, install


def test_a_clock_that_was_set_back_is_waited_for_and_that_is_no_hang(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        clock = Clock(tmp_path / "clock")
        bed.code = install(tmp_path / "code", clock)
        account = Account("m", "acct", "key", "c2VjcmV0", f"file://{tmp_path}/tables.db", True)
        bed.configure(document(account, rate=1, period=10), upload_spread_s=0, hang_s=3)
        bed.start()
        bed.wait_healthy()
        collector = bed.pid("collector")
        clock.set(-20.0)
        until(lambda: "the clock was set back" in bed.log.read_text(), 60, bed.describe)
        time.sleep(8)
        assert bed.pid("collector") == collector
        assert bed.health()["components"]["collector"]["restarts"] == 0, bed.describe()
        bed.stop()
