"""SIGKILL of every process at random moments while rows go to Azurite: every expected row pair, exactly once."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from extension.rows import keys, ticks
from extension.sinks.reader import open_reader
from extension.store import ledger
from tests.azurite_bed import Azurite
from tests.daemon_bed import COUNTERS, PARTITION_KEY, daemon, document, until

RATE, PERIOD, SECONDS, KILLS = 1, 5, 50, 14
COMPONENTS = ("collector", "uploader", "watchdog")


def test_nothing_is_lost_or_doubled(tmp_path: Path, azurite: Azurite) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    account = azurite.key_account()
    table = "Metrics" + azurite.account[:3] + str(seed)
    text = document(account, rate=RATE, period=PERIOD).replace('"Metrics"', f'"{table}"')
    with daemon(tmp_path) as bed:
        bed.configure(text, upload_spread_s=0)
        bed.start()
        bed.wait_healthy()
        begin = time.time()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 2 * SECONDS / KILLS - 0.2))
            name = chance.choice(COMPONENTS)
            if any(bed.pid(other) for other in COMPONENTS if other != name):  # somebody must be left to start others
                bed.kill(name)
        until(lambda: bed.pid("watchdog"), 30, bed.describe)
        bed.wait_healthy(60)
        end = time.time()
        last = int(end) // PERIOD * PERIOD
        until(lambda: last * 10**6 in _closed(bed.state), 30, bed.describe)
        until(lambda: all(b.queued == 0 for b in ledger.read(str(bed.state)).values()), 60, bed.describe)
        bed.stop()
        balance = ledger.read(str(bed.state))
        found = list(open_reader(account).query(table, partition_key=PARTITION_KEY))
    assert all(not b.dropped and b.produced == b.delivered + b.queued for b in balance.values()), balance
    by_key = {e.row_key: e for e in found}
    assert len(by_key) == len(found)
    names = [name for counters in COUNTERS.values() for name in counters]
    first = int(begin) // PERIOD * PERIOD + PERIOD
    missing = []
    counts: Counter[int] = Counter()
    for start in range(first, last - PERIOD, PERIOD):
        for name in names:
            pair = keys.metric_row_keys(name, start)
            rows = [by_key.get(k) for k in pair]
            if None in rows:
                missing.append((ticks.iso(start * 10**6), name))
                continue
            assert rows[0].columns == rows[1].columns  # type: ignore[union-attr]
        samples = {
            n: by_key[keys.metric_row_keys(n, start)[0]].columns["Count"][1]
            for n in names
            if keys.metric_row_keys(n, start)[0] in by_key
        }
        if samples:
            # a rate counts as often as the plain values: it was there in the first sample after each restart too
            assert len(set(samples.values())) == 1, (ticks.iso(start * 10**6), samples)
            counts[next(iter(samples.values()))] += 1
    assert not missing, f"seed {seed}: {missing}\n{bed.describe()}"
    assert max(counts) == PERIOD // RATE, counts


def _closed(state: Path) -> set[int]:
    import sqlite3

    with sqlite3.connect(state / "collector.db") as db:
        return {int(end) * 10**6 for (end,) in db.execute("SELECT closed FROM windows")}
