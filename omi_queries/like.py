"""LIKE patterns: ``%`` any run, ``_`` one character, ``[a-z]`` and ``[^a-z]`` one of a set; the rest is literal."""

from __future__ import annotations

_ANY = 0


def matches_like(pattern: str, text: str) -> bool:
    """Whether all of ``text`` matches. Both are given in the same case. Time is at most len(pattern) * len(text)."""
    parts = _compile(pattern)
    if parts is None:
        return False
    at = part = 0
    star = mark = -1
    while at < len(text):
        if part < len(parts) and parts[part] == _ANY:
            star, mark = part, at
            part += 1
        elif part < len(parts) and _one(parts[part], text[at]):
            part += 1
            at += 1
        elif star >= 0:  # let the last % take one character more
            mark += 1
            part, at = star + 1, mark
        else:
            return False
    return all(p == _ANY for p in parts[part:])


_Set = tuple[bool, tuple[tuple[str, str], ...]]
_Part = int | str | _Set


def _one(part: _Part, character: str) -> bool:
    if isinstance(part, str):
        return part == "" or part == character
    if isinstance(part, int):
        return False
    negated, ranges = part
    return any(low <= character <= high for low, high in ranges) is not negated


def _compile(pattern: str) -> list[_Part] | None:
    """The pattern's parts: 0 for %, "" for _, a character, or a set; None if a set is not closed."""
    parts: list[_Part] = []
    at = 0
    while at < len(pattern):
        c = pattern[at]
        if c == "%":
            if not parts or parts[-1] != _ANY:
                parts.append(_ANY)
        elif c == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                return None
            parts.append(_set(pattern[at + 1 : end]))
            at = end
        else:
            parts.append("" if c == "_" else c)
        at += 1
    return parts


def _set(body: str) -> _Set:
    negated = body.startswith("^")
    body = body[1:] if negated else body
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            ranges.append((body[at], body[at + 2]))
            at += 3
        else:
            ranges.append((body[at], body[at]))
            at += 1
    return negated, tuple(ranges)
