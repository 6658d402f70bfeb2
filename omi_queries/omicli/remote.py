"""Requests put to another machine over CIM-XML, with pywbem (spec/cim-xml.md 1).

The whole command has one deadline, kept by an alarm because the client's own timeout bounds single socket reads only;
proxies, certificate variables and .netrc of the environment are not used, and no redirect is followed, so that the
credentials go where the command line says and nowhere else.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import contextlib
import importlib
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from omi_queries import classes
from omi_queries.backends.cimxml_worker import ReplyRefusedError, connection_text, guard
from omi_queries.binding import Bound, bind
from omi_queries.omicli import results
from omi_queries.omicli.arguments import Options
from omi_queries.omicli.instances import Shown, Slot
from omi_queries.omicli.results import OmiError
from omi_queries.types import QueryError

DEADLINE = 90.0
"""Seconds for the whole command: the time that the original asks its server for."""
READ_TIMEOUT = 30
MEMORY_LIMIT = 1 << 30
"""Bytes of address space: enough for thousands of processes' instances, an end to compressed bombs."""
CA_VARIABLE = "OMI_CA_FILE"
NO_VERIFICATION_VARIABLE = "OMI_NO_VERIFICATION"
DEADLINE_VARIABLE = "OMI_DEADLINE"


class Target(NamedTuple):
    """Where to ask. ``ca_file`` None is the built-in list of authorities."""

    url: str
    user: str
    password: str
    ca_file: str | None
    verify: bool
    deadline: float
    plain: bool


def _pywbem() -> Any:
    """The client library; it is loaded only where it is needed, and has no type information."""
    return importlib.import_module("pywbem")


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
def connected(where: Target, note: Callable[[str], None]) -> Iterator["Server"]:
    """A connection for the time of the command; every way to fail comes out as OmiError."""
    pywbem = _pywbem()
    if where.plain:
        note("user, password and answers go over the network in clear text; use --encryption https")
    timeout = max(1, min(READ_TIMEOUT, round(where.deadline)))
    connection = pywbem.WBEMConnection(
        where.url, (where.user, where.password), ca_certs=where.ca_file, no_verification=not where.verify,
        timeout=timeout, stats_enabled=False,
    )  # fmt: skip
    session = connection.session
    session.trust_env = False
    session.max_redirects = 0
    session.headers["Accept-Encoding"] = "identity"
    session.hooks["response"].append(guard)
    try:
        with _alarm(where.deadline):
            yield Server(connection, note)
    except _Overdue:
        raise OmiError(results.FAILED, failure=f"{where.url}: no answer within {where.deadline:g} s") from None
    except pywbem.CIMError as error:
        said = error.status_description or ""
        raise OmiError(error.status_code, detail=f"{where.url}: {_short(said)}") from None
    except pywbem.AuthError:
        raise OmiError(results.ACCESS_DENIED, detail=f"{where.url} refused the user or the password") from None
    except pywbem.ConnectionError as error:
        said = connection_text(str(error), timeout).replace("omiCaFile", CA_VARIABLE)
        raise OmiError(results.FAILED, failure=f"{where.url}: {_short(said)}") from None
    except (pywbem.Error, ReplyRefusedError, ValueError, OverflowError, RecursionError) as error:
        raise OmiError(results.FAILED, failure=f"{where.url}: {_short(str(error))}") from None
    except MemoryError:
        raise OmiError(results.FAILED, failure=f"{where.url}: the answer is too large") from None
    except OSError as error:
        raise OmiError(results.FAILED, failure=f"{where.url}: {_short(str(error))}") from None
    finally:
        with contextlib.suppress(Exception):
            connection.close()


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


