"""The newest ticks stand in a file of their own: whatever happens to it or to the process, each is there once."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.pipeline.named import Named
from extension.rows.ticks import SECOND_US
from extension.store import database, gaps, journal, ledger, runs
from extension.store.collector_db import CollectorStore
from tests.collector_bed import MINUTE, QUERY, Bench, metrics, plan_of

ALL = (0, 1 << 62)
T = MINUTE * SECOND_US
ODD = (7.25, -3, 1 << 70, float("inf"), None, "é\n1 0 [2]\n", True)


def _named(at_us: int, *values: object) -> Named:
    names = [chr(ord("A") + n) for n in range(len(values))]
    return Named(at_us, "N", "V", names, ["Double"] * len(values), list(values), frozenset(names))


def _open(folder: Path, said: list[str] | None = None) -> CollectorStore:
    return CollectorStore(str(folder), max_bytes=64 << 20, report=(said if said is not None else []).append)


def _tick(store: CollectorStore, at_us: int, *values: object, also: Callable[[], object] = lambda: None) -> bool:
    def change() -> None:
        store.samples.add("s", at_us, _named(at_us, *values))
        store.put_raw([("q", {"t": at_us / SECOND_US, "state": list(values)})], at_us / SECOND_US)
        also()

    return store.commit(change)


def _begun(store: CollectorStore) -> None:
    """The first ticks are transactions: the names have to be written, and the time that the others follow on."""
    assert _tick(store, T - 1, 0.0)
    assert _tick(store, T, 0.5)


def _values(store: CollectorStore) -> list[object]:
    return [r.columns["V"][1] for _, r in store.samples.read("s", *ALL)]


def _in_file(store: CollectorStore) -> int:
    return int(store.db.execute("SELECT count(*) FROM runs").fetchone()[0])


def _last(store: CollectorStore) -> float:
    return store.number("last_sample", float) or 0.0


def _size(folder: Path) -> int:
    return (folder / journal.NAME).stat().st_size


@contextmanager
def _statements(store: CollectorStore) -> Iterator[list[str]]:
    seen: list[str] = []
    store.db.set_trace_callback(seen.append)
    yield seen
    store.db.set_trace_callback(None)


def test_a_tick_that_only_samples_is_no_transaction_and_reads_like_one(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    for n in range(3):
        assert _tick(store, T + n * SECOND_US + 2, *ODD)
    with _statements(store) as seen:
        assert _tick(store, T + 9 * SECOND_US, *ODD)
    assert seen == []
    assert _values(store)[-len(ODD) :] == list(ODD)
    assert (tmp_path / journal.NAME).stat().st_mode & 0o777 == 0o600
    before = _values(store)
    other = _open(tmp_path)  # as after a kill
    assert _values(other) == before
    assert other.raw()["q"]["state"] == list(ODD)
    assert other.number("last_sample", float) == MINUTE + 9
    assert _size(tmp_path) == 0  # it is in the file now
    store.db.close()
    other.close()


def test_a_stop_leaves_everything_in_the_database(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    assert _size(tmp_path) > 0
    store.close()
    assert _size(tmp_path) == 0
    (tmp_path / journal.NAME).unlink()
    again = _open(tmp_path)
    assert _values(again) == [0.0, 0.5, 1.0]
    again.close()


def test_the_transaction_of_a_tick_takes_over_what_earlier_ones_left(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _in_file(store) == 2
    for n in range(1, 4):
        assert _tick(store, T + n * SECOND_US, float(n))
    before = _in_file(store)
    assert _tick(store, T + 4 * SECOND_US, 4.0, also=lambda: store.put("k", "v"))
    assert _in_file(store) == before + 3
    assert store.number("last_sample", float) == MINUTE + 3
    assert _values(store) == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]
    assert store.commit(lambda: store.put("k", "w"))  # no tick, but a transaction
    assert store.number("last_sample", float) == MINUTE + 4
    assert _size(tmp_path) == 0
    assert _tick(store, T + 5 * SECOND_US, 5.0)
    assert store.number("last_sample", float) == MINUTE + 4
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert other.raw()["q"]["state"] == [5.0]
    for each in (store, other):
        each.db.close()


def test_readers_know_of_the_newest_tick(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 7 * SECOND_US, 1.0)
    known = gaps.read(store.path)
    assert known is not None
    assert known.last_sample == MINUTE + 7
    store.put("last_sample", repr(MINUTE + 3.5))  # what does not follow on the store counts for nothing
    known = gaps.read(store.path)
    assert known is not None
    assert known.last_sample == MINUTE + 3.5
    store.close()
    (tmp_path / journal.NAME).unlink()
    known = gaps.read(store.path)
    assert known is not None
    assert known.last_sample == MINUTE + 7


def test_a_reader_misses_nothing_that_is_taken_over_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 7 * SECOND_US, 1.0)
    numbers = gaps._numbers

    def taken_over(rows: Any) -> dict[str, float]:
        found = numbers(rows)
        store._take_in()
        return found

    monkeypatch.setattr(gaps, "_numbers", taken_over)
    known = gaps.read(store.path)
    assert known is not None
    assert known.last_sample == MINUTE + 7
    store.close()


def test_raw_counters_of_slow_queries_outlive_those_of_fast_ones(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0, also=lambda: store.put_raw([("slow", {"t": 1, "state": 7})], MINUTE + 0.5))
    for n in range(1, 5):
        assert _tick(store, T + n * SECOND_US, 1.0, also=lambda: store.put("k", "v"))
    other = _open(tmp_path)
    assert other.raw()["slow"]["state"] == 7
    store.db.close()
    other.close()


# -- what a kill or a bad disk leaves


def test_a_record_without_an_end_was_never_finished(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    one = _size(tmp_path)
    assert _tick(store, T + 3, 2.0)
    whole = (tmp_path / journal.NAME).read_bytes()
    copied = tmp_path / "copy"
    for cut in (*range(1, one, 5), *range(one, len(whole))):
        found = [0.0, 0.5, 1.0] if cut >= one else [0.0, 0.5]
        copied.mkdir()
        _copy(store, copied)
        (copied / journal.NAME).write_bytes(whole[:cut])
        said: list[str] = []
        other = _open(copied, said)
        assert (_values(other), said) == (found, [])
        assert _size(copied) == 0
        assert _tick(other, T + 4, 3.0)
        other.db.close()
        again = _open(copied, said)
        assert (_values(again), said) == ([*found, 3.0], [])
        again.close()
        for file in copied.iterdir():
            file.unlink()
        copied.rmdir()
    store.close()


def _copy(store: CollectorStore, folder: Path) -> None:
    there = sqlite3.connect(folder / "collector.db")
    store.db.backup(there)
    there.close()


def test_a_changed_byte_costs_that_sample_and_those_after_it_and_is_said(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    one = _size(tmp_path)
    assert one == 0
    assert _tick(store, T + 2, 1.0)
    two = _size(tmp_path)
    assert _tick(store, T + 3, 2.0)
    whole = (tmp_path / journal.NAME).read_bytes()
    for at in range(one, len(whole), 3):
        copied = tmp_path / str(at)
        copied.mkdir()
        _copy(store, copied)
        (copied / journal.NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        said: list[str] = []
        other = _open(copied, said)
        assert _values(other) == ([0.0, 0.5] if at < two else [0.0, 0.5, 1.0])
        assert [text for text in said if "a sample in collector.ticks is damaged" in text], at
        for n in range(4, 7):  # of the same length as what was there
            assert _tick(other, T + n, float(n))
        other.db.close()
        again = _open(copied, said)
        assert _values(again)[-3:] == [4.0, 5.0, 6.0]
        assert len(_values(again)) == (5 if at < two else 6)
        assert len(said) == 1
        again.close()
    store.close()


def test_what_another_interpreter_left_is_not_interpreted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    monkeypatch.setattr(journal, "_SEED", journal._SEED + 1)
    said: list[str] = []
    other = _open(tmp_path, said)
    assert _values(other) == [0.0, 0.5]
    assert len(said) == 1
    assert "a sample in collector.ticks is damaged" in said[0]
    store.db.close()
    other.close()


def test_records_that_cannot_be_cut_off_are_not_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill between COMMIT and the end of the file."""
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    for name in ("clear", "pass_by"):
        monkeypatch.setattr(store._journal, name, lambda: None)
    assert _tick(store, T + SECOND_US, 2.0, also=lambda: store.put("k", "v"))
    said: list[str] = []
    other = _open(tmp_path, said)
    assert (_values(other), said) == ([0.0, 0.5, 1.0, 2.0], [])
    other._take_in()
    again = _open(tmp_path, said)
    assert (_values(again), said) == ([0.0, 0.5, 1.0, 2.0], [])
    for each in (store, other, again):
        each.db.close()


