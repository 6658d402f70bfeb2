"""Single damaged bytes that SQLite's own check does not find: what they hit is left out and said, the rest goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from extension.store import gaps, ledger
from extension.store.collector_db import CollectorStore
from extension.store.database import StoreError
from extension.store.uploader_db import UploaderStore
from extension.view import status
from tests.collector_bed import Bench


def _change(bench: Bench, statement: str, *values: object) -> None:
    """Change the file of a store that is closed, as a bad disk would."""
    with closing(sqlite3.connect(bench.store.path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema=ON")
        assert db.execute(statement, values).rowcount > 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"c":[["CounterName","String",\xff"A","B"]],["Value","Double",[1.0,2.0]]]}',
        b'{"c":[["CounterName","String",["A","B"]],["Value","Double",[1.0,2.0]]',
        b'{"b":[["CounterName","String",["A","B"]],["Value","Double",[1.0,2.0]]]}',
        b"{}",
        b"7",
        b'[["",""]]',
    ],
)
def test_a_damaged_single_sample_is_left_out(tmp_path: Path, body: bytes) -> None:
    bench = Bench(tmp_path)
    bench.run(50)
    bench.store.close()
    oldest = "(SELECT min(t) FROM runs)"
    _change(bench, f"INSERT INTO samples SELECT 's', t, CAST(? AS TEXT) FROM runs WHERE t={oldest}", body)
    _change(bench, f"DELETE FROM runs WHERE t={oldest}")
    _left_out(bench)


@pytest.mark.parametrize(
    "body",
    [b"1 0 \xff1.0,2.0]", b"1 0 [1.0,2.0", b"1 0 [1.0]", b"1 0 {}", b"1 0 7", b"1 0", b"1 x [1.0,2.0]", b"9 0 []", b""],
)
def test_a_damaged_sample_is_left_out(tmp_path: Path, body: bytes) -> None:
    bench = Bench(tmp_path)
    bench.run(50)
    bench.store.close()
    _change(bench, "UPDATE runs SET body=CAST(? AS TEXT) WHERE t=(SELECT min(t) FROM runs)", body)
    _left_out(bench)


def _left_out(bench: Bench) -> None:
    """One sample of the first minute is."""
    bench.start()
    bench.run(150)
    bench.deliver()
    assert len(bench.rows()) == 2 * 3
    (said,) = [text for text in bench.said if "is damaged in the store" in text]
    assert said.startswith("the sample of ")
    assert bench.audit()["ok"]


@pytest.mark.parametrize("body", ["{", "7", '["a","b",1,"Double"]', '["CounterName","Value",["x","y"]]'])
def test_damaged_names_cost_the_samples_that_have_them(tmp_path: Path, body: str) -> None:
    bench = Bench(tmp_path)
    bench.run(50)
    bench.store.close()
    _change(bench, "UPDATE layouts SET body=?", body)
    bench.start()
    assert bench.said == [
        f"what the samples of s are called is damaged in the store {bench.store.path}: it is left out"
    ]
    bench.run(150)
    bench.deliver()
    assert len(bench.rows()) == 2 * 3
    assert len(bench.said) == 1


def test_a_damaged_sample_that_is_copied_is_left_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(50)
    (source,) = bench.store.samples.sources()
    known = list(bench.store.samples.read(source, 0, 1 << 62))
    bench.store.close()
    _change(bench, "UPDATE runs SET body='1 0 [1]' WHERE t=(SELECT min(t) FROM runs)")
    bench.start()
    assert list(bench.store.samples.read(source, 0, 1 << 62)) == known[2:]


@pytest.mark.parametrize("value", [b"17\xff5252", b"17952x", b""])
@pytest.mark.parametrize("key", ["row_index", "last_sample", "generation", "gaps_from", "report", "settled"])
def test_a_damaged_value_is_none(tmp_path: Path, key: str, value: bytes) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    bench.deliver()
    bench.store.put(key, "1")
    bench.store.close()
    _change(bench, "UPDATE meta SET value=CAST(? AS TEXT) WHERE key=?", value, key)
    assert gaps.read(bench.store.path) is not None
    status.gather(str(tmp_path / "state"))
    bench.start()
    bench.run(150)
    bench.deliver()
    assert len(bench.rows()) == 2 * 4
    assert bench.audit()["ok"]


@pytest.mark.parametrize("state", ['{"t":1', "{}", "[]", '{"t":"x","state":{}}'])
def test_damaged_raw_counters_are_none(tmp_path: Path, state: str) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    assert bench.store.commit(lambda: bench.store.put_raw([("q", {"t": bench.now, "state": {}})], bench.now))
    bench.store.close()
    _change(bench, "UPDATE meta SET value=? WHERE key='raw:q'", state)
    bench.start()
    bench.run(100)
    assert "q" not in bench.store.raw()


def test_a_damaged_name_in_the_schema_is_a_damaged_store(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    bench.store.close()
    _change(bench, "UPDATE sqlite_master SET sql=replace(sql, 'moniker', 'nonsens') WHERE name='outbox'")
    said: list[str] = []
    store = CollectorStore(str(tmp_path / "state"), max_bytes=64 << 20, report=said.append)
    assert "malformed: table outbox lacks moniker" in said[0]
    assert (tmp_path / "state" / "collector.db.corrupt").exists()
    store.close()
    bench.start()
    bench.run(150)
    bench.deliver()
    assert len(bench.rows()) > 0


@pytest.mark.parametrize("value", [None, "x"])
@pytest.mark.parametrize("table", ["produced", "dropped"])
def test_a_damaged_count_does_not_keep_a_new_store_from_being_made(tmp_path: Path, table: str, value: object) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.store.drop_oldest(1, "store full")
    bench.store.close()
    rule = "UPDATE sqlite_master SET sql=replace(sql, ?, ?) WHERE name=?"
    _change(bench, rule, "n INTEGER NOT NULL", "n INTEGER", table)
    _change(bench, f"UPDATE {table} SET n=?", value)
    _change(bench, rule, "n INTEGER", "n INTEGER NOT NULL", table)
    _change(bench, rule, "moniker", "nonsens", "outbox")
    bench.start()
    assert "a new one was started" in bench.said[0]
    bench.run(100)
    bench.deliver()
    assert all(balance.unproduced == 0 for balance in ledger.read(str(tmp_path / "state")).values())


@pytest.mark.parametrize("value", [None, "x", b"1"])
@pytest.mark.parametrize("column", ["produced.n", "dropped.n", "outbox.n", "outbox.t"])
def test_who_reads_a_damaged_count_says_so_until_the_next_start(tmp_path: Path, column: str, value: object) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.store.drop_oldest(1, "store full")
    bench.store.close()
    table, name = column.split(".")
    typed = f"{name} {'REAL' if name == 't' else 'INTEGER'} NOT NULL"
    rule = "UPDATE sqlite_master SET sql=replace(sql, ?, ?) WHERE name=?"
    _change(bench, rule, typed, f"{name} ", table)
    _change(bench, f"UPDATE {table} SET {name}=?", value)
    _change(bench, rule, f"{name} ,", f"{typed},", table)
    _change(bench, rule, f"{name} )", f"{typed})", table)
    folder = str(tmp_path / "state")
    with pytest.raises(StoreError, match="are damaged; restart the daemon"):
        ledger.read(folder)
    assert "store-unreadable" in str(status.gather(folder))
    bench.start()
    assert all(balance.unproduced == 0 for balance in ledger.read(folder).values())


def test_a_schema_in_other_words_is_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    bench.store.close()
    _change(bench, "UPDATE sqlite_master SET sql=replace(sql, ', n INTEGER', ',  n  INTEGER') WHERE name='outbox'")
    bench.start()
    assert bench.said == []
    assert not (tmp_path / "state" / "collector.db.corrupt").exists()


def test_a_damaged_table_name_holds_no_other_batch_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.store.close()
    _change(bench, "UPDATE outbox SET tbl=CAST(? AS TEXT) WHERE id=(SELECT min(id) FROM outbox)", b"T\xff\xfe")
    uploads = UploaderStore(str(tmp_path / "state"))
    assert next(batch.table for batch in uploads.pending("m")) == "T\ufffd\ufffd"
    uploads.close()
    bench.start()
    bench.run(100)
    bench.deliver()
    assert sum(balance.queued for balance in ledger.read(str(tmp_path / "state")).values()) == 0


def test_a_damaged_note_of_an_error_is_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    folder = str(tmp_path / "state")
    (table, *_) = ledger.read(folder)
    uploads = UploaderStore(folder)
    for text in ("{", "[]", '{"code":1}', '{"code":"a","message":"b","time":"c"}'):
        uploads.note(f"error:{table}", text)
        assert ledger.read(folder)[table].last_error is None
    uploads.close()