def _short(text: str) -> str:
    """One line of what a peer or a library says: a parse error would quote the whole reply."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())
    return line if len(line) <= 300 else line[:296] + " ..."


class _Ask(NamedTuple):
    ask: Callable[[], list[Shown]]


class Server:
    """The requests of the command, as CIM-XML operations."""

    def __init__(self, connection: Any, note: Callable[[str], None]) -> None:
        self._connection = connection
        self._note = note

    def noop(self) -> None:
        """Whether the server answers and takes the credentials; which classes it has does not matter."""
        pywbem = _pywbem()
        try:
            self._connection.EnumerateClassNames(namespace=classes.NAMESPACE, DeepInheritance=False)
        except pywbem.CIMError as error:
            if error.status_code == results.ACCESS_DENIED:
                raise

    def enumeration(self, namespace: str, name: str, shallow: bool) -> _Ask:
        """All instances of a class."""
        _check_shallow(_known(namespace, name), shallow)

        def ask() -> list[Shown]:
            found = self._instances(namespace, name, None)
            return [
                _shown(one, namespace) for one in found if not shallow or str(one.classname).lower() == name.lower()
            ]

        return _Ask(ask)

    def names(self, namespace: str, name: str, shallow: bool) -> _Ask:
        """The names of all instances of a class."""
        _check_shallow(_known(namespace, name), shallow)

        def ask() -> list[Shown]:
            found = self._connection.EnumerateInstanceNames(name, namespace=namespace)
            return [
                _named(one, namespace) for one in found if not shallow or str(one.classname).lower() == name.lower()
            ]

        return _Ask(ask)

    def lookup(self, namespace: str, name: str, keys: Mapping[str, str]) -> _Ask:
        """One instance by its keys."""
        pywbem = _pywbem()
        path = pywbem.CIMInstanceName(name, keybindings=dict(keys), namespace=namespace)

        def ask() -> list[Shown]:
            found = self._connection.GetInstance(path, LocalOnly=False, IncludeQualifiers=False)
            return [_shown(found, namespace)]

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
        found = self._connection.ExecQuery(language, text, namespace=namespace)
        return [_shown(one, namespace) for one in found]

    def _filtered(self, namespace: str, bound: Bound) -> list[Shown]:
        wanted = {s.cim_class.name.lower(): s for s in bound.selections}
        needs = sorted(frozenset[str]().union(*(s.needs for s in bound.selections)))
        shown: list[Shown] = []
        for one in self._instances(namespace, bound.query.class_name, needs):
            selection = wanted.get(str(one.classname).lower())
            if selection is None:
                self._note(f"the server sent an instance of {one.classname}, which was not asked for")
                continue
            full = _shown(one, namespace)
            values = {slot.name: slot.value for slot in full.slots}
            if selection.matches is not None and not selection.matches(values):
                continue
            properties = selection.properties
            slots = full.slots if properties is None else tuple(s for s in full.slots if s.name in properties)
            shown.append(Shown(full.class_name, slots))
        return shown

    def _instances(self, namespace: str, name: str, properties: list[str] | None) -> list[Any]:
        found: list[Any] = self._connection.EnumerateInstances(
            name, namespace=namespace, LocalOnly=False, DeepInheritance=True, IncludeQualifiers=False,
            IncludeClassOrigin=False, PropertyList=properties,
        )  # fmt: skip
        return found

    def class_declaration(self, namespace: str, name: str) -> Shown:
        """The class itself."""
        found = self._connection.GetClass(name, namespace=namespace, LocalOnly=False, IncludeQualifiers=True)
        known = _known(namespace, str(found.classname))
        slots = []
        for one in found.properties.values():
            key = bool("Key" in one.qualifiers and one.qualifiers["Key"].value)
            slots.append(Slot(one.name, f"{one.type}[]" if one.is_array else one.type, key, None))
        return Shown(str(found.classname), _ordered(slots, known))


def _known(namespace: str, name: str) -> classes.CimClass | None:
    """The class as it is declared here, None if it is not."""
    within = classes.namespace(namespace)
    return classes.find(name, within) if within is not None else None


def _check_shallow(known: classes.CimClass | None, shallow: bool) -> None:
    if shallow and known is not None and not known.served:
        raise OmiError(results.NOT_SUPPORTED, f"{known.name} has no instances of its own; leave out -shallow")


def _named(path: Any, namespace: str) -> Shown:
    """An instance name as the instance with nothing but its keys."""
    known = _known(namespace, str(path.classname))
    types = {name.lower(): kind for name, kind in known.types.items()} if known is not None else {}
    slots = [
        Slot(str(name), types.get(str(name).lower(), "string"), True, _plain(value))
        for name, value in path.keybindings.items()
    ]
    return Shown(known.name if known else str(path.classname), _ordered(slots, known))


def _shown(instance: Any, namespace: str) -> Shown:
    """A pywbem instance; its properties in the order of the declaration where the class is known here."""
    known = _known(namespace, str(instance.classname))
    keys = {str(key).lower() for key in instance.path.keybindings} if instance.path is not None else set()
    if known is not None:
        keys = {p.name.lower() for p in known.properties.values() if p.key}
    slots = [
        Slot(one.name, f"{one.type}[]" if one.is_array else one.type, one.name.lower() in keys, _plain(one.value))
        for one in instance.properties.values()
    ]
    return Shown(known.name if known else str(instance.classname), _ordered(slots, known))


def _ordered(slots: list[Slot], known: classes.CimClass | None) -> tuple[Slot, ...]:
    if known is None:
        return tuple(slots)
    place = {name.lower(): at for at, name in enumerate(known.properties)}
    return tuple(sorted(slots, key=lambda slot: place.get(slot.name.lower(), len(place))))


def _plain(value: Any) -> Any:
    """A value without pywbem's types; what is neither text nor number (a date, a reference) as its text."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)
