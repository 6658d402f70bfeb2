"""What is wrong with a configuration: one value per finding, and a collector so that all are reported in one pass."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from extension.config.redact import holds_secret, redacted

Severity = Literal["error", "warning", "note"]
LIMIT = 500
"""Findings that are kept, and as many errors besides; more are counted, so that a hostile file of millions of mistakes
cannot fill the memory."""

_HIDDEN = "(not shown: it may hold a secret)"
_REST = "..."  # the path of the finding that counts those that are not listed
_SHOWN = 80  # characters of an offending value that a message repeats


def printable(text: str) -> str:
    """``text`` on one line: control characters, line breaks and lone surrogates as escapes, nothing else changed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shorten(text: str) -> str:
    """``text`` cut to what a message may repeat of an offending value."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


class Problem(NamedTuple):
    """One finding.

    ``path`` is a JSON path (``$.protected.storageAccountKey``) or a file, with `` line N`` where a line is known;
    ``cure`` what to do about it; ``value`` the offending value, empty where it is secret.
    """

    severity: Severity
    path: str
    message: str
    cure: str = ""
    value: str = ""

    def render(self) -> str:
        """The finding on one line: ``error: $.public.xmlCfg line 3: message. Cure: ...``."""
        text = f"{self.severity}: {self.path}: {self.message}"
        if self.value:
            text += f" (value: {shorten(self.value)})"
        if self.cure:
            text += f". Cure: {self.cure}"
        return printable(text)

    def to_json(self) -> dict[str, str]:
        """The finding as JSON-able values; the texts are single lines."""
        return {
            "severity": self.severity,
            "path": printable(self.path),
            "message": printable(self.message),
            "cure": printable(self.cure),
            "value": printable(shorten(self.value)),
        }


class Problems:
    """Collects findings in the order in which they were met; the same finding twice is kept once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._more = 0
        self._errors = self._more_errors = 0
        self._failed = False

    def __iter__(self) -> Iterator[Problem]:
        yield from self._found
        if self._more:
            severity: Severity = "error" if self._more_errors else "warning"
            yield Problem(severity, _REST, f"{self._more} more problems are not listed")

    def __len__(self) -> int:
        return len(self._found) + self._more

    def _add(self, problem: Problem) -> None:
        if problem.value and holds_secret(problem.value):
            problem = problem._replace(value=_HIDDEN)
        error = problem.severity == "error"
        self._failed = self._failed or error
        room = len(self._found) < LIMIT or (error and self._errors < LIMIT) or problem.path == _REST
        if not room:
            unlisted = problem not in self._found
            self._more += unlisted
            self._more_errors += error and unlisted
            return
        path, message, cure = (redacted(text) for text in (problem.path, problem.message, problem.cure))
        if (path, message, cure) != (problem.path, problem.message, problem.cure):
            problem = problem._replace(path=path, message=message, cure=cure)
        if problem not in self._found:
            self._found[problem] = None
            self._errors += error

    def nearest(self, name: str, known: Iterable[str]) -> str:
        """As the function :func:`nearest`, but without the search once nobody would see its result."""
        return "" if self._more else nearest(name, known)

    def error(self, path: str, message: str, cure: str = "", value: str = "") -> None:
        """Something that keeps the configuration from being enabled."""
        self._add(Problem("error", path, message, cure, value))

    def warning(self, path: str, message: str, cure: str = "", value: str = "") -> None:
        """Something that is tried, but will probably not do what was meant."""
        self._add(Problem("warning", path, message, cure, value))

    def note(self, path: str, message: str, cure: str = "", value: str = "") -> None:
        """Something worth knowing that needs no change."""
        self._add(Problem("note", path, message, cure, value))

    def extend(self, others: Iterable[Problem]) -> None:
        """Take over findings made elsewhere."""
        for one in others:
            self._add(one)

    def extend_unused(self, others: Iterable[Problem]) -> None:
        """Take over findings about a part that another setting overrides: its errors hold nothing up."""
        self.extend(one._replace(severity="warning") if one.severity == "error" else one for one in others)

    @property
    def failed(self) -> bool:
        """Whether there is at least one error."""
        return self._failed

    def all(self) -> tuple[Problem, ...]:
        """The findings as an immutable value."""
        return tuple(self)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known spelling nearest to ``name`` (case does not count), or an empty string."""
    if len(name) > _SHOWN:
        return ""
    from difflib import get_close_matches  # here, because correct settings need none of it

    spelled = {k.lower(): k for k in known}
    found = get_close_matches(name.lower(), spelled, n=1, cutoff=0.6)
    return spelled[found[0]] if found else ""