def test_ticks_that_do_not_follow_on_the_store_are_left_out_and_said(tmp_path: Path) -> None:
    """As a power cut leaves it that took the newest transaction, or an earlier version that went on."""
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 5 * SECOND_US, 1.0)
    store.put("last_sample", repr(MINUTE - 0.5))
    said: list[str] = []
    other = _open(tmp_path, said)
    assert _values(other) == [0.0, 0.5]
    where = tmp_path / journal.NAME
    left_out = "do not follow on what the store holds: they are left out"
    assert said == [f"samples up to 2026-11-21T09:18:05Z in {where} {left_out}"]
    store.put("last_sample", repr(MINUTE + 77.5))  # an earlier version has sampled since
    said.clear()
    again = _open(tmp_path, said)
    assert said == []
    for each in (store, other, again):
        each.db.close()


@pytest.mark.parametrize("with_tick", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_somebody_removes_is_made_again(tmp_path: Path, moved: bool, with_tick: bool) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    there = tmp_path / journal.NAME
    there.rename(tmp_path / "elsewhere") if moved else there.unlink()
    if with_tick:
        assert _tick(store, T + SECOND_US, 2.0, also=lambda: store.put("k", "v"))
    else:
        assert store.commit(lambda: store.put("k", "v"))
        assert _tick(store, T + SECOND_US, 2.0)
    assert _tick(store, T + 2 * SECOND_US, 3.0)
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, 1.0, 2.0, 3.0]
    store.db.close()
    other.close()


