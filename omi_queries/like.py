"""LIKE patterns: ``%`` any run, ``_`` one character, ``[a-z]`` and ``[^a-z]`` one of a set; the rest is literal.

A pattern is matched as an automaton whose states are the bits of a number: one step of a few operations on that
number per character of the text, whatever the wildcards are. There is nothing to go back to.
"""

from __future__ import annotations

from collections.abc import Callable

_MAX_REMEMBERED = 1024

_Ranges = tuple[bool, tuple[tuple[str, str], ...]]


def matches_like(pattern: str, text: str) -> bool:
    """Whether all of ``text`` matches. Both are given in the same case."""
    return compile_like(pattern)(text)


def compile_like(pattern: str) -> Callable[[str], bool]:
    """A test of texts in the same case; one that no text passes if a set is not closed."""
    if not any(c in pattern for c in "%_["):
        return pattern.__eq__
    compiled = _Pattern()
    return compiled.matches if compiled.read(pattern) else _nothing


def _nothing(_text: str) -> bool:
    return False


class _Pattern:
    """Bit i of a state: what was read so far matches the first i parts. ``%`` is no part, but a stay in its state."""

    def __init__(self) -> None:
        self._size = 0
        self._stay = 0
        self._any = 0
        self._literals: dict[str, int] = {}
        self._sets: list[tuple[int, _Ranges]] = []
        self._steps: dict[str, int] = {}  # character -> parts that take it

    def read(self, pattern: str) -> bool:
        """Take over the parts of ``pattern``; False if a set is not closed."""
        at = 0
        while at < len(pattern):
            c, bit = pattern[at], 1 << self._size
            at += 1
            if c == "%":
                self._stay |= bit
                continue
            self._size += 1
            if c == "_":
                self._any |= bit
            elif c != "[":
                self._literals[c] = self._literals.get(c, 0) | bit
            else:
                end = pattern.find("]", at)
                if end < 0:
                    return False
                self._sets.append((bit, _ranges(pattern[at:end])))
                at = end + 1
        return True

    def matches(self, text: str) -> bool:
        steps, stay = self._steps, self._stay
        state = 1
        for c in text:
            step = steps.get(c)
            if step is None:
                step = self._step(c)
            state = ((state & step) << 1) | (state & stay)
            if not state:
                return False
        return bool(state >> self._size & 1)

    def _step(self, character: str) -> int:
        step = self._any | self._literals.get(character, 0)
        upper = character.upper()
        for bit, (negated, ranges) in self._sets:
            if any(low <= upper <= high for low, high in ranges) is not negated:
                step |= bit
        if len(self._steps) < _MAX_REMEMBERED:
            self._steps[character] = step
        return step


def _ranges(body: str) -> _Ranges:
    """The ranges of a set. A hyphen makes one with what stands before it, also with the end of another range; it is a
    member of the set only where it comes first, as in the original. Compared in upper case, as there."""
    negated = body.startswith("^")
    body = body[1:].upper() if negated else body.upper()
    ranges: list[tuple[str, str]] = []
    at, last = 0, ""
    while at < len(body):
        if body[at] == "-" and last:
            at += 1
            if at == len(body):
                break
            ranges.append((last, body[at]))
        else:
            ranges.append((body[at], body[at]))
        last = body[at]
        at += 1
    return negated, tuple(ranges)
