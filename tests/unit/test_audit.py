"""``lad audit``: every expected row once, and a cause for each that is missing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from extension import cli
from extension.lane import Delivery
from extension.plan import Derived, LadQuery, Query, Route, Source, Target
from extension.store import drops, gaps, ledger
from extension.store.gaps import Gap, Known
from extension.store.uploader_db import UploaderStore
from extension.view import audit
from extension.view.audit_expected import Feed, expectations
from extension.view.audit_judge import BEFORE, OPEN, SILENT, UNEXPLAINED, Dropped, spans
from extension.view.since import unix_since
from omi_queries.types import QueryError
from tests.collector_bed import MINUTE, QUERY, UNPIVOT, Bench, Stream, metrics, plan_of
from tests.collector_bed import Source as Scripted

RAW = Query("root/scx", "SELECT A, B", 15, Target("table", "Raw", "m", per_nday=False), UNPIVOT)
PLAIN = Query("root/scx", "SELECT A", 15, Target("table", "Plain", "m", per_nday=False))


def _delete(bench: Bench, where: str, *values: object) -> None:
    with closing(sqlite3.connect(bench.folder / "tables.db", isolation_level=None)) as db:
        assert db.execute(f"DELETE FROM entities WHERE {where}", values).rowcount > 0


def test_everything_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(400)
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    (event,) = found["events"]
    assert (event["expected"], event["present"], event["unexplained"]) == (2 * 2 * 7, 2 * 2 * 7, 0)
    assert event["explained"] == {}
    assert event["holes"] == []
    assert "every expected row" in audit.render(found)[-1]


@pytest.mark.parametrize(("where", "missing"), [("row_key LIKE '%:005CA%'", 14), ("row_key LIKE ':005CA%'", 7)])
def test_a_row_that_vanished_is_named(tmp_path: Path, where: str, missing: int) -> None:
    bench = Bench(tmp_path)
    bench.run(400)
    bench.deliver()
    _delete(bench, where)
    found = bench.audit()
    assert not found["ok"]
    (event,) = found["events"]
    assert event["unexplained"] == missing
    (hole,) = event["holes"]
    assert (hole["cause"], hole["counters"], hole["rows"]) == (UNEXPLAINED, ["\\A"], missing)
    assert any("MISSING" in line and "\\A" in line for line in audit.render(found))


def test_copies_that_differ_are_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    with closing(sqlite3.connect(bench.folder / "tables.db", isolation_level=None)) as db:
        sql = "UPDATE entities SET columns=replace(columns, '4', '5') WHERE row_key LIKE ':005CB%'"
        assert db.execute(sql).rowcount > 0
    found = bench.audit()
    assert not found["ok"]
    assert {d["counter"] for d in found["events"][0]["differing"]} == {"\\B"}


def test_queued_rows_are_accounted_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    bench.run(200)
    (event,) = bench.audit()["events"]
    assert event["explained"] == {"queued": 16}
    assert event["unexplained"] == 0


def test_a_time_without_a_collector_is_a_gap(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(120)
    bench.wait(600)
    bench.start()
    bench.run(130)
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    (hole,) = found["events"][0]["holes"]
    assert hole["cause"] == gaps.NOT_RUNNING
    assert hole["counters"] == ["\\A", "\\B"]
    assert sum("no samples for 10 min" in text for text in bench.said) == 1


def test_a_time_without_a_machine_is_told_from_one_without_a_collector(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(120)
    bench.wait(600)
    bench.boot = 40.0  # it was off, and has been up for so long
    bench.start()
    bench.run(130)
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    assert {hole["cause"] for hole in found["events"][0]["holes"]} == {gaps.MACHINE_OFF}
    assert sum("no samples for 10 min" in text and text.endswith(gaps.MACHINE_OFF) for text in bench.said) == 1


def test_a_stopped_collector_is_a_gap_until_now(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(150)
    bench.wait(600)
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    assert set(found["events"][0]["explained"]) == {OPEN, SILENT}


def test_a_counter_without_value_and_a_failing_query_are_gaps(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(80)
    bench.source.values = {"A": 1}
    bench.run(180)
    bench.source.fails = True
    bench.run(180)
    bench.source.fails = False
    bench.source.values = {"A": 1, "B": None}
    bench.run(180)
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    explained = found["events"][0]["explained"]
    assert explained["query failed"] >= 2 * 2
    assert explained["no value"] >= 2 * 2
    assert set(explained) <= {"query failed", "no value", "no value; query failed", "query failed; no value", "queued"}
    gap_rows = bench.store.db.execute("SELECT count(*) FROM gaps").fetchone()[0]
    assert gap_rows <= 4  # changes only, however long they last


def test_a_query_that_is_refused_is_a_gap_until_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a class that nobody here has are missing for that reason, and for no other."""
    raw = replace(PLAIN, text="SELECT A FROM Nonsense")
    there = Scripted.open

    def refusing(source: Scripted, namespace: str, text: str) -> Stream:
        if "Nonsense" in text:
            raise QueryError(5, "no such class")
        return there(source, namespace, text)

    monkeypatch.setattr(Scripted, "open", refusing)
    bench = Bench(tmp_path, plan_of(tmp_path, queries=(QUERY, raw)))
    bench.run(150)
    monkeypatch.setattr(Scripted, "open", there)
    bench.start()
    bench.run(120)
    bench.deliver()
    found = {entry["event"]: entry for entry in bench.audit()["events"]}
    assert found["M"]["explained"] == {}
    plain = found["Plain"]
    assert plain["unexplained"] == 0
    assert set(plain["explained"]) <= {"the query is refused", BEFORE, f"{BEFORE}; the query is refused"}
    assert plain["explained"]["the query is refused"] >= 8
    assert plain["present"] >= 6


