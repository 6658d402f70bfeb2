"""``lad demo`` as a script uses it: JSON, what is kept, nothing left running, an interrupt that cleans up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAD = [sys.executable, "-m", "extension.cli"]


def _left(root: Path) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(root) in line and "extension." in line and "extension.cli" not in line:
                found.append(line)
    return found


def test_the_demo_in_json(short_path: Path) -> None:
    root = short_path / "kept"
    done = subprocess.run(
        [*LAD, "demo", "--seconds", "20", "--keep", str(root), "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [c["command"] for c in found["commands"]] == ["install", "enable", "disable", "uninstall"]
    assert {c["exit_code"] for c in found["commands"]} == {0}
    assert all(0 <= c["seconds"] < 10 for c in found["commands"])
    assert found["left_running"] == []
    assert found["tables"], found
    assert any(t.startswith("WADMetricsPT1M") and n >= 76 for t, n in found["tables"].items())
    assert any(t.startswith("WADMetricsPT1H") and n == 76 for t, n in found["tables"].items())
    counters = {c["counter"]: c for c in found["counters"]}
    assert len(counters) == 38
    assert counters["\\Memory\\AvailableMemory"]["unit"] == "Bytes"
    assert counters["\\Memory\\AvailableMemory"]["value"] > 1 << 20
    assert "waiting for 20 s of samples" in done.stderr
    assert (root / "tables.db").exists()
    logs = list((root / "var/log/azure").glob("*/extension.log"))
    assert len(logs) == 1
    assert "Enable,success,0" in logs[0].read_text()
    assert _left(root) == []


def test_the_demo_leaves_the_callers_installation_alone_and_takes_any_folder(short_path: Path) -> None:
    """``LAD_STATE_DIR`` names somebody's real state; the folder's name has what shells and URIs give a meaning."""
    state = short_path / "state"
    state.mkdir()
    (state / ".lad-emulator").write_text("")
    (state / "precious").write_text("unsent rows")
    root = short_path / "my demo #1 %41?"
    done = subprocess.run(
        [*LAD, "demo", "--seconds", "1", "--keep", str(root), "--json"],
        env={**os.environ, "LAD_STATE_DIR": str(state), "LAD_SERVICE": "systemd"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(t.startswith("WADMetricsPT1M") for t in json.loads(done.stdout)["tables"])
    assert (root / "tables.db").exists()
    assert sorted(p.name for p in state.iterdir()) == [".lad-emulator", "precious"]


@pytest.mark.parametrize("seconds", ["abc", "", "nan", "0", "-5", "1e9"])
def test_odd_seconds_are_named(seconds: str) -> None:
    done = subprocess.run([*LAD, "demo", f"--seconds={seconds}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"must be a number of seconds between 1 and 86400, not {seconds!r}" in done.stderr


def test_a_reader_that_goes_away_does_not_keep_the_demo_from_cleaning_up(short_path: Path) -> None:
    """As ``lad demo 2>&1 | head -1`` does."""
    root = short_path / "kept"
    child = subprocess.Popen(
        [*LAD, "demo", "--seconds", "1", "--keep", str(root)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert child.stdout is not None
    assert child.stdout.readline()
    child.stdout.close()
    child.wait(timeout=120)
    assert (root / "tables.db").exists()
    assert _left(root) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    root = tmp_path / "kept"
    child = subprocess.Popen(
        [*LAD, "demo", "--keep", str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    end = time.monotonic() + 60
    for line in child.stderr:
        if "waiting for" in line:
            break
        assert time.monotonic() < end
    assert _left(root) != []
    child.send_signal(number)
    for line in child.stderr:
        if "disable, uninstall" in line:
            break
    child.send_signal(number)  # once more, by an impatient user
    rest = child.stderr.read()
    child.wait(timeout=60)
    assert child.returncode == 130, rest
    assert "Traceback" not in rest
    assert _left(root) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [*LAD, "demo", "--seconds", "1", "--keep", str(tmp_path / "file" / "x")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("lad demo: ")
    assert len(done.stderr.splitlines()) == 1
