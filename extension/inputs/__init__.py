"""The JSON inputs of a document: what any mdsd client sends becomes events of its sources (spec/mdsd.md 6.1, 6.2).

:mod:`framing` cuts a connection's bytes into messages, a :class:`Decoder` turns one message into an event or a reason
against it, :mod:`server` does so for real sockets. The first two know neither sockets nor time.
"""

from __future__ import annotations

from collections.abc import Callable

from extension.inputs.answer import Answer, Decoder, Event, tables
from extension.inputs.dynamic_json import KIND as DYNAMIC
from extension.inputs.dynamic_json import DynamicDecoder
from extension.inputs.static_json import KIND as STATIC
from extension.inputs.static_json import StaticDecoder
from extension.inputs.tags import MAX_TAGS
from extension.plan import Plan

__all__ = ["DYNAMIC", "STATIC", "Answer", "Decoder", "Event", "decoder", "tables", "wanted"]


def decoder(kind: str, plan: Plan, max_tags: Callable[[], int] = lambda: MAX_TAGS) -> Decoder:
    """A fresh connection of the socket ``kind`` (``json`` or ``djson``). ValueError for another kind.

    ``max_tags`` gives the number of TAGs that it may remember.
    """
    if kind == STATIC:
        return StaticDecoder(tables(plan), plan.dupe_window_s, max_tags)
    if kind == DYNAMIC:
        return DynamicDecoder(tables(plan))
    raise ValueError(f"unknown input socket {kind!r}: it is {STATIC} or {DYNAMIC}")


def wanted(plan: Plan) -> bool:
    """Whether the document has a source that something reads: only then do its sockets exist."""
    read = {r.source for r in plan.routes} | {d.source for d in plan.derived} | {p.event for p in plan.publishers}
    return any(source.name in read for source in plan.sources)
