"""Start one module of this project in an isolated interpreter: ``python -I -S launch.py PATHS MODULE [ARG ...]``.

``-I -S`` keeps the host's site-packages, ``.pth`` files and PYTHON* variables out of the resident processes
(memory, and nothing that an operator installed can break them). PATHS (joined by ``os.pathsep``) is what the parent
found on its own ``sys.path`` beyond the standard library: ``lib/`` of an installed package or a venv's site-packages.
"""

import os
import sys
from types import ModuleType

LATER = ("inspect",)
"""Modules that are loaded when something of theirs is used, not when they are imported: :mod:`dataclasses` imports
``inspect`` for the signature of classes without a docstring, and with it the compiler's modules (1.2 MiB)."""


class Later(ModuleType):
    """Stands for a module until one of its attributes is asked for; then the real one takes its place."""

    def __getattr__(self, attribute: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        __import__(self.__name__)
        return getattr(sys.modules[self.__name__], attribute)


def main() -> None:
    """Put the project and PATHS on ``sys.path`` and run MODULE's ``main()``; its int result is the exit code."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    extra = [p for p in sys.argv[1].split(os.pathsep) if p and p != home]
    module = sys.argv[2]
    del sys.argv[1:3]
    sys.path[:] = [home, *extra, *(p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__)))]
    for name in LATER:
        sys.modules.setdefault(name, Later(name))
    __import__(module)
    sys.exit(sys.modules[module].main())


if __name__ == "__main__":
    main()
