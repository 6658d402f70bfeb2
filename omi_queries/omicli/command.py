"""The command itself: what is asked, who answers, what is printed, and the exit code."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

from omi_queries.omicli import texts
from omi_queries.omicli.arguments import Options, UsageError, instance_name, parse, remote_problem
from omi_queries.streams import guarded

if TYPE_CHECKING:
    from omi_queries.omicli import local
    from omi_queries.omicli.instances import Shown
    from omi_queries.omicli.results import OmiError
    from omi_queries.types import Backend

IDENTIFY = ("root/omi", "OMI_Identify")
CREDENTIAL_VARIABLE = "OMI_PASSWORD"


class Asked(Protocol):
    """A request that can be asked again (``-R N`` is one session)."""

    def ask(self) -> list["Shown"]:
        """The instances now; OmiError or QueryError if there are none to be had."""


class World(NamedTuple):
    """What the command takes from outside. ``backend`` makes the local source when it is needed; in an
    ``own_process`` the memory for answers from the network is limited.
    """

    out: TextIO
    err: TextIO
    env: Mapping[str, str]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    backend: Callable[[], "Backend"] | None = None
    own_process: bool = False


def console(argv: Sequence[str] | None = None) -> int:
    """Run on the process's own streams. A closed pipe downstream is not an error."""
    # the arguments are UTF-8 whatever the locale says, as everything else here is
    words = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in (sys.argv if argv is None else argv)]
    return guarded(words[0], lambda: run(words, World(sys.stdout, sys.stderr, os.environ, own_process=True)))


def run(argv: Sequence[str], world: World) -> int:
    """Run one command line (``argv[0]`` is the program's name in messages); the MI result number."""
    program = argv[0] if argv else "omicli"
    if texts.GUARD_VARIABLE in world.env:
        _write(world.out, f"{program}: {texts.OWN_COMMAND}\n")
        return 1
    try:
        options = parse(program, argv[1:])
    except UsageError as error:
        for line in error.lines:
            _write(world.err, line + "\n")
        return error.code
    problem = "" if options.help else remote_problem(options)
    if problem:
        _write(world.out, problem + "\n")
        return 1
    opened: list[TextIO] = []
    try:
        for name in (options.stdout, options.stderr):
            if name:
                opened.append(open(name, "w", encoding="utf-8", errors="surrogateescape"))  # noqa: SIM115
    except OSError as error:
        _close(opened)
        _write(world.err, f"{program}: failed to open: {error.filename}: {error.strerror}\n")
        return 1
    out = opened[0] if options.stdout else world.out
    err = opened[-1] if options.stderr else world.err
    try:
        return _Run(program, options, world._replace(out=out, err=err)).code()
    finally:
        _close(opened)


def _close(files: list[TextIO]) -> None:
    for file in files:
        file.close()


