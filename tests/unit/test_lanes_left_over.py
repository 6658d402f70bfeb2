"""Rows that wait for a service which the configuration has no more: they go on, or are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.lanes import ASK_S, HANDOVER_S, lanes
from extension.pipeline.batches import Batch
from extension.plan import Account, Plan
from extension.rows.edm import Row
from extension.sinks import SinkError
from extension.sinks.local_tables import LocalTablesReader
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore


def account(folder: Path, moniker: str, default: bool) -> Account:
    return Account(moniker, f"acct{moniker}", "key", "", f"file://{folder}/{moniker}.db", default)


def queue(folder: Path, *lane_names: str) -> None:
    store = CollectorStore(str(folder), max_bytes=64 << 20)
    with store.transaction():
        for name in lane_names:
            columns = {"record": ("String", "{}")} if " " in name else {"V": ("Int32", 1)}
            table = "box/p" if name.startswith("jsonblob") else "Tab"
            store.queue([Batch(name, table, [Row("pk", f"r of {name}", columns)])], 1.0)
    store.close()


def made(folder: Path, plan: Plan, said: list[str]) -> list:  # type: ignore[type-arg]
    return lanes(
        plan,
        UploaderStore(str(folder)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda level, text: said.append(f"{level} {text}"),
    )


def keys(path: Path) -> set[str]:
    reader = LocalTablesReader(str(path))
    try:
        return {e.row_key for e in reader.query("Tab")}
    finally:
        reader.close()


def test_rows_of_an_account_that_is_gone_go_to_the_default_account(tmp_path: Path) -> None:
    queue(tmp_path, "old", "now", "other")
    said: list[str] = []
    plan = Plan(accounts=(account(tmp_path, "other", False), account(tmp_path, "now", True)))
    for lane in made(tmp_path, plan, said):
        lane.drain()
    assert keys(tmp_path / "now.db") == {"r of old", "r of now"}
    assert keys(tmp_path / "other.db") == {"r of other"}
    assert ledger.read(str(tmp_path))["Tab"].queued == 0
    assert [text for text in said if "'old'" in text] == [
        "warning rows wait for the account 'old', which the configuration has no more: they go to acctnow"
    ]


def test_rows_that_the_collector_before_queues_later_go_there_too(tmp_path: Path) -> None:
    queue(tmp_path, "now")
    plan = Plan(accounts=(account(tmp_path, "now", True),))
    [lane] = made(tmp_path, plan, [])
    queue(tmp_path, "old")
    lane.drain()
    assert keys(tmp_path / "now.db") == {"r of old", "r of now"}


def test_json_blobs_of_an_account_that_is_gone_go_to_the_default_account(tmp_path: Path) -> None:
    queue(tmp_path, "jsonblob old")
    plan = Plan(accounts=(account(tmp_path, "now", True),))
    assert [lane.name for lane in made(tmp_path, plan, [])] == ["now", "jsonblob now"]
    for lane in made(tmp_path, plan, []):
        lane.drain()
    assert {name: b.queued for name, b in ledger.read(str(tmp_path)).items()} == {"box/p": 0}


@pytest.mark.parametrize(
    ("name", "accounts", "what"),
    [
        ("old", False, "the account 'old'"),
        ("jsonblob old", False, "the account 'old'"),
        ("eventhub E", True, "the Event Hub of 'E'"),
        ("eventhub E 2", True, "the Event Hub of 'E 2'"),
    ],
)
def test_rows_that_have_nowhere_to_go_are_named_and_kept(tmp_path: Path, name: str, accounts: bool, what: str) -> None:
    queue(tmp_path, name)
    plan = Plan(accounts=(account(tmp_path, "now", accounts),))
    said: list[str] = []
    lane = next(lane for lane in made(tmp_path, plan, said) if lane.name == name)
    with pytest.raises(SinkError) as error:
        lane._attempt("T", [])
    assert error.value.reaction == "retry"  # a warning, and the rows stay
    assert str(error.value) == f"rows wait for {what}, which the configuration has no more; put it back to send them"


def test_after_the_handover_it_is_looked_for_such_rows_now_and_then(tmp_path: Path) -> None:
    queue(tmp_path, "now")
    clock = [1000.0]
    plan = Plan(accounts=(account(tmp_path, "now", True),))
    (lane,) = lanes(
        plan,
        UploaderStore(str(tmp_path)),
        spread_s=0.0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda *_: None,
        monotonic=lambda: clock[0],
    )
    lane.drain()
    clock[0] += HANDOVER_S - 1
    queue(tmp_path, "old")
    lane.drain()
    assert keys(tmp_path / "now.db") == {"r of now", "r of old"}
    clock[0] += 2
    lane.drain()
    queue(tmp_path, "older", "oldest")
    lane.drain()
    assert keys(tmp_path / "now.db") == {"r of now", "r of old"}
    clock[0] += ASK_S
    lane.drain()
    assert keys(tmp_path / "now.db") == {"r of now", "r of old", "r of older", "r of oldest"}
