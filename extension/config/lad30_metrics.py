"""Resource, periods, counters and sinks of the LAD 3.0 and 4.x metric chain (spec/lad-handler.md 5.1, 5.3, 5.7)."""

from __future__ import annotations

import re

from extension.config import durations, instance, lad30_counters, lad30_names, lad30_sinks, values
from extension.config.lad30_sinks import Sinks
from extension.config.model import PORTAL_SAMPLE_RATE, Period
from extension.config.model30 import Findings, Metrics
from extension.config.problems import Problems
from extension.config.reading import Reading
from extension.config.values import MONITOR, PUBLIC, Object, member

_RESOURCE_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+(/[^/]+/[^/]+)+", re.IGNORECASE)
_RESOURCE_CURE = "write /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Compute/virtualMachines/NAME"
_METRICS = f"{MONITOR}.metrics"
_SHORTEST = 60
_MOST_PERIODS = 50
_MOST_EVENTS = 10_000  # each is an element of the document and a window that is kept
_GIVEN_UP = "; LAD refuses the whole settings"


def resource(public: Object, monitor: Object, how: Reading, problems: Problems) -> tuple[str, str]:
    """resourceId ("" if there is none) and the instance id that tells the members of a scale set apart."""
    own = instance.given(public, problems)
    section = values.child(monitor, "metrics", MONITOR, problems)
    found, path = values.text(section, "resourceId", _METRICS, problems), f"{_METRICS}.resourceId"
    older = _from_xml_cfg(public, how, bool(found), problems)
    if not found and older:
        found, path = older, member(PUBLIC, "xmlCfg")
    if not found:
        if own:
            problems.warning(instance.PATH, "has no effect: without a resourceId there are no rows", _RESOURCE_CURE)
        return "", ""
    if values.placeholder(found):
        problems.error(path, "is a placeholder that was not filled in", _RESOURCE_CURE, found)
    elif not _RESOURCE_ID.fullmatch(found):
        problems.warning(path, "is not the id of a resource; the portal looks rows up by it", _RESOURCE_CURE, found)
    return found, instance.of(own, found, path, how.exact, how.machine.vm_uuid, problems)


def _from_xml_cfg(public: Object, how: Reading, overridden: bool, problems: Problems) -> str:
    """resourceId of a 2.3 document: LAD 3.0 still read that, and nothing else of it."""
    given, path = values.text(public, "xmlCfg", PUBLIC, problems), member(PUBLIC, "xmlCfg")
    if not given.strip():
        return ""
    if how.exact and not public.get("ladCfg"):
        problems.warning(path, "has no effect: LAD reads it beside ladCfg only", "give ladCfg, or remove it")
        return ""
    from extension.config import xmlcfg  # here, because settings of LAD 3.0 have none

    seen = Problems()
    xml = values.decoded(given, path, seen)
    found = xmlcfg.read(xml, path, how.exact, seen).resource_id if xml else ""
    problems.extend_unused(seen)
    if overridden:
        problems.warning(path, f"has no effect: {_METRICS}.resourceId counts", "remove it")
    elif found:
        problems.note(path, "only its resourceId is read", f"give it as {_METRICS}.resourceId")
    return found


def read(lad_cfg: Object, monitor: Object, sinks: Sinks, how: Reading, findings: Findings) -> tuple[Metrics, list[str]]:
    """The chain, and the names of the sinks that it asks for."""
    problems = findings.problems
    path = lad30_counters.PATH
    section = values.child(monitor, "performanceCounters", MONITOR, problems)
    lad30_names.report_keys(section, path, ("sinks", "performanceCounterConfiguration"), {}, problems)
    default_rate = _default_rate(lad_cfg, how, problems)
    listed = values.items(section, "performanceCounterConfiguration", path, problems) or []
    groups = lad30_counters.read(listed, default_rate, how, findings)
    if how.telegraf and listed and not groups:
        findings.refuse(path, f"no counter of it is known{_GIVEN_UP}", "write class and counter of at least one")
    periods = _periods(monitor, bool(groups), how, findings)
    names = lad30_sinks.named(section, path, how, problems)
    at = member(path, "sinks")
    wanted = lad30_sinks.without_azure_monitor(names, sinks, at, problems) if how.telegraf else names
    if wanted and not groups:
        problems.warning(at, "has no effect: there are no counters", "list counters, or remove it")
    usable = lad30_sinks.tolerant(wanted, sinks, at, problems)
    if len(groups) * len(periods) * (1 + len(usable)) > _MOST_EVENTS:
        message = f"counters, periods and sinks together make more than {_MOST_EVENTS} aggregations"
        findings.refuse(path, message, "use fewer conditions, sample rates, periods or sinks")
    lad30_sinks.several_hubs(usable, at, how, problems)
    return Metrics(groups, periods, bool(wanted), usable, apart=not how.exact), names


