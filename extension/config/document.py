"""Reader of mdsd documents: one pass in document order, because an element may only refer to what precedes it.

Grammar and severities: spec/mdsd.md 1 and 8; mdsd's Fatal and Error are errors, Warning is a warning, Info a note.
Where mdsd crashed (eventVolume, numbers that are none) there is an error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

from lxml import etree

from extension.config import document_unrun, grammar, xmlsafe
from extension.config.document_events import Events
from extension.config.document_management import Management
from extension.config.document_model import Document, Place
from extension.config.document_parts import Accounts, Schemas, whole
from extension.config.document_report import Message, Report
from extension.config.document_streams import Streams
from extension.config.document_text import unescaped
from extension.config.problems import Problems

__all__ = ["MAX_FILES", "Load", "load_file", "read", "unescaped"]

Load = Callable[[str], bytes]
"""Path of an imported file -> its bytes; OSError if there are none."""
MAX_FILES = 64
"""Files that one document may import, directly or not."""
VERSION_MISSING = 'Must specify "version" attribute'
VERSION_WRONG = "eventVersion, when present, must be a positive integer"


def load_file(path: str) -> bytes:
    """The bytes of a regular file, of a larger one as many as are enough to see that it is too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as f:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "Not a regular file")
        return f.read(xmlsafe.MAX_BYTES + 1)


def read(
    xml: bytes,
    path: str,
    problems: Problems,
    *,
    load: Load = load_file,
    environ: Mapping[str, str] = os.environ,
    verdict: list[Message] | None = None,
) -> Document | None:
    """The document in ``xml``; ``path`` is what problems call it, and imports are looked up beside it.

    None if it is no mdsd document at all. ``verdict`` receives the messages that mdsd itself would have.
    """
    reader = _Reader(Report(path, problems, verdict), load, environ)
    return reader.document(xml)


