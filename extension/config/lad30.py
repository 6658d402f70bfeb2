"""LAD 3.0 and 4.x settings -> model (spec/lad-handler.md 5).

What LAD left out without a word is left out with a warning, what it refused though it is documented works, and what
it refused or failed on is an error, after which there is no document.
"""

from __future__ import annotations

from collections.abc import Iterable

from extension.config import (
    lad30_account,
    lad30_logs,
    lad30_metrics,
    lad30_names,
    lad30_perf,
    lad30_sinks,
    proxy,
    sources,
    values,
)
from extension.config.lad30_sinks import Sinks
from extension.config.model30 import EVENT_HUB, JSON_BLOB, Findings, Hub, Metrics, Query, Settings
from extension.config.problems import Problems
from extension.config.reading import Reading
from extension.config.values import MONITOR, PROTECTED, PUBLIC, Object, member

PUBLIC_KEYS = (
    "ladCfg", "perfCfg", "fileLogs", "xmlCfg", "eventVolume", "instanceID", "sinksConfig", "StorageAccount",
    proxy.KEY, *sources.PUBLIC_KEYS,
)  # fmt: skip
PROTECTED_KEYS = (
    "storageAccountName", "storageAccountSasToken", "storageAccountKey", "storageAccountEndPoint", "sinksConfig",
    "disableStorageAccount", proxy.KEY, *sources.PROTECTED_KEYS,
)  # fmt: skip
VOLUMES = ("Small", "Medium", "Large")
_OLDER = "it belongs to LAD 2.3"
_WITHOUT_EFFECT = {
    "fileCfg": f"{_OLDER}; file logs are listed in fileLogs",
    "syslogCfg": f"{_OLDER}; syslog is asked for in syslogEvents",
    "enableSyslog": f"{_OLDER}; syslog is asked for in syslogEvents",
    "EnableSyslog": f"{_OLDER}; syslog is asked for in syslogEvents",
    "mdsdCfg": f"{_OLDER}; LAD 3.0 makes the whole document itself",
    "honourXmlCfg": f"{_OLDER}; of xmlCfg only the resourceId is read",
    "sampleRateInSeconds": "it is read inside ladCfg only",
    "traceFlags": "there is no mdsd process to trace",
}
_MYSQL = "MySQL is not sampled"
_WITHOUT_EFFECT_PROTECTED = dict.fromkeys(("mysqladdress", "mysqlusername", "mysqlpassword"), _MYSQL)
_LAD_CFG = member(PUBLIC, "ladCfg")
_MONITOR_KEYS = ("eventVolume", "metrics", "performanceCounters", "syslogEvents")
_MONITOR_OLDER = {
    "syslogCfg": f"{_OLDER}; syslog is asked for in syslogEvents",
    "fileLogs": f"{_OLDER}; file logs are listed in fileLogs at the top level",
}


def read(public: Object, protected: Object, how: Reading, problems: Problems) -> Settings | None:
    """The settings as a model; None where LAD wrote no document."""
    findings = Findings(problems)
    lad_cfg, monitor = _sections(public, how, findings)
    _report_keys(public, protected, lad_cfg, monitor, problems)
    credential = lad30_account.credential(protected, how, findings)
    sinks = lad30_sinks.read(public, protected, how, problems)
    resource_id, instance_id = lad30_metrics.resource(public, monitor, how, problems)
    metrics, metric_sinks = lad30_metrics.read(lad_cfg, monitor, sinks, how, findings)
    perf, perf_hubs, perf_sinks = lad30_perf.read(public, sinks, how, findings)
    logs, log_hubs, log_sinks = lad30_logs.read(public, protected, monitor, sinks, how, findings)
    _report_unused(sinks, {*metric_sinks, *perf_sinks, *log_sinks}, problems)
    settings = Settings(
        credential,
        _event_volume(public, monitor, how, problems),
        resource_id,
        instance_id,
        metrics,
        perf,
        logs,
        (*perf_hubs, *log_hubs),
    )
    if not findings.refused:
        _report_whole(settings, how, problems)
    _storage_account(public, credential.account if credential else "", problems)
    return None if findings.refused or credential is None else settings


def _sections(public: Object, how: Reading, findings: Findings) -> tuple[Object, Object]:
    problems = findings.problems
    lad_cfg = values.obj(public.get("ladCfg"), _LAD_CFG, problems)
    if how.telegraf and not lad_cfg:
        findings.refuse(_LAD_CFG, "Unable to find Ladcfg element", "give ladCfg, or read the settings as LAD 3.0")
    return lad_cfg, values.child(lad_cfg, "diagnosticMonitorConfiguration", _LAD_CFG, problems)


