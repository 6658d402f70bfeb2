"""Reads the answer to an entity group transaction (spec/storage.md 4). Pure functions.

Nothing is believed that is not there: an answer is a success only if it is a multipart text with one 2xx part for each
row that was sent. (A transaction is all or nothing, so what may be missing after the last of them changes nothing.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import unescape

from extension.sinks.rules import Outcome

_BOUNDARY = re.compile(rb'boundary="?([^\s";,]{1,200})', re.IGNORECASE)
_CHANGE_SET = re.compile(
    rb'--([^\s";,]{1,200})\r\nContent-Type: multipart/mixed; boundary=([^\s";,]{1,200})\r\n(?=\r\n--)'
)
_TAKEN = b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 204 "
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?=[ \r\n]|$)")
_HEADER = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_XML_CODE = re.compile(r"<(?:\w+:)?code\b[^<>]*>\s*([A-Za-z0-9]{1,64})\s*</", re.IGNORECASE)
_XML_MESSAGE = re.compile(r"<(?:\w+:)?message\b[^<>]*>([^<]*)</", re.IGNORECASE)
_INDEX = re.compile(r"\s*(\d{1,3}):")
_MAX_PARTS = 1000


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` are asked for in lower case; ``body`` is whole and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def judge(answer: Answer, rows: int) -> Outcome | None:
    """The outcome of a transaction of ``rows`` rows, None when every row was taken."""
    if answer.status != 202:
        return _refusal(answer, answer.headers, rows)
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/mixed"):
        return Outcome(kind="bad-answer", detail=f"{kind[:40] or 'no content type'}, not multipart/mixed", rows=rows)
    kind_bytes = kind.encode("latin-1", "replace")
    if _all_alike(answer.body, kind_bytes, rows):
        return None
    body = answer.body if b"\r\n" in answer.body else answer.body.replace(b"\n", b"\r\n")
    taken = 0
    for part, whole in _parts(body, kind_bytes):
        found = _STATUS.match(part)
        if found is None and whole:
            return Outcome(kind="bad-answer", detail="a part of the answer has no status line", rows=rows)
        status = int(found.group(1)) if found else 0
        if 200 <= status < 300:
            taken += 1
        elif whole:
            return replace(_refusal(_answer_of(status, part), answer.headers, rows), inside=True)
        else:
            return Outcome(kind="truncated", detail=f"broke off after {taken} of {rows} rows", rows=rows)
    if taken != rows:
        return Outcome(kind="truncated", detail=f"{taken} of {rows} rows were answered", rows=rows)
    return None


def _all_alike(body: bytes, content_type: bytes, rows: int) -> bool:
    """Whether the answer is what a service gives to a success: one closed change set of nothing but 204s, all with the
    same head. False if only a look at each part can tell."""
    outer, found = _BOUNDARY.search(content_type), _CHANGE_SET.match(body)
    if outer is None or found is None or found.group(1) != outer.group(1):
        return False
    end, between = b"\r\n--" + found.group(1), b"\r\n--" + found.group(2)
    return (
        body.endswith(between + b"--" + end + b"--\r\n")
        and body.count(end) == 1
        and body.count(between) == rows + 1
        and body.count(between + _TAKEN) == rows
    )


def _parts(body: bytes, content_type: bytes) -> Iterator[tuple[bytes, bool]]:
    """The embedded HTTP answers, in change sets or beside them, and whether each has a boundary after it."""
    waiting: list[tuple[bytes, bytes]] = [(body, content_type)]
    given = 0
    while waiting:
        text, kind = waiting.pop()
        boundary = _BOUNDARY.search(kind)
        if boundary is None:
            yield b"", True
            return
        pieces = (b"\r\n" + text).split(b"\r\n--" + boundary.group(1))
        closed = len(pieces) > 1 and pieces[-1].startswith(b"--")
        if len(pieces) < 2:
            yield b"", False
        for number, piece in enumerate(pieces[1 : -1 if closed else None], 2):
            head, complete, content = piece.partition(b"\r\n\r\n")
            given += 1
            if given > _MAX_PARTS:
                yield b"", True
                return
            if complete and b"multipart/mixed" in head.lower():
                waiting.append((content, head))
            else:
                yield content.lstrip(b"\r\n"), closed or number < len(pieces)


def _answer_of(status: int, part: bytes) -> Answer:
    head, _, body = part.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").replace("\r", "").partition("\n")[2]
    return Answer(status, {name.lower(): value for name, value in _HEADER.findall(lines)}, body)


def _refusal(answer: Answer, outer: Mapping[str, str], rows: int) -> Outcome:
    """What a refusal says of itself; ``outer``: the headers of the answer around it."""
    text = answer.body[:65536].decode("utf-8", "replace").lstrip("\ufeff")
    code, message = _json_error(text) or _xml_error(text)
    code = code or answer.headers.get("x-ms-error-code", "")
    detail, row = first_line(message or text)
    return Outcome(
        status=answer.status,
        code=code if code.isalnum() and len(code) <= 64 else "",
        detail=detail,
        row=row,
        rows=rows,
        retry_after=answer.headers.get("retry-after") or outer.get("retry-after", ""),
        date=answer.headers.get("date") or outer.get("date", ""),
    )


def _json_error(text: str) -> tuple[str, str] | None:
    try:
        error = json.loads(text)["odata.error"]
        code, message = error["code"], error["message"]["value"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return (str(code), str(message))


def _xml_error(text: str) -> tuple[str, str]:
    code, message = _XML_CODE.search(text), _XML_MESSAGE.search(text)
    return (code.group(1) if code else "", unescape(message.group(1)) if message and code else "")


def first_line(text: str) -> tuple[str, int | None]:
    """The first line of a message, and the row that a batch's message starts with (``3:The property ...``)."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if first == "None":  # what the SDK makes of an answer without a body
        return "", None
    if "<html" in first.lower() or first.startswith("<!"):
        return "an HTML page", None
    found = _INDEX.match(first)
    return (first[found.end() :], int(found.group(1))) if found else (first, None)