class _Run:
    """One command line being carried out."""

    def __init__(self, program: str, options: Options, world: World) -> None:
        self._program = program
        self._options = options
        self._world = world
        self._count = 0
        # a person gets the reason too; a script gets the original's texts and nothing else, unless -t is given
        self._explain = options.trace or world.err.isatty()

    def code(self) -> int:
        options, words = self._options, self._options.words
        if not words:
            _write(self._world.out, texts.help_text(self._program))
            self._hint(texts.HELP_NOTE)
            return 0 if options.help else 4
        if options.password is not None:
            self._say(f"warning: the password can be read in the list of processes; set {CREDENTIAL_VARIABLE} instead")
        started = self._world.clock()
        command = words[0]
        if command == "noop" and len(words) == 1 and not options.hostname:
            for _ in range(options.repeat):
                _write(self._world.out, "got noop response\n")
            return self._summary(started)
        if command not in texts.COMMANDS | texts.REFUSED:
            self._say(f"unknown command: {command}")
            return 4
        if not _right_count(command, len(words)) or (command == "sub" and options.queryexpr is None):
            _write(self._world.err, texts.usage(self._program, command) + "\n")
            return 4
        return self._carry_out(command, started)

    def _carry_out(self, command: str, started: float) -> int:
        from omi_queries.omicli.results import OmiError
        from omi_queries.types import QueryError

        try:
            if command in texts.REFUSED:
                self._refuse(command)
            elif self._options.hostname:
                self._remotely(command)
            else:
                self._locally(command)
        except UsageError as error:
            for line in error.lines:
                self._say(line)
            return error.code
        except QueryError as error:
            return self._failed(OmiError(error.code, str(error)))
        except OmiError as error:
            return self._failed(error)
        return self._summary(started)

    def _refuse(self, command: str) -> None:
        """Say what is wrong with a command that is not carried out, or else that it is not."""
        from omi_queries.omicli.results import NOT_SUPPORTED, OmiError

        if command == "iv":
            from omi_queries.omicli.local import find_class

            words = self._options.words[2:]
            name = instance_name(words[: words.index("}") + 1] if "}" in words else words)
            if not self._options.hostname:
                find_class(self._options.words[1], name.class_name)
        raise OmiError(NOT_SUPPORTED, f"{command} is refused: this command only reads")

    def _locally(self, command: str) -> None:
        from omi_queries.omicli import local

        options, words = self._options, self._options.words
        if command == "gc":
            for _ in range(options.repeat):
                self._show_class(local.class_declaration(words[1], words[2]))
            return
        backend = self._world.backend() if self._world.backend else _procfs()
        try:
            source = local.Source(backend.open, self._world.sleep, self._hint)
            self._repeat(self._local_request(command, source))
        finally:
            backend.close()

    def _local_request(self, command: str, source: "local.Source") -> Asked:
        from omi_queries.omicli import local

        words = self._options.words
        if command == "id":
            return local.enumeration(source, *IDENTIFY, shallow=False)
        if command == "gi":
            name = instance_name(words[2:])
            return local.Lookup(source, words[1], name.class_name, name.keys)
        if command == "ein":
            return local.names(source, words[1], words[2], self._options.shallow)
        query = self._query(command)
        if query is None:
            return local.enumeration(source, words[1], words[2], self._options.shallow)
        return local.Request(source, words[1], *query)

    def _remotely(self, command: str) -> None:
        from omi_queries.omicli import remote

        options, words = self._options, self._options.words
        password = options.password if options.password is not None else self._world.env.get(CREDENTIAL_VARIABLE, "")
        if self._world.own_process:
            remote.limit_memory()
        where = remote.target(options, password, self._world.env)
        with remote.connected(where, self._hint, self._loss) as server:
            if command == "noop":
                for _ in range(options.repeat):
                    server.noop()
                    _write(self._world.out, "got noop response\n")
            elif command == "gc":
                for _ in range(options.repeat):
                    self._show_class(server.class_declaration(words[1], words[2]))
            elif command == "id":
                self._repeat(server.enumeration(*IDENTIFY, shallow=False))
            elif command == "gi":
                name = instance_name(words[2:])
                self._repeat(server.lookup(words[1], name.class_name, name.keys))
            elif command == "ein":
                self._repeat(server.names(words[1], words[2], shallow=options.shallow))
            else:
                query = self._query(command)
                if query is None:
                    self._repeat(server.enumeration(words[1], words[2], shallow=options.shallow))
                else:
                    self._repeat(server.query(words[1], *query))

    def _query(self, command: str) -> tuple[str, str] | None:
        """Text and dialect of the query, None for a plain enumeration."""
        from omi_queries.omicli.results import QUERY_LANGUAGE_NOT_SUPPORTED, OmiError

        options = self._options
        if command in ("wql", "cql"):
            return options.words[2], command
        if options.queryexpr is None:
            return None
        dialect = options.querylang.lower()
        if dialect not in ("wql", "cql"):
            detail = f"--querylang {options.querylang[:40]!a}: there are wql and cql"
            raise OmiError(QUERY_LANGUAGE_NOT_SUPPORTED, detail)
        return options.queryexpr, dialect

    def _repeat(self, asked: Asked) -> None:
        from omi_queries.omicli import instances

        options = self._options
        for _ in range(options.repeat):
            for shown in asked.ask():
                self._count += 1
                if not options.quiet:
                    line = instances.xml(shown) if options.xml else instances.text(shown, options.nulls)
                    _write(self._world.out, line)

    def _show_class(self, shown: "Shown") -> None:
        from omi_queries.omicli import instances

        self._count += 1
        if not self._options.quiet:
            _write(self._world.out, instances.class_text(shown))

    def _failed(self, error: "OmiError") -> int:
        from omi_queries.omicli import instances, results

        if not self._options.suppress:
            for line in results.error_lines(self._program, error):
                _write(self._world.err, _one_line(line) + "\n")
            if not error.failure:
                shown = results.error_instance(error.code)
                line = instances.xml(shown) if self._options.xml else instances.text(shown, self._options.nulls)
                _write(self._world.out, line)
        if error.detail:
            self._hint(error.detail)
        return error.code

    def _summary(self, started: float) -> int:
        if self._options.summary:
            seconds = max(self._world.clock() - started, 1e-6)
            _write(
                self._world.out,
                f"number of instances: {self._count}\nseconds: {seconds:.3f}\n"
                f"instances per second: {self._count / seconds:.3f}\n\n",
            )
        return 0

    def _hint(self, message: str) -> None:
        if self._explain:
            self._say(f"note: {message}")

    def _loss(self, message: str) -> None:
        """Something of the answer is not shown: a script has to know that too."""
        if not self._options.suppress:
            self._say(f"note: {message}")

    def _say(self, message: str) -> None:
        _write(self._world.err, f"{self._program}: {_one_line(message)}\n")


def _right_count(command: str, words: int) -> bool:
    at_least = {"gi": 3, "ci": 3, "mi": 3, "di": 3, "a": 3, "r": 3, "iv": 4, "enc": 2}.get(command)
    if at_least is not None:
        return words >= at_least
    return words == {"noop": 1, "id": 1, "sub": 2}.get(command, 3)


def _procfs() -> "Backend":
    from omi_queries import descriptors
    from omi_queries.backends.procfs import ProcfsBackend

    return ProcfsBackend(descriptors=descriptors.none)


def _one_line(text: str) -> str:
    """Text without line ends and terminal controls; bytes that were not UTF-8 stay as they are."""
    return text if text.isprintable() else "".join(c if c.isprintable() or _is_raw(c) else " " for c in text)


def _is_raw(c: str) -> bool:
    return "\udc80" <= c <= "\udcff"


def _write(stream: TextIO, text: str) -> None:
    """Write text as it is: bytes that are not UTF-8 go out as they came in."""
    binary = getattr(stream, "buffer", None)
    if binary is None:
        stream.write(text)
        return
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "replace")
    stream.flush()
    binary.write(data)
