"""A long fault campaign from the command line: ``python -m tests.campaign_run --minutes 30 [--seed N]``.

Its seed is printed and gives the same timeline again. Exit code 0 if all held, 1 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
from pathlib import Path

from tests import azurite_bed, campaign_plan
from tests.azurite_bed import Azurite
from tests.campaign_bed import HANG_S, Campaign, NoDiskError, Said, small_disk
from tests.campaign_proxy import CampaignProxy
from tests.daemon_bed import daemon
from tests.shifted_code import Clock

FAULTS_PER_MINUTE = 42


def campaign(
    folder: Path, azurite: Azurite, *, seed: int, faults: int, seconds: float, say: Said = print
) -> tuple[Campaign, list[str]]:
    """Run one; the campaign as it ended, and what did not hold."""
    with contextlib.ExitStack() as stack:
        disk = True
        try:
            stack.enter_context(small_disk(folder / "state"))
        except NoDiskError as reason:
            disk = False
            say(f"without disk faults: {reason}")
        timeline = campaign_plan.draw(seed, faults, seconds, disk=disk, hang_s=HANG_S)
        proxy = CampaignProxy(azurite.table_endpoint)
        stack.callback(proxy.vanish)
        bed = stack.enter_context(daemon(folder))
        made = Campaign(bed, Clock(folder / "clock"), proxy, azurite.key_account(), f"Campaign{seed}", say)
        first, last = made.run(timeline)
        wrong = made.check(first, last)
        say(f"{sum(made.done.values())} faults: {dict(made.done)}; {proxy.broken} answers broken")
        return made, wrong


def main() -> int:
    """Run for so many minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25.0, help="how long faults come (1,000 faults in 24 minutes)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    asked = parser.parse_args()
    os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lad-soak-") as name:
        folder = Path(name)
        try:
            azurite = azurite_bed.start(folder)
        except azurite_bed.UnavailableError as reason:
            print(reason, file=sys.stderr)
            return 1
        try:
            faults = round(asked.minutes * FAULTS_PER_MINUTE)
            (folder / "daemon").mkdir()
            made, wrong = campaign(
                folder / "daemon", azurite, seed=asked.seed, faults=faults, seconds=asked.minutes * 60, say=_say
            )
        finally:
            azurite.stop()
        if wrong:
            print(f"seed {asked.seed}", *wrong, made.last_words, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
