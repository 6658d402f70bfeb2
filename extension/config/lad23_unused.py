"""LAD 2.3 settings that have no effect: each is named, so that nobody waits for what will not come."""

from __future__ import annotations

from extension.config import values
from extension.config.problems import Problems
from extension.config.values import MONITOR, PROTECTED, PUBLIC, Object, member

_SECTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ("diagnosticMonitorConfiguration", "sinksConfig")),
    (("sinksConfig",), ("sinks",)),
    (("diagnosticMonitorConfiguration",), ("metrics", "eventVolume", "syslogCfg", "fileLogs", "performanceCounters")),
    (("diagnosticMonitorConfiguration", "metrics"), ("resourceId",)),
    (("diagnosticMonitorConfiguration", "fileLogs"), ("fileLogConfiguration",)),
    (("diagnosticMonitorConfiguration", "performanceCounters"), ("performanceCounterConfiguration",)),
)
"""Objects below ``ladCfg`` and the keys that LAD 2.3 reads in them (spec/lad-handler.md 4.3)."""

_FILE = ("file", "table")
_LISTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("perfCfg",), ("query", "table", "namespace")),
    (("fileCfg",), _FILE),
    (("ladCfg", "sinksConfig", "sinks"), ("applicationInsights", "name")),
    (("ladCfg", "diagnosticMonitorConfiguration", "fileLogs", "fileLogConfiguration"), _FILE),
    (
        ("ladCfg", "diagnosticMonitorConfiguration", "performanceCounters", "performanceCounterConfiguration"),
        ("class", "counterSpecifier", "table", "condition", "namespace"),
    ),
)
_MYSQL = ("mysqladdress", "mysqlusername", "mysqlpassword")


def _at(source: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        source = source.get(key) if isinstance(source, dict) else None
    return source


def report_nested(public: Object, problems: Problems) -> None:
    """Unknown keys below the top level; objects of a wrong type are named where they are read."""
    for keys, known in _SECTIONS:
        section = _at(public.get("ladCfg"), keys)
        if isinstance(section, dict):
            values.report_unknown(section, ".".join((PUBLIC, "ladCfg", *keys)), known, problems)
    for keys, known in _LISTS:
        listed = _at(dict(public), keys)
        for i, element in enumerate(listed if isinstance(listed, (list, tuple)) else ()):
            if isinstance(element, dict):
                values.report_unknown(element, f"{'.'.join((PUBLIC, *keys))}[{i}]", known, problems)


def report_keys(
    public: Object, protected: Object, known: tuple[str, ...], secret: tuple[str, ...], p: Problems
) -> None:
    """Unknown keys of the two top levels; ``known`` and ``secret`` are those that LAD 2.3 and this program read."""
    for key in public:
        if key in secret and key not in known:
            p.warning(member(PUBLIC, key), "is read from the protected settings only", values.move_cure(key))
    values.report_unknown({k: v for k, v in public.items() if k not in secret}, PUBLIC, known, p)
    for key in protected:
        if key in known and key not in secret:
            p.warning(member(PROTECTED, key), "is read from the public settings only", "move it there")
    values.report_unknown({k: v for k, v in protected.items() if k not in known}, PROTECTED, secret, p)


def report_overridden(public: Object, monitor: Object, problems: Problems) -> None:
    """Settings that stand twice: ``ladCfg`` wins (spec/lad-handler.md 4.1)."""
    performance, files = monitor.get("performanceCounters"), monitor.get("fileLogs")
    for key, winner, wins in (
        ("perfCfg", "performanceCounters", _at(performance, ("performanceCounterConfiguration",))),
        ("fileCfg", "fileLogs", _at(files, ("fileLogConfiguration",))),
        ("syslogCfg", "syslogCfg", monitor.get("syslogCfg")),
        ("eventVolume", "eventVolume", monitor.get("eventVolume")),
    ):
        if wins and public.get(key):
            problems.warning(member(PUBLIC, key), f"is not used: {MONITOR}.{winner} counts", "remove one of the two")
    if "enableSyslog" in public and "EnableSyslog" in public:
        problems.warning(member(PUBLIC, "EnableSyslog"), "is not used: enableSyslog counts", "remove one of the two")


def report_idle(public: Object, protected: Object, account: str, problems: Problems) -> None:
    """Known settings that drive nothing here."""
    for key in _MYSQL:
        if protected.get(key) not in (None, ""):
            problems.warning(
                member(PROTECTED, key), "has no effect: MySQL is not sampled", "remove it, or use a MySQL exporter"
            )
    other = values.text(public, "StorageAccount", PUBLIC, problems).strip()
    path = member(PUBLIC, "StorageAccount")
    if values.placeholder(other):
        problems.warning(path, "is a placeholder that was not filled in", "give the name of the storage account", other)
    elif other and account and other.lower() != account.lower():
        problems.warning(
            path,
            "is not the account of the protected settings: rows go there, the portal looks for them here",
            "give both the same name",
            other,
        )
    elif other:
        problems.note(path, "is for the portal only and has no effect here")