@pytest.mark.parametrize("kind", ["a folder", "a link"])
def test_without_the_file_each_tick_is_a_transaction(tmp_path: Path, kind: str) -> None:
    there, other = tmp_path / journal.NAME, tmp_path / "other"
    other.write_text("mine")
    there.mkdir() if kind == "a folder" else there.symlink_to(other)
    said: list[str] = []
    store = _open(tmp_path, said)
    for n in range(4):
        assert _tick(store, T + n, float(n))
        assert store.number("last_sample", float) == (T + n) / SECOND_US
    store.close()
    assert other.read_text() == "mine"
    assert len(said) == 1
    assert said[0].startswith(f"{there} cannot be used: ")


def test_what_cannot_be_read_is_said_and_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    content = (tmp_path / journal.NAME).read_bytes()

    def broken(_fd: int, _size: int, _at: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    _failing(monkeypatch, pread=broken)
    said: list[str] = []
    other = _open(tmp_path, said)
    assert said == [f"{tmp_path / journal.NAME} cannot be used: Input/output error; samples in it are left out"]
    assert _tick(other, T + 9, 9.0)
    assert _values(other) == [0.0, 0.5, 9.0]
    assert (tmp_path / journal.NAME).read_bytes() == content
    for each in (store, other):
        each.db.close()


# -- when there is no room


def _failing(monkeypatch: pytest.MonkeyPatch, **calls: Callable[..., object]) -> None:
    names = {name: getattr(os, name) for name in dir(os) if not name.startswith("__")}
    monkeypatch.setattr(journal, "os", SimpleNamespace(**names | calls))


@pytest.mark.parametrize("short", [False, True])
def test_what_the_journal_does_not_take_is_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)

    def full(fd: int, data: bytes, at: int) -> int:
        if not short:
            raise OSError(errno.ENOSPC, "no space left on device")
        return os.pwrite(fd, data[:-3], at)

    _failing(monkeypatch, pwrite=full)
    size = _size(tmp_path)
    with pytest.raises(OSError, match=r"[Nn]o space"):
        store._journal.append(journal.Tick(1.0, 2.0, [(1, 2, [3.0] * 50)], {}))
    assert _size(tmp_path) == size
    assert _tick(store, T + 3, 2.0)
    assert store.number("last_sample", float) == (T + 3) / SECOND_US
    monkeypatch.undo()
    assert _tick(store, T + 4, 3.0)
    assert store.number("last_sample", float) == (T + 3) / SECOND_US
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, 1.0, 2.0, 3.0]
    store.db.close()
    other.close()


