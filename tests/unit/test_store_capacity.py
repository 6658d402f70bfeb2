"""Three days of the default configuration without a network: its rows, as they are really stored, fit below the cap."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from extension.collecting import Collector
from extension.config.build import generate
from extension.config.defaults import public_settings
from extension.config.machine import Machine
from extension.config.plan import planned
from extension.plan import Options, Plan
from extension.store.collector_db import CollectorStore
from omi_queries.types import CimValue, Instance, Reading

HOUR = 3600
START = 1_795_251_600
OUTAGE_HOURS = 72


class NoisyStream:
    """One instance whose every selected property is another number each time: nothing that compresses well."""

    def __init__(self, text: str, chance: random.Random) -> None:
        found = re.match(r"SELECT (.*?) FROM (\w+)", text)
        assert found
        self._names, self._chance = found[1].split(","), chance
        self.types = dict.fromkeys(self._names, "real64")

    def prime(self) -> None:
        """Nothing to prime."""

    def read(self, tick: float) -> Reading:
        values: dict[str, CimValue] = {n: self._chance.random() * 10 ** self._chance.randrange(12) for n in self._names}
        instance: Instance = {"Name": "_Total", "InstanceID": "eth0", "IsAggregate": True, **values}
        return Reading([instance], self.types, "noise")

    def state(self) -> dict[str, Any] | None:
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:
        return True


class Noise:
    name = "noise"

    def __init__(self) -> None:
        self._chance = random.Random(3)

    def open(self, namespace: str, text: str) -> NoisyStream:
        return NoisyStream(text, self._chance)

    def close(self) -> None:
        """Nothing to close."""


def _plan(folder: Path) -> Plan:
    text = json.dumps(public_settings()).replace("__DIAGNOSTIC_STORAGE_ACCOUNT__", "acct")
    public = json.loads(text.replace("__VM_OR_VMSS_RESOURCE_ID__", "/subscriptions/s/resourceGroups/g/vm"))
    token = "sv=2018-03-28&ss=bt&srt=sco&sp=rwlacud&se=2099-01-01T00:00:00Z&sig=c2ln"
    made = generate(public, {"storageAccountName": "acct", "storageAccountSasToken": token}, machine=Machine("", ""))
    assert made.xml is not None
    (folder / "xmlCfg.xml").write_bytes(made.xml)
    plan, _ = planned(str(folder / "xmlCfg.xml"), None, "host", {}, datetime.now(timezone.utc))
    assert plan is not None
    return plan


def test_three_days_of_the_default_counters_fit(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    counters = {(q.target.event, column) for q in plan.queries for column in (q.unpivot.columns if q.unpivot else ())}
    assert len(counters) == 48
    cap = Options().store_max_mib << 20
    store = CollectorStore(str(tmp_path), max_bytes=cap)
    now = [float(START - 1)]
    collector = Collector(plan, Noise(), store, lambda: now[0], lambda _level, _text: None, "host")
    collector.start()
    while collector.next_due() <= START + HOUR + 1:
        now[0] = max(now[0], collector.next_due()) + 0.0003
        collector.tick()
    ended = store.fill() * cap
    rows = store.outbox_rows()
    assert rows >= (60 + 1) * 48 * 2
    print(f"{rows} rows an hour take {ended / 1024:.0f} KiB: {ended * OUTAGE_HOURS / cap:.0%} of the cap in 72 h")
    assert ended * OUTAGE_HOURS < cap * 0.9  # above that the oldest are dropped
