"""What a decoder says of one message: the event to store or the reason against it, and the reply to the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from extension.plan import Plan
from extension.rows import ticks
from extension.rows.edm import EdmValue

Event = tuple[str, int, dict[str, EdmValue]]
"""(source, time in Unix microseconds, columns)."""

Columns = tuple[tuple[str, str, str], ...]
"""(name, type, mdstype) of a static schema, as in :class:`extension.plan.Source`."""

MIN_TIME_US = -11_644_473_600 * ticks.SECOND_US
MAX_TIME_US = 253_402_300_800 * ticks.SECOND_US - 1
"""What a table's DateTime can hold: 1601-01-01 up to the end of 9999."""


@dataclass(frozen=True)
class Answer:
    """The outcome of one message.

    ``event`` is to be stored, None if nothing is; then ``reason`` says why, in words that do not change from message
    to message so that they can be counted ("" for an echo), and ``detail`` adds names for a log, never values.
    ``reply`` goes to the client once the event is stored (at once without an event), b"" for no reply;
    ``not_stored`` goes instead when it could not be stored, b"" where the protocol has no word for that.
    """

    reply: bytes = b""
    event: Event | None = None
    reason: str = ""
    detail: str = ""
    not_stored: bytes = b""


class Decoder(Protocol):
    """One connection's state: schemas or TAGs that it has sent. ``kind`` is ``json`` or ``djson``."""

    kind: str

    def decode(self, message: object, now_us: int) -> Answer:
        """``message`` is a JSON value as :mod:`json` reads it; ``now_us`` the time (Unix us) it was received."""


def tables(plan: Plan) -> Mapping[str, Columns | None]:
    """The in-memory tables that a message can name, with their columns (None: it brings its own).

    Besides the declared sources these are the tables that local queries and derived events fill: mdsd looks a source
    up among all of them (spec/mdsd.md 6.2).
    """
    found: dict[str, Columns | None] = {}
    for target in (*(q.target for q in plan.queries), *(d.target for d in plan.derived)):
        if target.store == "local":
            found[target.event] = None
    found.update({source.name: source.columns for source in plan.sources})
    return found


def text(value: str) -> str:
    """The string with lone surrogates (JSON can name them, UTF-8 and the tables cannot) as U+FFFD."""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