def test_the_journal_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_WAITING", 5)
    store = _open(tmp_path)
    for n in range(30):
        assert _tick(store, T + n * SECOND_US, float(n))
        assert n - 6 <= _last(store) - MINUTE <= n
    monkeypatch.setattr(journal, "MAX_WAITING", 1000)
    monkeypatch.setattr(journal, "MAX_BYTES", 2000)
    for n in range(30, 100):
        assert _tick(store, T + n * SECOND_US, float(n))
        assert _size(tmp_path) <= 2000
    assert _values(store) == [float(n) for n in range(100)]
    assert _last(store) > MINUTE + 70
    store.close()


def test_records_that_the_store_has_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "STALE_BYTES", 1000)
    store = _open(tmp_path)
    _begun(store)
    for n in range(1, 100):
        assert _tick(store, T + n * SECOND_US, float(n), also=(lambda: store.put("k", "v")) if n % 4 == 0 else int)
        assert _size(tmp_path) < 3000
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, *(float(n) for n in range(1, 100))]
    store.db.close()
    other.close()


def test_a_tick_whose_transaction_fails_is_nowhere(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)

    def broken() -> None:
        raise RuntimeError("in the middle")

    def after_a_statement() -> None:
        store.put("k", "v")
        broken()

    for also in (broken, after_a_statement):
        with pytest.raises(RuntimeError):
            _tick(store, T + 3, 2.0, also=also)
        assert _values(store) == [0.0, 0.5, 1.0]
    size = _size(tmp_path)
    commit = store._ticks.finish

    def finish() -> None:
        commit()
        assert _size(tmp_path) > size
        raise RuntimeError("COMMIT")

    store._ticks.finish = finish  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        _tick(store, T + 3, 2.0, also=lambda: store.put("k", "v"))
    assert _size(tmp_path) == size
    store._ticks.finish = commit  # type: ignore[method-assign]
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, 1.0]
    store.db.close()
    other.close()


def test_a_tick_that_is_tried_again_is_there_once(tmp_path: Path) -> None:
    """On a full disk the transaction is made again in the place of old rows."""
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    fails = [2]
    finish = store._ticks.finish

    def full() -> None:
        finish()
        fails[0] -= 1
        if fails[0] >= 0:
            raise sqlite3.OperationalError("database or disk is full")

    store._ticks.finish = full  # type: ignore[method-assign]
    assert _tick(store, T + 3, 2.0, also=lambda: store.put("k", "v"))
    assert fails[0] < 0
    assert _values(store) == [0.0, 0.5, 1.0, 2.0]
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5, 1.0, 2.0]
    store.db.close()
    other.close()