def test_a_gap_never_hides_a_row_that_was_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(100)
    bench.source.values = {"A": 1}
    bench.run(20)  # one sample of B is missing in its window
    bench.source.values = {"A": 1, "B": 2}
    bench.run(200)
    bench.deliver()
    _delete(bench, "row_key LIKE '%:005CB%'")
    (event,) = bench.audit()["events"]
    assert event["unexplained"] == event["expected"] - event["present"]


def test_dropped_rows_explain_as_many_as_were_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(400)
    bench.store.drop_oldest(1, "store size cap")
    lost = bench.store.db.execute("SELECT n FROM dropped").fetchone()[0]
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    assert found["events"][0]["explained"] == {"dropped: store size cap": lost}
    dropped = Dropped({"T": {"a": 1, "b": 1}})
    assert [dropped.take(["t"]) for _ in range(3)] == ["dropped: a", "dropped: b", None]


def test_a_drop_explains_no_row_that_was_made_after_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(400)
    bench.store.drop_oldest(1, "store size cap")
    (table,) = (t for (t,) in bench.store.db.execute("SELECT tbl FROM dropped"))
    drops.note(bench.store.db, table, "store size cap", bench.now - 100_000)
    bench.deliver()
    at = bench.now
    bench.run(400)
    bench.deliver()
    _delete(bench, "row_key IN (SELECT row_key FROM entities WHERE row_key LIKE ':%' ORDER BY row_key LIMIT 1)")
    (event,) = bench.audit(since=at)["events"]
    assert event["unexplained"] == 1  # though the ledger counts dropped rows
    (hole,) = event["holes"]
    assert (hole["cause"], hole["rows"]) == (UNEXPLAINED, 1)
    dropped = Dropped({"T": {"a": 1, "b": 2, "c": 1}}, {("T", "a"): 1e6, ("T", "b"): 2e6})
    assert [dropped.take(["t"], 1.5e6) for _ in range(4)] == ["dropped: b", "dropped: b", "dropped: c", None]
    assert dropped.take(["t"], 1e6 + 3600) == "dropped: a"  # the clock may have been set back meanwhile


@pytest.mark.parametrize("by_sink", [False, True])
def test_a_drop_explains_the_windows_that_it_was_of_and_no_other(tmp_path: Path, by_sink: bool) -> None:
    """Half an hour of the same day: rows that vanish there are named, though as many were dropped."""
    bench = Bench(tmp_path)
    bench.run(200)
    if by_sink:
        uploads = UploaderStore(str(tmp_path / "state"))
        batch = uploads.pending("m")[0]
        made = Delivery()
        made.drop("InvalidInput", batch.rows, "it says so")
        uploads.acknowledge(batch.id, batch.table, 0, made.dropped, bench.now, made.spans)
        reason = "InvalidInput"
    else:
        bench.store.drop_oldest(1, "store size cap")
        reason = "store size cap"
    (lost,) = ledger.read(str(tmp_path / "state")).popitem()[1].dropped.values()
    bench.deliver()
    found = bench.audit()
    assert (found["ok"], found["notes"]) == (True, [])
    assert found["events"][0]["explained"] == {f"dropped: {reason}": lost}
    (hole,) = found["events"][0]["holes"]
    assert hole["cause"] == f"dropped: {reason}"
    later = bench.now + 120
    bench.run(1800)
    bench.deliver()
    _delete(bench, "row_key IN (SELECT row_key FROM entities WHERE row_key LIKE ':%' ORDER BY row_key LIMIT 1)")
    found = bench.audit()
    assert not found["ok"]
    (event,) = found["events"]
    assert (event["explained"], event["unexplained"]) == ({f"dropped: {reason}": lost}, 1)
    (event,) = bench.audit(since=later)["events"]
    assert (event["explained"], event["unexplained"]) == ({}, 1)  # the drops of the half hour before are not to blame


