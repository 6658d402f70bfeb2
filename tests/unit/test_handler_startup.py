"""A handler command starts with few modules: an agent waits for it, and a small machine pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from handler import settings

ROOT = Path(__file__).parents[2]
CODE = """
import sys
sys.path.insert(0, sys.argv.pop())
from handler import commands
print(*sys.modules)
"""
SLOW = {"dataclasses", "inspect", "lxml", "shutil", "sqlite3", "ssl", "subprocess", "traceback", "urllib.parse"}


def test_the_commands_load_nothing_slow() -> None:
    command = [sys.executable, "-I", "-S", "-c", CODE, str(ROOT)]
    modules = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "handler.enabling" in modules
    assert not modules & SLOW


def test_settings_show_themselves_without_the_protected_part() -> None:
    shown = "Settings(public={'a': 1}, cert='c', key=None)"
    assert f"{settings.Settings({'a': 1}, {'k': 'SECRET'}, 'c')}" == shown