class _Reader:
    """The sections of a document and of the files that it imports."""

    def __init__(self, report: Report, load: Load, environ: Mapping[str, str]) -> None:
        self._report = report
        self._load = load
        self._environ = environ
        self._open: list[str] = []
        self._files = 0
        self._bytes = 0
        self._accounts = Accounts(report)
        self._management = Management(report)
        self._schemas = Schemas(report)
        self._streams = Streams(report, self._management)
        self._events = Events(report, self._accounts, self._schemas, self._streams)
        self._extensions = document_unrun.Extensions(report)

    def document(self, xml: bytes) -> Document | None:
        """The whole document."""
        path = self._report.file
        try:
            opened = xmlsafe.parse_open(xml)
        except xmlsafe.XmlError as problem:
            self._report.error(Place(path, problem.line), str(problem), problem.cure)
            return None
        root = opened.root
        if root is None:
            self._report.beyond(
                Place(path), "the document has no elements, which mdsd takes for valid", "give a document"
            )
            return Document(path)
        if not self._is_document(root):
            return None
        if root.get("version") != "1.0":
            said = "Only config file version 1.0 is supported" if "version" in root.attrib else VERSION_MISSING
            self._report.fatal(root, "version must be 1.0", 'write version="1.0"', root.get("version") or "", said=said)
        version = whole(root, "eventVersion", self._report, 1, said=VERSION_WRONG)
        self._bytes = len(xml)
        self._open.append(os.path.realpath(path))
        self._sections(opened)
        self._management.finish(root)
        publishers = []
        if root not in opened.unfinished:
            known = {name: sorted(monikers) for name, monikers in self._events.tables.items()}
            publishers = self._streams.publishers(known, self._events.names)
        return Document(
            path,
            root.get("namespace") or "",
            max(version, 1),
            self._management.event_volume,
            tuple(self._management.identity.values()),
            tuple(self._accounts.found.values()),
            tuple(self._schemas.sources.values()),
            tuple(self._events.queries),
            tuple(self._events.routes),
            tuple(self._events.derived),
            tuple(self._management.obo.items()),
            tuple(publishers),
            tuple(self._streams.on_behalf.values()),
            self._management.aliases,
            self._management.dupe_window_s,
        )

    def _is_document(self, root: etree._Element) -> bool:
        """Whether the root is right; XML namespaces, which mdsd does not know, are taken away."""
        name = xmlsafe.local_name(root)
        if name != "MonitoringManagement":
            wad = name in ("WadCfg", "DiagnosticMonitorConfiguration")
            cure = "give the settings file that has it, in base64, as xmlCfg" if wad else "give an mdsd document"
            self._report.error(root, f"the root element is <{name}>, not <MonitoringManagement>", cure)
            return False
        if root.nsmap:
            self._report.warning(root, "the document has an XML namespace, which is ignored", "remove xmlns")
        for element in root.iter(etree.Element):
            if element.prefix:
                self._report.error(
                    element,
                    f"mdsd knows no element <{element.prefix}:{xmlsafe.local_name(element)}>",
                    "remove the prefix",
                )
            if "}" in element.tag:
                element.tag = xmlsafe.local_name(element)
        return True

    def _sections(self, opened: xmlsafe.Opened) -> None:
        """All sections of one file, in their order."""
        root, report = opened.root, self._report
        if root is None:
            return
        if opened.joined:
            report.error(
                Place(report.file, opened.joined),
                "malformed XML once line ends are dropped, as mdsd does",
                "begin the line with a blank",
            )
        if opened.unfinished:
            report.beyond(
                opened.unfinished[-1],
                f"the document ends within <{xmlsafe.local_name(opened.unfinished[-1])}>: something may be missing",
                "check that the file is whole",
            )
        grammar.check(root, report)
        unfinished = frozenset(opened.unfinished)
        for section in xmlsafe.children(root):
            self._section(section, unfinished)

    def _section(self, section: etree._Element, unfinished: frozenset[etree._Element]) -> None:
        name = xmlsafe.local_name(section)
        if name == "Imports":
            for element in section.findall("Import"):
                self._import(element)
        elif name == "Accounts":
            self._accounts.read(section)
        elif name == "Management":
            self._management.read(section, self._events.any)
        elif name == "Schemas":
            self._schemas.read(section)
        elif name == "EnvelopeSchema":
            document_unrun.envelope(section, self._environ, self._report)
        elif name == "Sources":
            self._schemas.read_sources(section, self._accounts)
            self._events.add_sources()
        elif name == "ServiceBusAccountInfos":
            self._streams.read_accounts(section)
        elif name == "EventStreamingAnnotations":
            self._streams.read_annotations(section)
        elif name == "Events":
            self._events.read(section, unfinished)
            for group in section.findall("Extensions"):
                self._extensions.read(group)
            for group in section.findall("EtwProviders"):
                document_unrun.providers(group, self._report)

    def _import(self, element: etree._Element) -> None:
        """Another file, read in place."""
        report = self._report
        if not report.required(element, "file", said='<Import>:  "file" attribute is missing or empty'):
            return
        path = os.path.join(os.path.dirname(report.file), element.get("file") or "")
        self._files += 1
        if self._files > MAX_FILES:
            report.error(element, f"more than {MAX_FILES} imports", "import each file once", path)
            return
        try:
            real = os.path.realpath(path)
            if real in self._open:
                report.error(element, "the imported file imports itself", "remove the Import", path)
                return
            data = self._load(path)
        except (OSError, ValueError) as problem:
            reason = (problem.strerror if isinstance(problem, OSError) else None) or "the path is not usable"
            said = f"Failed to open config file {element.get('file')} for reading"
            report.error(element, f"the imported file cannot be read: {reason}", "check the path", path, said=said)
            return
        self._bytes += len(data)
        if self._bytes > xmlsafe.MAX_BYTES:
            report.error(element, f"the imports have more than {xmlsafe.MAX_BYTES} bytes", "import less", path)
            return
        outer, report.file = report.file, path
        self._open.append(real)
        self._imported(data)
        self._open.pop()
        report.file = outer

    def _imported(self, data: bytes) -> None:
        try:
            opened = xmlsafe.parse_open(data)
        except xmlsafe.XmlError as problem:
            self._report.error(Place(self._report.file, problem.line), str(problem), problem.cure)
            return
        if opened.root is not None and self._is_document(opened.root):
            self._sections(opened)
