"""``collector.db``: samples, windows, raw counters, outbox and what was produced. Written by the collector alone.

Everything that one tick changes is one transaction, or, if it only samples, one record of
:mod:`extension.store.journal`: a kill at any instant loses at most the tick in progress and duplicates nothing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, TypeVar

from extension.pipeline.batches import Batch
from extension.rows.packed import pack
from extension.store import bodies, carry, deferred, drops, gaps, ledger, raw, salvage, samples, upgrade
from extension.store.acks import Acknowledgements
from extension.store.bounds import Bounds
from extension.store.bounds import free_bytes as disk_free
from extension.store.database import (
    Connection,
    StoreError,
    inodes,
    is_corrupt,
    is_full,
    open_checked,
    open_writer,
    set_aside,
    transaction,
)
from extension.store.deflate import compressed
from extension.store.journal import Journal

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows(id TEXT PRIMARY KEY, closed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, t REAL NOT NULL, moniker TEXT NOT NULL,
  tbl TEXT NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS given_up(batch INTEGER PRIMARY KEY, tbl TEXT NOT NULL, reason TEXT NOT NULL,
  n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS produced(tbl TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(tbl TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY(tbl, reason)) WITHOUT ROWID;
"""
_SCHEMA += samples.SCHEMA + gaps.SCHEMA
KEPT_GIVEN_UP = 5000
"""Batches that were dropped so long ago that none of them can be on its way any more need not be remembered."""


