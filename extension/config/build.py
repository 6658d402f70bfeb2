"""Settings JSON -> mdsd XML: the dialect is told, the settings read and the document made, all problems in one pass."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from extension.config import dialect as dialects
from extension.config import proxy, sources, tree, values
from extension.config.machine import Machine
from extension.config.problems import Problem, Problems
from extension.config.reading import Reading
from extension.config.secrets import SecretError
from extension.config.values import PROTECTED, PUBLIC
from omi_queries import reprs


class Generated(NamedTuple):
    """``xml``: the document, None where LAD wrote none; ``options``: for options.json; ``dialect``: 2.3 or later."""

    xml: bytes | None
    options: dict[str, object]
    problems: tuple[Problem, ...]
    dialect: str

    def __repr__(self) -> str:
        return reprs.without(self, "xml", "options")

    @property
    def ok(self) -> bool:
        """Whether the document may be enabled: there is one and no problem is an error."""
        return self.xml is not None and not any(p.severity == "error" for p in self.problems)


def generate(
    public: object,
    protected: object,
    *,
    lad: str | None = None,
    machine: Machine,
    seal: tree.Seal | None = None,
    now: datetime | None = None,
) -> Generated:
    """The mdsd document that ``public`` and ``protected`` settings (JSON values) ask for.

    ``lad`` is the dialect to read, to the letter (``2.3``, ``3.0``, ``4.0``); None tells it from the settings and
    reads leniently.
    ``seal(secret)`` returns (upper-case hex of the DER CMS, path of the private key); None writes secrets in clear.
    ``now`` (aware) judges the dates of a SAS; None is the present. Never raises for any JSON value.
    """
    problems = Problems()
    public_object = values.obj(public, PUBLIC, problems)
    protected_object = values.obj(protected, PROTECTED, problems)
    usable = all(value is None or isinstance(value, Mapping) for value in (public, protected))
    dialect = dialects.told(public_object, protected_object, lad, problems)
    if dialect not in dialects.KNOWN or not usable:
        return Generated(None, {}, problems.all(), dialect)
    moment = datetime.now(timezone.utc) if now is None else now
    options = sources.options(public_object, protected_object, problems)
    options |= proxy.options(public_object, protected_object, machine.proxy, problems)
    make = _lad23 if dialect == "2.3" else _later
    how = Reading(dialect, lad is not None, machine, moment)
    xml = make(public_object, protected_object, how, seal, problems)
    return Generated(xml, {} if xml is None else options, problems.all(), dialect)


def _lad23(
    public: values.Object, protected: values.Object, how: Reading, seal: tree.Seal | None, problems: Problems
) -> bytes | None:
    """The document of LAD 2.3 settings; None where LAD wrote none."""
    from extension.config import lad23, tree23  # here, because later settings need nothing of it

    settings = lad23.read(public, protected, how, problems)
    if settings is None or settings.credential is None:
        return None
    try:
        root = tree23.document(settings, settings.credential, how.machine, seal)
    except SecretError as problem:
        problems.error(settings.credential.path, f"the secret cannot be encrypted: {problem}", "check the certificate")
        return None
    xml = tree.serialised(root)
    own = settings.base is not None
    _judge(xml, values.member(PUBLIC, "mdsdCfg") if own else PUBLIC, own, problems)
    return xml


def _later(
    public: values.Object, protected: values.Object, how: Reading, seal: tree.Seal | None, problems: Problems
) -> bytes | None:
    """The document of LAD 3.0 or 4.x settings; None where LAD wrote none."""
    from extension.config import lad30, tree30  # here, because 2.3 settings need nothing of it

    settings = lad30.read(public, protected, how, problems)
    if settings is None or settings.credential is None:
        return None
    try:
        xml = tree.serialised(tree30.document(settings, settings.credential, how.machine, seal))
    except tree30.SealError as problem:
        problems.error(problem.path, f"the secret cannot be encrypted: {problem}", "check the certificate")
        return None
    if not problems.failed:  # what is wrong already is told by the place in the settings
        _judge(xml, PUBLIC, False, problems)
    return xml


def _judge(xml: bytes, path: str, whole: bool, problems: Problems) -> None:
    """What the daemon will refuse of a document is an error of the settings at ``path``; ``whole``: warnings too."""
    from extension.config import document as documents

    seen = Problems()
    documents.read(xml, f"{path} (the document as printed)", seen)
    told = [p for p in problems if p.severity == "error"]
    problems.extend(p for p in seen if (whole or p.severity == "error") and not any(_repeats(p, q) for q in told))


def _repeats(problem: Problem, told: Problem) -> bool:
    """Whether a problem of the document is that of a setting whose value was copied there."""
    name = told.path.rpartition(".")[2]
    return bool(problem.value) and problem.value == told.value and problem.message.startswith(f"{name} ")
