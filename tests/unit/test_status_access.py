"""``lad status`` of a state folder that cannot be looked into, or whose files are odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from extension import cli
from extension.pipeline.batches import Batch
from extension.plan import Account
from extension.rows.edm import Row
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from extension.view import status
from tests.daemon_bed import document


def _as_another(short_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``lad`` run by a user who may not look into the state folder."""
    folder = short_path / "state"
    folder.mkdir(exist_ok=True)
    (folder / "watchdog.lock").write_text("1\n")
    short_path.chmod(0o755)
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    other = "os.setgid(65534); os.setuid(65534); " if os.geteuid() == 0 else ""
    # that user may not read the program, so all of it is loaded first
    everything = "import os, sys; from extension import cli; cli._parser(('-', *cli.COMMANDS))"
    code = f"{everything}; {other}sys.exit(cli.main(sys.argv[1:]))"
    environ = {**os.environ, "LAD_STATE_DIR": str(folder)}
    try:
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("words", [("audit",), ("tables",), ("rows", "Metrics")])
def test_commands_say_that_they_may_not_look(short_path: Path, words: tuple[str, ...]) -> None:
    done = _as_another(short_path, *words)
    assert done.returncode == 1
    assert "can only be read by its owner: run this command as root" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_of_somebody_else_is_not_called_stopped(short_path: Path) -> None:
    shown, told = _as_another(short_path, "status", "--json"), _as_another(short_path, "status")
    assert (shown.returncode, told.returncode) == (1, 1), shown.stderr + told.stderr
    found = json.loads(shown.stdout)
    assert [p["code"] for p in found["problems"]] == ["state-unreadable"]
    assert found["daemon"]["running"] is None
    assert "run this command as root" in told.stdout
    assert "not running" not in told.stdout


@pytest.mark.parametrize("text", ["", "[]", '{"time": null, "components": []}', '{"time": "x", "components": {}}'])
def test_an_odd_health_file_is_no_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "daemon.health").write_text(text)
    found = status.gather(str(tmp_path))
    assert [p["code"] for p in found["problems"]] == ["daemon-stopped"]
    assert found["components"] == {}


@pytest.mark.parametrize("how", ["no database", "short", "pages"])
@pytest.mark.parametrize("name", ["collector.db", "uploader.db"])
def test_a_damaged_store_is_named_with_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, name: str
) -> None:
    store, uploads = CollectorStore(str(tmp_path), max_bytes=64 << 20), UploaderStore(str(tmp_path))
    with store.transaction():
        store.queue([Batch("m", "T", [Row("p", f"{i}", {"V": ("Int64", i)})]) for i in range(300)], 1.0)
    for batch in uploads.pending("m", 200):
        uploads.acknowledge(batch.id, "T", 1, {}, 1.0)
    store.close()
    uploads.close()
    data = (tmp_path / name).read_bytes()
    whole = b"".join(b"\xff" * 200 + data[at + 200 : at + 4096] for at in range(4096, len(data), 4096))
    damaged = {"no database": b"not a database" * 500, "short": data[:3000], "pages": data[:4096] + whole}
    (tmp_path / name).write_bytes(damaged[how])
    (tmp_path / "x.xml").write_text(
        document(Account("m", "a", "key", "", f"file://{tmp_path}/t.db"), rate=15, period=60)
    )
    assert cli.main(["audit", "-c", str(tmp_path / "x.xml"), "--state-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    (problem,) = [p for p in status.gather(str(tmp_path))["problems"] if p["code"] == "store-unreadable"]
    for text in (told.strip(), problem["message"]):
        assert len(text.splitlines()) == 1
        assert f"cannot read the store {tmp_path}" in text
        assert "sets it aside" in text
