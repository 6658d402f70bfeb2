"""The file sink: whole lines, once, in files that nobody redirects (spec/mdsd.md 5.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.rows.edm import Row
from extension.sinks import memos
from extension.sinks.base import SinkError
from extension.sinks.files import TextFileSink
from extension.sinks.memos import Forgetful
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
