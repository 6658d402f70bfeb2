"""A disk that is really full: the store goes on, loses as little as it can, counts it, and recovers by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension import locks
from extension.pipeline.batches import Batch
from extension.pipeline.records import Record
from extension.rows.edm import Row
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from tests.campaign_bed import NoDiskError, fill, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    try:
        with small_disk(folder, 16):
            yield folder
    except NoDiskError as reason:
        pytest.skip(str(reason))


class Ticks:
    """A store and its ticks: each adds a sample and, every tenth time, a batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.number = 0
        self.open()

    def open(self) -> None:
        self.store = CollectorStore(
            str(self.folder), max_bytes=8 << 20, min_free_bytes=1 << 20, report=self.said.append
        )

    def tick(self, size: int = 200) -> bool:
        self.number += 1
        rows = [Row("pk", f"{self.number}-{i}", {"S": ("String", os.urandom(size).hex())}) for i in range(10)]

        def change() -> None:
            self.store.samples.add("s", self.number, [Record({"V": ("Double", self.number / 7)})])
            self.store.samples.trim("s", self.number - 60)
            if self.number % 10 == 0:
                self.store.queue([Batch("m", "T", rows)], float(self.number))

        return self.store.commit(change)


def _balance(folder: Path) -> ledger.Balance:
    found = ledger.read(str(folder))["T"]
    assert found.produced == found.delivered + found.queued + sum(found.dropped.values())
    return found


def test_sampling_goes_on_and_the_reserve_comes_back(disk: Path) -> None:
    ticks = Ticks(disk)
    for _ in range(200):
        assert ticks.tick()
    fill(disk)
    kept = [ticks.tick() for _ in range(600)]
    assert all(kept)
    assert not (disk / "reserve").exists()
    uploads = UploaderStore(str(disk))
    queued = uploads.pending("m", 1000)
    assert queued[-1].rows[0].row_key.startswith(f"{ticks.number}-")  # the newest
    (disk / "ballast").unlink()
    assert ticks.tick()
    ticks.store.enforce_bounds()
    ticks.store.enforce_bounds()
    assert (disk / "reserve").stat().st_size == 1 << 20
    assert 2 <= len(ticks.said) <= 4, ticks.said
    assert sum(_balance(disk).dropped.values()) == 0  # the reserve was enough for all


def test_with_nothing_left_ticks_are_refused_whole_and_go_on_when_space_returns(disk: Path) -> None:
    ticks = Ticks(disk)
    for _ in range(20):
        assert ticks.tick()
    for _ in range(3):  # another program takes the reserve's place as well
        fill(disk)
        results = [ticks.tick(20_000) for _ in range(200)]
    assert not all(results)
    before = _balance(disk)
    assert before.queued > 0
    (disk / "ballast").unlink()
    assert all(ticks.tick() for _ in range(50))
    assert _balance(disk).queued >= before.queued


def test_it_starts_on_a_full_disk(disk: Path) -> None:
    ticks = Ticks(disk)
    for _ in range(50):
        assert ticks.tick()
    lock = locks.take(str(disk / "collector.lock"))
    os.close(lock)
    ticks.store.close()
    fill(disk)
    lock = locks.take(str(disk / "collector.lock"))
    assert locks.holder(str(disk / "collector.lock")) == os.getpid()
    os.close(lock)
    ticks.open()
    assert all(ticks.tick() for _ in range(50))


def test_the_uploader_goes_on_while_nothing_can_be_written(disk: Path) -> None:
    ticks = Ticks(disk)
    for _ in range(400):
        assert ticks.tick()
    uploads = UploaderStore(str(disk))
    (disk / "reserve").unlink()
    fill(disk)
    sent = 0
    while queued := uploads.pending("m", 10):
        for batch in queued:
            uploads.acknowledge(batch.id, batch.table, len(batch.rows), {}, 1.0)
            sent += len(batch.rows)
        uploads.note("problem:m", "warning x")
    assert sent == 400
    (disk / "ballast").unlink()
    uploads.prune()
    assert _balance(disk).delivered == 400


def test_the_newest_samples_win_where_nothing_else_can_go(disk: Path) -> None:
    """An hour of samples for the hourly windows, nothing queued, and the disk full for good."""
    ticks = Ticks(disk)

    def tick() -> bool:
        ticks.number += 1
        record = Record({f"C{i}": ("String", os.urandom(40).hex()) for i in range(20)})
        return ticks.store.commit(lambda: ticks.store.samples.add("s", ticks.number * 1_000_000, [record]))

    for _ in range(20):
        assert tick()
    fill(disk)
    kept = [tick() for _ in range(3000)]
    assert all(kept), kept.count(False)
    times = [at // 1_000_000 for at, _ in ticks.store.samples.read("s", 0, 10**12)]
    assert times[-1] == ticks.number
    assert set(range(ticks.number - 89, ticks.number + 1)) <= set(times)
    assert len([text for text in ticks.said if "made of fewer" in text]) == 1
    assert "oldest samples of open windows" in ticks.store.problems()[0]
    (disk / "ballast").unlink()
    for _ in range(3):
        assert tick()
        ticks.store.enforce_bounds()
    assert ticks.store.problems() == []
