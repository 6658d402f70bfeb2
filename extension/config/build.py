"""Settings JSON -> mdsd XML: the dialect is told, the settings read and the document made, all problems in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from extension.config import dialect as dialects
from extension.config import lad23, sources, values
from extension.config.machine import Machine
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

    ``lad`` is the dialect to read, to the letter (``2.3``); None tells it from the settings and reads leniently.
    ``seal(secret)`` returns (upper-case hex of the DER CMS, path of the private key); None writes secrets in clear.
    ``now`` (aware) judges the dates of a SAS; None is the present. Never raises for any JSON value.
    """
    problems = Problems()
    public_object = values.obj(public, PUBLIC, problems)
    protected_object = values.obj(protected, PROTECTED, problems)
    usable = all(value is None or isinstance(value, Mapping) for value in (public, protected))
    dialect = dialects.told(public_object, protected_object, lad, problems)
    if dialect != "2.3" or not usable:
        return Generated(None, {}, problems.all(), dialect)
    moment = datetime.now(timezone.utc) if now is None else now
    options = sources.options(public_object, protected_object, problems)
    settings = lad23.read(public_object, protected_object, lad23.Reading(lad == "2.3", machine, moment), problems)
    if settings is None or settings.credential is None:
        return Generated(None, {}, problems.all(), dialect)
    try:
        root = document(settings, settings.credential, machine, seal)
    except SecretError as problem:
        problems.error(settings.credential.path, f"the secret cannot be encrypted: {problem}", "check the certificate")
        return Generated(None, {}, problems.all(), dialect)
    return Generated(serialised(root), options, problems.all(), dialect)