def test_a_full_store_gives_up_no_rows_for_what_the_journal_has(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(130)
    rows = bench.store.outbox_rows()
    waiting = _size(tmp_path / "state")
    assert waiting > 0
    assert rows > 0

    def full() -> int:
        return 0

    bench.store._bounds._free = full
    (tmp_path / "state" / "reserve").unlink()
    store = bench.store
    finish = store._ticks.finish

    def no_room() -> None:
        finish()
        raise sqlite3.OperationalError("database or disk is full")

    store._ticks.finish = no_room  # type: ignore[method-assign]
    store.close()
    assert _size(tmp_path / "state") == waiting
    bench.start()
    assert bench.store.outbox_rows() == rows
    assert ledger.read(str(tmp_path / "state"))["M20261119"].dropped == {}
    bench.store.close()


def test_where_nothing_can_be_taken_over_a_start_goes_on_from_the_newest_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.run(128)
    assert bench.store._ticks.waiting
    newest = bench.store.last_sample()
    times = [at for at, _ in bench.store.samples.read("s", *ALL)]
    bench.wait(1.5)
    with monkeypatch.context() as no_room:
        no_room.setattr(CollectorStore, "_take_in", lambda _self: None)
        bench.start()
        assert bench.store.last_sample() == newest
        assert [at for at, _ in bench.store.samples.read("s", *ALL)] == times
        bench.run(60)
    slots = [at // (15 * SECOND_US) for at, _ in bench.store.samples.read("s", *ALL)]
    assert all(slots.count(slot) == 2 for slot in set(slots))  # of two counters
    assert not [text for text in bench.said if "no sample" in text]
    bench.store.close()


def test_a_tick_that_was_in_progress_never_comes_to_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + SECOND_US, 1.0)
    store._journal.append(journal.Tick(MINUTE + 1.0, MINUTE + 2.0, [(1, T + 2 * SECOND_US, [99.0])], {}))
    monkeypatch.setattr(CollectorStore, "_take_in", lambda _self: None)  # there is no room
    said: list[str] = []
    other = _open(tmp_path, said)
    assert other.raw()["q"]["state"] == [1.0]
    assert other.last_sample() == MINUTE + 1
    assert _tick(other, T + 3 * SECOND_US, 3.0, also=lambda: other.put("k", "v"))
    again = _open(tmp_path, said)
    assert _values(again) == [0.0, 0.5, 1.0, 3.0]
    assert said == []
    for each in (store, other, again):
        each.db.close()


def test_a_time_that_stands_still_ties_nothing_to_a_transaction(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T, 1.0)
    assert _size(tmp_path) > 0
    assert _tick(store, T, 2.0, also=lambda: store.put("k", "v"))
    assert _size(tmp_path) == 0
    assert _values(store) == [0.0, 0.5, 1.0, 2.0]
    store.close()


def test_what_sqlite_does_not_take_ends_no_start_for_ever(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, "\ud800")
    store.db.close()
    said: list[str] = []
    other = _open(tmp_path, said)
    assert len(said) == 1
    assert "cannot be taken over" in said[0]
    assert _values(other) == [0.0, 0.5]
    assert _tick(other, T + 3, 2.0)
    other.db.close()
    again = _open(tmp_path, said)
    assert _values(again) == [0.0, 0.5, 2.0]
    again.close()


# -- together with the rest


def test_a_long_time_has_what_waits_too_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SHORT", 3)
    store = _open(tmp_path)
    for n in range(12):
        assert _tick(store, T + n * SECOND_US, float(n), also=(lambda: store.put("k", "v")) if n < 8 else int)
    assert store._ticks.waiting
    assert _in_file(store) > 3
    assert _values(store) == [float(n) for n in range(12)]
    assert store.samples.window_starts("s", MINUTE, MINUTE + 12, 6) == [MINUTE, MINUTE + 6]
    store.close()


@pytest.mark.parametrize("short", [1, 300])
def test_times_that_went_back_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int) -> None:
    monkeypatch.setattr(runs, "SHORT", short)
    store = _open(tmp_path)
    times = [T, T + 1, T + 9 * SECOND_US, T + 6 * SECOND_US, T + 5 * SECOND_US, T + 3 * SECOND_US]
    for n, at in enumerate(times):
        assert _tick(store, at, float(n), also=(lambda: store.put("k", "v")) if n < 4 else int)
    assert store._ticks.waiting
    assert [at for at, _ in store.samples.read("s", *ALL)] == sorted(times)
    assert [at for at, _ in store.samples.read("s", T + 4 * SECOND_US, T + 7 * SECOND_US)] == [times[4], times[3]]
    store.close()


