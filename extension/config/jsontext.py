"""Settings files as text: UTF-8 JSON, bounded in depth and numbers, with every key that stands twice named."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator

from extension.config.problems import Problems
from extension.config.values import member

MAX_DEPTH = 100
"""Levels of objects and lists; settings have fewer than ten."""

_MAX_DIGITS = 300
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class JsonError(ValueError):
    """Text that is not taken. ``where`` is " line N column M" or ""; the text is one line and repeats nothing of it."""

    def __init__(self, message: str, cure: str, where: str = "") -> None:
        super().__init__(message)
        self.cure = cure
        self.where = where


def _constant(name: str) -> object:
    raise JsonError(f"is not JSON: {name} is no JSON value", "write a number or null")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise JsonError(f"is not JSON that can be read: a number of {len(digits)} digits", "write a smaller number")
    return int(digits)


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    again: list[str] = []
    for name in names:
        if name in seen:
            again.append(name)
        seen.add(name)
    return again


def parse(data: bytes, root: str, problems: Problems) -> object:
    """The JSON value of ``data`` (UTF-8, with or without a byte order mark); :class:`JsonError` if there is none.

    Where an object has a key twice the last one counts, as it did for LAD, and a warning names it below ``root``.
    """
    twice: list[tuple[dict[str, object], list[str]]] = []

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(found)
        if len(value) < len(found):
            twice.append((value, _repeated(name for name, _ in found)))
        return value

    if data.startswith(_UTF16):
        raise JsonError("is UTF-16, not UTF-8", "save it as UTF-8")
    try:
        value: object = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=_constant, parse_int=_integer
        )
    except UnicodeDecodeError as problem:
        raise JsonError(f"is not UTF-8 (byte {problem.start})", "save it as UTF-8") from None
    except json.JSONDecodeError as problem:
        where = f" line {problem.lineno} column {problem.colno}"
        reason, cure = _fault(problem.doc, problem.pos) or (problem.msg, "correct it there")
        raise JsonError(f"is not JSON: {reason}", cure, where) from None
    except RecursionError:
        raise _too_deep() from None
    _report(value, root, {id(one): names for one, names in twice}, problems)
    return value


_FAULTS = {
    "//": ("a comment", "remove it: JSON has no comments"),
    "/*": ("a comment", "remove it: JSON has no comments"),
    "#": ("a comment", "remove it: JSON has no comments"),
    "'": ("a text in single quotes", 'write it in double quotes: "..."'),
    "\u201c": ("a typographic quote", 'write a plain one: "'),
    "\u201d": ("a typographic quote", 'write a plain one: "'),
    "\xa0": ("a no-break space", "write a plain blank"),
    "True": ("a word of another language", "write true"),
    "False": ("a word of another language", "write false"),
    "None": ("a word of another language", "write null"),
}
"""What people write where JSON has something else -> what it is, and the cure."""


def _fault(text: str, at: int) -> tuple[str, str] | None:
    """(what is wrong at an offset, cure) for the usual mistakes; None for any other."""
    if not text.strip():
        return "there is nothing in it", "give settings: { ... }"
    before = text[max(0, at - 200) : at].rstrip()
    here = text[at : at + 200].lstrip()
    if before.endswith(",") and here[:1] in ("}", "]"):
        return f"a comma before {here[0]}", "remove that comma"
    return next((said for word, said in _FAULTS.items() if here.startswith(word)), None)


def _too_deep() -> JsonError:
    return JsonError(f"is not JSON that can be read: it nests more than {MAX_DEPTH} levels", "write settings only")


def _children(value: object, path: str) -> Iterator[tuple[object, str]]:
    if isinstance(value, dict):
        yield from ((child, member(path, key)) for key, child in value.items() if isinstance(child, (dict, list)))
    elif isinstance(value, list):
        yield from ((child, f"{path}[{i}]") for i, child in enumerate(value) if isinstance(child, (dict, list)))


def _report(value: object, root: str, twice: dict[int, list[str]], problems: Problems) -> None:
    """Walks level by level, so that neither depth nor size can overflow the stack."""
    level = [(value, root)]
    for _ in range(MAX_DEPTH + 1):
        for one, path in level:
            for name in twice.get(id(one), ()):
                problems.warning(member(path, name), "stands twice here; the last one counts", "remove one of the two")
        level = [child for one, path in level for child in _children(one, path)]
        if not level:
            return
    raise _too_deep()
