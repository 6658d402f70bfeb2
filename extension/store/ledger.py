"""The balance per table: produced = delivered + queued + dropped(reason), read from both files."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field

from extension.store.database import open_reader


@dataclass
class Balance:
    """Row counts of one table since its store was made; ``oldest_queued`` is a Unix time or None."""

    produced: int = 0
    queued: int = 0
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    oldest_queued: float | None = None
    last_success: float | None = None


def read(folder: str) -> dict[str, Balance]:
    """The balance of every table of the store in ``folder``; {} while there is none. Raises StoreError."""
    out: dict[str, Balance] = {}

    def of(table: str) -> Balance:
        return out.setdefault(table, Balance())

    def drop(table: str, reason: str, n: int) -> None:
        dropped = of(table).dropped
        dropped[reason] = dropped.get(reason, 0) + n

    acked: set[int] = set()
    generation = None
    # Acknowledgements first: a batch that is delivered in between counts as queued once more, never as lost.
    uploads = open_reader(os.path.join(folder, "uploader.db"))
    if uploads is not None:
        with closing(uploads) as db:
            db.execute("BEGIN")
            generation = (db.execute("SELECT value FROM meta WHERE key='generation'").fetchone() or (None,))[0]
            acked = {i for (i,) in db.execute("SELECT batch FROM acks")}
            for table, n, last in db.execute("SELECT tbl, n, last FROM delivered"):
                of(table).delivered = n
                of(table).last_success = last
            for table, reason, n in db.execute("SELECT tbl, reason, n FROM dropped"):
                drop(table, reason, n)
    outbox = open_reader(os.path.join(folder, "collector.db"))
    if outbox is not None:
        with closing(outbox) as db:
            db.execute("BEGIN")
            here = (db.execute("SELECT value FROM meta WHERE key='generation'").fetchone() or (None,))[0]
            if here != generation:
                acked = set()
            for table, n in db.execute("SELECT tbl, n FROM produced"):
                of(table).produced = n
            for table, reason, n in db.execute("SELECT tbl, reason, n FROM dropped"):
                drop(table, reason, n)
            for batch, t, table, n in db.execute("SELECT id, t, tbl, n FROM outbox ORDER BY id"):
                if batch not in acked:
                    balance = of(table)
                    balance.queued += n
                    balance.oldest_queued = t if balance.oldest_queued is None else min(t, balance.oldest_queued)
    return out
