"""What a pipeline run leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from extension.pipeline.batches import Batch
from extension.pipeline.named import Named
from extension.pipeline.records import Record

Dated = tuple[int, Record]
"""A record and its precise time in Unix microseconds."""


@dataclass(frozen=True)
class Output:
    """``batches`` of rows for the outbox; ``local`` records for the in-memory table; ``skipped``: reasons for what
    never became a row; ``dropped``: rows that no sink would take, by (name in the ledger, reason)."""

    batches: list[Batch] = field(default_factory=list)
    local: list[Dated] | Named = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)