def test_drops_of_which_the_times_are_not_on_record_are_said_to_be_a_guess(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(400)
    bench.store.drop_oldest(1, "store size cap")
    bench.store.db.execute("DELETE FROM meta WHERE key LIKE 'dropranges:%'")  # as an earlier version leaves it
    bench.deliver()
    found = bench.audit()
    assert found["ok"]
    (note,) = found["notes"]
    assert "of the missing rows are taken for rows that were dropped until 20" in note
    assert note.endswith("(store size cap): it is counted how many those were, not which")
    assert f"note: {note}" in audit.render(found)


def test_ranges_of_drops_are_bounded_and_keep_their_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    db = bench.store.db
    for i in range(3 * drops.MAX_RANGES):
        drops.note(db, "T", "full", 1.0, 2, (600.0 * i, 600.0 * i + 60.0 * (i % 9)))
    drops.note(db, "T", "full", 1.0, 5)  # of unknown times
    (found,) = drops.ranges(db).values()
    assert len(found) == drops.MAX_RANGES
    assert sum(n for *_, n in found) == 6 * drops.MAX_RANGES
    assert all(a[1] < b[0] for a, b in pairwise(found))
    dropped = Dropped({"T": {"full": 10**6}}, {("T", "full"): 1e9}, {("T", "full"): [(60.0, 120.0, 3)]})
    dropped._undated["t", "full"] = 0
    assert [dropped.take(["T"], at) for at in (0.0, 180.0)] == [None, None]
    assert [dropped.take(["T"], at) for at in (60.0, 120.0, 60.0, 60.0)] == ["dropped: full"] * 3 + [None]
    assert dropped.notes() == []


def test_raw_tables_by_their_interval(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(tmp_path, (RAW, PLAIN), ()))
    bench.run(200)
    bench.wait(100)
    bench.run(100)
    bench.deliver()
    found = bench.audit()
    assert found["ok"], found
    raw, plain = found["events"]
    assert raw["present"] == 2 * plain["present"] >= 30
    assert any("held up" in cause for cause in raw["explained"])
    table = "table_id = (SELECT id FROM tables WHERE folded LIKE 'plain%')"
    _delete(bench, f"{table} AND event_time LIKE '%:19:15%'")
    raw, plain = bench.audit()["events"]
    assert (raw["unexplained"], plain["unexplained"]) == (0, 1)


def test_a_metric_stage_that_is_copied_is_found_by_its_first_window(tmp_path: Path) -> None:
    first = replace(metrics(event="L"), target=Target("local", "L"))
    second = Derived("L", 120, Target("table", "Two", "m", full_name=True))
    bench = Bench(tmp_path, plan_of(tmp_path, derived=(first, second)))
    bench.run(800)
    bench.deliver()
    found = bench.audit()
    assert found["ok"], found
    assert found["events"][0]["present"] == found["events"][0]["expected"] >= 2 * 2 * 8
    _delete(bench, "row_key LIKE ':005CB%'")
    assert bench.audit()["events"][0]["unexplained"] >= 8


def test_routes_and_several_tables(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, derived=(metrics(), metrics(duration=300, event="Five")))
    plan = replace(plan, routes=(Route("s", 60, Target("table", "Copy", "m", per_nday=False)),))
    bench = Bench(tmp_path, plan)
    bench.run(700)
    bench.deliver()
    found = bench.audit()
    assert found["ok"], found
    assert [e["window_s"] for e in found["events"]] == [60, 60, 300]
    assert all(e["present"] == e["expected"] > 0 for e in found["events"])


def test_what_cannot_be_told_is_noted(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        derived=(metrics(), Derived("fed", 60, Target("table", "F", "m")), Derived("s", 60, Target("jsonblob", "J"))),
    )
    found, notes = expectations(replace(plan, sources=(Source("fed"),)))
    assert [e.event for e in found] == ["M"]
    assert len(notes) == 2
    other = Derived("s", 60, Target("table", "O", "m"), LadQuery("Other", "Value", "pk"))
    assert "other columns" in expectations(plan_of(tmp_path, derived=(other,)))[1][0]


def test_without_the_store_nothing_is_explained(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    found = audit.examine(bench.plan, str(tmp_path / "elsewhere"), MINUTE - 200, bench.now, bench.reader)
    assert not found["ok"]
    assert "no store" in found["notes"][0]


def test_a_query_that_comes_and_goes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(150)
    both = bench.plan
    bench.plan = replace(both, queries=(), derived=())
    bench.start()
    bench.run(200)
    bench.plan = both
    bench.start()
    bench.run(200)
    bench.deliver()
    found = bench.audit()
    assert found["ok"], found
    assert gaps.NOT_CONFIGURED in found["events"][0]["explained"]


def test_gaps_that_only_touch_are_not_one() -> None:
    key = gaps.query_key(QUERY)
    known = Known({key: 0.0}, {key: [Gap(key, "*", 60.0, 90.0, "x"), Gap(key, "*", 90.0, 150.0, "y")]}, {}, None)
    found = [(s.since, s.until) for s in spans(known, Feed(key, 15), "\\A")]
    assert found[1:] == [(60.0, 90.0), (90.0, 150.0)]
    known.gaps[key].append(Gap(key, "\\A", 75.0, None, "z"))
    assert [s.causes for s in spans(known, Feed(key, 15), "\\A")][1:] == [("x", "z", "y")]


def test_the_record_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "MAX_GAPS", 20)
    monkeypatch.setattr(gaps, "FORGET_EVERY", 10)
    bench = Bench(tmp_path)
    for _ in range(60):
        bench.run(16)
        bench.wait(40)
    count = bench.store.db.execute("SELECT count(*) FROM gaps").fetchone()[0]
    assert count <= 20 + 10
    known = gaps.read(str(tmp_path / "state" / "collector.db"))
    assert known is not None
    assert known.gaps_from is not None
    assert MINUTE < known.gaps_from < bench.now


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001-09-08T22:13:20Z", 999987200),
        ("2001-09-08T22:13:20.5Z", 999987200),
        ("2001-09-08 22:13", 999987180),
        ("2001-09-08T22:13:20+02:00", 999980000),
        ("2001-09-08T22:13:20 -0130", 999992600),
        ("2001-09-08T22:13:20+02", 999980000),
        ("2001-09-08", 999907200),
        (" 10m ", 1e9 - 600),
        ("2001-09-09T01:46:40Z", 1e9),
    ],
)
def test_since(text: str, expected: float) -> None:
    assert unix_since(text, 1e9) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yesterday", "span of time"),
        ("", "span of time"),
        ("2001-02-29", "no time that there is"),
        ("2001-13-01T00:00:00Z", "no time that there is"),
        ("2001-01-01T25:00Z", "no time that there is"),
        ("2001-09-08T22:13:20Z and so on", "span of time"),
        ("2001-09-09T01:46:41Z", "has not come yet"),
    ],
)
def test_a_bad_since_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unix_since(text, 1e9)


