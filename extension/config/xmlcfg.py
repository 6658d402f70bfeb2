"""Reader of ``xmlCfg``: the WadCfg document that the portal and templates write (spec/lad-handler.md 4.5)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Iterable
from typing import NamedTuple

from lxml import etree

from extension.config import durations, xmlsafe
from extension.config.counters import BY_SPECIFIER, FAMILIES, SPECIFIERS, Counter
from extension.config.model import PORTAL_SAMPLE_RATE, Period
from extension.config.model23 import MetricQuery
from extension.config.problems import Problems

_CONFIGURATION = "DiagnosticMonitorConfiguration"
_READ = ("performancecounters", "metrics")
_ELEMENTS = {
    name.lower(): name
    for name in (
        "PerformanceCounters", "Metrics", "DiagnosticInfrastructureLogs", "Logs", "WindowsEventLog", "Directories",
        "EtwProviders", "CrashDumps", "DataSources",
    )
}  # fmt: skip
_PORTAL_PERIODS = (60, 3600)


class Listed(NamedTuple):
    """One element's attribute values and where it stands."""

    name: str
    rate: str
    line: int


class WadCfg(NamedTuple):
    """What a WadCfg says: the resource, the counters it lists and the periods it aggregates over.

    ``counters`` is None where the document has no PerformanceCounters element at all.
    """

    resource_id: str
    counters: tuple[Listed, ...] | None = None
    periods: tuple[Listed, ...] = ()


def _named(parent: etree._Element, name: str) -> list[etree._Element]:
    return [e for e in xmlsafe.children(parent) if xmlsafe.local_name(e).lower() == name.lower()]


def _lad_resource_id(root: etree._Element) -> str:
    """LAD 2.3's own look-up: below the root, without a namespace, in two spellings."""
    for path in ("diagnosticMonitorConfiguration/metrics", "DiagnosticMonitorConfiguration/Metrics"):
        element = root.find(path)
        value = element.get("resourceId") if element is not None else None
        if value:
            return value
    return ""


def _configuration(root: etree._Element) -> etree._Element | None:
    return next((e for e in root.iter() if xmlsafe.local_name(e).lower() == _CONFIGURATION.lower()), None)


def _note_shape(root: etree._Element, configuration: etree._Element, path: str, problems: Problems) -> None:
    if configuration is root:
        shape = f"{_CONFIGURATION} stands without the WadCfg element around it"
    elif any("}" in str(e.tag) for e in (root, configuration, *configuration)):
        shape = "it has an XML namespace"
    else:
        shape = "it nests the configuration deeper than LAD looks"
    problems.note(path, f"{shape}: understood here, but LAD 2.3 finds no resourceId in it")


def _report_unused(
    configuration: etree._Element, performance: list[etree._Element], path: str, problems: Problems
) -> None:
    """What LAD never looked at, in one note; elements that nobody knows, each with the nearest spelling."""
    idle = [str(name) for name in configuration.attrib if "}" not in str(name)]
    idle += ["PerformanceCounters/@" + str(name) for section in performance[:1] for name in section.attrib]
    for element in xmlsafe.children(configuration):
        name = xmlsafe.local_name(element)
        if name.lower() not in _ELEMENTS:
            near = problems.nearest(name, _ELEMENTS.values())
            problems.warning(
                f"{path} line {xmlsafe.line_of(element)}",
                "unknown element, ignored",
                f"did you mean {near}?" if near else "remove it",
                name,
            )
        elif name.lower() not in _READ:
            idle.append(name)
    if idle:
        problems.note(path, f"without effect, as in LAD: {', '.join(dict.fromkeys(name[:60] for name in idle[:20]))}")


