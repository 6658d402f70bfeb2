"""``syslogEvents`` and ``fileLogs`` of LAD 3.0 and 4.x -> sources and routes (spec/lad-handler.md 5.5)."""

from __future__ import annotations

from collections.abc import Mapping

from extension.config import lad30_names, lad30_sinks, values
from extension.config.lad30_sinks import Sinks
from extension.config.model30 import JSON_BLOB, Findings, Hub, LogSource, Sink
from extension.config.problems import Problems
from extension.config.reading import Reading
from extension.config.syslog_names import FACILITIES, SEVERITIES
from extension.config.values import MONITOR, PROTECTED, PUBLIC, Object, member

SYSLOG_SOURCE = "mdsd.syslog"
SYSLOG_EVENT = "LinuxSyslog"
NONE = "NONE"
_SYSLOG = f"{MONITOR}.syslogEvents"
_GIVEN_UP = "; LAD refuses the whole settings"


def read(
    public: Object, protected: Object, monitor: Object, sinks: Sinks, how: Reading, findings: Findings
) -> tuple[tuple[LogSource, ...], tuple[Hub, ...], set[str]]:
    """The sources with their routes, the Event Hubs that get their rows, and the names of all sinks used."""
    hubs: list[Hub] = []
    used: set[str] = set()
    found = _syslog(protected, monitor, sinks, how, hubs, used, findings)
    return (*found, *_files(public, sinks, how, hubs, used, findings)), tuple(hubs), used


def _routes(chosen: tuple[Sink, ...], source: str, how: Reading, hubs: list[Hub]) -> list[tuple[str, str]]:
    """A JsonBlob sink is a route of its own; an Event Hub takes each row of the source as it comes in.

    A source has one Event Hub; to the letter a second one is written there too, otherwise it gets a local table.
    """
    routes: list[tuple[str, str]] = []
    for sink in chosen:
        if sink.kind == JSON_BLOB:
            routes.append((sink.name, JSON_BLOB))
        elif how.exact or all(hub.event != source for hub in hubs):
            hubs.append(Hub(source, sink))
        elif Hub(source, sink) not in hubs:
            event = f"{source}.{sink.name}".replace(" ", "_")
            routes.append((event, "local"))
            hubs.append(Hub(event, sink))
    return routes


def _syslog(
    protected: Object, monitor: Object, sinks: Sinks, how: Reading, hubs: list[Hub], used: set[str], findings: Findings
) -> tuple[LogSource, ...]:
    problems = findings.problems
    disabled = _account_disabled(protected, problems)
    section = values.child(monitor, "syslogEvents", MONITOR, problems)
    if not section:
        return ()
    lad30_names.report_keys(section, _SYSLOG, ("syslogEventConfiguration", "sinks"), {}, problems)
    names = lad30_sinks.named(section, _SYSLOG, how, problems)
    used.update(names)
    path = member(_SYSLOG, "sinks")
    if not _facilities(section, findings):
        return ()
    if SYSLOG_EVENT in names:
        findings.refuse(path, f"{SYSLOG_EVENT} is the name of the table and cannot be a sink", "rename the sink")
        names = [name for name in names if name != SYSLOG_EVENT]
    chosen = lad30_sinks.strict(names, sinks, path, findings)
    lad30_sinks.several_hubs(chosen, path, how, problems)
    routes = _routes(chosen, SYSLOG_SOURCE, how, hubs)
    if not disabled:
        routes.insert(0, (SYSLOG_EVENT, ""))
    elif not chosen:
        problems.warning(_SYSLOG, "with disableStorageAccount and without sinks, syslog goes nowhere", "name a sink")
    problems.note(_SYSLOG, "this version writes the syslog route but does not collect syslog yet")
    return (LogSource(SYSLOG_SOURCE, tuple(routes)),)


def _account_disabled(protected: Object, problems: Problems) -> bool:
    given = protected.get("disableStorageAccount")
    if given is not None and not isinstance(given, bool):
        path = member(PROTECTED, "disableStorageAccount")
        problems.warning(path, f"is {values.kind(given)}, only the JSON value true counts", "write true or false")
    elif given is True:
        path = member(PROTECTED, "disableStorageAccount")
        problems.note(path, f"leaves out the table {SYSLOG_EVENT} only; metrics still go to the account")
    return given is True


