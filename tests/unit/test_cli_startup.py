"""The ``lad`` command loads the modules of the command asked for; help and errors need none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from extension import cli, expiry
from extension.view import status
from omi_queries import garbage

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from extension.cli import main
try:
    main()
finally:
    print(*(name for name, found in sys.modules.items() if type(found) is type(sys)), file=sys.stderr)
"""
MODULES = {command.module for command in cli.COMMANDS.values()}


def loaded(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=False, cwd=ROOT)
    return set(next(line for line in done.stderr.splitlines() if "extension.cli" in line).split())


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["bogus"]])
def test_what_runs_nothing_loads_no_command(words: list[str]) -> None:
    assert not loaded(*words) & (MODULES | {"dataclasses", "json", "pathlib"})


def test_the_help_says_what_the_commands_say_of_themselves() -> None:
    assert cli._parser([]).format_help() == cli._parser(["-x", "run"]).format_help()


def test_status_of_nothing_installed_loads_no_sinks_and_no_plan(tmp_path: Path) -> None:
    modules = loaded("status", "--state-dir", str(tmp_path / "none"))
    assert "extension.view.status" in modules
    assert not modules & {"extension.expiry", "extension.plan", "extension.sinks", "urllib.parse"}
    assert status._EXPIRY == expiry.NOTE


def test_a_query_loads_no_daemon() -> None:
    modules = loaded("query", "--list")
    assert not {name for name in modules if name.startswith("extension.")} - {"extension.cli", "extension.launch"}
    assert not modules & {"dataclasses", "inspect", "subprocess", "socket"}


@pytest.mark.parametrize("columns", ["", "0", "40", "200", "-1", "x"])
@pytest.mark.parametrize(
    "words", [["-h"], ["config", "-h"], ["config", "generate", "-h"], ["config", "convert", "F", "--to", "x"], ["rows"]]
)
def test_help_and_errors_are_those_of_argparse_itself(words: list[str], columns: str) -> None:
    """With the stand-ins of a command's own process, and as a caller of ``main`` has them: without."""
    own = "from extension.cli import main; main()"
    plain = "import sys, argparse; from extension.cli import main; sys.argv[0] = 'lad'; main(sys.argv[1:])"
    told = [
        subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": columns},
        )
        for code in (own, plain)
    ]
    first, second = ((done.returncode, done.stdout, done.stderr) for done in told)
    assert first == second
    assert "usage: lad" in first[1] + first[2]


@pytest.mark.parametrize(
    "modules",
    [
        ["extension.config.cli", "extension.config.build", "extension.config.tree30", "extension.config.lad30"],
        ["extension.config.plan", "extension.config.lad23", "extension.config.settings_file"],
        ["handler.commands"],
        ["omi_queries.omicli.command", "omi_queries.omicli.local", "omi_queries.backends.procfs", "omi_queries.cli"],
    ],
)
def test_no_named_tuple_has_annotations_to_compile(modules: list[str]) -> None:
    """Each one takes a tenth of a millisecond. ``Injected`` has two whose modules few commands need."""
    code = """
import importlib, sys
from typing import ForwardRef
for name in sys.argv[1:]:
    importlib.import_module(name)
ours = [found for name, found in sys.modules.items() if name.startswith(("handler", "extension", "omi_queries"))]
tuples = {c for m in ours for c in vars(m).values() if isinstance(c, type) and hasattr(c, "_fields")}
print(*(f"{c.__name__}.{n}" for c in tuples for n, a in c.__annotations__.items() if isinstance(a, (str, ForwardRef))))
print(len(tuples))
"""
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True, cwd=ROOT)
    *found, number = done.stdout.split()
    assert set(found) <= {"Injected.addresses", "Injected.geometry"}
    assert int(number) > 3


def test_garbage_is_not_looked_for_at_the_end(tmp_path: Path) -> None:
    code = (
        "import atexit, gc, sys; from extension import cli\n"
        "atexit.register(lambda: None); cli.main()\n"
        "atexit._run_exitfuncs(); print(gc.get_freeze_count() > 1000, gc.get_count()[1:], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "config", "init"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.split() == ["True", "(0,", "0)"]


def test_a_command_looks_for_garbage_later_and_a_caller_of_main_as_before() -> None:
    code = (
        "import gc, sys; from extension import cli; before = gc.get_threshold()\n"
        "cli.main(['config', 'init']); assert gc.get_threshold() == before\n"
        "cli.main(); print(gc.get_threshold()[0], gc.isenabled(), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "config", "init"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.split() == [str(garbage.FEW_OBJECTS), "True"]


def test_what_the_locale_has_no_character_for_is_escaped(tmp_path: Path) -> None:
    given = {
        "t": "2026-11-21T09:18:00Z",
        "namespace": "root/scx",
        "class": "SCX_Agent",
        "instances": [{"Name": "größe"}],
    }
    recording = tmp_path / "r"
    recording.write_text(json.dumps(given) + "\n", encoding="utf-8")
    argv = [
        sys.executable,
        "-m",
        "extension.cli",
        "query",
        "--backend",
        f"replay:{recording}",
        "SELECT Name FROM SCX_Agent",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "gr\\xf6\\xdfe"), done.stderr