def _report_keys(public: Object, protected: Object, lad_cfg: Object, monitor: Object, problems: Problems) -> None:
    misplaced = [key for key in public if key in PROTECTED_KEYS and key not in PUBLIC_KEYS]
    for key in misplaced:
        message = "has no effect: it is read from the protected settings only"
        problems.warning(member(PUBLIC, key), message, values.move_cure(key))
    rest = {key: value for key, value in public.items() if key not in misplaced}
    lad30_names.report_keys(rest, PUBLIC, PUBLIC_KEYS, _WITHOUT_EFFECT, problems)
    public_only = {k: "it is read from the public settings only" for k in PUBLIC_KEYS if k not in PROTECTED_KEYS}
    without = _WITHOUT_EFFECT_PROTECTED | public_only
    lad30_names.report_keys(protected, PROTECTED, PROTECTED_KEYS, without, problems)
    inside = ("diagnosticMonitorConfiguration", "sampleRateInSeconds")
    sinks = {"sinksConfig": "sinks are defined in the protected settings"}
    lad30_names.report_keys(lad_cfg, _LAD_CFG, inside, sinks, problems)
    lad30_names.report_keys(monitor, MONITOR, _MONITOR_KEYS, _MONITOR_OLDER, problems)


def _report_unused(sinks: Sinks, used: Iterable[str], problems: Problems) -> None:
    known = set(used)
    for name, sink in (sinks or {}).items():
        if name not in known and sink.kind in (EVENT_HUB, JSON_BLOB):
            message = "has no effect: no sinks setting names this sink"
            problems.warning(sink.path, message, "name it, or remove it", lad30_sinks.shown(name))


def _storage_account(public: Object, account: str, problems: Problems) -> None:
    """The public account is the portal's; it should be the one that rows go to."""
    shown = values.text(public, "StorageAccount", PUBLIC, problems)
    if values.placeholder(shown):
        message = "is a placeholder that was not filled in"
        problems.warning(member(PUBLIC, "StorageAccount"), message, "give the name of the storage account", shown)
    elif shown and account and shown.lower() != account.lower():
        problems.warning(
            member(PUBLIC, "StorageAccount"),
            "is not the account of the protected settings: rows go there, the portal looks for them here",
            "give both the same name",
            shown,
        )


def _event_volume(public: Object, monitor: Object, how: Reading, problems: Problems) -> str:
    own = values.text(monitor, "eventVolume", MONITOR, problems)
    other = values.text(public, "eventVolume", PUBLIC, problems)
    given = own or other
    if own and other and own != other:
        problems.warning(member(PUBLIC, "eventVolume"), f"has no effect: {MONITOR}.eventVolume counts", "remove it")
    if not given or given in VOLUMES:
        return given or "Medium"
    path = member(MONITOR if own else PUBLIC, "eventVolume")
    meant = next((v for v in VOLUMES if v.lower() == given.strip().lower()), "")
    if given == meant.lower() and meant:
        problems.note(path, f"is read as {meant}")
    elif how.exact:
        problems.error(path, "is not Small, Medium or Large", f"write {meant or 'Medium'}", given)
    else:
        used = meant or "Medium"
        problems.warning(path, f"is not Small, Medium or Large: {used} is used", f"write {used}", given)
    return given if how.exact else meant or "Medium"


def _report_whole(settings: Settings, how: Reading, problems: Problems) -> None:
    """What the daemon refuses of a document without a resourceId, and a document that does nothing."""
    metrics, cure = settings.metrics, "give metrics.resourceId"
    if not settings.resource_id:
        if metrics.groups and metrics.periods:
            message = "is missing, and the rows of all counters are keyed by it: the daemon refuses the document"
            problems.error(f"{MONITOR}.metrics.resourceId", message, cure)
        kinds = _kinds(metrics, settings.perf, settings.hubs)
        kinds.update(JSON_BLOB for source in settings.logs for _, store in source.routes if store == JSON_BLOB)
        for kind in sorted(kinds):
            message = f"is missing, and a sink of type {kind} needs it: the daemon refuses the document"
            problems.error(f"{MONITOR}.metrics.resourceId", message, cure)
    elif not how.machine.vm_uuid:
        message = "this machine has no UUID: JSON blobs of several machines cannot be told apart"
        problems.warning(f"{MONITOR}.metrics.resourceId", message, "give --vm-uuid")
    if not (metrics.groups or settings.perf or settings.logs):
        problems.warning(PUBLIC, "asks for nothing: no counter, query, syslog or file", "list counters in ladCfg")


def _kinds(metrics: Metrics, perf: Iterable[Query], hubs: Iterable[Hub]) -> set[str]:
    """The types of sinks that rows go to, but for those of logs."""
    kinds = {sink.kind for sink in metrics.sinks} if metrics.groups and metrics.periods else set()
    kinds.update(JSON_BLOB for query in perf if query.store == JSON_BLOB)
    kinds.update(EVENT_HUB for _ in hubs)
    return kinds
