"""The omicli command as a process of its own: live values, names and order as recorded, pipes, entry points."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omi_queries import classes
from omi_queries.recording import declared_class
from omi_queries.recording_file import Recording

FIXTURES = Path(__file__).parent.parent / "fixtures" / "omi-golden"
MODULE = [sys.executable, "-m", "omi_queries.omicli"]


def omicli(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MODULE, *argv], capture_output=True, text=True, timeout=60, check=False)


def names(out: str) -> dict[str, list[str]]:
    """Property names, with [Key], of the first instance of each class."""
    found: dict[str, list[str]] = {}
    for name, body in re.findall(r"^instance of (\w+)\n\{\n(.*?)^\}\n", out, re.DOTALL | re.MULTILINE):
        found.setdefault(name, re.findall(r"^    ((?:\[Key\] )?\w+)=", body, re.MULTILINE))
    return found


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("ein-*.txt")), ids=lambda path: str(path.stem))
def test_live_instances_have_the_recorded_names_in_the_recorded_order(path: Path) -> None:
    recorded = path.read_text(encoding="utf-8")
    name = path.stem.removeprefix("ein-")
    found = omicli("-n", "ei", "root/scx", name)
    assert f"--- exit {found.returncode}\n" in recorded
    live = names(found.stdout)
    if live:  # a machine may have no interface or file system that is listed
        assert live == names(recorded)


@pytest.mark.parametrize("name", [n for n in classes.names() if classes.get(n).served])
def test_live_values_are_of_the_declared_types(name: str) -> None:
    one = f" WHERE Handle='{os.getpid()}'" if "UnixProcess" in name else ""
    found = omicli("wql", "root/scx", f"SELECT * FROM {name}{one}")
    assert (found.returncode, found.stderr) == (0, "")
    known = declared_class("root/scx", name)
    assert known is not None
    patterns = {"boolean": "true|false", "datetime": r"[0-9.+:-]{25}", "real64": r"[0-9.e+-]+"}
    for prop, text in re.findall(r"^    (?:\[Key\] )?(\w+)=(.*)$", found.stdout, re.MULTILINE):
        kind = known.types[prop]
        pattern = r"\{.*\}" if kind.endswith("[]") else patterns.get(kind, r"-?\d+" if "int" in kind else ".*")
        assert re.fullmatch(pattern, text), f"{prop}={text}"


def test_a_closed_pipe_is_no_error() -> None:
    with subprocess.Popen(
        [*MODULE, "-R", "2000", "gc", "root/scx", "SCX_Agent"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b"class of S"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


LAD = [sys.executable, "-m", "extension.cli"]


@pytest.mark.parametrize(
    "argv",
    [
        [*MODULE, "noop"],
        [*MODULE, "ei", "root/scx", "Nope"],
        [*LAD, "omicli", "id"],
        [*LAD, "query", "--list"],
        [*LAD, "query", "SELECT Name FROM SCX_MemoryStatisticalInformation"],
    ],
)
@pytest.mark.parametrize("closed", ["1", "2"])
def test_closed_streams_are_no_crash(argv: list[str], closed: str) -> None:
    """The exit code is that with open ones, and what goes to the other stream is not a traceback."""
    whole = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *argv]
    found = subprocess.run(shell, capture_output=True, timeout=60, check=False)
    assert found.returncode == whole.returncode
    assert b"Traceback" not in found.stdout + found.stderr


def test_a_full_disk_is_said_by_lad_too() -> None:
    argv = [*LAD, "query", "--list"]
    with open("/dev/full", "w") as full:
        found = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (1, b"lad: cannot write: No space left on device\n")


def test_a_full_disk_is_said() -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run([*MODULE, "noop"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (1, b"omicli: cannot write: No space left on device\n")


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_text_is_utf_8_in_every_locale(env: dict[str, str]) -> None:
    argv = [*MODULE, "caf\u00e9"]
    found = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, timeout=60, check=False)
    assert found.stderr == "omicli: unknown command: caf\u00e9\n".encode()


def test_it_is_a_command_of_lad_too() -> None:
    argv = [sys.executable, "-m", "extension.cli", "omicli", "-n", "-xml", "-R", "2", "noop"]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "got noop response\n" * 2, "")
    argv = [sys.executable, "-m", "extension.cli", "omicli", "gi", "root/scx", "{", "SCX_Agent", "Name", "none", "}"]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (6, "omicli: result: MI_RESULT_NOT_FOUND\n")


def test_a_recording_of_the_live_machine_ends_on_a_signal_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    argv = [sys.executable, "-m", "extension.cli", "record", "-o", str(path), "--interval", "1"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 30
        while (not path.exists() or path.read_text().count("\n") < 12) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(30) == 0
    assert said.endswith(f"lines in {path}\n")
    found = Recording(str(path))
    assert found.notes == []
    assert found.last_us is not None
    sample = found.newest("root/scx", "SCX_ProcessorStatisticalInformation", found.last_us)
    found.close()
    assert sample is not None
    assert sample.instances[-1]["Name"] == "_Total"
    assert "PercentIdleTime" in sample.instances[-1]
