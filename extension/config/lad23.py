"""LAD 2.3 settings -> model (spec/lad-handler.md 4.1 - 4.5).

Wherever LAD 2.3 swallowed an exception and went on, the same happens here, and an error says so.
"""

from __future__ import annotations

import re

from lxml import etree

from extension.config import (
    credentials,
    instance,
    lad23_queries,
    lad23_unused,
    portal,
    values,
    xmlcfg,
    xmlsafe,
)
from extension.config.lad23_keys import PROTECTED_KEYS, PUBLIC_KEYS
from extension.config.model23 import Metrics, Settings
from extension.config.problems import Problems
from extension.config.reading import Reading
from extension.config.values import MONITOR, PUBLIC, Object, member

VOLUMES = ("Small", "Medium", "Large")
_LOWER_VOLUMES = ("small", "medium", "large")  # mdsd takes these too

_RESOURCE_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+(/[^/]+/[^/]+)+", re.IGNORECASE)
_RESOURCE_CURE = (
    "give the resource's id: /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Compute/virtualMachines/NAME"
)


def read(public: Object, protected: Object, how: Reading, problems: Problems) -> Settings | None:
    """The settings as a model; None where LAD wrote no document (credentials, mdsdCfg)."""
    lad_cfg = values.obj(public.get("ladCfg"), member(PUBLIC, "ladCfg"), problems)
    monitor = values.child(lad_cfg, "diagnosticMonitorConfiguration", member(PUBLIC, "ladCfg"), problems)
    lad23_unused.report_keys(public, protected, PUBLIC_KEYS, PROTECTED_KEYS, problems)
    lad23_unused.report_nested(public, problems)
    lad23_unused.report_overridden(public, monitor, problems)
    credential = credentials.credential(protected, how.exact, how.now, problems)
    usable, base = _base_document(public, problems)
    metrics = _metrics(public, monitor, how, problems)
    perf = lad23_queries.perf(public, monitor, problems)
    files = lad23_queries.files(public, monitor, problems)
    _syslog(public, monitor, bool(files), problems)
    lad23_unused.report_idle(public, protected, credential.account if credential else "", problems)
    settings = Settings(
        credential,
        _event_volume(public, monitor, how, problems),
        _sample_rate(public, bool(perf) or base is not None, problems),
        perf,
        files,
        metrics,
        _app_insights(lad_cfg, how, problems),
        base,
    )
    return settings if credential is not None and usable else None


def _base_document(public: Object, problems: Problems) -> tuple[bool, etree._Element | None]:
    """``mdsdCfg``: whether the document can be made, and the user's own starting point."""
    path = member(PUBLIC, "mdsdCfg")
    given = values.text(public, "mdsdCfg", PUBLIC, problems)
    if not given:
        return True, None
    xml = values.decoded(given, path, problems)
    if xml is None:
        return False, None
    try:
        return True, xmlsafe.parse(xml)
    except xmlsafe.XmlError as problem:
        problems.error(problem.at(path), str(problem), problem.cure)
        return False, None


def _resource_id(public: Object, monitor: Object, how: Reading, problems: Problems) -> tuple[str, xmlcfg.WadCfg, str]:
    """resourceId from ladCfg, else from xmlCfg; the xmlCfg; and the path where the id was found."""
    section = values.child(monitor, "metrics", MONITOR, problems)
    own = values.text(section, "resourceId", member(MONITOR, "metrics"), problems)
    path = member(PUBLIC, "xmlCfg")
    given = values.text(public, "xmlCfg", PUBLIC, problems)
    wad = xmlcfg.WadCfg("")
    seen = Problems()
    if given.strip():
        xml = values.decoded(given, path, seen)
        if xml is not None and not xml.strip():
            seen.warning(path, "is empty: no metric tables", "give a WadCfg document with Metrics/@resourceId")
        elif xml is not None:
            wad = xmlcfg.read(xml, path, how.exact, seen)
    elif isinstance(public.get("xmlCfg"), str):
        seen.warning(path, "is empty: no metric tables", "give base64 of a WadCfg document, or remove the key")
    if own:
        problems.extend_unused(seen)
        if wad.resource_id:
            problems.warning(
                path, f"its resourceId is not used: {MONITOR}.metrics.resourceId counts", "remove one of the two"
            )
        return own, wad, f"{MONITOR}.metrics.resourceId"
    problems.extend(seen)
    return wad.resource_id, wad, path


