"""Settings JSON -> mdsd XML: the dialect is told, the settings read and the document made, all problems in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from extension.config import dialect as dialects
from extension.config import lad23, proxy, sources, values
from extension.config.machine import Machine
from extension.config.model30 import Reading as Later
from extension.config.problems import Problem, Problems
from extension.config.secrets import SecretError
from extension.config.tree import Seal, document, serialised
from extension.config.values import PROTECTED, PUBLIC


@dataclass(frozen=True)
class Generated:
    """``xml``: the document, None where LAD wrote none; ``options``: for options.json; ``dialect``: 2.3 or later."""

    xml: bytes | None = field(repr=False)
    options: dict[str, object] = field(repr=False)
    problems: tuple[Problem, ...]
    dialect: str

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
    seal: Seal | None = None,
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
    if dialect != "2.3":
        how = Later(dialect, lad is not None, machine, moment)
        xml = _later(public_object, protected_object, how, seal, problems)
        if xml is not None and not problems.failed:  # what is wrong already is told by the place in the settings
            _judge(xml, PUBLIC, False, problems)
        return Generated(xml, {} if xml is None else options, problems.all(), dialect)
    settings = lad23.read(public_object, protected_object, lad23.Reading(lad == "2.3", machine, moment), problems)
    if settings is None or settings.credential is None:
        return Generated(None, {}, problems.all(), dialect)
    try:
        root = document(settings, settings.credential, machine, seal)
    except SecretError as problem:
        problems.error(settings.credential.path, f"the secret cannot be encrypted: {problem}", "check the certificate")
        return Generated(None, {}, problems.all(), dialect)
    xml = serialised(root)
    own = settings.base is not None
    _judge(xml, values.member(PUBLIC, "mdsdCfg") if own else PUBLIC, own, problems)
    return Generated(xml, options, problems.all(), dialect)


def _later(public: values.Object, protected: values.Object, how: Later, seal: Seal | None, p: Problems) -> bytes | None:
    """The document of LAD 3.0 or 4.x settings; None where LAD wrote none."""
    # Imported here because 2.3 settings need nothing of it.
    from extension.config import lad30, tree30

    settings = lad30.read(public, protected, how, p)
    if settings is None or settings.credential is None:
        return None
    try:
        return serialised(tree30.document(settings, settings.credential, how.machine, seal))
    except tree30.SealError as problem:
        p.error(problem.path, f"the secret cannot be encrypted: {problem}", "check the certificate")
        return None


def _judge(xml: bytes, path: str, whole: bool, problems: Problems) -> None:
    """What the daemon will refuse of a document is an error of the settings at ``path``; ``whole``: warnings too."""
    from extension.config import document as documents

    seen = Problems()
    documents.read(xml, f"{path} (the document as printed)", seen)
    problems.extend(p for p in seen if whole or p.severity == "error")
