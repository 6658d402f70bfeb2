"""The starter of resident processes: which modules stay out of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from extension import launch, spawn

_PROGRAM = """
import json, sys
def main():
    import extension.collector
    before = [name for name in ("ast", "dis", "tokenize", "lxml", "ssl", "azure") if name in sys.modules]
    import inspect
    from inspect import Parameter
    def f(a, b=1): ...
    real = sys.modules["inspect"]
    print(json.dumps([before, str(inspect.signature(f)), Parameter is real.Parameter, hasattr(inspect, "nothing")]))
    return 3
"""


def test_the_collector_is_loaded_without_the_compilers_modules(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(_PROGRAM)
    argv = spawn.module_argv("probe")
    argv[argv.index("probe") - 1] += f":{tmp_path}"
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    loaded, signature, same, there = json.loads(done.stdout)
    assert (signature, same, there) == ("(a, b=1)", True, False)
    if sys.version_info < (3, 12):  # later ones look at annotations through it
        assert loaded == []
    else:
        assert not {"lxml", "ssl", "azure"} & set(loaded)


def test_what_stands_for_a_module_gives_way_to_it() -> None:
    name = "this"
    known = sys.modules.pop(name, None)
    try:
        sys.modules[name] = stand_in = launch.Later(name)
        assert stand_in.s.startswith("Gur Mra")  # type: ignore[attr-defined]
        assert sys.modules[name] is not stand_in
        assert stand_in.c == sys.modules[name].c
    finally:
        sys.modules.pop(name)
        if known is not None:
            sys.modules[name] = known


def test_a_function_of_its_own_is_taken_from_the_stand_in() -> None:
    code = """
import sys
from extension import launch
sys.modules["this"] = launch.Later("this", own={"s": str.upper})
from this import s
assert s("a") == "A" and type(sys.modules["this"]) is launch.Later
from this import d
assert d["A"] == "N" and type(sys.modules["this"]) is not launch.Later
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parents[2])


def test_a_function_can_be_taken_before_its_module_is_loaded() -> None:
    name = "this"
    known = sys.modules.pop(name, None)
    try:
        sys.modules[name] = stand_in = launch.Later(name, ("len",))
        taken: Callable[[str], object] = getattr(stand_in, "len")  # noqa: B009
        assert sys.modules[name] is stand_in
        with pytest.raises(AttributeError, match="no attribute 'len'"):
            taken("abc")
        sys.modules[name].len = len  # type: ignore[attr-defined]
        assert taken("abc") == 3
    finally:
        sys.modules.pop(name)
        if known is not None:
            sys.modules[name] = known


_STUB = """
import os
with open({log!r}, "a") as file:
    print(os.getpid(), file=file)
def main():
    print(os.getpid())
    return 0
"""


def _run_stub(home: Path) -> str:
    argv = [sys.executable, "-I", "-S", str(home / "extension" / "launch.py"), "", "extension.collector"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_a_copy_that_has_never_run_is_compiled_by_a_child_once(tmp_path: Path) -> None:
    package, log = tmp_path / "extension", tmp_path / "loaded"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(launch.__file__, package / "launch.py")
    (package / "collector.py").write_text(_STUB.format(log=str(log)))
    pid = _run_stub(tmp_path)
    child, parent = log.read_text().split()
    assert parent == pid != child
    pid = _run_stub(tmp_path)
    assert log.read_text().split() == [child, parent, pid]


def test_a_module_that_cannot_be_compiled_fails_in_its_own_process(tmp_path: Path) -> None:
    package = tmp_path / "extension"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(launch.__file__, package / "launch.py")
    (package / "collector.py").write_text("def main(: pass")
    argv = [sys.executable, "-I", "-S", str(package / "launch.py"), "", "extension.collector"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("SyntaxError") == 1
