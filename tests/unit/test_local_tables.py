"""The embedded table store: upserts, types, refusals as the service's, files and faults."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import SinkError, open_sink
from extension.sinks.local_tables import LocalTablesReader, LocalTablesSink, storage_error
from extension.sinks.reader import open_reader

NOW = 1795252675.25
STAMP: EdmValue = ("DateTime", "2026-11-21T09:18:00Z")


def sink_at(path: Path, now: float = NOW) -> LocalTablesSink:
    return LocalTablesSink(str(path), clock=lambda: now)


def one(key: str, pk: str = "p", **columns: EdmValue) -> Row:
    return Row(pk, key, columns or {"TIMESTAMP": STAMP, "Value": ("Int64", 1)})


def test_rows_come_back_with_their_types(tmp_path: Path) -> None:
    columns: dict[str, EdmValue] = {
        "Text": ("String", "é😀\ud800 'x' \x01"),
        "I": ("Int32", -5),
        "L": ("Int64", 2**63 - 1),
        "D": ("Double", 0.1),
        "Whole": ("Double", 3),
        "Nan": ("Double", math.nan),
        "Inf": ("Double", -math.inf),
        "B": ("Boolean", False),
        "TIMESTAMP": STAMP,
        "Gone": ("String", None),
        "Timestamp": ("DateTime", "2000-01-01T00:00:00Z"),
    }
    sink = sink_at(tmp_path / "tables.db")
    sink.send("WADMetrics", [Row("p'k", "é__1", columns)])
    (found,) = LocalTablesReader(str(tmp_path / "tables.db")).query("wadMETRICS")
    assert (found.partition_key, found.row_key, found.timestamp) == ("p'k", "é__1", "2026-11-21T09:17:55.250000Z")
    nan = found.columns.pop("Nan")
    assert math.isnan(nan[1])
    del columns["Gone"], columns["Timestamp"], columns["Nan"]
    assert found.columns == columns
    assert isinstance(found.columns["Whole"][1], float)
    assert isinstance(found.columns["B"][1], bool)


def test_a_repeat_changes_nothing_and_an_upsert_replaces(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    first = sink_at(path, 100.0)
    first.send("abc", [one("a", Old=("Int32", 1)), one("b")])
    first.send("ABC", [one("a", Old=("Int32", 1)), one("b")])
    later = sink_at(path, 200.0)
    later.send("aBc", [one("a", New=("Int32", 2))])
    reader = LocalTablesReader(str(path))
    assert reader.tables() == {"abc": 2}
    a, b = reader.query("abc")
    assert (a.columns, a.timestamp) == ({"New": ("Int32", 2)}, "1970-01-01T00:03:20Z")
    assert b.timestamp == "1970-01-01T00:01:40Z"


def test_ranges_order_and_limit(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    sink = sink_at(path)
    for pk in ("q", "p"):
        rows = [one(f"k{i}", pk, TIMESTAMP=("DateTime", f"2026-11-21T09:0{i}:00.5Z")) for i in range(5)]
        sink.send("abc", list(reversed(rows)))
    sink.send("abc", [one("k9", "p", Other=("Int32", 1))])
    reader = open_reader(Account("", "", "key", "", f"file://{path}"))
    assert [(e.partition_key, e.row_key) for e in reader.query("abc", row_key_ge="k1", row_key_le="k2")] == [
        ("p", "k1"),
        ("p", "k2"),
        ("q", "k1"),
        ("q", "k2"),
    ]
    late = reader.query("abc", partition_key="p", time_ge="2026-11-21T09:03:00.9Z")
    assert [e.row_key for e in late] == ["k3", "k4"]
    assert [e.row_key for e in reader.query("abc", partition_key="q", limit=2)] == ["k0", "k1"]


def test_one_bad_row_refuses_all_and_writes_nothing(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "t.db")
    sink.send("abc", [one("x")])
    with pytest.raises(SinkError) as caught:
        sink.send("abc", [one("a"), one("b#")])
    assert (caught.value.reaction, caught.value.code, caught.value.row) == ("drop-row", "InvalidInput", 1)
    assert LocalTablesReader(str(tmp_path / "t.db")).tables() == {"abc": 1}


def test_no_table_is_made_for_a_refused_batch(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "t.db")
    with pytest.raises(SinkError):
        sink.send("a-b", [one("x")])
    assert not (tmp_path / "t.db").exists()


def test_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "t.db"
    before = os.umask(0)
    try:
        sink_at(path).send("abc", [one("a")])
    finally:
        os.umask(before)
    for name in os.listdir(path.parent):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_that_is_removed_under_the_sink_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    sink = sink_at(path)
    sink.send("abc", [one("a")])
    for left in tmp_path.iterdir():
        left.unlink()
    sink.send("abc", [one("b")])
    assert [e.row_key for e in LocalTablesReader(str(path)).query("abc")] == ["b"]


def test_reading_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    sink = sink_at(path)
    sink.send("abc", [one("a")])
    reader = LocalTablesReader(str(path))
    seen = reader.query("abc")
    assert next(seen).row_key == "a"
    sink.send("abc", [one("b")])
    assert list(seen) == []
    assert [e.row_key for e in reader.query("abc")] == ["a", "b"]


def test_a_closed_sink_opens_again(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "t.db")
    sink.send("abc", [one("a")])
    sink.close()
    sink.close()
    sink.send("abc", [one("b")])
    assert LocalTablesReader(str(tmp_path / "t.db")).tables() == {"abc": 2}


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    failures: list[Exception] = []

    def write(who: str) -> None:
        try:
            sink = sink_at(path)
            for i in range(20):
                sink.send(f"table{who}", [one(f"{who}{i}")])
            sink.close()
        except SinkError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert LocalTablesReader(str(path)).tables() == {"tablea": 20, "tableb": 20}


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(SinkError, match="another program") as caught:
        sink_at(path).send("abc", [one("a")])
    assert (caught.value.reaction, caught.value.code) == ("slow", "NotATableStore")
    with pytest.raises(SinkError, match="another program"):
        LocalTablesReader(str(path))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SinkError) as caught:
        sink_at(path).send("abc", [one("a")])
    assert (caught.value.reaction, caught.value.code) == ("slow", "StoreDamaged")
    assert str(path) in caught.value.message


def test_a_store_held_by_another_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.sinks.local_tables.BUSY_SECONDS", 0.05)
    path = tmp_path / "t.db"
    sink = sink_at(path)
    sink.send("abc", [one("a")])
    sink.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(SinkError) as caught:
        sink.send("abc", [one("b")])
    assert (caught.value.reaction, caught.value.code) == ("retry", "StoreBusy")
    holder.execute("ROLLBACK")
    sink.send("abc", [one("b")])


def test_an_unusable_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError) as caught:
        sink_at(tmp_path / "file" / "t.db").send("abc", [one("a")])
    assert caught.value.code == "StoreUnusable"
    with pytest.raises(SinkError) as caught:
        sink_at(tmp_path).send("abc", [one("a")])
    assert caught.value.code == "StoreUnusable"


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database or disk is full"), OSError(28, "No space left")])
def test_a_full_disk_passes_by_itself(error: Exception) -> None:
    judged = storage_error("/x", error)
    assert (judged.reaction, judged.code) == ("retry", "DiskFull")


def test_a_full_disk_for_real(tmp_path: Path) -> None:
    """SQLite refuses to grow the file; nothing of the batch is kept, and it goes on when there is space."""
    sink = sink_at(tmp_path / "t.db")
    sink.send("abc", [one("a")])
    db = sink._db
    assert db is not None
    db.execute("PRAGMA max_page_count = 4")
    big = [one(f"k{i}", Text=("String", "x" * 30000)) for i in range(10)]
    with pytest.raises(SinkError) as caught:
        sink.send("abc", big)
    assert caught.value.code == "DiskFull"
    assert LocalTablesReader(str(tmp_path / "t.db")).tables() == {"abc": 1}
    sink.send("abc", big)
    assert LocalTablesReader(str(tmp_path / "t.db")).tables() == {"abc": 11}


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="there is no table store"):
        LocalTablesReader(str(tmp_path / "none.db"))
    sink_at(tmp_path / "t.db").send("abc", [one("a")])
    with pytest.raises(SinkError, match="there is no table xyz") as caught:
        list(LocalTablesReader(str(tmp_path / "t.db")).query("xyz"))
    assert caught.value.http_status == 404


def test_an_odd_path_is_read_from_where_it_was_written(tmp_path: Path) -> None:
    account = Account("", "", "key", "", f"file://{tmp_path}/a%20b%23%3Fc%25.db")
    sink = open_sink(account, clock=lambda: NOW)
    sink.send("abc", [one("a")])
    assert (tmp_path / "a b#?c%.db").exists()
    assert open_reader(account).tables() == {"abc": 1}


_KEYS = st.text(st.characters(blacklist_characters="/\\#?", blacklist_categories=("Cc", "Cs")), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_KEYS, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=30, unique_by=lambda t: t[0]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("store") / "t.db"
    sink = sink_at(path)
    sink.send("abc", [Row("pk", key, {"V": ("Int64", value)}) for key, value in pairs])
    sink.close()
    found = {e.row_key: e.columns["V"] for e in LocalTablesReader(str(path)).query("abc")}
    assert found == {key: ("Int64", value) for key, value in pairs}
