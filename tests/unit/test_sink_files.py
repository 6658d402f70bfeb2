"""The file sink: whole lines, once, in files that nobody redirects (spec/mdsd.md 5.3)."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from extension.delivery import Delivery
from extension.lanes import lanes
from extension.pipeline.batches import Batch
from extension.plan import Account, Plan, Route, Target
from extension.rows.edm import Row
from extension.sinks import memos
from extension.sinks.base import SinkError
from extension.sinks.files import TextFileSink
from extension.sinks.memos import Forgetful
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import KEPT_MEMOS, UploaderStore


def _rows(*lines: str) -> list[Row]:
    return [Row("out.txt", f"k{line}", {"record": ("String", line)}) for line in lines]


def test_lines_are_appended_below_the_base(tmp_path: Path) -> None:
    sink = TextFileSink("file", Forgetful(), str(tmp_path))
    sink.send("file/out.txt", _rows("a", "é"))
    sink.send("file/out.txt", _rows("c"))
    sink.send(f"file/{tmp_path}/other.txt", _rows("d"))
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "a\né\nc\n"
    assert (tmp_path / "other.txt").read_text() == "d\n"
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o600


def test_a_repeated_batch_is_written_over_itself(tmp_path: Path) -> None:
    remembered = Forgetful()
    TextFileSink("file", remembered, str(tmp_path)).send("file/out.txt", _rows("a"))
    TextFileSink("file", remembered, str(tmp_path)).send("file/out.txt", _rows("b", "c"))
    (tmp_path / "out.txt").write_text("a\nb")  # what a kill left
    TextFileSink("file", remembered, str(tmp_path)).send("file/out.txt", _rows("b", "c"))
    assert (tmp_path / "out.txt").read_text() == "a\nb\nc\n"


def test_a_link_is_not_followed_and_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "out.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(SinkError, match="cannot be written") as refused:
        TextFileSink("file", Forgetful(), str(tmp_path)).send("file/out.txt", _rows("a"))
    assert refused.value.reaction == "slow"
    assert (tmp_path / "secret").read_text() == "x"
    with pytest.raises(SinkError, match=r"no/such/out\.txt"):
        TextFileSink("file", Forgetful(), str(tmp_path)).send("file/no/such/out.txt", _rows("a"))


def test_memos_survive_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    store = UploaderStore(str(tmp_path))
    store.remember("first", "1")
    for number in range(KEPT_MEMOS + 20):
        store.remember(f"k{number}", str(number))
        store.remember("kept", str(number))
    store.close()
    again = UploaderStore(str(tmp_path))
    assert again.recall("first") is None
    assert again.recall("kept") == str(KEPT_MEMOS + 19)
    assert again.recall(f"k{KEPT_MEMOS + 19}") == str(KEPT_MEMOS + 19)
    assert again.db.execute("SELECT count(*) FROM memos").fetchone()[0] <= KEPT_MEMOS


@pytest.mark.parametrize(
    ("text", "parts"), [("key 5", ("key", 5)), ("a b 7", ("a b", 7)), (None, None), ("x", None), ("k -1", None)]
)
def test_memo_texts(text: str | None, parts: tuple[str, int] | None) -> None:
    assert memos.split(text) == parts
    if parts:
        assert memos.joined(*parts) == text


def test_a_file_that_cannot_be_written_holds_up_no_other(tmp_path: Path) -> None:
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    there, missing = f"file/{tmp_path}/there.txt", f"file/{tmp_path}/no/such.txt"
    with store.transaction():
        store.queue(
            [Batch("file", name, _rows(f"{i}")) for i, name in enumerate([missing, there, missing, there])], 1.0
        )
    plan = Plan(routes=(Route("s", 60, Target("file", "there.txt")),))
    said: list[str] = []
    uploads = UploaderStore(str(tmp_path))
    made = lanes(
        plan,
        uploads,
        spread_s=0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, text: said.append(text),
    )
    (lane,) = made
    thread = threading.Thread(target=lane.drain, daemon=True)
    thread.start()
    for _ in range(2000):
        if ledger.read(str(tmp_path))[there].delivered == 2:
            break
        time.sleep(0.01)
    lane.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (tmp_path / "there.txt").read_text() == "1\n3\n"
    assert ledger.read(str(tmp_path))[missing].queued == 2
    assert len(said) == 1


def test_a_command_gives_up_a_stuck_blob_and_delivers_the_others(tmp_path: Path) -> None:
    endpoint = f"file://{tmp_path}/tables.db"
    account = Account("m", "acct", "key", "", endpoint, True, endpoint)
    target = Target("jsonblob", "c", "m", full_name=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "stuck.json").write_text("somebody else's")
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        for name in ("stuck.json", "free.json") * 20:
            row = Row(name, f"k{time.monotonic_ns()}", {"record": ("String", "{}")})
            store.queue([Batch("jsonblob m", "jsonblob/c", [row])], 1.0)
    plan = Plan(accounts=(account,), routes=(Route("s", 60, target),))
    delivery = Delivery(plan, str(tmp_path), lambda _level, _text: None)
    assert not delivery.drain()
    assert "move it away" in delivery.given_up()[0]
    balance = ledger.read(str(tmp_path))["jsonblob/c"]
    assert (balance.delivered, balance.queued) == (20, 20)
    assert (tmp_path / "c" / "stuck.json").read_text() == "somebody else's"
