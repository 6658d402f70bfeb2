"""When credentials end: announced 14, 7 and 1 days ahead, once each, and when they have."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from extension.plan import Plan
from extension.sinks import sas
from extension.steps import span
from extension.store.database import StoreError

DAY_S = 86400.0
STAGES = (14, 7, 1, 0)
"""Days ahead; at 0 it has expired."""
NOTE = "expiry"
CURE = "make a new one and enable the extension with it: it is taken over without a restart"


class Memory(Protocol):
    """What is remembered over restarts."""

    def recall(self, key: str) -> str | None:
        """What was remembered under ``key``."""

    def remember(self, key: str, value: str) -> None:
        """Remember ``value``."""

    def note(self, key: str, value: str) -> None:
        """Keep a fact for status."""


@dataclass(frozen=True)
class Ending:
    """A credential that ends: ``what`` names it without any part of it, ``at`` is Unix seconds."""

    what: str
    at: float


def endings(plan: Plan) -> list[Ending]:
    """The credentials of ``plan`` that say when they end. Those of a stored access policy do not."""
    found = []
    for account in plan.accounts:
        expiry = sas.parse(account.secret).expiry if account.kind == "sas" else None
        if expiry is not None:
            found.append(Ending(f"the SAS of account {account.moniker or account.account}", expiry))
    for publisher in plan.publishers:
        text = sas.fields(publisher.url.partition("?")[2]).get("se", "")
        if text.isascii() and text.isdigit() and len(text) <= 12:  # Event Hubs write Unix seconds
            found.append(Ending(f"the SAS of the Event Hub for {publisher.event}", float(text)))
    return found


def stage(left_s: float) -> int | None:
    """The last of :data:`STAGES` that has been reached; None while there is more time."""
    reached = [days for days in STAGES if left_s <= days * DAY_S]
    return min(reached) if reached else None


def text(ending: Ending, now: float, *, lasting: bool = False) -> str:
    """What status and log say; ``lasting``: it stands there for days."""
    left = ending.at - now
    if left <= 0:
        return f"{ending.what} expired on {sas.iso(ending.at)}: rows stay queued; {CURE}"
    soon = "" if lasting else f", in {span(left)}"
    return f"{ending.what} expires on {sas.iso(ending.at)}{soon}; {CURE}"


@dataclass
class Announcer:
    """Looks at the credentials of ``plan`` now and then. ``clock`` gives Unix s; ``log(level, text)``.

    ``problems`` is what status shows: (level, text) of each credential that ends within 14 days.
    """

    plan: Plan
    memory: Memory
    clock: Callable[[], float]
    log: Callable[[str, str], None]
    problems: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._endings = endings(self.plan)
        self._shown: list[tuple[str, int]] | None = None

    def look(self) -> bool:
        """Announce what has come nearer since; True if ``problems`` has changed."""
        now = self.clock()
        near = [(e, at) for e in self._endings if (at := stage(e.at - now)) is not None]
        shown = [(e.what, at) for e, at in near]
        if shown == self._shown:
            return False
        self._shown = shown
        self.problems = [("error" if at == 0 else "warning", text(e, now, lasting=True)) for e, at in near]
        with suppress(StoreError):  # on a full disk status and log go without, the uploads go on
            self.memory.note(NOTE, json.dumps([[e.what, e.at] for e, _ in near]) if near else "")
        for ending, at in near:
            if self._is_new(ending, at):
                self.log("error" if at == 0 else "warning", text(ending, now))
        return True

    def _is_new(self, ending: Ending, at: int) -> bool:
        """Whether this stage was not announced before, by another process either; it is remembered."""
        key = f"expiry {ending.what} {ending.at:.0f}"
        with suppress(StoreError):
            if float(self.memory.recall(key) or math.inf) <= at:
                return False
            self.memory.remember(key, str(at))
        return True


def of_note(note: str, now: float) -> list[tuple[bool, str]]:
    """(expired, text) of each credential in a note that :class:`Announcer` left."""
    try:
        kept = [Ending(str(what), float(at)) for what, at in json.loads(note)] if note else []
    except (ValueError, TypeError):
        return []
    return [(e.at <= now, text(e, now)) for e in kept]
