"""Aligned text tables for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "
MAX_CELL = 60


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines of a table; the columns in ``right`` are right-aligned; long cells are cut with ``…``."""
    table = [list(header), *([_cut(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return [
        GAP.join(
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def fitting(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> int:
    """How many columns from the left fit into ``width`` characters (at least one; all of them for None)."""
    if width is None:
        return len(header)
    used = 0
    for i, name in enumerate(header):
        used += max([len(name), *(len(_cut(row[i])) for row in rows)]) + (len(GAP) if i else 0)
        if used > width:
            return max(i, 1)
    return len(header)


def _cut(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…"
