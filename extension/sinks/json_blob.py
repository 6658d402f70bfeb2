"""How a JSON blob is laid out: blocks, their ids and contents (spec/mdsd.md 5.1). Pure.

A blob is ``{"records":[`` NL, rows joined by ``,`` NL, NL ``]}``. Block 0 is the opening, block 49999 the closing, the
others are one batch of rows each, so that the blob is valid JSON whenever a block list is committed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import unescape

from extension.rows.edm import Row

OPENING = b'{"records":[\n'
CLOSING = b"\n]}"
SEPARATOR = b",\n"
FIRST = 0
LAST = 49999
"""A blob has at most 50,000 blocks."""
RECORD = "record"
_NAME = re.compile(r"<Name>([^<]*)</Name>")
_COMMITTED = re.compile(r"<CommittedBlocks>(.*?)</CommittedBlocks>", re.DOTALL)


def content(rows: Sequence[Row], first: bool) -> bytes:
    """The bytes of one block of rows; every one but the ``first`` of a blob begins with a separator."""
    text = SEPARATOR.join(str(row.columns[RECORD][1]).encode("utf-8", "replace") for row in rows)
    return text if first else SEPARATOR + text


def block_id(number: int) -> str:
    """base64 of the number as eight little-endian bytes."""
    return base64.b64encode(number.to_bytes(8, "little")).decode("ascii")


def number_of(block: str) -> int:
    """The way back from :func:`block_id`. ValueError for a block of another program."""
    try:
        raw = base64.b64decode(unescape(block), validate=True)
    except ValueError:
        raise ValueError(f"block id {block[:80]!r} is none of this format") from None
    number = int.from_bytes(raw, "little")
    if len(raw) != 8 or number > LAST:
        raise ValueError(f"block id {block[:80]!r} is none of this format")
    return number


def block_list(numbers: Iterable[int]) -> bytes:
    """The body that commits these blocks in this order."""
    listed = "".join(f"<Latest>{block_id(n)}</Latest>" for n in numbers)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode("ascii")


def committed(answer: str) -> list[int]:
    """The numbers of the committed blocks in a block list as the service answers it. ValueError as above."""
    section = _COMMITTED.search(answer)
    return [number_of(name) for name in _NAME.findall(section.group(1))] if section else []


def next_number(blocks: Sequence[int]) -> int:
    """The number of the next block of rows."""
    return max((n for n in blocks if n != LAST), default=FIRST) + 1


def with_block(blocks: Sequence[int], number: int) -> list[int]:
    """The block list after the block ``number`` was added before the closing one."""
    return [*([n for n in blocks if n not in (number, LAST)] or [FIRST]), number, LAST]


def acceptable_path(path: str) -> bool:
    """Whether the service takes the name and a file tree can hold it: no step upwards, no control characters."""
    steps = path.split("/")
    return 0 < len(path) <= 1024 and path.isprintable() and "\\" not in path and not {".", ".."} & set(steps)
