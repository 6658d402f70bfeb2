"""What the reader of mdsd documents has found: mdsd's own messages, and what only this program notices.

mdsd knows four severities; Fatal and Error keep a document from being started, and ``mdsd -v`` succeeds only without
any message at all (spec/mdsd.md 1.1). Findings that mdsd had no message for never change that verdict.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from functools import partial
from typing import Literal, NamedTuple

from lxml import etree

from extension.config import xmlsafe
from extension.config.document_model import Place
from extension.config.problems import Problems, Severity, printable
from extension.config.redact import holds_secret

MdsdSeverity = Literal["Fatal", "Error", "Warning", "Info"]
NO_MESSAGES = "Parse succeeded with no messages."
MESSAGES = "Parse reported these messages:"
LIMIT = 500
"""Messages that are kept."""
_SEVERITIES: dict[MdsdSeverity, Severity] = {"Fatal": "error", "Error": "error", "Warning": "warning", "Info": "note"}


class Message(NamedTuple):
    """One message as mdsd gives it; ``line`` 0 where none is known."""

    file: str
    line: int
    severity: MdsdSeverity
    text: str

    def render(self) -> str:
        """The message as ``mdsd -v`` prints it: ``FILE(LINE) Severity: text``."""
        return printable(f"{self.file}({self.line}) {self.severity}: {self.text}")


class Report:
    """Takes findings at elements; ``file`` is the document that is being read just now (imports change it)."""

    def __init__(self, file: str, problems: Problems, messages: list[Message] | None = None) -> None:
        self.file = file
        self.problems = problems
        self.messages: list[Message] = [] if messages is None else messages

    def at(self, where: etree._Element | Place) -> Place:
        """The place of an element of the file that is being read."""
        return where if isinstance(where, Place) else Place(self.file, xmlsafe.line_of(where))

    def mdsd(
        self,
        severity: MdsdSeverity,
        where: etree._Element | Place,
        message: str,
        cure: str = "",
        value: str = "",
        *,
        said: str = "",
    ) -> None:
        """A finding that mdsd has a message of this severity for; ``said``: mdsd's own words, where they differ."""
        place = self.at(where)
        words = said if said and not holds_secret(said) else message
        if len(self.messages) < LIMIT:
            self.messages.append(Message(place.file, place.line, severity, words))
        add = {"error": self.problems.error, "warning": self.problems.warning, "note": self.problems.note}
        add[_SEVERITIES[severity]](str(place), message, cure, value)

    def fatal(
        self, where: etree._Element | Place, message: str, cure: str = "", value: str = "", *, said: str = ""
    ) -> None:
        """What mdsd calls Fatal."""
        self.mdsd("Fatal", where, message, cure, value, said=said)

    def error(
        self, where: etree._Element | Place, message: str, cure: str = "", value: str = "", *, said: str = ""
    ) -> None:
        """What mdsd calls Error, or what crashes it."""
        self.mdsd("Error", where, message, cure, value, said=said)

    def warning(
        self, where: etree._Element | Place, message: str, cure: str = "", value: str = "", *, said: str = ""
    ) -> None:
        """What mdsd calls Warning."""
        self.mdsd("Warning", where, message, cure, value, said=said)

    def info(
        self, where: etree._Element | Place, message: str, cure: str = "", value: str = "", *, said: str = ""
    ) -> None:
        """What mdsd calls Info."""
        self.mdsd("Info", where, message, cure, value, said=said)

    def beyond(self, where: etree._Element | Place, message: str, cure: str = "", value: str = "") -> None:
        """A warning that mdsd does not give."""
        self.problems.warning(str(self.at(where)), message, cure, value)

    def refused(self, where: etree._Element | Place, message: str, cure: str = "", value: str = "") -> None:
        """An error that mdsd does not give, or that is part of one that it gives."""
        self.problems.error(str(self.at(where)), message, cure, value)

    def required(self, element: etree._Element, *names: str, said: str = "") -> bool:
        """Whether the attributes are there and not empty; each that is not is an error. ``said``: the one message that
        mdsd has for them all."""
        missing = [name for name in names if not element.get(name)]
        for number, name in enumerate(missing):
            message = f"<{xmlsafe.local_name(element)}> needs the attribute {name}"
            report = self.refused if said and number else partial(self.error, said=said)
            report(element, message, f"give {name} a value")
        return not missing