def read(xml: bytes, path: str, exact: bool, problems: Problems) -> WadCfg:
    """Read one document; problems name ``path`` and line. ``exact``: only what LAD 2.3 found counts as resourceId."""
    try:
        root = xmlsafe.parse(xml)
    except xmlsafe.XmlError as problem:
        problems.error(problem.at(path), f"Failed to create portal config: {problem}", problem.cure)
        return WadCfg("")
    resource_id = _lad_resource_id(root)
    configuration = _configuration(root)
    if configuration is None:
        if xmlsafe.children(root) or xmlsafe.local_name(root).lower() != "wadcfg":
            problems.warning(path, f"has no {_CONFIGURATION}: no metric tables", "give a WadCfg document")
        return WadCfg(resource_id)
    sections = _named(configuration, "Metrics")
    if not resource_id:
        found = next((m.get("resourceId") or "" for m in sections if m.get("resourceId")), "")
        if found and exact:
            problems.warning(path, "LAD 2.3 finds no resourceId in this shape", "write WadCfg without a namespace")
        elif found:
            _note_shape(root, configuration, path, problems)
            resource_id = found
        else:
            problems.note(path, "has no Metrics element with a resourceId: no metric tables")
    performance = _named(configuration, "PerformanceCounters")
    _report_unused(configuration, performance, path, problems)
    counters = tuple(
        Listed(e.get("counterSpecifier") or "", e.get("sampleRate") or "", xmlsafe.line_of(e))
        for section in performance
        for e in _named(section, "PerformanceCounterConfiguration")
    )
    periods = tuple(
        Listed(e.get("scheduledTransferPeriod") or "", "", xmlsafe.line_of(e))
        for section in sections
        for e in _named(section, "MetricAggregation")
    )
    return WadCfg(resource_id, counters if performance else None, periods)


def _rate(listed: Listed, at: str, problems: Problems) -> int:
    if not listed.rate:
        return PORTAL_SAMPLE_RATE
    seconds = durations.settings_seconds(listed.rate.strip())
    if not seconds:
        problems.warning(
            at,
            f"sampleRate is no duration of at least one second; {PORTAL_SAMPLE_RATE} s is used",
            "write PT15S",
            listed.rate,
        )
        return PORTAL_SAMPLE_RATE
    return seconds


def queries(listed: Iterable[Listed], path: str, problems: Problems) -> tuple[MetricQuery, ...]:
    """The counters that a document lists as queries, one per class and sample rate."""
    groups: dict[tuple[str, int], list[Counter]] = {}
    seen: set[str] = set()
    for one in listed:
        at = f"{path} line {one.line}"
        specifier = one.name.strip()
        known = BY_SPECIFIER.get(specifier.lower())
        if known is None:
            near = problems.nearest(specifier, SPECIFIERS)
            cure = (
                f"did you mean {near}?"
                if near
                else "the families are \\Memory \\Processor \\PhysicalDisk \\NetworkInterface"
            )
            problems.warning(at, "unknown counterSpecifier, left out", cure, specifier)
            continue
        family, counter = known
        if family.specifier(counter) != specifier:
            problems.warning(
                at, f"is written {family.specifier(counter)}, which its rows will carry", "write it so", specifier
            )
        if specifier.lower() in seen:
            problems.warning(at, "this counter is listed twice, the first one counts", "remove one", specifier)
            continue
        seen.add(specifier.lower())
        groups.setdefault((family.name, _rate(one, at, problems)), []).append(counter)
    return tuple(
        MetricQuery(
            family.event if rate == first else f"{family.event}{rate}s", family, tuple(groups[family.name, rate]), rate
        )
        for family in FAMILIES
        for rates in ([r for name, r in groups if name == family.name],)
        for first in rates[:1]
        for rate in rates
    )


def beyond_portal(wad: WadCfg) -> tuple[str, ...]:
    """What a document lists that LAD 2.3's fixed set does not deliver as listed: counters, sample rates, periods."""
    found: dict[str, None] = {}
    for one in wad.counters or ():
        if one.name.strip().lower() not in BY_SPECIFIER:
            found[one.name[:80] or "a counter without a name"] = None
        elif one.rate and durations.settings_seconds(one.rate.strip()) != PORTAL_SAMPLE_RATE:
            found[f"sampleRate {one.rate[:20]}"] = None
    for period in wad.periods:
        if durations.settings_seconds(period.name.strip().upper()) not in _PORTAL_PERIODS:
            found[f"MetricAggregation {period.name[:20]}"] = None
    return tuple(found)


def periods(listed: Iterable[Listed], path: str, problems: Problems) -> tuple[Period, ...]:
    """The aggregations that a document lists; the name keeps the document's spelling because it names the table."""
    found: dict[str, Period] = {}
    for one in listed:
        at = f"{path} line {one.line}"
        name = one.name.strip().upper()
        seconds = durations.settings_seconds(name)
        if not seconds or not name.isalnum():
            problems.warning(at, "scheduledTransferPeriod is no duration, left out", "write PT1M or PT1H", one.name)
            continue
        duration = name if durations.mdsd_seconds(name) == seconds else durations.written(seconds)
        found.setdefault(name, Period(name, duration))
    return tuple(found.values())
