"""``lad audit`` on rows that should not be there, and on SchemasTable."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from extension.plan import Query, Target
from extension.rows import ticks
from extension.view import audit
from tests.collector_bed import MINUTE, QUERY, UNPIVOT, Bench, metrics, plan_of

ONE = Query("root/scx", "SELECT A FROM SCX_X WHERE Name='_Total'", 15, Target("table", "One", "m", per_nday=False))
MANY = Query("root/scx", "SELECT A FROM SCX_X", 15, Target("table", "Many", "m", per_nday=False))


def _bench(folder: Path) -> Bench:
    bench = Bench(folder, plan_of(folder, (QUERY, ONE, MANY)))
    bench.run(300)
    bench.deliver()
    return bench


def _sql(bench: Bench, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(bench.folder / "tables.db", isolation_level=None)) as db:
        assert db.execute(statement, values).rowcount > 0


def _copy(bench: Bench, table: str, row_key: str, like: str = "%") -> None:
    """Put a row of ``table`` there once more, under another RowKey (an SQL expression)."""
    _sql(
        bench,
        f"INSERT INTO entities SELECT e.table_id, e.partition_key, {row_key}, e.changed_us, e.event_time, e.columns "
        "FROM entities e JOIN tables t ON t.id = e.table_id WHERE t.folded LIKE ? AND e.row_key LIKE ? "
        "ORDER BY e.event_time LIMIT 1 OFFSET 3",
        table,
        like,
    )


def test_nothing_stray_and_every_schema(tmp_path: Path) -> None:
    found = _bench(tmp_path).audit()
    assert found["ok"]
    assert found["extra"] == {"rows": 0, "named": [], "why": ""}
    assert found["schemas"] == {"expected": 2, "present": 2, "explained": {}, "missing": [], "twice": []}


def test_a_counter_that_nobody_asked_for(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _copy(bench, "m2%", "e.row_key || ':002E'", "2%")
    found = bench.audit()
    assert not found["ok"]
    assert found["extra"]["rows"] == 1
    assert found["extra"]["named"][0]["RowKey"].endswith(":002E")
    assert any(line.startswith("EXTRA rows: 1") for line in audit.render(found))


def test_a_row_beside_the_windows(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    key = f"{ticks.descending(MINUTE + 90)}__:005CA"
    _copy(bench, "m2%", f"'{key}'", "2%")
    found = bench.audit()
    assert not found["ok"]
    assert found["extra"]["named"][0]["RowKey"] == key


@pytest.mark.parametrize("earlier", [True, False])
def test_rows_of_an_earlier_document_are_explained(tmp_path: Path, earlier: bool) -> None:
    fewer = replace(QUERY, text="SELECT A", unpivot=replace(UNPIVOT, columns=("A",)))
    bench = Bench(tmp_path, plan_of(tmp_path, (QUERY if earlier else fewer,), (metrics(),)))
    bench.run(200)
    bench.store.close()
    bench.plan = plan_of(tmp_path, (fewer,), (metrics(),))
    bench.start()
    bench.run(200)
    bench.deliver()
    found = bench.audit()
    assert bool(found["extra"]["rows"]) == earlier
    assert found["ok"]
    if earlier:
        assert found["extra"]["why"] == "an earlier document asked for other rows"


def test_the_same_sample_of_one_instance_under_two_keys(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _copy(bench, "onever2v0", "e.row_key || '9'")
    found = bench.audit()
    assert not found["ok"]
    (event,) = (e for e in found["events"] if e["event"] == "One")
    assert len(event["twice"]) == 1


def test_a_query_may_give_many_instances(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _copy(bench, "manyver2v0", "e.row_key || '9'")
    assert bench.audit()["ok"]


def test_rows_of_other_machines_are_none_of_ours(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _copy(bench, "onever2v0", "'otherhost___0000000000000000001'")
    _copy(bench, "m2%", "e.row_key || '__another-instance'", "2%")
    assert bench.audit()["ok"]


def test_a_schema_row_that_is_gone(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _sql(bench, "DELETE FROM entities WHERE row_key LIKE 'OneVer2v0___%'")
    found = bench.audit()
    assert not found["ok"]
    assert found["schemas"]["missing"] == ["OneVer2v0"]
    assert any("SchemasTable: MISSING the row of OneVer2v0" in line for line in audit.render(found))


def test_a_schema_row_that_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(tmp_path, (ONE,), ()))
    bench.run(60)
    bench.deliver()
    _sql(bench, "DELETE FROM entities WHERE row_key LIKE 'OneVer2v0___%'")
    bench.start()  # a new process writes it again
    bench.run(60)
    found = bench.audit()
    assert found["schemas"]["explained"] == {"queued": 1}
    assert found["ok"]


def test_a_schema_row_under_other_keys(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    _sql(
        bench,
        "INSERT INTO entities SELECT table_id, '7___', row_key, changed_us, event_time, columns FROM entities "
        "WHERE row_key LIKE 'ManyVer2v0___%'",
    )
    found = bench.audit()
    assert not found["ok"]
    assert found["schemas"]["twice"] == ["ManyVer2v0"]
