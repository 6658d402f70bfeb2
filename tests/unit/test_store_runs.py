"""What the queries of a tick gave stands in one row: nothing of it is lost or doubled, and it reads as single samples
do."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from extension.pipeline.named import Named
from extension.pipeline.records import Record
from extension.plan import Target
from extension.rows.ticks import SECOND_US
from extension.store import gaps, ledger, runs
from extension.store.collector_db import CollectorStore
from extension.store.gaps import query_key
from tests.collector_bed import MINUTE, QUERY, Bench, metrics, plan_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "store-before-runs"
ALL = (0, 1 << 62)
T = 1_795_252_680_000_000


def _named(at_us: int, *values: object, names: str = "AB", kinds: tuple[str, ...] = ()) -> Named:
    known = list(kinds) or ["Double"] * len(values)
    return Named(at_us, "N", "V", list(names[: len(values)]), known, list(values), frozenset(names))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Iterator[CollectorStore]:
    found = _store(tmp_path, said)
    yield found
    found.close()


def _store(folder: Path, said: list[str]) -> CollectorStore:
    return CollectorStore(str(folder), max_bytes=64 << 20, report=said.append)


def _tick(store: CollectorStore, at_us: int, **given: Named) -> None:
    def change() -> None:
        for source, named in given.items():
            store.samples.add(source, named.at_us, named)

    assert store.commit(change), at_us


def _read(store: CollectorStore, source: str, begin: int = ALL[0], end: int = ALL[1]) -> list[tuple[int, Record]]:
    found = list(store.samples.read(source, begin, end))
    pairs = [(*r.columns["N"], *r.columns["V"]) for _, r in found if "N" in r.columns]
    assert [tuple(pair) for pair in store.samples.pairs(source, begin, end, "N", "V")] == pairs
    return found


def _count(store: CollectorStore, table: str) -> int:
    return int(store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_tick_is_one_row_and_reads_as_single_samples_do(store: CollectorStore) -> None:
    values = (7.25, 3, float("inf"), None, "é\n1 0 [2]\n", True)
    kinds = ("Double", "Int64", "Double", "Null", "String", "Boolean")
    odd = _named(T + 3, *values, names="abcdef", kinds=kinds)
    _tick(store, T, s=_named(T, 1.5, 2.0), t=odd, u=_named(T + 9, 4.0))
    assert (_count(store, "runs"), _count(store, "samples")) == (1, 0)
    assert _read(store, "s") == list(_named(T, 1.5, 2.0))
    assert _read(store, "t") == list(odd)
    assert _read(store, "u", T + 9, T + 10) == list(_named(T + 9, 4.0))
    assert _read(store, "u", T, T + 9) == []
    assert sorted(store.samples.sources()) == ["s", "t", "u"]


def test_a_row_lies_in_one_second_even_if_the_queries_do_not(store: CollectorStore) -> None:
    late = T + SECOND_US
    _tick(store, T, s=_named(T, 1.0), t=_named(late - 1, 2.0), u=_named(late + 5, 3.0))
    assert _count(store, "runs") == 2
    second = late // SECOND_US
    assert store.samples.window_starts("t", second, second + 1, 1) == []
    assert store.samples.window_starts("u", second, second + 1, 1) == [second]
    store.samples.trim_runs(late)
    assert [_read(store, source) for source in "stu"] == [[], [], list(_named(late + 5, 3.0))]


def test_two_ticks_of_one_moment_share_a_row(store: CollectorStore) -> None:
    _tick(store, T, s=_named(T, 1.0))
    _tick(store, T, s=_named(T, 2.0), t=_named(T + 1, 3.0))
    assert [r.columns["V"][1] for _, r in _read(store, "s")] == [1.0, 2.0]
    assert [r.columns["V"][1] for _, r in _read(store, "t")] == [3.0]


def test_names_stand_once_and_new_ones_are_told_apart(store: CollectorStore) -> None:
    for n in range(4):
        _tick(store, T, s=_named(T + n * SECOND_US, 1.0, 2.0, names="AB" if n % 2 else "AC"))
    assert _count(store, "layouts") == 2
    assert [r.columns["N"][1] for _, r in _read(store, "s")] == ["A", "C", "A", "B"] * 2


def test_what_is_undone_leaves_neither_values_nor_names(tmp_path: Path, store: CollectorStore) -> None:
    def broken() -> None:
        store.samples.add("s", T, _named(T, 1.0))
        assert len(list(store.samples.read("s", *ALL))) == 1  # within the transaction it is there
        raise RuntimeError("in the middle")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            store.commit(broken)
        assert _read(store, "s") == []
    _tick(store, T, s=_named(T + 1, 2.0))
    again = _store(tmp_path, [])
    assert _read(again, "s") == list(_named(T + 1, 2.0)) == _read(store, "s")
    again.close()


def test_a_change_that_is_tried_again_is_there_once(store: CollectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [sqlite3.OperationalError("database or disk is full")]

    def change() -> None:
        store.samples.add("s", T, _named(T, 1.0))
        assert len(list(store.samples.read("s", *ALL))) == 1
        if fails:
            raise fails.pop()

    assert store.commit(change)
    assert _read(store, "s") == list(_named(T, 1.0))
    assert _count(store, "layouts") == 1


def test_what_was_read_before_a_change_is_not_read_after_it(store: CollectorStore) -> None:
    """A short time is read once for all sources, but not once for all."""
    second = T // SECOND_US

    def change() -> None:
        for n in range(3):
            store.samples.add("s", T, _named(T + n, float(n)))
            assert len(list(store.samples.read("s", T, T + SECOND_US))) == n + 1
        store.samples.trim_runs(T + SECOND_US)
        assert list(store.samples.read("s", T, T + SECOND_US)) == []
        store.samples.add("s", T, _named(T, 5.0))
        store.samples.forget_from("s", T)
        assert store.samples.window_starts("s", second, second + 1, 1) == []

    assert store.commit(change)
    assert _read(store, "s") == []


def test_each_time_is_read_once_in_a_transaction(store: CollectorStore) -> None:
    for n in range(4):
        _tick(store, T, s=_named(T + n * SECOND_US, 1.0), t=_named(T + n * SECOND_US, 2.0))
    spans = [(T, T + SECOND_US * n) for n in (1, 2, 4, 1)]
    asked: list[str] = []
    store.db.set_trace_callback(asked.append)

    def change() -> None:
        for source in "st":
            for n, span in enumerate(spans[: runs.SPANS]):
                assert len(list(store.samples.read(source, *span))) == (1, 2, 4)[n]

    assert store.commit(change)
    assert sum("SELECT t, body FROM runs" in text for text in asked) == runs.SPANS
    assert len(list(store.samples.read("s", *spans[3]))) == 1
    store.db.execute("DELETE FROM runs")  # nothing is remembered outside of one
    assert list(store.samples.read("s", *spans[3])) == []


def test_one_source_is_forgotten_without_the_others(store: CollectorStore) -> None:
    for n in range(4):
        _tick(store, T, s=_named(T + n * SECOND_US, 1.0), t=_named(T + n * SECOND_US, 2.0))
    assert store.commit(lambda: store.samples.forget_from("s", T + 2 * SECOND_US))
    assert [(at - T) // SECOND_US for at, _ in _read(store, "s")] == [0, 1]
    assert [(at - T) // SECOND_US for at, _ in _read(store, "t")] == [0, 1, 2, 3]
    assert store.commit(lambda: store.samples.forget_from("t", 0))
    assert (store.samples.sources(), _count(store, "layouts")) == (["s"], 1)
    _tick(store, T, t=_named(T, 3.0))
    assert _read(store, "t") == list(_named(T, 3.0))
    assert len(_read(store, "s")) == 2


def test_a_source_that_nobody_reads_any_more_is_forgotten_at_the_start(tmp_path: Path) -> None:
    both = (QUERY, replace(QUERY, target=Target("local", "t")))
    bench = Bench(tmp_path, plan_of(tmp_path, both, (metrics(), metrics("t", event="N"))))
    bench.run(50)
    assert sorted(bench.store.samples.sources()) == ["s", "t"]
    bench.store.close()
    bench.plan = plan_of(tmp_path)
    bench.start()
    assert bench.store.samples.sources() == ["s"]
    assert len(list(bench.store.samples.read("s", *ALL))) > 0


def test_the_oldest_are_given_up_of_both_kinds(store: CollectorStore) -> None:
    for n in range(0, 1000, 100):
        _tick(store, T, s=_named(T + n * SECOND_US, 1.0))
        store.samples.add("e", T, [Record({"V": ("Int32", n)})])
        store.samples.add("e", T + n * SECOND_US, [Record({"V": ("Int32", n)})])

    def change() -> None:
        assert store.samples.thin() == 0

    assert store.commit(change)
    assert [(at - T) // SECOND_US for at, _ in _read(store, "s")] == list(range(300, 1000, 100))
    assert [(at - T) // SECOND_US for at, _ in store.samples.read("e", *ALL)] == list(range(300, 1000, 100))


def test_a_long_time_reads_as_a_short_one_does(store: CollectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        _tick(store, T, s=_named(T + n * SECOND_US, float(n)), t=_named(T + n * SECOND_US, 1.0))
    short = [_read(store, source, T + 1, T + 11 * SECOND_US + 1) for source in "st"]
    monkeypatch.setattr(runs, "SHORT", 3)

    def change() -> None:
        assert [_read(store, source, T + 1, T + 11 * SECOND_US + 1) for source in "st"] == short
        assert store.samples.window_starts("s", T // SECOND_US, T // SECOND_US + 12, 6) == [
            T // SECOND_US,
            T // SECOND_US + 6,
        ]

    assert store.commit(change)
    assert [len(found) for found in short] == [11, 11]


def test_names_that_change_all_the_time_do_not_pile_up(
    tmp_path: Path, store: CollectorStore, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MAX_LAYOUTS", 5)
    times = [T + n * SECOND_US for n in range(12)]
    for n, at in enumerate(times):
        _tick(store, at, s=_named(at, 1.0, names=chr(ord("A") + n)))
    assert _count(store, "layouts") == 5
    assert [(at, r.columns["N"][1]) for at, r in _read(store, "s")] == list(zip(times, "ABCDEFGHIJKL", strict=True))
    store.samples.trim_runs(times[4])
    _tick(store, T, s=_named(times[-1], 2.0, names="E"))
    again = _store(tmp_path, said)
    monkeypatch.setattr(again.samples.runs, "_changed", True)  # as after new names
    _tick(again, T, s=_named(times[-1] + 1, 3.0, names="Z"))
    assert sorted(r.columns["N"][1] for _, r in _read(again, "s")) == sorted("EFGHIJKLEZ")
    assert said == []
    again.close()


def test_single_samples_of_the_same_source_are_merged_until_they_are_gone(store: CollectorStore) -> None:
    """As an earlier version left them."""
    old = [Record({"N": ("String", "A"), "V": ("Double", 9.0)})]
    store.samples.add("s", T - 5 * SECOND_US, old)
    store.samples.add("s", T + SECOND_US // 2, old)
    for n in range(3):
        _tick(store, T, s=_named(T + n * SECOND_US, float(n)))
    assert [r.columns["V"][1] for _, r in _read(store, "s")] == [9.0, 0.0, 9.0, 1.0, 2.0]
    second = T // SECOND_US
    assert store.samples.window_starts("s", second - 10, second + 10, 5) == [second - 5, second]
    assert store.samples.window_starts("s", second - 5, second, 5) == [second - 5]
    assert store.commit(lambda: store.samples.trim("s", T + SECOND_US))
    assert [r.columns["V"][1] for _, r in _read(store, "s")] == [0.0, 1.0, 2.0]
    _tick(store, T, s=_named(T + 3 * SECOND_US, 3.0))
    assert "s" not in store.samples._single
    assert len(_read(store, "s")) == 4


def _earlier(folder: Path) -> None:
    """A store as a version wrote it that knew neither ``runs`` nor ``layouts`` and had a table for raw counters: of
    250 s of sampling, of which the first 125 are delivered, with a batch given up and two windows open."""
    (folder / "state").mkdir()
    for name in ("collector.db", "uploader.db"):
        with closing(sqlite3.connect(folder / "state" / name, isolation_level=None)) as db:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript((FIXTURES / f"{name}.sql").read_text())


def _scene(folder: Path, now: float = MINUTE - 20) -> Bench:
    return Bench(folder, plan_of(folder, derived=(metrics(), metrics(duration=3600, event="H"))), now)


def _go(bench: Bench, upto: float) -> None:
    while bench.now < upto:
        bench.source.values = {"A": int(bench.now) % 1000, "B": 7}
        bench.run(5)


def test_a_store_of_an_earlier_version_goes_on_as_if_nothing_were(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    _earlier(tmp_path / "old")
    before = ledger.read(str(tmp_path / "old" / "state"))["M20261119"]
    assert (before.produced, before.queued, before.delivered, before.dropped) == (16, 4, 8, {"store full": 4})
    known = gaps.read(str(tmp_path / "old" / "state" / "collector.db"))  # commands read it before the daemon does
    assert known is not None
    assert known.last_sample == 1795252890.0003
    reference = _scene(tmp_path / "new")
    _go(reference, MINUTE + 215)
    bench = _scene(tmp_path / "old", reference.now)
    assert bench.store.raw() == {query_key(QUERY): {"t": 1795252895.0, "state": {"version": 1}}}
    assert bench.store.db.execute("SELECT 1 FROM sqlite_master WHERE name='raw'").fetchone() is None
    assert bench.store.number("last_sample", float) == 1795252890.0003
    assert ledger.read(str(tmp_path / "old" / "state"))["M20261119"] == before
    for each in (reference, bench):
        _go(each, MINUTE + 2600)
        each.deliver()
    end = bench.audit(MINUTE + 120)
    assert end["ok"], end
    rows, wanted = ({e.row_key: e for e in each.rows()} for each in (bench, reference))
    assert len(wanted.keys() - rows.keys()) == 3 * 2  # delivered to where the earlier version was, or given up
    for key, row in rows.items():
        assert row.columns == wanted[key].columns, key
    balance = ledger.read(str(tmp_path / "old" / "state"))["M20261119"]
    assert balance.unproduced == 0
    assert balance.dropped == {"store full": 4}
    assert _count(bench.store, "samples") == 0


def test_an_earlier_version_that_took_over_meanwhile_leaves_nothing_double(tmp_path: Path) -> None:
    """It samples a time again that this version had sampled, for the clock was set back, and knows no ``runs``."""
    store = _store(tmp_path / "state", [])
    for n in range(4):
        _tick(store, T, s=_named(T + n * SECOND_US, 1.0))
    store.db.execute("CREATE TABLE raw(query TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID")
    for n in (2, 3):
        store.samples.add("s", T + n * SECOND_US, [r for _, r in _named(T, 2.0)])
    store.close()
    store = _store(tmp_path / "state", [])
    assert [r.columns["V"][1] for _, r in _read(store, "s")] == [1.0, 1.0, 2.0, 2.0]
    store.close()


def test_a_full_store_of_an_earlier_version_can_be_opened(tmp_path: Path) -> None:
    _earlier(tmp_path)
    path = tmp_path / "state" / "collector.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO outbox(t, moniker, tbl, n, body) VALUES(1, 'm', 'T', 1, zeroblob(800000))")
        db.execute("INSERT INTO raw SELECT hex(randomblob(100)), hex(randomblob(100)) FROM samples")
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        assert db.execute("PRAGMA freelist_count").fetchone()[0] == 0
    store = CollectorStore(str(tmp_path / "state"), max_bytes=pages * 4096)
    assert store.commit(lambda: store.samples.add("s", T, _named(T, 1.0)))  # in the place of old rows
    assert len(list(store.samples.read("s", T, T + 1))) == 1
    store.close()


def _killed_at(folder: Path, statement: int) -> bool:
    """Sample for a minute and a half in another process, which is killed before the statement of this number; whether
    it was."""
    child = os.fork()
    if not child:
        try:
            bench = Bench(folder)
            left = [statement]

            def count(_text: str) -> None:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

            bench.store.db.set_trace_callback(count)
            bench.run(95)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_before_any_statement_loses_no_sample_and_doubles_none(tmp_path: Path) -> None:
    killed, number = True, 0
    while killed and number < 200:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        killed = _killed_at(folder, number)
        bench = Bench(folder)
        times = [at for at, _ in bench.store.samples.read("s", *ALL)]
        assert len(times) == len(set(times)) * 2, number  # of two counters
        last = bench.store.number("last_sample", float)
        assert not times or (last is not None and abs(max(times) / SECOND_US - last) < 1), number
        bench.wait(95)
        bench.run(100)
        bench.deliver()
        assert bench.audit()["ok"], number
        assert ledger.read(str(folder / "state"))["M20261119"].unproduced == 0
        counts = [e.columns["Count"][1] for e in bench.rows()]
        assert counts
        assert max(counts) <= 4, number
        bench.store.close()
    assert not killed
    assert number > 20
