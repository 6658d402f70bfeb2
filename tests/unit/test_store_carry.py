"""The balance holds when the uploader's file is lost or damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extension.pipeline.batches import Batch
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore


def _queue(store: CollectorStore, n: int, rows: int = 3) -> None:
    with store.transaction():
        for i in range(n):
            store.queue([Batch("m", "T", [Row("pk", f"{i}-{j}", {"V": ("Int64", j)}) for j in range(rows)])], 1.0)


def _send(uploads: UploaderStore, n: int) -> None:
    for batch in uploads.pending("m", n):
        uploads.acknowledge(batch.id, batch.table, 2, {"InvalidInput": 1}, 5.0)


def _balance(folder: Path) -> ledger.Balance:
    found = ledger.read(str(folder))["T"]
    assert found.produced == found.delivered + found.queued + sum(found.dropped.values()), found
    return found


@pytest.mark.parametrize("how", ["deleted", "damaged"])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_lost_uploader_file_loses_no_count(tmp_path: Path, how: str, restarted: bool) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 10)
    uploads = UploaderStore(str(tmp_path))
    _send(uploads, 4)
    assert store.forget_delivered() == 4
    _send(uploads, 2)  # acknowledged and not yet deleted: these are sent once more
    uploads.close()
    for end in ("-wal", "-shm"):
        if os.path.exists(f"{tmp_path}/uploader.db{end}"):
            os.unlink(f"{tmp_path}/uploader.db{end}")
    if how == "deleted":
        os.unlink(tmp_path / "uploader.db")
    else:
        (tmp_path / "uploader.db").write_bytes(b"not a database" * 1000)
    uploads = UploaderStore(str(tmp_path))
    found = _balance(tmp_path)
    assert (found.delivered, found.dropped, found.queued, found.last_success) == (8, {"InvalidInput": 4}, 18, 5.0)
    if restarted:
        store.close()
        store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _send(uploads, 100)
    assert store.forget_delivered() == 6  # the new file's acknowledgements are seen
    found = _balance(tmp_path)
    assert (found.delivered, found.dropped, found.queued) == (20, {"InvalidInput": 10}, 0)


def test_a_new_store_begins_at_nothing(tmp_path: Path) -> None:
    uploads = UploaderStore(str(tmp_path))
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 1)
    _send(uploads, 1)
    assert (_balance(tmp_path).delivered, _balance(tmp_path).queued) == (2, 0)


def test_dropping_delivered_batches_keeps_their_counts(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 4)
    uploads = UploaderStore(str(tmp_path))
    _send(uploads, 2)
    assert store.drop_oldest(3, "store full") == 3
    uploads.close()
    os.unlink(tmp_path / "uploader.db")
    UploaderStore(str(tmp_path))
    found = _balance(tmp_path)
    assert (found.delivered, found.queued) == (4, 3)
