"""Classes, counters, tables: whether a name of LAD 3.0 settings is one, and which is meant where it is none."""

from __future__ import annotations

import re

from extension.config import values
from extension.config.counters30 import BY_CLASS, OTHER_NAMES, CounterClass
from extension.config.problems import Problems
from extension.config.values import Object, member

_TABLE = r"[A-Za-z][A-Za-z0-9]{0,62}"


def family_of(entry: Object, at: str, problems: Problems) -> CounterClass | None:
    """The class that a counter names, in any case; None and a warning where there is none."""
    name = values.text(entry, "class", at, problems)
    family = BY_CLASS.get(name.lower())
    if family is None:
        near = OTHER_NAMES.get(name.lower(), "")
        near = near if near in BY_CLASS else problems.nearest(name, BY_CLASS)
        cure = f"did you mean {near}?" if near else f"write one of {', '.join(BY_CLASS)}"
        if name:
            problems.warning(member(at, "class"), "unknown class, the counter is left out", cure, name)
        else:
            problems.warning(at, "has no class, left out", cure)
    return family


def counter_cure(family: CounterClass, name: str, problems: Problems) -> str:
    """The counter of ``family`` that is probably meant, else all of them."""
    known = [counter.key for counter in family.counters]
    near = OTHER_NAMES.get(name.lower(), "")
    if near not in known:
        near = problems.nearest(name, known)
    return f"did you mean {near}?" if near else f"write one of {', '.join(known)}"


def check_table(name: str, path: str, problems: Problems) -> None:
    """Warn of a name that the table service refuses."""
    if not re.fullmatch(_TABLE, name):
        message = "the table service takes letters and digits only, a letter first, at most 63"
        problems.warning(path, message, value=name)


def report_keys(
    source: Object, path: str, known: tuple[str, ...], without_effect: dict[str, str], problems: Problems
) -> None:
    """Warn of each key of ``source`` that is not ``known``; ``without_effect`` says why some others do nothing."""
    for key in source:
        if key in known:
            continue
        if key in without_effect:
            problems.warning(member(path, key), f"has no effect: {without_effect[key]}", "remove it")
            continue
        near = problems.nearest(key, known)
        cure = f"did you mean {near}?" if near else "remove it"
        problems.warning(member(path, key), "unknown setting, ignored", cure)
