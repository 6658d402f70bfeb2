"""N.status: the shape that the VM agent accepts, its size, its one-step replacement."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension import statusfile


def test_shape() -> None:
    part = statusfile.substatus("collector", "success", 0, "running")
    document = statusfile.status_document("P.T", "Enable", "success", 0, "Enable succeeded", [part], now=lambda: 0.0)
    assert document == [
        {
            "version": "1.0",
            "timestampUTC": "1970-01-01T00:00:00Z",
            "status": {
                "name": "P.T",
                "operation": "Enable",
                "configurationAppliedTime": "1970-01-01T00:00:00Z",
                "status": "success",
                "code": 0,
                "formattedMessage": {"lang": "en-US", "message": "Enable succeeded"},
                "substatus": [
                    {
                        "name": "collector",
                        "status": "success",
                        "code": 0,
                        "formattedMessage": {"lang": "en-US", "message": "running"},
                    }
                ],
            },
        }
    ]


def test_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="transitioning"):
        statusfile.substatus("x", "ok", 0, "")


def test_messages_are_cut() -> None:
    part = statusfile.substatus("x", "error", 1, "m" * 5000)
    message = part["formattedMessage"]["message"]
    assert len(message) == statusfile.MAX_MESSAGE
    assert message.endswith("[cut]")


@given(st.lists(st.text(max_size=2000), max_size=400), st.text(max_size=3000))
def test_any_texts_make_json_under_the_agents_limit(messages: list[str], message: str) -> None:
    parts = [statusfile.substatus(str(n), "error", 1, text) for n, text in enumerate(messages)]
    data = statusfile.encode(statusfile.status_document("n", "Enable", "error", 53, message, parts))
    assert len(data) < 128 * 1024
    assert json.loads(data)[0]["status"]["status"] == "error"


def test_entries_that_do_not_fit_are_counted() -> None:
    parts = [statusfile.substatus(str(n), "error", 1, "é" * 1024) for n in range(300)]
    data = statusfile.encode(statusfile.status_document("n", "Enable", "error", 53, "m", parts))
    kept = json.loads(data)[0]["status"]["substatus"]
    said = re.match(r"(\d+) more", kept[-1]["formattedMessage"]["message"])
    assert said
    assert int(said[1]) + len(kept) - 1 == 300


def test_write_replaces_in_one_step_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "0.status"
    path.write_text("old")
    before = os.stat(path).st_ino
    statusfile.write(str(path), statusfile.status_document("n", "Enable", "success", 0, "m"))
    assert os.stat(path).st_ino != before
    assert json.loads(path.read_text())[0]["status"]["code"] == 0
    assert os.listdir(tmp_path) == ["0.status"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "folder.status"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        statusfile.write(str(target), statusfile.status_document("n", "Enable", "success", 0, "m"))
    assert os.listdir(tmp_path) == ["folder.status"]
