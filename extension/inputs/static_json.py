"""Messages of the static-schema JSON input: TAG, SOURCE, DATA (spec/mdsd.md 6.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from extension.inputs.answer import Answer, Columns
from extension.inputs.convert import CONVERTERS
from extension.inputs.tags import MAX_TAGS, TagWindow
from extension.rows.edm import EdmValue

KIND = "json"


class StaticDecoder:
    """One connection of the static JSON input; ``known``: the tables with the columns of their schemas.

    A TAG is echoed whatever becomes of its event, as mdsd does; ``reason`` tells what did.
    """

    kind = KIND

    def __init__(
        self, known: Mapping[str, Columns | None], dupe_window_s: int, max_tags: Callable[[], int] = lambda: MAX_TAGS
    ) -> None:
        self._known = known
        self._tags = TagWindow(dupe_window_s, max_tags)

    def decode(self, message: object, now_us: int) -> Answer:
        """The event of ``{"TAG": …, "SOURCE": …, "DATA": […]}``, or the echo of ``{"ECHO": …}``."""
        if not isinstance(message, dict):
            return Answer(reason="not an event", detail="the message is not a JSON object")
        tag, echo = _member(message, "TAG"), _member(message, "ECHO")
        if not isinstance(tag, str):
            if isinstance(echo, str):
                return Answer(reply=_line(echo))
            return Answer(reason="not an event", detail="the message has neither TAG nor ECHO as a string")
        source, data = _member(message, "SOURCE"), _member(message, "DATA")
        if not isinstance(source, str) or not isinstance(data, list):
            return Answer(reason="incomplete event", detail="SOURCE must be a string and DATA an array")
        reply = _line(tag)
        if not tag:
            return Answer(reply, reason="empty TAG", detail=f"source {source[:80]!a}")
        if self._tags.seen(tag, now_us):
            return Answer(reply, reason="duplicate TAG", detail=f"source {source[:80]!a}")
        return self._event(source, data, reply, now_us)

    def _event(self, source: str, data: list[object], reply: bytes, now_us: int) -> Answer:
        if source not in self._known:
            return Answer(reply, reason="unknown source", detail=f"the document has no source {source[:80]!a}")
        schema = self._known[source]
        if schema is None:
            why = f"{source} has no static schema: its messages belong to the dynamic JSON socket"
            return Answer(reply, reason=f"{source}: no static schema", detail=why)
        columns: dict[str, EdmValue] = {}
        for (name, kind, mds), value in zip(schema, data, strict=False):
            convert = CONVERTERS.get((kind, mds))
            converted = None if convert is None else convert(value)
            if converted is None:
                reason = f"{source}: {name} cannot be converted from {kind} to {mds}"
                return Answer(reply, reason=reason, detail=f"it came as {_json_type(value)}")
            columns[name] = converted
        if len(data) != len(schema):
            why = f"DATA has {len(data)} values, the schema {len(schema)} columns"
            return Answer(reply, reason=f"{source}: wrong number of columns", detail=why)
        return Answer(reply, event=(source, now_us, columns))


def _member(message: Mapping[str, object], name: str) -> object:
    """The member of that name in any case, as mdsd's JSON library looks it up; None without one."""
    if name in message:
        return message[name]
    return next((value for key, value in message.items() if key.upper() == name), None)


def _line(tag: str) -> bytes:
    return tag.encode("utf-8", "replace") + b"\n"


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string that does not fit"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number that does not fit"
    return "an array" if isinstance(value, list) else "an object"
