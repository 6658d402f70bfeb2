"""What a message may not repeat: text that looks like a key, a signature or a password, wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

# None is compiled here: that takes two milliseconds, and settings without mistakes need none of it.
_SUSPECT = (
    r"(?i)(?:^|[?&;\s]|%26)sig(?:=|%3D)|AccountKey=|SharedAccess|(?:://|^)[^/@\s]+:[^/@\s]+@"
    r"|^\s*[A-Za-z0-9+/]{40,}={0,2}\s*$"
)
_ASSIGNED = (
    r"(?i)((?:sig|AccountKey|SharedAccessKey|SharedAccessSignature)(?:=|%3D))[^&;\s\"']+"
    r"|(//[^/@\s:]{1,200}:)[^/@\s]{1,200}@"
)
_RUN = r"(?i)(?:[A-Za-z0-9+/]|%2[BF]|%3D){40,}={0,2}"
_LEAST = 40  # characters of a secret that none of _MARKS gives away; it is one word
_MARKS = ("=", "%", "@", "sharedaccess")
_WINDOW = 30
_DRAWN = 11  # changes between digits, capitals and small letters in a window: about 19 in base64, 6 in words
_LETTERS = 5  # of both cases each: the hexadecimal digits of an id have one

_SEARCHED = 500  # of a value; no message shows more
_LONGEST = 1000  # characters of a message that repeats what it was given


def _changes(run: str) -> Iterator[bool]:
    """Whether each character is of another kind than the one before; a slash parts words, so it counts for none."""
    kinds = [0 if c.isdigit() else 1 if c.isupper() else 2 if c.islower() else 3 for c in run]
    yield from (one != other and 3 not in (one, other) for one, other in pairwise(kinds))


def _hide_run(found: re.Match[str]) -> str:
    """A long run of base64 is hidden where part of it looks drawn by lot; paths and names of many words are not."""
    run = found.group()
    changes = list(accumulate(_changes(run), initial=0))
    kinds = [
        (list(accumulate((test(c) for c in run), initial=0)), least)
        for test, least in ((str.isdigit, 1), (str.isupper, _LETTERS), (str.islower, _LETTERS))
    ]
    drawn = any(
        changes[i + _WINDOW] - changes[i] >= _DRAWN
        and all(found[i + _WINDOW + 1] - found[i] >= least for found, least in kinds)
        for i in range(len(changes) - _WINDOW)
    )
    return "..." if drawn else run


def redacted(text: str) -> str:
    """``text`` without what looks like a key, a signature or a password; cut where it is very long."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text)} characters)"
    if _plain(text):
        return text
    text = re.sub(_ASSIGNED, _hide_assigned, text)
    return re.sub(_RUN, _hide_run, text)


def _hide_assigned(found: re.Match[str]) -> str:
    return f"{found.group(1)}..." if found.group(1) else f"{found.group(2)}...@"


def _plain(text: str) -> bool:
    """Whether no pattern can fit ``text``, told without one."""
    folded = text.casefold()
    return not any(mark in folded for mark in _MARKS) and all(len(word) < _LEAST for word in text.split())


def holds_secret(text: str) -> bool:
    """Whether ``text`` looks as if it held a key, a SAS or a password."""
    start = text[:_SEARCHED]
    return not _plain(start) and (re.search(_SUSPECT, start) is not None or redacted(start) != start)
