"""What LAD 4.x read differently from LAD 3.0 (spec/lad-handler.md 5.1, 5.7).

LAD 4.x collected with telegraf and looked counters up by class and displayName alone. Here the same counters come
from the SCX classes, looked up by class and counter first, so that a renamed or translated displayName loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extension.config import values
from extension.config.counters30 import BY_DISPLAY, BY_NAME, Builtin, CounterClass
from extension.config.lad30_names import counter_cure, family_of
from extension.config.problems import Problems
from extension.config.values import Object, member

AZURE_MONITOR = "AzMonSink"
"""The one sink that LAD 4.x looked for in the public settings."""

_PART = r"(?ai)(\d{1,9})([hms])"
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def rate(text: str) -> int:
    """Seconds of a sample rate as LAD 4 understood it: each number that is followed by h, m or s; 0 without any."""
    return sum(int(number) * _SECONDS[unit.lower()] for number, unit in re.findall(_PART, text))


def display_name(entry: Object) -> str:
    """displayName of the first annotation, "" where there is none."""
    listed = entry.get("annotation")
    first = listed[0] if isinstance(listed, list) and listed else None
    name = first.get("displayName") if isinstance(first, Mapping) else None
    return name if isinstance(name, str) else ""


def by_display(entry: Object) -> Builtin | None:
    """The counter that LAD 4 found: by class and displayName, in any case."""
    name = entry.get("class")
    return BY_DISPLAY.get((name.lower(), display_name(entry).lower())) if isinstance(name, str) else None


def by_name(entry: Object) -> Builtin | None:
    """The counter that LAD 3.0 found: by class and counter, in any case."""
    family, name = entry.get("class"), entry.get("counter")
    if not isinstance(family, str) or not isinstance(name, str):
        return None
    return BY_NAME.get((family.lower(), name.lower()))


def counter(entry: Object, at: str, problems: Problems) -> tuple[CounterClass, Builtin, str] | None:
    """Class, counter, and the name of its rows where it is not counterSpecifier; None where neither look-up fits."""
    family = family_of(entry, at, problems)
    name = values.text(entry, "counter", at, problems)
    if family is None:
        return None
    told, shown = by_name(entry), by_display(entry)
    if told is not None:
        _report_display(entry, at, told, shown, problems)
        return family, told, ""
    if shown is not None:
        path = member(at, "counter") if name else at
        message = f"is not the name of a counter; displayName says {shown.key}, which is collected"
        problems.warning(path, message, f'write "counter": "{shown.key}"', name)
        return family, shown, family.specifier(shown)
    path = member(at, "counter") if name else at
    problems.warning(
        path,
        f"neither counter nor displayName names a counter of class {family.name}: left out, as LAD 4 did",
        counter_cure(family, name, problems),
        name,
    )
    return None


def _report_display(entry: Object, at: str, told: Builtin, shown: Builtin | None, problems: Problems) -> None:
    """Where LAD 4 would have collected something else, or nothing."""
    if shown is told:
        return
    name = display_name(entry)
    if shown is not None:
        message = f"names {shown.key}, which LAD 4 collected; here counter counts"
    else:
        message = "LAD 4 did not find the counter by this displayName; here it is found by counter"
    path = f"{member(at, 'annotation')}[0].displayName" if name else at
    problems.note(path, message, f'write "{told.display}" if LAD 4 is to read it too', name)
