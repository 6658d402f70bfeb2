"""``performanceCounterConfiguration`` of LAD 3.0 and 4.x -> groups of counters (spec/lad-handler.md 5.3, 5.6, 7)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from extension.config import lad30_names, lad40, values
from extension.config.counters30 import BY_NAME, Builtin, CounterClass
from extension.config.model import NAMESPACE, query_text
from extension.config.model30 import Findings, Group, Selected
from extension.config.problems import Problems
from extension.config.queries import check_query
from extension.config.reading import Reading
from extension.config.values import MONITOR, Object, member

PATH = f"{MONITOR}.performanceCounters"
_KEYS = ("type", "class", "counter", "counterSpecifier", "condition", "sampleRate", "unit", "annotation")
_WITHOUT_EFFECT = {
    "table": "builtin counters go to the WADMetrics tables",
    "namespace": "the class says where a builtin counter comes from",
    "sinks": "sinks are those of performanceCounters as a whole",
}
_RATE = re.compile(r"PT(?=\d)(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?", re.ASCII | re.IGNORECASE)
_LOWEST = 15
_MOST_GROUPS = 2000
_GIVEN_UP = "; LAD refuses the whole settings"
_Key = tuple[str, "str | None", int]


class _Entry(NamedTuple):
    """One counter that is collected. ``condition`` is as written: LAD grouped by it before it put in the default."""

    family: CounterClass
    counter: Builtin
    specifier: str
    condition: str | None
    rate: int
    path: str


def read(
    listed: Iterable[tuple[str, object]], default_rate: int, how: Reading, findings: Findings
) -> tuple[Group, ...]:
    """The counters as groups of one class, condition and rate, in the order in which each first appears."""
    groups: dict[_Key, list[_Entry]] = {}
    for at, element in listed:
        if len(groups) > _MOST_GROUPS:
            cure = "use fewer conditions and sample rates"
            findings.refuse(at, f"makes more than {_MOST_GROUPS} queries: each condition and rate needs its own", cure)
            break
        entry = _entry(values.obj(element, at, findings.problems), at, default_rate, how, findings)
        if entry is not None:
            groups.setdefault((entry.family.name, entry.condition, entry.rate), []).append(entry)
    _report_shared(groups, findings.problems)
    return tuple(_group(number, entries, findings.problems) for number, entries in enumerate(groups.values(), 1))


def _group(number: int, entries: list[_Entry], problems: Problems) -> Group:
    first = entries[0]
    condition = first.condition or first.family.condition
    chosen: dict[str, Selected] = {}
    for entry in entries:
        name = entry.counter.scx_property
        if name not in chosen:
            chosen[name] = Selected(entry.counter, entry.specifier)
        elif chosen[name].specifier == entry.specifier:
            problems.warning(entry.path, "this counter is listed twice and counts once", "remove it")
        else:
            problems.warning(
                member(entry.path, "counterSpecifier"),
                f"never appears: the counter is listed before as {chosen[name].specifier}",
                "give one of the two another condition or sampleRate, or remove it",
                entry.specifier,
            )
    if first.condition and first.condition != first.family.condition:
        text = query_text(",".join(chosen), first.family.scx_class, condition)
        problems.extend(check_query(text, NAMESPACE, member(first.path, "condition")))
    return Group(f"builtin{number:06d}", first.family, condition, first.rate, tuple(chosen.values()))


def _report_shared(groups: Mapping[_Key, list[_Entry]], problems: Problems) -> None:
    """A specifier names the rows: used in two groups, each period's rows of one replace those of the other."""
    first_key: dict[str, _Key] = {}
    for key, entries in groups.items():
        for entry in entries:
            if first_key.setdefault(entry.specifier, key) != key:
                problems.warning(
                    member(entry.path, "counterSpecifier"),
                    "is used by another counter too: their rows have the same keys, one replaces the other",
                    "give each its own counterSpecifier",
                    entry.specifier,
                )


def _entry(entry: Object, at: str, default_rate: int, how: Reading, findings: Findings) -> _Entry | None:
    problems = findings.problems
    if not _is_builtin(entry, at, how, findings):
        return None
    lad30_names.report_keys(entry, at, _KEYS, _WITHOUT_EFFECT, problems)
    named = lad40.counter(entry, at, problems) if how.telegraf else _counter(entry, at, problems)
    if named is None:
        return None
    family, counter, fixed = named
    specifier = fixed or values.text(entry, "counterSpecifier", at, problems)
    if not specifier:
        if how.telegraf:
            specifier = family.specifier(counter)
        else:
            problems.warning(
                at,
                "has no counterSpecifier, left out",
                f'write "counterSpecifier": "{family.specifier(counter)}"',
            )
            return None
    condition: str | None = values.text(entry, "condition", at, problems)
    if not condition and not (how.exact and entry.get("condition") == ""):
        condition = None
    rate = _rate(entry, at, default_rate, how, findings)
    return _Entry(family, counter, specifier, condition, rate, at)


def _is_builtin(entry: Object, at: str, how: Reading, findings: Findings) -> bool:
    kind = entry.get("type")
    if kind == "builtin":
        return True
    cure = 'write "type": "builtin"'
    if "type" not in entry:
        if how.telegraf:
            findings.problems.warning(at, "has no type and is taken as builtin", cure)
            return True
        findings.refuse(at, f"has no type{_GIVEN_UP}", cure)
        return False
    path = member(at, "type")
    near = isinstance(kind, str) and findings.problems.nearest(kind, ("builtin",))
    cure = "did you mean builtin?" if near else "only counters of type builtin are collected"
    told = kind if isinstance(kind, str) else values.kind(kind)
    findings.problems.warning(path, "is not exactly builtin: the counter is left out, as LAD did", cure, told)
    return False


def _counter(entry: Object, at: str, problems: Problems) -> tuple[CounterClass, Builtin, str] | None:
    """Class and counter by their names; what LAD left out with a line on its standard output is left out."""
    family = lad30_names.family_of(entry, at, problems)
    name = values.text(entry, "counter", at, problems)
    if family is None:
        return None
    counter = BY_NAME.get((family.name, name.lower()))
    if counter is None:
        path = member(at, "counter") if name else at
        message = f"is no counter of class {family.name}, left out" if name else "has no counter, left out"
        problems.warning(path, message, lad30_names.counter_cure(family, name, problems), name)
        return None
    return family, counter, ""


def _rate(entry: Object, at: str, default_rate: int, how: Reading, findings: Findings) -> int:
    """Seconds between samples: hours, minutes and seconds of a duration, in any case (spec 5.6).

    LAD 3.0 added up each number that H, M or S follows, whatever else stood after PT.
    """
    given = entry.get("sampleRate")
    if given is None or (given == "" and how.telegraf):
        return default_rate
    path = member(at, "sampleRate")
    text = given if isinstance(given, str) else ""
    found = _RATE.fullmatch(text if how.exact else text.strip())
    if found is None:
        seconds = lad40.rate(text) if how.telegraf or text[:2].upper() == "PT" else 0
    else:
        hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = (hours * 60 + minutes) * 60 + rest
    if seconds <= 0:
        told = text or values.kind(given)
        findings.refuse(path, f"is no duration in hours, minutes and seconds{_GIVEN_UP}", 'write "PT15S"', told)
        return default_rate
    if found is None:
        findings.problems.warning(path, f"is read as {seconds} s, as LAD did", f'write "PT{seconds}S"', text)
    elif seconds < _LOWEST:
        findings.problems.note(path, f"is below {_LOWEST} s, the documented minimum; it is used as it is")
    return seconds