def test_a_row_in_two_tables_is_there_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    with closing(sqlite3.connect(tmp_path / "tables.db", isolation_level=None)) as db:
        names = {row[1] for row in db.execute("PRAGMA table_info(entities)")} - {"table_id"}
        columns = ", ".join(sorted(names))
        other = "(SELECT id FROM tables WHERE folded='m20261129')"
        known = [row[1] for row in db.execute("PRAGMA table_info(tables)") if row[1] != "id"]
        values = ", ".join({"name": "'M20261129'", "folded": "'m20261129'"}.get(k, k) for k in known)
        db.execute(f"INSERT INTO tables({', '.join(known)}) SELECT {values} FROM tables LIMIT 1")
        db.execute(
            f"INSERT INTO entities(table_id, {columns}) SELECT {other}, {columns} FROM entities "
            "WHERE row_key LIKE ':005CA%' LIMIT 1"
        )
    bench.now += 9 * 86400  # the audit looks into the tables of later days too
    found = bench.audit()
    assert not found["ok"]
    assert [t["counter"] for t in found["events"][0]["twice"]] == ["\\A"]
    assert any("is there twice" in line for line in audit.render(found))


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    bench.run(200)
    bench.deliver()
    monkeypatch.setattr(audit, "MAX_CELLS", 3)
    with pytest.raises(audit.AuditError, match="later --since"):
        bench.audit()


def test_the_command_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "-c", str(tmp_path / "none.xml")]) == 1
    assert "there is no document" in capsys.readouterr().err
    assert cli.main(["audit", "--state-dir", str(tmp_path)]) == 1
    assert "name a document with -c" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        cli.main(["audit", "--since", "yesterday"])
    assert usage.value.code == 2