def test_names_of_what_waits_are_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_LAYOUTS", 2)
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0, 2.0)
    assert store.commit(lambda: store.samples.trim_runs(T + 2 * SECOND_US))
    assert _tick(store, T + 3 * SECOND_US, 3.0)
    store.samples.runs._changed = True  # as after new names
    assert store._ticks.waiting
    assert _tick(store, T + 4 * SECOND_US, 4.0, 5.0, 6.0)
    assert _values(store) == [3.0, 4.0, 5.0, 6.0]
    names = [r.columns["N"][1] for _, r in store.samples.read("s", *ALL)]
    assert names == ["A", "A", "B", "C"]
    store.close()


def test_what_waits_can_be_thinned(tmp_path: Path) -> None:
    store = _open(tmp_path)
    for n in range(0, 1000, 100):
        assert _tick(store, T + n * SECOND_US, float(n))
    assert len(store._ticks._waiting) > 5
    assert store.commit(lambda: (store.samples.thin(), None)[1])
    assert _values(store) == [float(n) for n in range(300, 1000, 100)]
    store.close()


def test_a_tick_that_is_forgotten_in_its_own_change_is_nowhere(tmp_path: Path) -> None:
    store = _open(tmp_path)
    _begun(store)
    assert _tick(store, T + 2, 1.0)
    assert _tick(store, T + SECOND_US, 2.0, also=lambda: store.samples.forget_from("s", T + 2))
    assert _values(store) == [0.0, 0.5]
    other = _open(tmp_path)
    assert _values(other) == [0.0, 0.5]
    assert other.last_sample() == MINUTE + 1
    store.db.close()
    other.close()


def test_a_clock_that_is_set_back_forgets_what_only_the_journal_has(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(tmp_path, derived=(metrics(), metrics(duration=3600, event="H"))))
    bench.run(95)
    times = [at for at, _ in bench.store.samples.read("s", *ALL)]
    assert bench.store._ticks.waiting
    bench.step(-300)
    bench.run(20)
    after = [at for at, _ in bench.store.samples.read("s", *ALL)]
    assert 0 < len(after) == len(set(after)) * 2
    assert max(after) < min(times)
    bench.wait(1)
    bench.start()
    assert [at for at, _ in bench.store.samples.read("s", *ALL)] == after
    bench.store.close()