def _default_rate(lad_cfg: Object, how: Reading, problems: Problems) -> int:
    """Seconds between samples of a counter without sampleRate: LAD 3.0 took 15 whatever sampleRateInSeconds said."""
    path = f"{PUBLIC}.ladCfg.sampleRateInSeconds"
    given = lad_cfg.get("sampleRateInSeconds")
    if given is None:
        return PORTAL_SAMPLE_RATE
    text = str(given).strip() if isinstance(given, (int, str)) and not isinstance(given, bool) else ""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not int(text):
        told = values.kind(given) if isinstance(given, (list, dict, bool)) else str(given)
        message = f"must be a whole number of seconds, at least 1; {PORTAL_SAMPLE_RATE} is used"
        problems.warning(path, message, f"write {PORTAL_SAMPLE_RATE}", told)
        return PORTAL_SAMPLE_RATE
    if how.telegraf:
        return int(text)
    if int(text) != PORTAL_SAMPLE_RATE:
        message = f"has no effect: LAD 3.0 samples a counter every {PORTAL_SAMPLE_RATE} s unless it has a sampleRate"
        problems.warning(path, message, f'write "sampleRate": "PT{int(text)}S" at the counters', text)
    return PORTAL_SAMPLE_RATE


def _periods(monitor: Object, needed: bool, how: Reading, findings: Findings) -> tuple[Period, ...]:
    problems = findings.problems
    section = values.child(monitor, "metrics", MONITOR, problems)
    lad30_names.report_keys(section, _METRICS, ("resourceId", "metricAggregation"), {}, problems)
    listed = values.items(section, "metricAggregation", _METRICS, problems)
    path = member(_METRICS, "metricAggregation")
    cure = 'write [{"scheduledTransferPeriod": "PT1M"}, {"scheduledTransferPeriod": "PT1H"}]'
    if listed is None and not (how.telegraf and how.exact):
        if how.telegraf and needed:
            problems.note(path, "is missing: PT1H is used; late releases of LAD 4 gave no rows", cure)
        return (Period("PT1H", "PT1H"),)
    if not listed:
        if needed:
            problems.warning(path, "names no period: the counters give no rows", cure)
        return ()
    found: list[Period] = []
    for at, element in listed:
        if len(found) >= _MOST_PERIODS:
            findings.refuse(at, f"is one of more than {_MOST_PERIODS} periods", "remove some")
            break
        period = _period(values.obj(element, at, problems), at, how, findings)
        if period in found and not how.exact:
            problems.warning(at, "is listed twice and counts once", "remove it", period.name if period else "")
        elif period is not None:
            found.append(period)
    return tuple(found)


def _period(entry: Object, at: str, how: Reading, findings: Findings) -> Period | None:
    """One aggregation; its text stands in the table's name as it is. LAD left out an entry that names none."""
    path = member(at, "scheduledTransferPeriod")
    lad30_names.report_keys(entry, at, ("scheduledTransferPeriod",), {}, findings.problems)
    name = values.text(entry, "scheduledTransferPeriod", at, findings.problems)
    cure = 'write "PT1M" or "PT1H"'
    if not name:
        given = entry.get("scheduledTransferPeriod")
        if given is None:
            findings.problems.warning(path, "is missing: the entry is left out, as LAD did", cure)
        elif given == "":
            findings.problems.error(path, "is empty, which is no duration", cure)
        return Period("", "") if given == "" and how.exact else None
    seconds = durations.mdsd_seconds(name)
    if not seconds or not (name.isascii() and name.isalnum()):
        better = durations.settings_seconds(name.strip().upper())
        cure = f'write "{durations.written(better)}"' if better else cure
        message = "is no duration that the daemon and table names take: whole days, hours, minutes, seconds after PT"
        findings.problems.error(path, message, cure, name)
    elif seconds < _SHORTEST:
        findings.problems.warning(path, f"is below {_SHORTEST} s, the documented minimum", 'write "PT1M"', name)
    return Period(name, name)