class CollectorStore:
    """The collector's durable state in ``folder``.

    ``max_bytes`` caps the file, ``min_free_bytes`` is the free-space floor of its disk (``free_bytes()`` tells what is
    free, by default the system); ``report(message)`` is told of every state change (store set aside, disk full,
    batches dropped).
    """

    def __init__(
        self,
        folder: str,
        *,
        max_bytes: int,
        min_free_bytes: int = 0,
        report: Callable[[str], None] = lambda _message: None,
        free_bytes: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = os.path.join(folder, "collector.db")
        self._uploads = os.path.join(folder, "uploader.db")
        self._reserve = os.path.join(folder, "reserve")
        self._max_bytes = max_bytes
        self._report = report
        self._clock = clock
        self._acks = Acknowledgements(self._uploads, report)
        self._reported: dict[str, object] = {}
        self._damaged: set[str] = set()
        try:
            self.db = self._open()
            self.generation = self._generation()
        except (StoreError, sqlite3.OperationalError) as error:
            if not is_full(error.__cause__ or error) or not os.path.exists(self._reserve):
                raise
            os.unlink(self._reserve)  # it is kept for this: even to open the store takes room
            self.db = self._open()
            self.generation = self._generation()
        upgrade.take_over(self.db)
        self.samples = samples.Samples(self.db, self._tell_damage)
        self._journal = Journal(folder)
        self._ticks = deferred.Deferred(self.db, self.samples, self._journal)
        self._bounds = Bounds(
            self.db,
            folder,
            max_bytes=max_bytes,
            min_free_bytes=min_free_bytes,
            report=report,
            drop_oldest=self._give_up,
            thin_samples=self.samples.thin,
            free=free_bytes or partial(disk_free, folder),
        )
        self._inodes = inodes(self.path)
        self._ticks.load(self.number(deferred.LAST, float), self._tell_damage, report)
        self._take_in()
        self._catch_up(folder)

    # -- opening

    def _open(self) -> Connection:
        try:
            return open_checked(self.path, _SCHEMA, max_bytes=self._max_bytes)
        except StoreError as error:
            if not is_corrupt(error.__cause__ or error):
                raise
            why = str(error.__cause__ or error)
        aside = set_aside(self.path)
        db = open_writer(self.path, _SCHEMA, max_bytes=self._max_bytes)
        with transaction(db):
            now = self._clock()
            loss = salvage.carry_over(aside, self._uploads, db, now)
            db.execute("INSERT OR REPLACE INTO meta VALUES('replaced', ?)", (repr(now),))
        self._report(
            f"the store {self.path} was unusable ({why}); it is kept as {aside} and a new one was started: {loss}"
        )
        return db

    def _generation(self) -> str:
        known = self.get("generation")
        if known is None:
            known = os.urandom(8).hex()
            # batches of a store that this one replaces may still be on their way: no number is used twice
            first = int.from_bytes(os.urandom(5), "big") << 20
            with self.transaction():
                self.put("generation", known)
                self.db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES('outbox', ?)", (first,))
        return known

    def _catch_up(self, folder: str) -> None:
        """Count what the uploader knows the end of and this file does not.

        A power cut may take the newest transactions, and a file may be lost: then rows are in their tables that this
        store knows nothing of, and numbers of batches would be given again that the uploader has acknowledged.
        """
        with suppress(sqlite3.Error), self.transaction():
            drops.take_over(self.db, {}, self._clock())
        with suppress(StoreError, sqlite3.Error, ValueError):
            newest = max(ledger.acknowledged(folder, self.generation), default=0)
            unknown = {t: n for t, b in ledger.read(folder).items() if (n := b.unproduced) > 0}
            with self.transaction():
                self.db.execute("UPDATE sqlite_sequence SET seq=max(seq, ?) WHERE name='outbox'", (newest,))
                for table, n in unknown.items():
                    self._count_produced(table, n)
                if unknown and self.get("last_sample") is None:
                    self.put("replaced", repr(self._clock()))
                    self.put(carry.SETTLED, carry.totals_of(self._uploads))
            if unknown:
                self._report(
                    f"the store {self.path} lacks its newest changes, or is a new one: it knew nothing of "
                    f"{sum(unknown.values())} rows that were uploaded; rows that it held unsent are lost"
                )

    def in_place(self) -> bool:
        """Whether the files are still those at their path: what is written into removed ones is seen by nobody."""
        return inodes(self.path) == self._inodes

    # -- transactions

    def transaction(self) -> AbstractContextManager[None]:
        """One atomic change; any exception undoes it."""
        return transaction(self.db)

    def commit(self, change: Callable[[], None]) -> bool:
        """Run ``change`` as one atomic change; on a full disk, or at the bounds, in the place of the oldest batches.

        It is a transaction only if it has to be one (:mod:`extension.store.deferred`). False (and one report per state
        change) if it still does not fit: the caller's data of this tick are lost.
        """

        def whole() -> None:
            self._ticks.begin()
            change()
            self._ticks.finish()

        kept = False
        try:
            self.db.in_one(whole, self._bounds.look)
            kept = True
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            kept = self._bounds.make_room(whole, error)
        finally:
            (self._ticks.done if kept else self._ticks.undo)()
        return kept

    def _take_in(self) -> None:
        """Let the file have what only the journal has, if there is room. Rows are not given up for it."""
        if not self._ticks.waiting:
            return
        try:
            self.db.in_one(self._ticks.take_in, self._bounds.look)
        except sqlite3.OperationalError as error:
            self._ticks.undo()
            if not is_full(error):
                raise
        except (ValueError, TypeError) as error:
            self._ticks.undo()
            self._ticks.give_up()
            self._report(f"samples in {self._journal.path} cannot be taken over: {error}; they are left out")
        else:
            self._ticks.done()

    def last_sample(self) -> float | None:
        """When (Unix s) the newest sample was taken."""
        return self._ticks.newest

    # -- small values

    def get(self, key: str) -> str | None:
        """A remembered value."""
        row = self.db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def number(self, key: str, kind: Callable[[str], T]) -> T | None:
        """A remembered value as ``kind`` (int, float) reads it; None if there is none, or a damaged one."""
        text = self.get(key)
        try:
            return None if text is None else kind(text)
        except ValueError:
            self._tell_damage(f"the value {key}")
            return None

    def _tell_damage(self, what: str) -> None:
        if what not in self._damaged:
            self._damaged.add(what)
            self._report(f"{what} is damaged in the store {self.path}: it is left out")

    def put(self, key: str, value: str) -> None:
        """Remember a value."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, value))

    def put_report(self, report: dict[str, object]) -> None:
        """Keep what status shows of the collector, a dict of its own; written only when it changed."""
        if report != self._reported:
            self._reported = report
            with suppress(sqlite3.OperationalError):  # a full disk must not end the collector for a report
                self.put("report", carry.to_json(report))

    def raw(self) -> dict[str, Any]:
        """Raw counters by query, as they were put."""
        return {**raw.read(self.db, self._tell_damage), **self._ticks.states}

    def forget_raw(self, queries: Iterable[str]) -> None:
        """Delete the raw counters of queries; inside a transaction."""
        known = list(queries)
        raw.forget(self.db, known)
        self._ticks.forget_raw(known)

    def put_raw(self, states: Iterable[tuple[str, Any]], last_sample: float | None = None) -> None:
        """Keep the raw counters of queries for their first sample after a restart, and when they were asked; inside a
        change."""
        self._ticks.put_raw(states, last_sample)

    # -- windows

    def closed_until(self, window: str) -> int | None:
        """End (Unix s) of the newest closed window of a derived event, None if it never ran."""
        row = self.db.execute("SELECT closed FROM windows WHERE id=?", (window,)).fetchone()
        return None if row is None else int(row[0])

    def set_closed(self, ends: Mapping[str, int]) -> None:
        """Remember of derived events that all windows up to an end (Unix s) are closed."""
        self.db.executemany("INSERT OR REPLACE INTO windows VALUES(?,?)", ends.items())

    # -- outbox

    def queue(self, batches: Iterable[Batch], now: float) -> int:
        """Put batches into the outbox and count them as produced; returns how many rows."""
        total = 0
        for batch in batches:
            text = bodies.to_json(pack(batch.rows))
            n = len(batch.rows)
            self.db.execute(
                "INSERT INTO outbox(t, moniker, tbl, n, body) VALUES(?,?,?,?,?)",
                (now, batch.moniker, batch.table, n, compressed(text.encode("utf-8", "surrogatepass"))),
            )
            self._count_produced(batch.table, n)
            total += n
        return total

    def refuse(self, table: str, reason: str, rows: int, span: drops.Span | None = None) -> None:
        """Count rows that were made and that no sink would take: produced and dropped at once."""
        self._count_produced(table, rows)
        self.drop(table, reason, rows, span)

    def _count_produced(self, table: str, rows: int) -> None:
        self.db.execute("INSERT INTO produced VALUES(?,?) ON CONFLICT(tbl) DO UPDATE SET n=n+excluded.n", (table, rows))

    def drop(self, table: str, reason: str, rows: int, span: drops.Span | None = None) -> None:
        """Count rows that will never be delivered; ``span``: their times, where they are known."""
        self._count_dropped(table, reason, rows)
        drops.note(self.db, table, reason, self._clock(), rows, span)

    def _count_dropped(self, table: str, reason: str, rows: int) -> None:
        self.db.execute(
            "INSERT INTO dropped VALUES(?,?,?) ON CONFLICT(tbl, reason) DO UPDATE SET n=n+excluded.n",
            (table, reason, rows),
        )

    def drop_oldest(self, batches: int, reason: str) -> int:
        """Drop the oldest unsent batches, counted; returns how many rows."""
        with self.transaction():
            return self._give_up(batches, reason)

    def _give_up(self, batches: int, reason: str) -> int:
        """As :meth:`drop_oldest`, in the open transaction. A batch may just be on its way: it is remembered."""
        acked = self._acks.ids(self.generation)
        rows = 0
        ranges: dict[str, list[drops.Range]] = {}
        found = self.db.execute("SELECT id, tbl, n FROM outbox ORDER BY id LIMIT ?", (batches,)).fetchall()
        for batch, table, n in found:
            span = None if batch in acked else self._span(batch)
            self.db.execute("DELETE FROM outbox WHERE id=?", (batch,))
            if batch not in acked:
                self._count_dropped(table, reason, n)
                ranges.setdefault(table, []).extend([(*span, n)] if span else [])
                self.db.execute("INSERT INTO given_up VALUES(?,?,?,?)", (batch, table, reason, n))
                rows += n
        for table, dated in ranges.items():
            drops.note_all(self.db, table, reason, self._clock(), dated)
        if found:
            self._put_settled()
            self.db.execute("DELETE FROM given_up WHERE batch <= ?", (found[-1][0] - KEPT_GIVEN_UP,))
        return rows

    def _span(self, batch: int) -> drops.Span | None:
        """The times of a batch's rows; None where it cannot be read."""
        with suppress(sqlite3.DatabaseError):
            return drops.span_in(self.db.execute("SELECT body FROM outbox WHERE id=?", (batch,)).fetchone()[0])
        return None

    def _take_back(self, acked: set[int]) -> None:
        """What was dropped here and delivered all the same is not counted as dropped."""
        for batch, table, reason, n in self.db.execute("SELECT batch, tbl, reason, n FROM given_up").fetchall():
            if batch in acked:
                self.db.execute("DELETE FROM given_up WHERE batch=?", (batch,))
                self.db.execute("UPDATE dropped SET n=n-? WHERE tbl=? AND reason=?", (n, table, reason))
                self.db.execute("DELETE FROM dropped WHERE tbl=? AND reason=? AND n<=0", (table, reason))

    def _put_settled(self) -> None:
        """Keep the totals that go with the acknowledgements read last: their batches are deleted here."""
        if self._acks.settled:
            self.put(carry.SETTLED, self._acks.settled)

    def forget_delivered(self) -> int:
        """Delete the batches that the uploader has acknowledged; returns how many."""
        if self._acks.unchanged():
            return 0
        acked = self._acks.ids(self.generation)
        if not acked:
            return 0
        low, high = min(acked), max(acked)
        here = [i for (i,) in self.db.execute("SELECT id FROM outbox WHERE id BETWEEN ? AND ?", (low, high))]
        gone = [(i,) for i in here if i in acked]
        try:
            with self.transaction():
                self.db.executemany("DELETE FROM outbox WHERE id=?", gone)
                self._take_back(acked)
                self._put_settled()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            self._acks.look_again()  # there is no room even to delete: next time
            return 0
        return len(gone)

    def troubles(self) -> dict[str, ledger.Balance]:
        """The rows that were dropped and those that are queued, through the connections that are open already. Raises
        StoreError, sqlite3.Error."""
        with self._acks.snapshot() as uploads:
            return ledger.balances(self.db, uploads, troubles_only=True)

    def enforce_bounds(self) -> int:
        """Drop the oldest batches while the used part of the file is over 90 % of the cap; returns the rows dropped."""
        return self._bounds.keep_house()

    def fill(self) -> float:
        """The used part of what the file may grow to, from 0 to 1."""
        return self._bounds.used_bytes() / self._max_bytes

    def problems(self) -> list[str]:
        """What is wrong with the room for the store, for status."""
        found = self._bounds.problem()
        return [found] if found else []

    def outbox_rows(self) -> int:
        """Rows in the outbox, acknowledged ones that are not yet deleted included."""
        return int(self.db.execute("SELECT coalesce(sum(n),0) FROM outbox").fetchone()[0])

    def close(self) -> None:
        """Close all files."""
        with suppress(sqlite3.Error):  # the journal has it as well
            self._take_in()
        self._journal.close()
        self._acks.close()
        self.db.close()
