"""What the uploader has acknowledged, as the collector reads it from ``uploader.db``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from extension.store import carry
from extension.store.database import StoreError, inodes, open_reader


class Acknowledgements:
    """A kept connection to the uploader's file at ``path``; ``report`` is told why it cannot be read."""

    def __init__(self, path: str, report: Callable[[str], None]) -> None:
        self.settled = ""
        """The totals that go with the ids read last, as :mod:`extension.store.carry` keeps them; "" for none."""
        self._path = path
        self._report = report
        self._db: sqlite3.Connection | None = None
        self._inodes = (0, 0)
        self._version = -1

    def _open(self) -> sqlite3.Connection | None:
        """The file; anew if it was replaced by another."""
        found = inodes(self._path)
        if self._db is not None and found != self._inodes:
            self.close()
        if self._db is None and found[0]:
            self._db = open_reader(self._path)
            self._inodes = found[0], inodes(self._path)[1]  # opening it may have made the second
        return self._db

    def unchanged(self) -> bool:
        """Whether the uploader has written nothing since this was last asked."""
        with suppress(StoreError):
            self._open()
        if self._db is None:
            return False
        before, self._version = self._version, self._db.execute("PRAGMA data_version").fetchone()[0]
        return self._version == before

    def look_again(self) -> None:
        """What was read could not be used: the next :meth:`unchanged` is False."""
        self._version = -1

    def ids(self, generation: str) -> set[int]:
        """The batches of the outbox ``generation`` that are acknowledged and not yet forgotten."""
        self.settled = ""
        try:
            with self.snapshot() as db:
                known = db and db.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
                if not db or not known or known[0] != generation:
                    return set()
                self.settled = carry.totals(db)
                return {i for (i,) in db.execute("SELECT batch FROM acks")}
        except (sqlite3.Error, StoreError) as error:
            self._db = None
            self._report(f"cannot read {self._path}: {error}")
            return set()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection | None]:
        """The file in one state for several questions, None if there is none. Raises StoreError, sqlite3.Error."""
        db = self._open()
        if db is None:
            yield None
            return
        db.execute("BEGIN")
        try:
            yield db
        finally:
            db.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._db is not None:
            self._db.close()
        self._db, self._version = None, -1
