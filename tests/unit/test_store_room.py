"""Trouble with the room for the store is shown in status while it lasts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extension.pipeline.batches import Batch
from extension.rows.edm import Row
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from extension.view import status


def _store(folder: Path, free: list[int]) -> CollectorStore:
    return CollectorStore(
        str(folder), max_bytes=2 << 20, min_free_bytes=64 << 20, free_bytes=lambda: free[0]
    )  # fmt: skip


def _put(store: CollectorStore, size: int) -> bool:
    rows = [Row("p", "r", {"S": ("String", os.urandom(size // 2).hex())})]

    def change() -> None:
        store.queue([Batch("m", "T", rows)], 1.0)

    return store.commit(change)


def test_a_disk_below_the_floor(tmp_path: Path) -> None:
    free = [1 << 30]
    store = _store(tmp_path, free)
    assert store.problems() == []
    free[0] = 32 << 20
    assert _put(store, 100)
    (problem,) = store.problems()
    assert f"below the floor on the disk of {tmp_path}" in problem
    free[0] = 31 << 20
    assert _put(store, 100)
    assert store.problems() == [problem]  # the same words, so that status does not change all the time
    free[0] = 1 << 30
    assert _put(store, 100)
    assert store.problems() == []


def test_a_store_that_takes_nothing(tmp_path: Path) -> None:
    store = _store(tmp_path, [1 << 30])
    assert not _put(store, 12 << 20)
    (problem,) = store.problems()
    assert "what is sampled now cannot be kept" in problem
    for _ in range(3):
        assert _put(store, 100)
        store.enforce_bounds()
    assert store.problems() == []


@pytest.mark.parametrize(("free", "told"), [(0, True), (1 << 30, False)])
def test_status_tells_of_a_full_disk_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, told: bool
) -> None:
    """The daemon's own report cannot be written then and still says that all is well."""
    _store(tmp_path, [1 << 30]).close()
    monkeypatch.setattr("extension.view.status.free_bytes", lambda _folder: free)
    assert ("disk-full" in [p["code"] for p in status.gather(str(tmp_path))["problems"]]) == told


def test_the_uploaders_log_stays_short(tmp_path: Path) -> None:
    """It is on the same disk, and the reserve of a full one is there for the collector."""
    store = _store(tmp_path, [1 << 30])
    uploads = UploaderStore(str(tmp_path))
    for number in range(600):
        uploads.acknowledge(number, f"T{number % 7}", 1, {}, float(number))
    assert (tmp_path / "uploader.db-wal").stat().st_size < 512 << 10
    store.close()
    uploads.close()
