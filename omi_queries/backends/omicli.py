"""A real OMI server as a source, through its own ``omicli``: one process per question, killed at the deadline."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from omi_queries import classes
from omi_queries.backends import omicli_text
from omi_queries.backends.child import Child, Graveyard, clean_environment
from omi_queries.backends.source import Exchange, Question, RawInstance, RefusedError, SourceError
from omi_queries.omicli.texts import GUARD_VARIABLE, OWN_COMMAND
from omi_queries.types import MI_INVALID_NAMESPACE, MI_NAMES

NAME = "omicli"
PROGRAM = "/opt/omi/bin/omicli"
NOOP_S = 2.0
"""Seconds in which ``omicli noop`` has to answer."""
MAX_OUTPUT = 16 << 20
MAX_SUBCLASSES = 16
"""Of the subclasses in one answer, so many are asked for their declarations."""
Reader = Callable[[str], list[RawInstance]]
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
    """Runs ``program`` for each question. ``guarded``: no run of it outlives this process."""

    name = NAME
    probe_s = NOOP_S

    def __init__(
        self, program: str = PROGRAM, *, environ: Mapping[str, str] | None = None, guarded: bool = False
    ) -> None:
        self.where = program
        self._guarded = guarded
        self._environ = clean_environment(os.environ if environ is None else environ)
        self._environ[GUARD_VARIABLE] = "1"
        self._graveyard = Graveyard()
        self._running: _Run | None = None

    def ask(self, question: Question) -> Exchange:
        """Ask for all of the class: what WHERE leaves out is decided here, alike for every source."""
        if question.foreign:
            return _Foreign(self, question)
        types = classes.get(question.class_name).types
        return self.instances(question, lambda text: omicli_text.parse(text, types))

    def probe(self) -> Exchange:
        """``omicli noop``."""
        return self._start(["noop"], _no_instances)

    def close(self) -> None:
        """Kill what still runs."""
        if self._running is not None:
            self._running.abandon()

    def instances(self, question: Question, read: Reader) -> _Run:
        """Ask for the instances of a class; ``read`` makes them of the text."""
        text = " ".join(("SELECT", "*", "FROM", question.class_name))
        return self._start(["-n", "cql", question.namespace, text], read)

    def declaration(self, namespace: str, class_name: str) -> _Run:
        """Ask for a class itself: an instance whose values are the types of its properties, and whose types are those
        of its keys."""
        if namespace.startswith("-"):
            raise RefusedError(MI_INVALID_NAMESPACE, f"{namespace[:40]!a} is no namespace")
        return self._start(["gc", namespace, class_name], _class_read)

    def _start(self, arguments: list[str], read: Reader) -> _Run:
        self.close()
        why = unusable(self.where)
        if why:
            raise SourceError(f"the command {why}")
        if self._graveyard.full():
            raise SourceError("killed omicli processes hang in the kernel; no new one is started")
        try:
            child = Child([self.where, *arguments], self._environ, MAX_OUTPUT, guarded=self._guarded)
        except OSError as error:
            raise SourceError(f"the command cannot be started: {error.strerror}") from None
        child.close_input()
        self._running = _Run(child, arguments, read, self._graveyard)
        return self._running


def _no_instances(_text: str) -> list[RawInstance]:
    return []


def _class_read(text: str) -> list[RawInstance]:
    if text.startswith(f"instance of {omicli_text.ERROR_CLASS}"):
        return omicli_text.parse(text, {})
    name, types = omicli_text.parse_class(text)
    return [RawInstance(name, dict(types), {key: types[key] for key in omicli_text.keys_of(text)})]


class _Foreign:
    """A class that only the server knows: first its declaration, which has the types, then its instances, and then the
    declarations of the subclasses that those are of."""

    def __init__(self, source: OmicliSource, question: Question) -> None:
        self._source = source
        self._question = question
        self._run = source.declaration(question.namespace, question.class_name)
        self._types: dict[str, str] | None = None
        self._text: str | None = None
        self._left: list[str] = []
        self._others: dict[str, Mapping[str, str]] = {}
        self._shown: dict[str, frozenset[str]] = {}
        self._failure: SourceError | RefusedError | None = None
        self._done = False

    def sent_at(self) -> float | None:
        """When the running command was started."""
        return self._run.sent_at()

    def advance(self, timeout: float) -> bool:
        """Wait until the last command has ended, at most ``timeout`` seconds."""
        until = time.monotonic() + timeout
        while self._failure is None and not self._done:
            if not self._run.advance(max(0.0, until - time.monotonic())):
                return False
            try:
                self._go_on()
            except (SourceError, RefusedError) as error:
                self._failure = error
        return True

    def _go_on(self) -> None:
        """A command has ended: start the next."""
        namespace, name = self._question.namespace, self._question.class_name
        if self._types is None:
            self._types = {k: str(v) for k, v in self._run.result()[0].values.items()}
            self._run = self._source.instances(self._question, self._keep)
            return
        if self._text is None:
            self._run.result()  # keeps the text
            found = {one.lower(): one for one in omicli_text.class_names(self._text or "")}
            self._left = [
                one for low, one in found.items() if low not in (name.lower(), omicli_text.ERROR_CLASS.lower())
            ][:MAX_SUBCLASSES]
        else:
            self._declare()
        if self._left:
            self._run = self._source.declaration(namespace, self._left[0])
        else:
            self._done = True

    def _keep(self, text: str) -> list[RawInstance]:
        found = omicli_text.parse(text, self._types or {})
        self._text = text
        return found

    def _declare(self) -> None:
        """Of a subclass those properties count that its base has too, as in an answer by CIM-XML, and its keys. One
        without a declaration is named with the answer."""
        name = self._left.pop(0).lower()
        with suppress(RefusedError, SourceError):
            (declared,) = self._run.result()
            base = {one.lower() for one in self._types or {}}
            self._others[name] = {k: str(v) for k, v in declared.values.items()}
            self._shown[name] = frozenset(k for k in declared.values if k.lower() in base or k in declared.types)

    def result(self) -> list[RawInstance]:
        """The instances printed, each with the types of its own declaration, as far as there is one."""
        if self._failure is not None:
            raise self._failure
        types = self._types or {}
        try:
            found = omicli_text.parse(self._text or "", types, self._others)
        except omicli_text.TextError as error:
            raise SourceError(f"omicli printed something else than it declares: {error}") from None
        return [self._typed(one, types) for one in found]

    def _typed(self, one: RawInstance, types: dict[str, str]) -> RawInstance:
        name = one.class_name.lower()
        if name == self._question.class_name.lower():
            return one._replace(types=types)
        shown = self._shown.get(name, frozenset())
        kinds = {k: v for k, v in self._others.get(name, {}).items() if k in shown}
        return one._replace(values={k: v for k, v in one.values.items() if k in shown or not kinds}, types=kinds)

    def abandon(self) -> None:
        """Kill the command that runs."""
        self._run.abandon()


class _Run:
    """One run of the command; ``read`` makes instances of what it prints."""

    def __init__(self, child: Child, arguments: list[str], read: Reader, graveyard: Graveyard) -> None:
        self._child = child
        self._command = next(word for word in arguments if not word.startswith("-"))
        self._read = read
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
        if self._command == "noop" and (code or "noop response" not in text):
            raise SourceError(f"omicli noop failed with exit code {code}; is omiserver running?")
        try:
            found = self._read(text)
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
