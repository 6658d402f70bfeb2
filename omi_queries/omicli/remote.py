"""Requests put to another machine over CIM-XML, with pywbem (spec/cim-xml.md 1).

The whole command has one deadline, kept by an alarm because the client's own timeout bounds single socket reads only;
proxies, certificate variables and .netrc of the environment are not used, and no redirect is followed, so that the
credentials go where the command line says and nowhere else.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import contextlib
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from omi_queries import classes
from omi_queries.backends import cimxml_client, cimxml_reply
from omi_queries.backends.source import one_line
from omi_queries.binding import Bound, bind
from omi_queries.omicli import answers, results
from omi_queries.omicli.answers import known
from omi_queries.omicli.arguments import Options
from omi_queries.omicli.instances import Shown, Slot
from omi_queries.omicli.lookup import checked_keys
from omi_queries.omicli.results import OmiError
from omi_queries.query import parse
from omi_queries.types import QueryError

DEADLINE = 90.0
"""Seconds for the whole command: the time that the original asks its server for."""
READ_TIMEOUT = 30
MEMORY_LIMIT = 1 << 30
"""Bytes of address space: enough for thousands of processes' instances, an end to compressed bombs."""
CA_VARIABLE = "OMI_CA_FILE"
NO_VERIFICATION_VARIABLE = "OMI_NO_VERIFICATION"
DEADLINE_VARIABLE = "OMI_DEADLINE"
_WORDING = cimxml_client.Wording("--hostname and --port", CA_VARIABLE)


class Target(NamedTuple):
    """Where to ask. ``ca_file`` None is the built-in list of authorities."""

    url: str
    user: str
    password: str
    ca_file: str | None
    verify: bool
    deadline: float
    plain: bool

    def timeout(self) -> int:
        """Seconds to wait for the next bytes."""
        return max(1, min(READ_TIMEOUT, round(self.deadline)))


class _Overdue(BaseException):
    """The deadline has passed; not an Exception, so that no handler below takes it for one of its own."""


def target(options: Options, password: str, env: Mapping[str, str]) -> Target:
    """The target that the options and the environment name. OmiError for what cannot be had."""
    if options.auth and options.auth.lower() != "basic":
        detail = f"--auth {options.auth[:40]!a} is not supported: only Basic is"
        raise OmiError(results.NOT_SUPPORTED, detail)
    secure = options.encryption == "https"
    host = f"[{options.hostname}]" if ":" in options.hostname.strip("[]") else options.hostname
    if any(c in "/@?#" or c <= " " for c in host):
        raise OmiError(results.INVALID_PARAMETER, f"--hostname {options.hostname[:80]!a} is not the name of a host")
    url = f"{'https' if secure else 'http'}://{host.replace('[[', '[').replace(']]', ']')}"
    port = options.port or (5989 if secure else 5988)
    return Target(
        f"{url}:{port}", options.user, password, env.get(CA_VARIABLE) or None,
        env.get(NO_VERIFICATION_VARIABLE, "") not in ("1", "true", "yes"), _deadline(env), not secure,
    )  # fmt: skip


def _deadline(env: Mapping[str, str]) -> float:
    text = env.get(DEADLINE_VARIABLE, "")
    try:
        seconds = float(text) if text else DEADLINE
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= 86400.0:
        detail = f"{DEADLINE_VARIABLE} is {text[:40]!a}; it takes seconds from 1 to 86400"
        raise OmiError(results.INVALID_PARAMETER, detail)
    return seconds


