"""The room that ``collector.db`` may take: cap, free-space floor, reserve, and what goes when it is not enough.

SQLite needs room even to delete (spec/storage.md 6). On a full disk there are three sources of it, tried in this
order: a preallocated reserve, the log's own file (it begins anew after a checkpoint), and pages of old rows. Old rows
are given up in the same transaction that stores the new ones, so that none is lost for nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from functools import partial

from extension.store.database import is_full, reuse_log, transaction

RESERVE_BYTES = 1 << 20
STEPS = (20, 100, 500)
"""So many of the oldest batches are given up for a change, if fewer are not enough."""
LEAST_BYTES = 1 << 20
"""What the store may take below the floor too: enough for the samples of open windows and the newest rows."""
SHORT_LOG, LONG_LOG = 50, 1000
"""Pages after which the log is checkpointed, below the floor and above it: a long one holds room that the file needs,
and then neither can go on."""
SPARE_BYTES = 2 << 20
GIVE_BACK_PAGES = 4096
"""Free pages beyond ``SPARE_BYTES`` that are given back to the file system at a time."""


def _nothing() -> int:
    return 0


def free_bytes(folder: str) -> int:
    """Bytes that are free for this process on the disk of ``folder``."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


class Bounds:
    """Keeps ``db`` in ``folder`` below ``max_bytes`` and off the last ``min_free_bytes`` of its disk.

    ``drop_oldest(batches, reason)`` gives up rows within the open transaction and returns how many,
    ``thin_samples()`` the oldest samples of open windows (which are no rows: 0); ``free()`` gives the bytes that are
    free; ``report(message)`` is told of each state change.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        folder: str,
        *,
        max_bytes: int,
        min_free_bytes: int,
        report: Callable[[str], None],
        drop_oldest: Callable[[int, str], int],
        thin_samples: Callable[[], int],
        free: Callable[[], int],
    ) -> None:
        self._db = db
        self._reserve = os.path.join(folder, "reserve")
        self._page = int(db.execute("PRAGMA page_size").fetchone()[0])
        self._max_bytes = max_bytes
        self._min_free = min_free_bytes
        self._report = report
        self._drop_oldest = drop_oldest
        self._thin_samples = thin_samples
        self._free = free
        self._low = False
        self._trouble = ""
        self._lately = False
        self._lost = 0
        self._has_reserve = False
        self._complained = ""
        self.look()

    # -- before each change

    def look(self) -> None:
        """See how much of the disk is free: below the floor the file grows no more; the reserve is kept if it can."""
        free = self._free()
        floor = max(self._min_free, 4 * RESERVE_BYTES)
        low = free < (floor * 5 // 4 if self._low else floor)
        if low != self._low:
            self._low = low
            self._limit(max(LEAST_BYTES, self._pages() * self._page) if low else self._max_bytes)
            self._db.execute(f"PRAGMA wal_autocheckpoint={SHORT_LOG if low else LONG_LOG}").fetchone()
            if low:
                self._report(
                    f"{free >> 20} MiB are free on the disk of {self._reserve}, less than the floor: the "
                    "store does not grow any more, new rows take the place of the oldest ones; free some space"
                )
            elif not self._trouble:
                self._report("there is enough free space on the disk again: the store may grow")
        if not self._has_reserve and free >= 4 * RESERVE_BYTES:
            self._keep_reserve()

    def _limit(self, size: int) -> None:
        self._db.execute(f"PRAGMA max_page_count={max(64, min(size, self._max_bytes) // self._page)}").fetchone()

    def _pages(self) -> int:
        return int(self._db.execute("PRAGMA page_count").fetchone()[0])

    def used_bytes(self) -> int:
        """The used part of the file."""
        return (self._pages() - self._free_pages()) * self._page

    def _free_pages(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def _keep_reserve(self) -> None:
        try:
            fd = os.open(self._reserve, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)
            self._has_reserve = True
        except OSError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                self._report(f"cannot keep a reserve of 1 MiB in {self._reserve}: {error}")

    def problem(self) -> str:
        """What status shows of the room for the store, "" while there is enough; the same words while it lasts."""
        if self._trouble == "thinning":
            return f"the store is full: the oldest samples of open windows are given up for new ones; {self._cure()}"
        if self._trouble == "refusing":
            return f"the store is full: what is sampled now cannot be kept; {self._cure()}"
        if self._low:
            return (
                f"free space is below the floor on the disk of {os.path.dirname(self._reserve)}: the store does not "
                "grow, new rows take the place of the oldest ones; free some space"
            )
        return ""

    # -- when there is no room

    def make_room(self, change: Callable[[], None], error: sqlite3.Error) -> bool:
        """``change`` did not fit, as ``error`` says: store it in the place of something else.

        False if it cannot be done; then nothing has changed.
        """
        self._lately = True
        lost = self._attempt(change, _nothing) if self._gain_room() else None
        reason = "disk free-space floor" if self._low else "store full"
        ways: list[Callable[[], int]] = [partial(self._drop_oldest, batches, reason) for batches in STEPS]
        thinned = False
        for way in (*ways, self._thin_samples) if lost is None else ():
            lost = self._attempt(change, way)
            if lost is not None:
                thinned = way is self._thin_samples
                break
        self._lost += lost or 0
        if thinned and self._trouble != "thinning":
            self._trouble = "thinning"
            self._report(
                f"the store is full ({error}): the oldest samples of open windows are given up for new ones, and "
                f"their rows are made of fewer; {self._cure()}"
            )
        elif lost is None and self._trouble != "refusing":
            self._trouble = "refusing"
            self._report(f"the store is full ({error}): what is sampled now cannot be kept; {self._cure()}")
        elif lost and not self._trouble:
            self._trouble = "dropping"
            self._report(f"the store is full ({error}): the oldest rows are dropped for new ones; {self._cure()}")
        return lost is not None

    def _cure(self) -> str:
        return f"free some space on the disk of {os.path.dirname(self._reserve)}, or mend the upload"

    def _gain_room(self) -> bool:
        """On a full disk, give up the reserve and begin the log anew; whether that can have helped."""
        if self._free() > 2 * RESERVE_BYTES:
            return False  # it is the cap or the floor that is reached, not the end of the disk
        if os.path.exists(self._reserve):
            os.unlink(self._reserve)
        self._has_reserve = False
        reuse_log(self._db)
        return True

    def _attempt(self, change: Callable[[], None], give_up: Callable[[], int]) -> int | None:
        """Rows given up for ``change``, or None if it does not fit even so."""
        try:
            with transaction(self._db):
                lost = give_up()
                change()
        except sqlite3.OperationalError as again:
            if not is_full(again):
                raise
            reuse_log(self._db)
            return None
        return lost

    # -- now and then

    def keep_house(self) -> int:
        """Drop the oldest rows over 90 % of the cap, give back what is no longer used, end a trouble that is over.

        Returns the rows dropped. Nothing of it is urgent: what does not fit on a full disk is left for later.
        """
        self.look()
        dropped = 0
        try:
            size = self._pages() * self._page
            if size > self._max_bytes * 9 // 10 and self.used_bytes() > self._max_bytes * 9 // 10:
                with transaction(self._db):
                    dropped = self._drop_oldest(STEPS[0], "store size cap")
            spare = self._free_pages() - SPARE_BYTES // self._page if size > SPARE_BYTES else 0
            if spare > 0:
                # a script is run to its end; a statement without columns would end after one page
                self._db.executescript(f"PRAGMA incremental_vacuum({min(spare, GIVE_BACK_PAGES)})")
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            dropped = 0
        if dropped:
            self._lately = True
            self._lost += dropped
            if not self._trouble:
                self._trouble = "dropping"
                self._report(
                    f"the store is nearly at its cap of {self._max_bytes >> 20} MiB: the oldest unsent rows are dropped"
                )
        elif self._trouble and not self._lately:
            self._report(f"the store takes data without a loss again; {self._lost} unsent rows were dropped meanwhile")
            self._trouble, self._lost = "", 0
        self._lately = bool(dropped)
        return dropped
