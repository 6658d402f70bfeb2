"""``sinksConfig`` and the ``sinks`` of a feature: what is defined, what is meant, what is usable (spec 5.2, 5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from extension.config import hub_url, values
from extension.config.lad40 import AZURE_MONITOR
from extension.config.model30 import EVENT_HUB, JSON_BLOB, SINK_TYPES, Findings, Sink
from extension.config.problems import Problems
from extension.config.reading import Reading
from extension.config.values import PROTECTED, PUBLIC, Object, member

Sinks = Mapping[str, Sink] | None
"""The defined sinks by name; None where there are no protected settings to look into."""

_KEYS = ("name", "type", "sasURL")
_UNSERVED = "Azure Monitor custom metrics are not served: no values go there"


def shown(text: str) -> str:
    """``text`` for a message, unless it may be a secret that stands in the wrong place."""
    return text if re.fullmatch(r"[^=&;/?%]{1,100}", text) else ""


def read(public: Object, protected: Object, how: Reading, problems: Problems) -> dict[str, Sink] | None:
    """The sinks of the protected settings by name; an entry without name or type is left out, as LAD did."""
    _public(public, how, problems)
    if not protected:
        return None
    found: dict[str, Sink] = {}
    path = member(PROTECTED, "sinksConfig")
    section = values.child(protected, "sinksConfig", PROTECTED, problems)
    for key in section:
        if key != "sink":
            problems.warning(member(path, key), "unknown setting, ignored", 'the list of sinks is called "sink"')
    for at, element in values.items(section, "sink", path, problems) or []:
        entry = values.obj(element, at, problems)
        sink = _sink(entry, at, how.now, problems)
        if sink is None:
            continue
        if sink.name in found:
            problems.warning(member(at, "name"), "is defined twice, the last one counts", value=shown(sink.name))
        found[sink.name] = sink
    return found


def _public(public: Object, how: Reading, problems: Problems) -> None:
    """Sinks in the public settings: LAD 4.x looked there for AzMonSink only, LAD 3.0 not at all."""
    path = member(PUBLIC, "sinksConfig")
    section = public.get("sinksConfig")
    if section is None:
        return
    others = not isinstance(section, Mapping) or not section.get("sink")
    if isinstance(section, Mapping):
        for at, element in values.items(section, "sink", path, problems) or []:
            entry = values.obj(element, at, problems)
            if AZURE_MONITOR in (entry.get("name"), entry.get("type")):
                problems.warning(at, f"{AZURE_MONITOR}: {_UNSERVED}", "use an EventHub or JsonBlob sink, or remove it")
            else:
                others = True
            if "sasURL" in entry:
                cure = "move it to the protected settings and renew the SAS"
                problems.warning(member(at, "sasURL"), "is a secret in the public settings", cure)
    if others:
        told = "LAD 4 looks here for AzMonSink only" if how.telegraf else "LAD 3.0 does not read it"
        problems.warning(path, f"{told}: no other sink is taken from it", "move it to the protected settings")


def _sink(entry: Object, at: str, now: datetime, problems: Problems) -> Sink | None:
    name, kind = values.text(entry, "name", at, problems), values.text(entry, "type", at, problems)
    lacking = [key for key in ("name", "type") if key not in entry]
    if lacking:
        problems.warning(at, f"Ignoring invalid sink definition: missing {' and '.join(lacking)}", "give name and type")
        return None
    for key in entry:
        if key not in _KEYS:
            near = problems.nearest(key, _KEYS)
            problems.warning(
                member(at, key), "unknown setting, ignored", f"did you mean {near}?" if near else "remove it"
            )
    if not name or not kind:
        problems.warning(at, "has an empty name or type, so nothing can go there", "give name and type")
        return None
    url = values.text(entry, "sasURL", at, problems)
    if kind == AZURE_MONITOR or name == AZURE_MONITOR:
        problems.warning(at, f"{AZURE_MONITOR}: {_UNSERVED}", "remove the sink")
    elif kind not in SINK_TYPES:
        near = problems.nearest(kind, SINK_TYPES)
        cure = f"did you mean {near}?" if near else f"write {' or '.join(SINK_TYPES)}"
        problems.warning(member(at, "type"), "unknown type of sink", cure, shown(kind))
    elif kind == JSON_BLOB:
        _container(name, member(at, "name"), problems)
        if url:
            problems.warning(member(at, "sasURL"), "has no effect on a JsonBlob sink: it uses the storage account")
    elif url:
        hub_url.judge(url, member(at, "sasURL"), now, problems)
    if " " in name:
        problems.error(
            member(at, "name"), "has a blank, which no name of an event may have", "remove the blank", shown(name)
        )
    return Sink(name, kind, url, at)


def _container(name: str, path: str, problems: Problems) -> None:
    if not re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", name.lower()):
        problems.warning(
            path,
            "is not the name of a blob container, and the sink's container is called by it",
            "use 3 to 63 lower-case letters, digits and single dashes",
            shown(name),
        )


def named(section: Object, path: str, how: Reading, problems: Problems) -> list[str]:
    """The names in a comma-separated ``sinks``, without blanks. Anything but a string is an error.

    Each name once and none empty, except to the letter: LAD served a name as often as it stands there.
    """
    given = values.text(section, "sinks", path, problems)
    listed = [name.strip() for name in given.split(",")] if given else []
    found = dict.fromkeys(filter(None, listed))
    at = member(path, "sinks")
    if "" in listed:
        problems.warning(at, "has an empty name between commas", "remove the comma", shown(given))
    if len(found) < len(listed) - listed.count(""):
        told = "counts as often, as in LAD" if how.exact else "counts once"
        problems.warning(at, f"names a sink more than once, which {told}", "name each sink once", shown(given))
    return listed if how.exact else list(found)


def without_azure_monitor(names: Iterable[str], sinks: Sinks, path: str, problems: Problems) -> list[str]:
    """``names`` without AzMonSink, which LAD 4.x served outside the document."""
    kept = []
    for name in names:
        if name == AZURE_MONITOR or (sinks and name in sinks and sinks[name].kind == AZURE_MONITOR):
            problems.warning(path, f"{AZURE_MONITOR}: {_UNSERVED}", "use an EventHub or JsonBlob sink, or remove it")
        else:
            kept.append(name)
    return kept


def _undefined(name: str, sinks: Iterable[str], problems: Problems) -> str:
    near = problems.nearest(name, sinks)
    return f"did you mean {near}?" if near else "define it in the protected sinksConfig"


def several_hubs(sinks: Iterable[Sink], path: str, how: Reading, problems: Problems) -> None:
    """Tell that more than one Event Hub is asked for, which the daemon refused where LAD wrote it."""
    hubs = [sink for sink in sinks if sink.kind == EVENT_HUB]
    if len(hubs) < 2:
        return
    if how.exact:
        message = "names more than one EventHub sink: the daemon takes one for each table and refuses the document"
        problems.error(path, message, "keep one, or let the dialect be told from the settings")
    else:
        problems.note(path, "names more than one EventHub sink, which LAD could not serve; here each is served")


def _not_here(path: str, problems: Problems) -> None:
    problems.note(path, "sinks are defined in the protected settings, which are not here to be looked at")


def tolerant(names: Sequence[str], sinks: Sinks, path: str, problems: Problems) -> tuple[Sink, ...]:
    """The usable ones of ``names``; LAD logged the others and went on (metrics)."""
    kept: list[Sink] = []
    if sinks is None:
        if names:
            _not_here(path, problems)
        return ()
    for name in names:
        sink = sinks.get(name)
        if sink is None:
            cure = _undefined(name, sinks, problems)
            problems.warning(path, "Ignoring sink for which no definition was found", cure, shown(name))
        elif sink.kind not in SINK_TYPES:
            problems.warning(path, "Ignoring sink of unknown type", f"correct {member(sink.path, 'type')}", shown(name))
        elif sink.kind == EVENT_HUB and not sink.url:
            problems.warning(
                path, "Ignoring EventHub sink without sasURL", f"give {member(sink.path, 'sasURL')}", shown(name)
            )
        else:
            kept.append(sink)
    return tuple(kept)


def strict(names: Sequence[str], sinks: Sinks, path: str, findings: Findings) -> tuple[Sink, ...]:
    """The sinks of ``names``; one that cannot be used makes LAD refuse the whole settings (logs, perfCfg)."""
    kept: list[Sink] = []
    if sinks is None:
        if names:
            _not_here(path, findings.problems)
        return ()
    for name in names:
        sink = sinks.get(name)
        if sink is None:
            cure = _undefined(name, sinks, findings.problems)
            findings.refuse(path, "no sink of this name is defined; LAD refuses the whole settings", cure, shown(name))
        elif sink.kind not in SINK_TYPES:
            cure = f"correct {member(sink.path, 'type')}"
            findings.refuse(path, "the sink is of a type that LAD refuses", cure, shown(name))
        elif sink.kind == EVENT_HUB and not sink.url:
            cure = f"give {member(sink.path, 'sasURL')}"
            findings.refuse(path, "the EventHub sink has no sasURL; LAD refuses the whole settings", cure, shown(name))
        else:
            kept.append(sink)
    return tuple(kept)
