"""Sections that mdsd checks and that are not run here: Windows-style providers, extensions, the envelope."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from extension.config import xmlsafe
from extension.config.document_parts import body
from extension.config.document_report import Report

_NUMBERS = ("cpuPercentUsage", "memoryLimitInMB", "ioReadLimitInKBPerSecond", "ioWriteLimitInKBPerSecond")


def envelope(section: etree._Element, environ: Mapping[str, str], report: Report) -> None:
    """One EnvelopeSchema element: each field needs a name and one value."""
    for field in section.iter("Field"):
        report.required(field, "name", said="<Field> missing required 'name' attribute")
        text, variable = body(field), field.get("envariable")
        sources = [variable is not None, field.get("useComputerName") is not None, bool(text)]
        if variable is not None and variable not in environ:
            said = f"Variable '{variable}' not found in environment"
            report.warning(field, f"the environment has no variable {variable}: the field is empty", said=said)
        if sum(sources) > 1:
            report.warning(field, "the field has more than one value, the first one counts", "keep one")
        elif not any(sources):
            said = "No value supplied for this column; using empty string"
            report.warning(field, "the field has no value", "give it one", said=said)
    for extension in section.findall("Extension"):
        report.required(extension, "name", said="<Extension> missing required 'name' attribute")


def providers(section: etree._Element, report: Report) -> None:
    """One EtwProviders element."""
    for provider in section.findall("EtwProvider"):
        report.required(provider, "guid", said="<EtwProvider> requires attribute 'guid'")
        given = provider.get("format")
        if given is not None and given != "EventSource":
            said = f"<EtwProvider> attribute 'format' has invalid value '{given}'."
            report.error(provider, "format must be EventSource", "write EventSource", given, said=said)
        for event in provider.findall("Event"):
            report.required(event, "id", "eventName")


class Extensions:
    """The Extension elements of a document, by name."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.names: dict[str, None] = {}

    def read(self, section: etree._Element) -> None:
        """One Extensions element."""
        for element in section.findall("Extension"):
            name = element.get("extensionName") or ""
            said = "<Extension> requires attribute 'extensionName'"
            if self._report.required(element, "extensionName", said=said) and name in self.names:
                said = f"Duplicate Extension {name} ignored."
                self._report.error(element, f"extension {name} is given twice", "remove one of the two", said=said)
            self.names[name] = None
            for part in xmlsafe.children(element):
                self._part(part)

    def _part(self, part: etree._Element) -> None:
        if part.tag == "CommandLine" and not body(part).strip():
            said = "unexpected empty or whitespace value for Extension CmdLine"
            self._report.error(part, "<CommandLine> is empty", "give it the command", said=said)
        elif part.tag in ("Body", "AlternativeExtensionLocation") and not body(part).strip():
            self._report.warning(part, f"<{part.tag}> is empty", "remove it or give it a text")
        elif part.tag == "ResourceUsage":
            for name in _NUMBERS:
                given = part.get(name)
                if given is not None and not re.match(r"\s*[+-]?\.?\d", given, re.ASCII):
                    self._report.error(part, f"{name} must be a number", "write a number", given)
