"""Start one module of this project in an isolated interpreter: ``python -I -S launch.py PATHS MODULE [ARG ...]``.

``-I -S`` keeps the host's site-packages, ``.pth`` files and PYTHON* variables out of the resident processes
(memory, and nothing that an operator installed can break them). PATHS (joined by ``os.pathsep``) is what the parent
found on its own ``sys.path`` beyond the standard library: ``lib/`` of an installed package or a venv's site-packages.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType

RESIDENT = ("extension.watchdog", "extension.collector", "extension.uploader")
"""Processes that live long."""
BRIEF = ("handler.commands", "extension.config.plan", "extension.finish")
"""Processes that do one thing and end."""
COMPILE = "-"
"""Instead of a module's name: load the one that follows, run nothing."""
LATER: dict[str, tuple[str, ...]] = {"inspect": ("getfullargspec",), "ipaddress": (), "gzip": ("GzipFile",)}
"""Modules that are loaded when something of theirs is used, not when they are imported, and functions that may be taken
out of them before: :mod:`dataclasses` imports ``inspect`` for the signature of classes without a docstring,
:mod:`lxml.etree` takes a function for parser targets, and with it come the compiler's modules (1.2 MiB);
:mod:`urllib.parse` needs ``ipaddress`` for hosts in brackets; :mod:`lxml.etree` could write compressed files."""

Function = Callable[..., object]
_NONE: Mapping[str, Function] = {}


class Later(ModuleType):
    """Stands for a module until one of its attributes is asked for; then the real one takes its place.

    ``functions`` are those that can be taken without being called: each stands for the real one likewise. ``own`` ones
    do what the real ones would.
    """

    def __init__(self, name: str, functions: Iterable[str] = (), own: Mapping[str, Function] = _NONE) -> None:
        super().__init__(name)
        self.__dict__.update({function: partial(self._call, function) for function in functions} | dict(own))

    def _call(self, function: str, /, *args: object, **options: object) -> object:
        return getattr(self._real(), function)(*args, **options)

    def _real(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            sys.modules.pop(self.__name__, None)
        __import__(self.__name__)
        return sys.modules[self.__name__]

    def __getattr__(self, attribute: str) -> object:
        if attribute == "__path__":  # `from NAME import` asks for it first; none of these is a package
            raise AttributeError(attribute)
        return getattr(self._real(), attribute)


def load_later() -> None:
    """Put the stand-ins in place of modules that are not loaded yet."""
    for name, functions in LATER.items():
        sys.modules.setdefault(name, Later(name, functions))


def for_one_command() -> None:
    """Start a process quickly that runs one command: with the stand-ins, and without looking for garbage.

    Before :mod:`argparse` is loaded: it wants the terminal's width for each option (:mod:`shutil`, with its archives),
    and looks for translations of each of its texts (:mod:`gettext`, :mod:`locale`), of which Python has none.
    """
    from omi_queries import garbage, terminal

    garbage.left()
    load_later()
    own: dict[str, dict[str, Function]] = {
        "shutil": {"get_terminal_size": terminal.size},
        "gettext": {"gettext": lambda text: text, "ngettext": lambda one, many, number: one if number == 1 else many},
    }
    for name, functions in own.items():
        sys.modules.setdefault(name, Later(name, own=functions))


def compile_first(home: str, module: str, paths: str) -> None:
    """Let a child load ``module`` if this copy of the program has never run: compiling a hundred files leaves 1.5 MiB
    behind in the process that does it. Without a writable folder there is nothing to be had."""
    path = os.path.join(home, *module.split(".")) + ".py"
    folder, name = os.path.split(path)
    cached = os.path.join(folder, "__pycache__", f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")
    if os.path.exists(cached) or sys.dont_write_bytecode or not os.access(folder, os.W_OK):
        return
    argv = [sys.executable, "-I", "-S", os.path.abspath(__file__), paths, COMPILE, module]
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]  # what fails is said by us, then
    try:
        os.waitpid(os.posix_spawn(argv[0], argv, os.environ, file_actions=quiet), 0)
    except OSError:
        return


def main() -> None:
    """Put the project and PATHS on ``sys.path`` and run MODULE's ``main()``; its int result is the exit code."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths, module = sys.argv[1:3]
    extra = [p for p in paths.split(os.pathsep) if p and p != home]
    del sys.argv[1:3]
    sys.path[:] = [home, *extra, *(p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__)))]
    if module == COMPILE:
        __import__(sys.argv[1])
        return
    if module in RESIDENT:
        compile_first(home, module, paths)
    if module in BRIEF:
        for_one_command()
    load_later()
    __import__(module)
    sys.exit(sys.modules[module].main())


if __name__ == "__main__":
    main()