def limit_memory() -> None:
    """Bound this process's address space, so that an answer without end fails instead of filling the machine."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft == resource.RLIM_INFINITY or soft > MEMORY_LIMIT:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, hard))


@contextlib.contextmanager
def connected(where: Target, note: Callable[[str], None], loss: Callable[[str], None]) -> Iterator["Server"]:
    """A connection for the time of the command; every way to fail comes out as OmiError.

    ``note`` is told what people may want to know, ``loss`` what is left out of an answer.
    """
    if where.plain:
        note("user, password and answers go over the network in clear text; use --encryption https")
    with cimxml_client.quiet(), _failures(where):
        connection = cimxml_client.connect(
            where.url, creds=(where.user, where.password), ca_certs=where.ca_file, no_verification=not where.verify,
            timeout=where.timeout(), stats_enabled=False,
        )  # fmt: skip
        try:
            with _alarm(where.deadline):
                yield Server(connection, where.url, note, loss)
        finally:
            with contextlib.suppress(Exception):
                connection.close()


@contextlib.contextmanager
def _failures(where: Target) -> Iterator[None]:
    """What goes wrong as OmiError."""
    pywbem = cimxml_client.library()
    try:
        yield
    except _Overdue:
        raise OmiError(results.FAILED, failure=f"{where.url}: no answer within {where.deadline:g} s") from None
    except pywbem.CIMError as error:
        said = error.status_description or ""
        raise OmiError(error.status_code, detail=f"{where.url}: {one_line(said)}") from None
    except pywbem.AuthError:
        raise OmiError(results.ACCESS_DENIED, detail=f"{where.url} refused the user or the password") from None
    except (pywbem.Error, cimxml_client.ReplyRefusedError, *cimxml_client.CONVERSION_FAULTS) as error:
        said = cimxml_client.failure_text(error, where.timeout(), _WORDING)
        raise OmiError(results.FAILED, failure=f"{where.url}: {one_line(said)}") from None
    except BrokenPipeError:  # whoever reads what is printed has gone: pywbem has its own error for a lost connection
        raise
    except MemoryError:
        raise OmiError(results.FAILED, failure=f"{where.url}: the answer is too large") from None
    except OSError as error:
        raise OmiError(results.FAILED, failure=f"{where.url}: {one_line(str(error))}") from None


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Ends what runs inside after ``seconds``, wherever in Python it is. Only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def overdue(_number: int, _frame: object) -> None:
        raise _Overdue

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, should a first one be swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class _Ask(NamedTuple):
    ask: Callable[[], list[Shown]]


class Server:
    """The requests of the command, as CIM-XML operations."""

    def __init__(self, connection: Any, url: str, note: Callable[[str], None], loss: Callable[[str], None]) -> None:
        self._connection = connection
        self._url = url
        self._note = note
        self._loss = loss

    def noop(self) -> None:
        """Whether the server answers and takes the credentials; which classes it has does not matter."""
        try:
            self._connection.EnumerateClassNames(namespace=classes.NAMESPACE, DeepInheritance=False)
        except cimxml_client.library().CIMError as error:
            if error.status_code == results.ACCESS_DENIED:
                raise

    def enumeration(self, namespace: str, name: str, shallow: bool) -> _Ask:
        """All instances of a class."""
        _check_shallow(known(namespace, name), shallow)

        def ask() -> list[Shown]:
            found = self._instances(namespace, name, None)
            return [one for one in found if not shallow or one.class_name.lower() == name.lower()]

        return _Ask(ask)

    def names(self, namespace: str, name: str, shallow: bool) -> _Ask:
        """The names of all instances of a class."""
        _check_shallow(known(namespace, name), shallow)

        def ask() -> list[Shown]:
            given = self._given("EnumerateInstanceNames", name, namespace=namespace)
            found = self._read(answers.read(given, namespace, name, self._url, names=True))
            return [one for one in found if not shallow or one.class_name.lower() == name.lower()]

        return _Ask(ask)

    def lookup(self, namespace: str, name: str, keys: Mapping[str, str]) -> _Ask:
        """One instance by its keys. For a class known here they are checked here, the same for every server."""
        cim_class = known(namespace, name)
        bindings = dict(keys) if cim_class is None else checked_keys(cim_class, keys)
        path = cimxml_client.library().CIMInstanceName(name, keybindings=bindings, namespace=namespace)

        def ask() -> list[Shown]:
            given = self._given("GetInstance", path, LocalOnly=False, IncludeQualifiers=False)
            return self._read(answers.read(given, namespace, name, self._url))

        return _Ask(ask)

    def query(self, namespace: str, text: str, dialect: str) -> _Ask:
        """A query. On a class known here WHERE is worked out here, the same for every server; else by the server."""
        try:
            bound = bind(namespace, text, dialect)
        except QueryError as error:
            if error.code not in (results.INVALID_NAMESPACE, results.INVALID_CLASS):
                raise
            return _Ask(lambda: self._foreign(namespace, text, dialect))
        for warning in bound.warnings:
            self._note(warning)
        return _Ask(lambda: self._filtered(namespace, bound))

    def _foreign(self, namespace: str, text: str, dialect: str) -> list[Shown]:
        language = "DMTF:CQL" if dialect == "cql" else "WQL"
        given = self._given("ExecQuery", language, text, namespace=namespace)
        return self._read(answers.read(given, namespace, parse(text, dialect).class_name, self._url))

    def _filtered(self, namespace: str, bound: Bound) -> list[Shown]:
        wanted = {s.cim_class.name: s for s in bound.selections}
        needs = sorted(frozenset[str]().union(*(s.needs for s in bound.selections)))
        found = self._instances(namespace, bound.query.class_name, needs)
        for name in dict.fromkeys(one.class_name for one in found if one.class_name not in wanted):  # a base class
            self._loss(f"{self._url} gave an instance of {name}, which has none of its own; it is left out")
        shown: list[Shown] = []
        for one in found:
            selection = wanted.get(one.class_name)
            matches = selection.matches if selection is not None else None
            if selection is None or (matches is not None and not matches({s.name: s.value for s in one.slots})):
                continue
            properties = selection.properties
            slots = one.slots if properties is None else tuple(s for s in one.slots if s.name in properties)
            shown.append(Shown(one.class_name, slots))
        return shown

    def _instances(self, namespace: str, name: str, properties: list[str] | None) -> list[Shown]:
        given = self._given(
            "EnumerateInstances", name, namespace=namespace, LocalOnly=False, DeepInheritance=True,
            IncludeQualifiers=False, IncludeClassOrigin=False, PropertyList=properties,
        )  # fmt: skip
        return self._read(answers.read(given, namespace, name, self._url, properties))

    def _given(self, method: str, *arguments: Any, **options: Any) -> list[cimxml_reply.Given]:
        return cimxml_reply.ask(self._connection, method, *arguments, plain=answers.plain, **options)

    def _read(self, answer: answers.Answer) -> list[Shown]:
        """The instances; OmiError(1) if there were some and none of them can be shown."""
        if answer.lost and not answer.shown:
            raise OmiError(results.FAILED, failure=one_line("; ".join(answer.lost)))
        for reason in answer.lost:
            self._loss(f"{reason}; it is left out")
        for reason in answer.missing:
            self._note(reason)
        return answer.shown

    def class_declaration(self, namespace: str, name: str) -> Shown:
        """The class itself."""
        found = self._connection.GetClass(name, namespace=namespace, LocalOnly=False, IncludeQualifiers=True)
        if str(found.classname).lower() != name.lower():
            failure = f"{self._url} gave the class {found.classname}, which was not asked for"
            raise OmiError(results.FAILED, failure=one_line(failure))
        declared = known(namespace, name)
        slots = []
        for one in found.properties.values():
            key = bool("Key" in one.qualifiers and one.qualifiers["Key"].value)
            slots.append(Slot(one.name, f"{one.type}[]" if one.is_array else one.type, key, None))
        return Shown(str(found.classname), _ordered(slots, declared))


def _check_shallow(declared: classes.CimClass | None, shallow: bool) -> None:
    if shallow and declared is not None and not declared.served:
        raise OmiError(results.NOT_SUPPORTED, f"{declared.name} has no instances of its own; leave out -shallow")


def _ordered(slots: list[Slot], declared: classes.CimClass | None) -> tuple[Slot, ...]:
    if declared is None:
        return tuple(slots)
    place = {name.lower(): at for at, name in enumerate(declared.properties)}
    return tuple(sorted(slots, key=lambda slot: place.get(slot.name.lower(), len(place))))
