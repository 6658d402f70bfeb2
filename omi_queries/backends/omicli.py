"""A real OMI server as a source, through its own ``omicli``: one process per question, killed at the deadline."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping

from omi_queries import classes
from omi_queries.backends import omicli_text
from omi_queries.backends.child import Child, Graveyard, clean_environment
from omi_queries.backends.source import Exchange, Question, RawInstance, RefusedError, SourceError
from omi_queries.omicli.texts import GUARD_VARIABLE, OWN_COMMAND
from omi_queries.types import MI_NAMES

NAME = "omicli"
PROGRAM = "/opt/omi/bin/omicli"
NOOP_S = 2.0
"""Seconds in which ``omicli noop`` has to answer."""
MAX_OUTPUT = 16 << 20
_OURS = (b"omi_queries", b"lad_emulator", b"lad-emulator")
_HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def unusable(path: str) -> str:
    """Why ``path`` is not the command of a real OMI that may be run, "" if it is.

    This project's own command, or a link to it, would only ask ourselves again (behind any wrapper it says so itself,
    see :data:`GUARD_VARIABLE`); a file that others may change would let them run code as us.
    """
    real = os.path.realpath(path)
    try:
        about = os.stat(real)
        with open(real, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if not stat.S_ISREG(about.st_mode) or not os.access(real, os.X_OK):
        return "is not an executable file"
    if real.startswith(_HERE + os.sep) or (head.startswith(b"#!") and any(mark in head for mark in _OURS)):
        return "is this project's own command, not that of an OMI server"
    if about.st_uid not in (0, os.geteuid()) or stat.S_IMODE(about.st_mode) & 0o022:
        return "may be changed by other users, so it is not run; chown root and chmod go-w"
    return ""


class OmicliSource:
    """Runs ``program`` for each question."""

    name = NAME
    probe_s = NOOP_S

    def __init__(self, program: str = PROGRAM, *, environ: Mapping[str, str] | None = None) -> None:
        self.where = program
        self._environ = clean_environment(os.environ if environ is None else environ)
        self._environ[GUARD_VARIABLE] = "1"
        self._graveyard = Graveyard()
        self._running: _Run | None = None

    def ask(self, question: Question) -> Exchange:
        """Ask for all of the class: what WHERE leaves out is decided here, alike for every source."""
        text = " ".join(("SELECT", "*", "FROM", question.class_name))
        return self._start(["-n", "cql", question.namespace, text], classes.get(question.class_name).types)

    def probe(self) -> Exchange:
        """``omicli noop``."""
        return self._start(["noop"], None)

    def close(self) -> None:
        """Kill what still runs."""
        if self._running is not None:
            self._running.abandon()

    def _start(self, arguments: list[str], types: Mapping[str, str] | None) -> Exchange:
        self.close()
        why = unusable(self.where)
        if why:
            raise SourceError(f"{self.where} {why}")
        if self._graveyard.full():
            raise SourceError("killed omicli processes hang in the kernel; no new one is started")
        try:
            child = Child([self.where, *arguments], self._environ, MAX_OUTPUT)
        except OSError as error:
            raise SourceError(f"{self.where} cannot be started: {error.strerror}") from None
        child.close_input()
        self._running = _Run(child, arguments, types, self._graveyard)
        return self._running


class _Run:
    """One run of the command; ``types`` None for ``noop``."""

    def __init__(
        self, child: Child, arguments: list[str], types: Mapping[str, str] | None, graveyard: Graveyard
    ) -> None:
        self._child = child
        self._command = arguments[0] if types is None else arguments[1]
        self._types = types
        self._graveyard = graveyard
        self._begun = time.monotonic()
        self._done = False

    def sent_at(self) -> float | None:
        """When the command was started."""
        return self._begun

    def advance(self, timeout: float) -> bool:
        """Wait until the command has ended, at most ``timeout`` seconds."""
        until = time.monotonic() + timeout
        while not self._child.ended:
            if not self._child.listen(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                return False
        if self._child.overflow or self._child.exit_code(max(0.0, until - time.monotonic())) is not None:
            self._done = True
        return self._done

    def result(self) -> list[RawInstance]:
        """The instances printed; RefusedError for an MI result, SourceError for anything else."""
        child = self._child
        overflow, code = child.overflow, child.code
        self.abandon()
        if overflow:
            raise SourceError(f"omicli printed more than {MAX_OUTPUT >> 20} MiB")
        text = child.out.decode("utf-8", "replace")
        if code is None or code < 0:
            raise SourceError(f"omicli was ended by signal {-(code or 0)}")
        if code == 1 and OWN_COMMAND in text:
            raise SourceError("it leads to this project's own command, not to that of an OMI server")
        if self._types is None:
            if code or "noop response" not in text:
                raise SourceError(f"omicli noop failed with exit code {code}; is omiserver running?")
            return []
        try:
            found = omicli_text.parse(text, self._types)
        except omicli_text.TextError as error:
            if code:
                raise self._failure(code, "") from None
            raise SourceError(f"omicli printed something else than instances: {error}") from None
        errors = [one for one in found if one.class_name == omicli_text.ERROR_CLASS]
        if code or errors:
            values = errors[0].values if errors else {}
            stated = values.get("CIMStatusCode")
            raise self._failure(code or (stated if isinstance(stated, int) else 1), str(values.get("Message", "")))
        return found

    def _failure(self, code: int, message: str) -> SourceError | RefusedError:
        """1 without a message is what the tool ends with when no server can be reached."""
        if code == 1 and not message:
            return SourceError(f"omicli {self._command} failed with exit code 1; is omiserver running?")
        named = MI_NAMES.get(code)
        if named is None and not message:
            return SourceError(f"omicli {self._command} failed with exit code {code}")
        return RefusedError(code or 1, f"omicli: MI_RESULT_{named or code}: {message or 'no text'}")

    def abandon(self) -> None:
        """Kill the command and whatever it started."""
        self._graveyard.bury(self._child)
