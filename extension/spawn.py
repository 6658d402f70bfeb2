"""The command line that starts one of the project's own modules as a child process."""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def extra_paths() -> list[str]:
    """The folders on ``sys.path`` that are not the standard library: where the dependencies are."""
    stdlib = os.path.realpath(os.path.dirname(os.__file__))
    found: list[str] = []
    for entry in sys.path:
        if not entry or not os.path.isdir(entry):
            continue
        real = os.path.realpath(entry)
        if real in (stdlib, os.path.join(stdlib, "lib-dynload")):
            continue
        if entry not in found:
            found.append(entry)
    return found


def module_argv(module: str, *args: str) -> list[str]:
    """argv that runs ``module.main()`` with ``args`` through :mod:`extension.launch` in an isolated interpreter."""
    launch = os.path.join(_HERE, "launch.py")
    return [sys.executable, "-I", "-S", launch, os.pathsep.join(extra_paths()), module, *args]
