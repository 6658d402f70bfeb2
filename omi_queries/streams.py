"""The standard streams of a command: they are there even if the caller closed them, and losing them is no crash."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def guarded(program: str, body: Callable[[], int]) -> int:
    """The exit code of ``body``: 0 when the reader of a pipe has gone, 1 with one line when output cannot be written,
    130 after Ctrl-C.
    """
    _open_missing()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # what the locale has no character for
    try:
        code = body()
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_output()
        return 0
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _give_up_output()
        with contextlib.suppress(OSError):
            print(f"{program}: cannot write: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _open_missing() -> None:
    """Closed descriptors 0 to 2 become /dev/null, lest a file that is opened later gets the output."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def _give_up_output() -> None:
    """What is still buffered goes nowhere, so that the end of the process does not stumble over it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
