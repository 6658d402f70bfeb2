"""The size of the terminal, as shutil tells it."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import sys
import termios

import pytest

from omi_queries import terminal


@pytest.mark.parametrize("columns", [None, "", "x", "0", "-3", "132", " 50 "])
@pytest.mark.parametrize("lines", [None, "0", "50"])
@pytest.mark.parametrize("screen", [None, (24, 99), *([(0, 0)] if sys.version_info >= (3, 11) else [])])
def test_the_size_is_that_of_shutil(
    columns: str | None, lines: str | None, screen: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", columns), ("LINES", lines)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    if screen is not None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *screen, 0, 0))
    with open(ours, closefd=True), open(theirs if screen else os.devnull) as out:
        monkeypatch.setattr(sys, "__stdout__", out)
        assert terminal.size() == shutil.get_terminal_size()
        assert terminal.size((120, 30)) == shutil.get_terminal_size((120, 30))
    assert terminal.size() == shutil.get_terminal_size()  # a closed one
    monkeypatch.setattr(sys, "__stdout__", None)
    assert terminal.size() == shutil.get_terminal_size()
    if screen is None:
        os.close(theirs)