def _facilities(section: Object, findings: Findings) -> bool:
    """Checks the names. Whether syslog is asked for: not where nothing is listed, as in LAD."""
    path = member(_SYSLOG, "syslogEventConfiguration")
    cure = 'write {"LOG_USER": "LOG_ERR", ...}'
    if "syslogEventConfiguration" not in section:
        findings.refuse(path, f"is missing{_GIVEN_UP}", cure)
        return False
    listed = section["syslogEventConfiguration"]
    if listed is None or listed == {}:
        findings.problems.warning(path, "is empty: no syslog is asked for", f"{cure}, or remove syslogEvents")
        return False
    if not isinstance(listed, Mapping):
        findings.refuse(path, f"must be an object, is {values.kind(listed)}", cure)
        return False
    for facility, severity in listed.items():
        at = member(path, str(facility))
        if facility != "*" and str(facility).upper() not in FACILITIES:
            _invalid(at, "facility", str(facility), FACILITIES, findings)
        if not isinstance(severity, str):
            findings.refuse(at, f"must be a string, is {values.kind(severity)}", 'write "LOG_ERR"')
        elif severity != "*" and severity.upper() not in (*SEVERITIES, NONE):
            _invalid(at, "severity", severity, (*SEVERITIES, NONE), findings)
    if not any(str(severity).upper() != NONE for severity in listed.values()):
        findings.problems.warning(path, "asks for no message of any facility", cure)
    return True


def _invalid(at: str, what: str, name: str, known: tuple[str, ...], findings: Findings) -> None:
    """LAD knew one list of names, so that it took a severity for a facility; no message ever comes of that."""
    near = findings.problems.nearest(name, known)
    cure = f"did you mean {near}?" if near else f"write one of {', '.join(known)}"
    message = f"Invalid syslog name given: no {what} is called so"
    if name.upper() in (*FACILITIES, *SEVERITIES):
        findings.problems.error(at, message, cure, name)
    else:
        findings.refuse(at, f"{message}{_GIVEN_UP}", cure, name)


def _files(
    public: Object, sinks: Sinks, how: Reading, hubs: list[Hub], used: set[str], findings: Findings
) -> tuple[LogSource, ...]:
    problems = findings.problems
    given = values.items(public, "fileLogs", PUBLIC, problems) or []
    entries = [(at, values.obj(one, at, problems)) for at, one in given]
    last = {entry.get("file"): at for at, entry in entries if isinstance(entry.get("file"), str)}
    listed: dict[str, tuple[str, tuple[Sink, ...], str]] = {}
    for at, entry in entries:
        lad30_names.report_keys(entry, at, ("file", "table", "sinks"), {}, problems)
        file, table = values.text(entry, "file", at, problems), values.text(entry, "table", at, problems)
        names = lad30_sinks.named(entry, at, how, problems)
        used.update(names)
        if not file:
            findings.refuse(member(at, "file"), f"is missing{_GIVEN_UP}", "give the path of the file")
        elif last.get(entry.get("file")) != at:
            message = "is listed again, and the last entry alone counts, as in LAD"
            problems.warning(member(at, "file"), message, "remove one of the entries", file)
        elif not table and not names:
            message = f'Neither "table" nor "sinks" defined for file "{file}"{_GIVEN_UP}'
            findings.refuse(at, message, "give a table or sinks")
        else:
            chosen = lad30_sinks.strict(names, sinks, member(at, "sinks"), findings)
            lad30_sinks.several_hubs(chosen, member(at, "sinks"), how, problems)
            listed[file] = (table, chosen, at)
    if listed:
        path = member(PUBLIC, "fileLogs")
        problems.warning(path, "this version writes the routes of file logs but does not read the files yet")
    return _file_sources(listed, how, hubs, problems)


def _file_sources(
    listed: Mapping[str, tuple[str, tuple[Sink, ...], str]], how: Reading, hubs: list[Hub], problems: Problems
) -> tuple[LogSource, ...]:
    """Sources in the order of paths. Two paths may give one name: to the letter that stands twice."""
    found: list[LogSource] = []
    for file in sorted(listed):
        table, chosen, at = listed[file]
        if not file.startswith("/"):
            problems.warning(member(at, "file"), "is not an absolute path", value=file)
        if table:
            lad30_names.check_table(table, member(at, "table"), problems)
        source = f"mdsd.filelog{file.replace('/', '.')}"
        routes = [(table, "")] if table else []
        routes += _routes(chosen, source, how, hubs)
        same = next((one for one in found if one.name == source), None)
        if same is not None:
            problems.warning(member(at, "file"), "only / and . tell it from another, whose source it shares", "", file)
        if same is not None and not how.exact:
            found.remove(same)
            routes = list(dict.fromkeys((*same.routes, *routes)))
        found.append(LogSource(source, tuple(routes)))
    return tuple(found)
