"""Sixty faults of every kind in a minute and a half: each row exactly once, or counted with its reason."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests import campaign_plan
from tests.azurite_bed import Azurite
from tests.campaign_proxy import BREAKS
from tests.campaign_run import campaign

FAULTS, SECONDS = 62, 84


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_under_faults(tmp_path: Path, azurite: Azurite) -> None:
    seed = int(os.environ.get("CAMPAIGN_SEED") or random.randrange(1 << 32))
    print(f"seed {seed}: CAMPAIGN_SEED={seed} repeats it")
    made, wrong = campaign(tmp_path, azurite, seed=seed, faults=FAULTS, seconds=SECONDS)
    assert not wrong, f"seed {seed}\n" + "\n".join(wrong) + "\n" + made.last_words
    assert sum(made.done.values()) >= 60
    assert made.proxy.broken >= 10


def test_a_seed_gives_one_timeline_with_every_kind_of_fault() -> None:
    drawn = campaign_plan.draw(7, FAULTS, SECONDS, disk=True, hang_s=6)
    assert drawn == campaign_plan.draw(7, FAULTS, SECONDS, disk=True, hang_s=6)
    assert drawn != campaign_plan.draw(8, FAULTS, SECONDS, disk=True, hang_s=6)
    kinds = {fault.kind for fault in drawn}
    assert kinds == {"kill", "stop", "answer", "outage", "disk", "clock", "reload", "upgrade"}
    assert {f.what for f in drawn if f.kind == "answer"} == set(BREAKS)
    assert {f.what for f in drawn if f.kind == "kill"} == set(campaign_plan.COMPONENTS)
    assert "disk" not in {f.kind for f in campaign_plan.draw(7, 500, SECONDS, disk=False, hang_s=6)}
