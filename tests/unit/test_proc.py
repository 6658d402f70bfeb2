"""Telling whether a process runs a module of the project, from what the kernel shows of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from extension import proc

MODULE = "extension.watchdog"
LINE = b"python\0launch.py\0extension.watchdog\0daemon.json\0"


def _process(folder: Path, line: bytes, *, program: bool = True) -> None:
    (folder / "7").mkdir()
    (folder / "7" / "cmdline").write_bytes(line)
    if program:
        (folder / "7" / "exe").symlink_to(sys.executable)


def _never(_seconds: float) -> None:
    raise AssertionError("nothing to wait for")


def test_the_command_line_of_a_process_that_is_being_executed_is_waited_for(tmp_path: Path) -> None:
    _process(tmp_path, b"")
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            (tmp_path / "7" / "cmdline").write_bytes(LINE)

    assert proc.is_module(7, MODULE, str(tmp_path), sleep)
    assert len(waited) == 3


def test_one_that_never_gets_a_command_line_is_not_waited_for_without_end(tmp_path: Path) -> None:
    _process(tmp_path, b"")
    waited: list[float] = []
    assert not proc.is_module(7, MODULE, str(tmp_path), waited.append)
    assert sum(waited) <= 2.0


def test_others_are_told_at_once(tmp_path: Path) -> None:
    assert not proc.is_module(7, MODULE, str(tmp_path), _never)  # gone
    _process(tmp_path, b"", program=False)  # the kernel's own, or waiting to be reaped
    assert not proc.is_module(7, MODULE, str(tmp_path), _never)
    (tmp_path / "7" / "cmdline").write_bytes(b"sleep\0extension.watchdog2\0")
    assert not proc.is_module(7, MODULE, str(tmp_path), _never)


def test_a_process_that_waits_to_be_reaped_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "", MODULE])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not proc.is_module(child.pid, MODULE, sleep=_never)
    finally:
        child.wait()
