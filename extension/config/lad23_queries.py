"""What LAD 2.3 asks for besides metrics: performance queries and tailed files (spec/lad-handler.md 4.1, 4.3)."""

from __future__ import annotations

import re

from extension.config import portal, values
from extension.config.counters import CLASS_ALIASES
from extension.config.model import NAMESPACE, query_text
from extension.config.model23 import FileLog, PerfQuery
from extension.config.problems import Problems
from extension.config.queries import check_query
from extension.config.values import MONITOR, PUBLIC, Object, member

_LONGEST_TABLE = 63 - len("Ver2v0")  # what the daemon appends to an event's name (spec/mdsd.md 3.1)


def perf(public: Object, monitor: Object, problems: Problems) -> tuple[PerfQuery, ...]:
    """ladCfg's counters, else perfCfg, else (only without that key) the defaults."""
    own = _lad_cfg_queries(monitor, problems)
    seen = Problems()
    listed = _perf_cfg(public, seen)
    if own is None or own:
        problems.extend_unused(seen)
    else:
        problems.extend(seen)
    if own is None:
        return ()
    if own:
        return own
    return listed if "perfCfg" in public else portal.DEFAULT_PERF


def _lad_cfg_queries(monitor: Object, problems: Problems) -> tuple[PerfQuery, ...] | None:
    """Queries grouped by table, namespace and class (spec 4.3); None where LAD gave up and wrote no query at all."""
    section = values.child(monitor, "performanceCounters", MONITOR, problems)
    path = member(MONITOR, "performanceCounters")
    if not section:
        return ()
    listed = values.items(section, "performanceCounterConfiguration", path, problems)
    if listed is None:
        problems.error(
            path, "performanceCounterConfiguration is missing: no performance queries at all", "list the counters"
        )
        return None
    groups: dict[tuple[str, str, str], tuple[str | None, list[str], str]] = {}
    complete = True
    for at, element in listed:
        entry = values.obj(element, at, problems)
        name, counter, table = (values.text(entry, k, at, problems) for k in ("class", "counterSpecifier", "table"))
        if not (name and counter and table):
            lacking = [k for k in ("class", "counterSpecifier", "table") if not entry.get(k)]
            if lacking or not entry:
                problems.error(
                    at,
                    "Incomplete performance counter configuration; no performance queries at all: missing "
                    + ", ".join(lacking),
                    "give class, counterSpecifier and table",
                )
            complete = False
            continue
        _class_name(name, member(at, "class"), problems)
        _table(table, member(at, "table"), problems)
        condition = values.text(entry, "condition", at, problems) if entry.get("condition") is not None else None
        namespace = _namespace(entry, at, problems)
        key = (table, namespace, CLASS_ALIASES.get(name.lower(), name.lower()))
        first, counters, _ = groups.setdefault(key, (condition, [], at))
        if first != condition:
            problems.error(
                member(at, "condition"),
                "Cannot have two different conditions on same table; no performance queries at all",
                f"give the counters of {name} another table",
            )
            complete = False
        elif counter not in counters:
            counters.append(counter)
    if not complete:
        return None
    found: list[PerfQuery] = []
    for (table, namespace, name), (where, counters, at) in groups.items():
        found.append(PerfQuery(query_text(",".join(counters), name, where or ""), table, namespace))
        problems.extend(check_query(found[-1].text, namespace, at))
    return tuple(found)


def _class_name(name: str, path: str, problems: Problems) -> None:
    """An alias that is misspelt would be taken as the name of a class."""
    if name.lower() not in CLASS_ALIASES and not name.lower().startswith("scx_"):
        near = problems.nearest(name, CLASS_ALIASES)
        if near:
            problems.warning(path, "is not one of LAD's class names", f"did you mean {near}?", name)


def _namespace(entry: Object, path: str, problems: Problems) -> str:
    if "namespace" not in entry:
        return NAMESPACE
    given = values.text(entry, "namespace", path, problems)
    if not given and entry["namespace"] in (None, ""):
        problems.error(member(path, "namespace"), "is empty", f'write "{NAMESPACE}" or remove the key')
    return given


def _table(name: str, path: str, problems: Problems) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name):
        problems.warning(
            path, "the table service takes letters and digits only, a letter first", "rename the table", name
        )
    elif len(name) > _LONGEST_TABLE:
        problems.warning(
            path, "is so long that the table is named by a hash of it", f"use at most {_LONGEST_TABLE} characters", name
        )


def _perf_cfg(public: Object, problems: Problems) -> tuple[PerfQuery, ...]:
    found: list[PerfQuery] = []
    usable = True
    for at, element in values.items(public, "perfCfg", PUBLIC, problems) or []:
        entry = values.obj(element, at, problems)
        query, table = values.text(entry, "query", at, problems), values.text(entry, "table", at, problems)
        namespace = _namespace(entry, at, problems)
        for key in ("query", "table"):
            if entry.get(key) in (None, ""):
                problems.error(
                    member(at, key), "is missing: this query and all after it are left out", "give query and table"
                )
        if not query or not table:
            usable = False
        if query:
            problems.extend(check_query(query, namespace, member(at, "query")))
        if table:
            _table(table, member(at, "table"), problems)
        if usable:
            found.append(PerfQuery(query, table, namespace))
    return tuple(found)


def files(public: Object, monitor: Object, problems: Problems) -> tuple[FileLog, ...]:
    """ladCfg's files, else fileCfg. LAD stopped at an entry without table, and after the route of one without file."""
    section = values.child(monitor, "fileLogs", MONITOR, problems)
    listed = values.items(section, "fileLogConfiguration", member(MONITOR, "fileLogs"), problems)
    other = values.items(public, "fileCfg", PUBLIC, problems)
    found: list[FileLog] = []
    usable = True
    for at, element in listed or other or []:
        entry = values.obj(element, at, problems)
        file, table = values.text(entry, "file", at, problems), values.text(entry, "table", at, problems)
        for key in ("file", "table"):
            if entry.get(key) in (None, ""):
                problems.error(
                    member(at, key), "is missing: this file and all after it are left out", "give file and table"
                )
        if file and not file.startswith("/"):
            problems.warning(member(at, "file"), "is not an absolute path", "write the path from / on", file)
        if table:
            _table(table, member(at, "table"), problems)
        if table and usable:
            found.append(FileLog(file, table))
        usable = usable and bool(file and table)
    if found:
        at = f"{MONITOR}.fileLogs" if listed else member(PUBLIC, "fileCfg")
        problems.warning(at, "this version writes the routes of file logs but does not read the files yet", "remove it")
    return tuple(found)
