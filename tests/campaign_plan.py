"""Which fault comes when: a timeline drawn from a seed, so that the same seed gives the same one. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.campaign_proxy import BREAKS

COMPONENTS = ("collector", "uploader", "watchdog")
QUIET_S = 3.0
"""Faults of one process are so far apart: a process that never gets to sample proves nothing."""

_LAST = {"stop": (0.3, 3.0), "outage": (1.0, 6.0), "disk": (2.0, 5.0)}
_WEIGHTS = {"kill": 12, "stop": 8, "answer": 28, "outage": 4, "disk": 3, "clock": 3} | {
    "reload": 2,
    "upgrade": 1,
    "hang": 1,
}
MAX_SHIFT_S, SHIFT_SHARE = 25.0, 14
"""The clock is never further off, and never by more than this part of the run: a collector waits for a clock that was
set back."""


@dataclass(frozen=True)
class Fault:
    """One fault: from ``at`` to ``at + lasts`` (seconds after the beginning); ``what``: the process, or the name of
    what is done to the next ``count`` answers; ``shift``: how far off the clock is from then on."""

    at: float
    kind: str
    what: str = ""
    lasts: float = 0.0
    count: int = 1
    shift: float = 0.0


def draw(seed: int, faults: int, seconds: float, *, disk: bool, hang_s: float) -> list[Fault]:
    """``faults`` faults over ``seconds``. Every kind, process and broken answer comes up in time, however short the
    run: each is dealt from a shuffled deck. ``disk``: whether the disk can be filled; ``hang_s``: a stop that is
    longer is taken for a hang by the watchdog."""
    chance = random.Random(seed)
    kinds = {k: w for k, w in _WEIGHTS.items() if disk or k != "disk"}
    decks: dict[str, list[str]] = {}

    def deal(deck: str, cards: list[str]) -> str:
        if not decks.get(deck):
            decks[deck] = cards[:]
            chance.shuffle(decks[deck])
        return decks[deck].pop()

    found: list[Fault] = []
    spared: dict[str, float] = {}
    for number in range(faults):
        at = seconds * (number + chance.random() * 0.9) / faults
        kind = deal("kind", [k for k, w in kinds.items() for _ in range(w)])
        what, lasts, count, shift = "", 0.0, 1, 0.0
        if kind in ("kill", "stop"):
            what = deal(kind, list(COMPONENTS))
            lasts = chance.uniform(*_LAST[kind]) if kind == "stop" else 0.0
        elif kind == "hang":
            kind, what, lasts = "stop", "collector", hang_s + 2.0
        elif kind == "answer":
            what, count = deal("answer", list(BREAKS)), chance.choice((1, 1, 2))
        elif kind == "clock":
            shift = chance.uniform(-1, 1) * min(MAX_SHIFT_S, seconds / SHIFT_SHARE)
        elif kind in _LAST:
            lasts = chance.uniform(*_LAST[kind])
        at = max(at, spared.get(what, 0.0)) if what in COMPONENTS else at
        if what in COMPONENTS:
            spared[what] = at + lasts + QUIET_S
        found.append(Fault(at, kind, what, lasts, count, shift))
    return sorted(found, key=lambda fault: fault.at)
