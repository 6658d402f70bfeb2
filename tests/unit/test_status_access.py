"""``lad status`` of a state folder that cannot be looked into, or whose files are odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from extension.view import status


def test_a_folder_of_somebody_else_is_not_called_stopped(short_path: Path) -> None:
    folder = short_path / "state"
    folder.mkdir()
    (folder / "watchdog.lock").write_text("1\n")
    short_path.chmod(0o755)
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    other = "os.setgid(65534); os.setuid(65534); " if os.geteuid() == 0 else ""
    code = (
        "import os, sys; from argparse import Namespace; from extension.view.status import status; "
        f"{other}sys.exit(status(Namespace(state_dir={str(folder)!r}, json='--json' in sys.argv)))"
    )
    shown = subprocess.run([sys.executable, "-c", code, "--json"], capture_output=True, text=True, timeout=60)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    folder.chmod(0o700)
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