def _metrics(public: Object, monitor: Object, how: Reading, problems: Problems) -> Metrics | None:
    resource_id, wad, path = _resource_id(public, monitor, how, problems)
    honour = values.flag(public, "honourXmlCfg", PUBLIC, problems)
    own = instance.given(public, problems)
    if not resource_id:
        if own:
            problems.warning(instance.PATH, "has no effect: without a resourceId there are no metrics", _RESOURCE_CURE)
        if honour:
            problems.warning(
                member(PUBLIC, "honourXmlCfg"), "there is no resourceId, so there are no metric tables", _RESOURCE_CURE
            )
        return None
    if values.placeholder(resource_id):
        problems.warning(path, "the resourceId is a placeholder that was not filled in", _RESOURCE_CURE, resource_id)
    elif not _RESOURCE_ID.fullmatch(resource_id):
        problems.warning(
            path,
            "the resourceId is not that of a resource; the portal looks rows up by it",
            _RESOURCE_CURE,
            resource_id,
        )
    own = instance.of(own, resource_id, path, how.exact, how.machine.vm_uuid, problems)
    queries, periods = portal.QUERIES, portal.PERIODS
    xml_path = member(PUBLIC, "xmlCfg")
    if honour:
        if wad.counters is not None:
            queries = xmlcfg.queries(wad.counters, xml_path, problems)
        else:
            problems.note(xml_path, "lists no counters: all of the portal's are collected")
        periods = xmlcfg.periods(wad.periods, xml_path, problems) or portal.PERIODS
    elif wad.counters or wad.periods:
        _not_honoured(wad, xml_path, problems)
    return Metrics(resource_id, own, queries, periods)


def _not_honoured(wad: xmlcfg.WadCfg, path: str, problems: Problems) -> None:
    """LAD 2.3 collects a fixed set whatever the document lists: a warning only where that makes a difference."""
    missed = xmlcfg.beyond_portal(wad)
    cure = 'set "honourXmlCfg": true to use them'
    if missed:
        told = ", ".join(missed[:5]) + (f" and {len(missed) - 5} more" if len(missed) > 5 else "")
        problems.warning(
            path,
            f"LAD 2.3 collects a fixed set every 15 s over PT1M and PT1H; not as this document says: {told}",
            cure,
        )
    elif wad.counters:
        problems.note(
            path, "its counters and periods are not used: LAD 2.3 collects a fixed set over PT1M and PT1H", cure
        )


def _syslog(public: Object, monitor: Object, files: bool, problems: Problems) -> None:
    """Settings of syslog: checked, though the document routes syslog whatever they say (spec 4.6)."""
    states: list[bool] = []
    for key in ("enableSyslog", "EnableSyslog"):
        if isinstance(public.get(key), bool):
            value = str(public[key]).lower()
            problems.error(
                member(PUBLIC, key), "is a boolean, on which LAD stopped", f'write "{value}", in quotes', value
            )
        on = values.flag(public, key, PUBLIC, problems)
        if on is not None:
            states.append(on)
        if on and not isinstance(public[key], bool):
            problems.note(member(PUBLIC, key), "this version writes the syslog route but does not collect syslog yet")
    if files and states and not states[0]:
        problems.warning(
            member(PUBLIC, "enableSyslog"), "is false: file logs came through syslog and end with it", 'write "true"'
        )
    for source, at in ((monitor, MONITOR), (public, PUBLIC)):
        given = values.text(source, "syslogCfg", at, problems)
        if given and values.decoded(given, member(at, "syslogCfg"), problems) is not None:
            problems.warning(
                member(at, "syslogCfg"), "has no effect: this version does not configure syslog yet", "remove it"
            )


def _event_volume(public: Object, monitor: Object, how: Reading, problems: Problems) -> str:
    own = values.text(monitor, "eventVolume", MONITOR, problems)
    given = own or values.text(public, "eventVolume", PUBLIC, problems)
    if not given or given in VOLUMES or given in _LOWER_VOLUMES:
        return given or "Medium"
    path = member(MONITOR if own else PUBLIC, "eventVolume")
    meant = next((v for v in VOLUMES if v.lower() == given.strip().lower()), "Medium")
    problems.warning(path, f"is not Small, Medium or Large: {meant} is used", f"write {meant}", given)
    return given if how.exact else meant


def _sample_rate(public: Object, used: bool, problems: Problems) -> str:
    given = values.number_text(public, "sampleRateInSeconds", PUBLIC, problems)
    if not given:
        return "60"
    if not used:
        problems.warning(
            member(PUBLIC, "sampleRateInSeconds"),
            "has no effect: metrics are sampled every 15 s, and there are no other queries",
            "remove it",
        )
    elif not re.fullmatch(r"\s*\d{1,9}\s*", given) or not int(given):
        problems.error(
            member(PUBLIC, "sampleRateInSeconds"), "must be a whole number of seconds, at least 1", 'write "60"', given
        )
    return given


def _app_insights(lad_cfg: Object, how: Reading, problems: Problems) -> str:
    path = f"{PUBLIC}.ladCfg"
    section = values.child(lad_cfg, "sinksConfig", path, problems)
    for at, element in values.items(section, "sinks", f"{path}.sinksConfig", problems) or []:
        entry = values.obj(element, at, problems)
        if "applicationInsights" in entry:
            key = values.text(entry, "applicationInsights", at, problems)
            problems.warning(
                member(at, "applicationInsights"), "Application Insights is not served: no rows go there", "remove it"
            )
            return key if how.exact else ""
    return ""
