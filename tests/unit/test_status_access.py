"""``lad status`` of a state folder that cannot be looked into, or whose files are odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from extension.view import status


def _as_another(short_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``lad`` run by a user who may not look into the state folder."""
    folder = short_path / "state"
    folder.mkdir(exist_ok=True)
    (folder / "watchdog.lock").write_text("1\n")
    short_path.chmod(0o755)
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    other = "os.setgid(65534); os.setuid(65534); " if os.geteuid() == 0 else ""
    everything = "import os, sys; from extension import cli; cli._parser(None)"  # that user may not read the program
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