class _Model:
    """A store, and what should be in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.store = _open(folder, self.said)
        self.at, self.values = T, list[float]()

    def tick(self, how: str) -> None:
        self.at += SECOND_US // 3
        value = float(self.at - T)

        def also() -> None:
            if how in ("row", "fails"):
                self.store.put("k", how)
            if how == "trim":
                self.store.samples.trim_runs(self.at - 2 * SECOND_US)
            if how == "fails":
                raise RuntimeError(how)

        with suppress(RuntimeError):
            assert _tick(self.store, self.at, value, also=also)
            self.values.append(value)
        if how == "trim":
            first = (self.at - 2 * SECOND_US) // SECOND_US * SECOND_US
            self.values = [v for v in self.values if v + T >= first]

    def other(self, how: str) -> None:
        self.at += SECOND_US // 5
        if how == "set back":
            self.at -= 2 * SECOND_US
            assert self.store.commit(lambda: self.store.samples.forget_from("s", self.at))
            self.values = [v for v in self.values if v + T < self.at]
        elif how == "forget":
            before = self.at - 2 * SECOND_US
            assert self.store.commit(lambda: self.store.samples.trim_runs(before))
            self.values = [v for v in self.values if v + T >= before // SECOND_US * SECOND_US]
        elif how == "kill":
            self.store.db.close()
            self.store = _open(self.folder, self.said)
        elif how == "stop":
            self.store.close()
            self.store = _open(self.folder, self.said)
        else:
            assert self.store.commit(lambda: self.store.put("k", how))


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.sampled_from(["quiet"] * 6 + ["row", "fails", "trim", "forget", "set back", "kill", "stop", "commit"]),
        max_size=40,
    )
)
def test_any_sequence_leaves_what_was_kept(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    model = _Model(tmp_path_factory.mktemp("model"))
    for how in steps:
        (model.tick if how in ("quiet", "row", "fails", "trim") else model.other)(how)
        assert _values(model.store) == model.values, (how, steps)
    model.other("kill")
    assert _values(model.store) == model.values
    assert model.said == []
    model.store.close()


def _killed_at(folder: Path, number: int, seconds: float) -> bool:
    """Sample for so long in another process, which is killed before the statement or the change of the journal of this
    number, from the opening on, or in the middle of a write; whether it was."""
    child = os.fork()
    if not child:
        try:
            left = [number]

            def count() -> bool:
                left[0] -= 1
                return left[0] == 0

            def kill() -> None:
                os.kill(os.getpid(), signal.SIGKILL)

            def pwrite(fd: int, data: bytes, at: int) -> int:
                if count():
                    kill()
                if count():
                    os.pwrite(fd, data[: len(data) // 2], at)
                    kill()
                return os.pwrite(fd, data, at)

            def counted(call: Callable[..., Any]) -> Callable[..., Any]:
                def called(*args: Any) -> Any:
                    if count():
                        kill()
                    return call(*args)

                return called

            names = {name: getattr(os, name) for name in dir(os) if not name.startswith("__")}
            calls = {"pwrite": pwrite, "ftruncate": counted(os.ftruncate), "replace": counted(os.replace)}
            shim: Any = SimpleNamespace(**names | calls)
            journal.os = shim  # type: ignore[attr-defined]
            journal.STALE_BYTES = 100
            for name in ("execute", "executemany", "executescript"):
                setattr(database.Connection, name, counted(getattr(database.Connection, name)))
            _bench(folder).run(seconds)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _bench(folder: Path) -> Bench:
    plan = plan_of(folder, (QUERY, replace(QUERY, rate=30)), (metrics(), metrics(duration=3600, event="H")))
    return Bench(folder, plan)


def test_a_kill_at_any_point_loses_no_sample_and_doubles_none(tmp_path: Path) -> None:
    killed, number = True, 0
    while killed and number < 400:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        killed = _killed_at(folder, number, 125)
        _killed_at(folder, number * 7 % 61 + 1, 0)  # and once more when it is opened again
        bench = _bench(folder)
        times = [at for at, _ in bench.store.samples.read("s", *ALL)]
        last = bench.store.number("last_sample", float)
        assert not times or (last is not None and abs(max(times) / SECOND_US - last) < 1), number
        slots = [at // (15 * SECOND_US) for at in times]
        expected = {slot: 4 if slot * 15 % 30 == 0 else 2 for slot in slots}  # two counters of one query or two
        assert all(slots.count(slot) <= expected[slot] for slot in set(slots)), number
        bench.wait(125)
        bench.run(70)
        bench.deliver()
        assert bench.audit()["ok"], number
        assert ledger.read(str(folder / "state"))["M20261119"].unproduced == 0
        counts = [e.columns["Count"][1] for e in bench.rows()]
        assert counts
        assert max(counts) <= 6, number
        assert not [text for text in bench.said if "damaged" in text or "do not follow" in text], number
        bench.store.close()
    assert not killed
    assert number > 80
