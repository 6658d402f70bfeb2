"""The ledger in ``lad status`` and in the status file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from extension.lane import Lane
from extension.pipeline.batches import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks.base import SinkError
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from extension.store.watch import LedgerWatch
from extension.view import status


def _queue(store: CollectorStore, n: int, table: str = "T", at: float = 1000.0) -> None:
    with store.transaction():
        for i in range(n):
            store.queue([Batch("m", table, [Row("pk", f"{i}-{j}", {"V": ("Int64", j)}) for j in range(2)])], at)


class _Refuses:
    """Takes nothing: one row is refused for good, then the service is away until told otherwise."""

    def __init__(self) -> None:
        self.error: SinkError | None = None

    def send(self, table: str, rows: Sequence[Row]) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass


def test_the_last_error_of_a_table_with_its_code(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 1)
    sink, uploads = _Refuses(), UploaderStore(str(tmp_path))
    lane = Lane(
        Account("m", "acc", "key", ""), uploads, spread_s=0, publish=lambda: None, progress=lambda: None,
        log=lambda *_: None, clock=lambda: 5000.0, connect=lambda _account: sink,
    )  # fmt: skip
    sink.error = SinkError("drop-batch", "InvalidResourceName", "the table name is not allowed")
    lane.drain()
    balance = ledger.read(str(tmp_path))["T"]
    assert balance.last_error == {
        "code": "InvalidResourceName", "message": "the table name is not allowed", "time": 5000.0,
    }  # fmt: skip
    assert (balance.dropped, balance.last_success) == ({"InvalidResourceName": 2}, None)
    found = status.gather(str(tmp_path), lambda: 6000.0)
    assert found["events"]["T"]["last_error"]["code"] == "InvalidResourceName"
    assert any("InvalidResourceName 16 min ago" in line for line in status._lines(found, 6000.0))


def test_settings_refused_by_the_handler_are_a_problem(tmp_path: Path) -> None:
    state, home, statuses = (tmp_path / name for name in ("state", "home", "status"))
    for folder in (state, home, statuses):
        folder.mkdir()
    (state / "installed.json").write_text(json.dumps({"home": str(home)}))
    known = {"home": str(home), "config": "c", "state_dir": str(state), "status_file": f"{statuses}/9.status"}
    (home / "daemon.json").write_text(json.dumps({**known, "sequence": 9}))

    def shown(number: int, level: str) -> list[str]:
        told = {"status": level, "formattedMessage": {"lang": "en-US", "message": "Settings not enabled: $.x"}}
        (statuses / f"{number}.status").write_text(json.dumps([{"version": 1, "status": told}]))
        return [p["message"] for p in status.gather(str(state))["problems"] if p["code"] == "settings-refused"]

    assert shown(9, "error") == []  # the daemon's own
    assert shown(10, "success") == []
    assert shown(10, "error") == ["Settings not enabled: $.x"]
    (statuses / "10.status").write_text("[")
    assert shown(8, "error") == []


def test_notes_of_a_process_before_are_forgotten(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 1)
    uploads = UploaderStore(str(tmp_path))
    uploads.note("problem:m", "error the SAS expired")
    assert any(p["code"] == "upload-error" for p in status.gather(str(tmp_path))["problems"])
    uploads.forget_notes("problem:")
    assert not any(p["code"] == "upload-error" for p in status.gather(str(tmp_path))["problems"])


def test_the_status_tells_of_drops_for_an_hour_and_of_rows_that_wait(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 30)
    store.drop_oldest(1, "store full")
    now = [1010.0]
    watch = LedgerWatch(lambda: ledger.read(str(tmp_path)), lambda: now[0])
    assert watch.problems() == []  # what was dropped before has been said
    store.drop_oldest(2, "store full")
    assert watch.problems() == []  # not looked at again so soon
    now[0] += 61
    assert watch.problems() == ["rows were dropped within the last hour: 4 of T (store full)"]
    now[0] += 1000
    assert len(watch.problems()) == 2
    assert "1970-01-01T00:16:40Z" in watch.problems()[1]
    now[0] += 3700
    assert len(watch.problems()) == 1


def test_the_balance_is_exact_while_batches_pass(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    uploads = UploaderStore(str(tmp_path))
    for i in range(20):
        _queue(store, 3)
        for batch in uploads.pending("m", 2):
            uploads.acknowledge(batch.id, batch.table, 2, {}, 1.0)
        if i % 3 == 0:
            store.forget_delivered()
        if i % 5 == 0:
            uploads.prune()
        b = ledger.read(str(tmp_path))["T"]
        assert b.produced == b.delivered + b.queued + sum(b.dropped.values()) == 6 * (i + 1)


def test_files_that_are_being_made_are_no_ledger_yet(tmp_path: Path) -> None:
    (tmp_path / "uploader.db").touch()
    assert ledger.read(str(tmp_path)) == {}
    _queue(CollectorStore(str(tmp_path), max_bytes=64 << 20), 1)
    assert ledger.read(str(tmp_path))["T"].queued == 2
    assert ledger.acknowledged(str(tmp_path), None) == set()


def test_the_age_of_the_oldest_queued_row(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 2, at=1000.0)
    store.close()
    found = status.gather(str(tmp_path), clock=lambda: 1400.5)
    event = found["events"]["T"]
    assert (event["produced"], event["queued"], event["delivered"], event["dropped"]) == (4, 4, 0, {})
    assert event["oldest_queued_age_s"] == 400.5
    assert "T: the oldest queued row has waited for 6 min" in status._lines(found, 1400.5)
    waiting = [p["message"] for p in found["problems"] if p["code"] == "rows-waiting"]
    assert waiting == ["T: 4 rows wait, the oldest for 6 min"]


def test_nothing_queued_has_no_age(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    _queue(store, 1)
    uploads = UploaderStore(str(tmp_path))
    (batch,) = uploads.pending("m")
    uploads.acknowledge(batch.id, batch.table, batch.count, {}, 5.0)
    assert status.gather(str(tmp_path), clock=lambda: 1400.0)["events"]["T"]["oldest_queued_age_s"] is None


def test_what_is_watched_of_the_ledger_is_what_it_says(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    uploads = UploaderStore(str(tmp_path))

    def agrees() -> None:
        wanted = {t: (b.dropped, b.queued, b.oldest_queued) for t, b in ledger.read(str(tmp_path)).items()}
        found = {t: (b.dropped, b.queued, b.oldest_queued) for t, b in store.troubles().items()}
        nothing: tuple[dict[str, int], int, None] = ({}, 0, None)
        assert {t: b for t, b in wanted.items() if b != nothing} == {t: b for t, b in found.items() if b != nothing}

    agrees()
    _queue(store, 3, "A", 1000.0)
    _queue(store, 2, "B", 2000.0)
    agrees()
    queued = uploads.pending("m")
    uploads.acknowledge(queued[0].id, "A", 2, {}, 2100.0)
    uploads.acknowledge(queued[3].id, "B", 1, {"InvalidInput": 1}, 2100.0)
    agrees()
    with store.transaction():
        store.refuse("C", "late", 4)
    assert store.drop_oldest(2, "store full") == 2
    agrees()
    uploads.acknowledge(queued[1].id, "A", 2, {}, 2200.0)  # on its way when it was dropped
    agrees()
    assert {t: b.dropped for t, b in store.troubles().items() if b.dropped} == {
        "B": {"InvalidInput": 1},
        "C": {"late": 4},
    }
