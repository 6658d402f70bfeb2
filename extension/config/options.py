"""``options.json`` -> :class:`extension.plan.Options`."""

from __future__ import annotations

import math
from dataclasses import fields

from extension.config import proxy, sources, values
from extension.config.problems import Problems
from extension.plan import Options


def read(value: object, path: str, problems: Problems) -> Options:
    """The options in a JSON value; unknown ones are named and left out, ones of a wrong type are errors."""
    defaults = Options()
    known = {field.name: getattr(defaults, field.name) for field in fields(defaults)}
    taken: dict[str, object] = {}
    for name, given in values.obj(value, path, problems).items():
        at = values.member(path, name)
        if name not in known:
            near = problems.nearest(name, known)
            problems.warning(at, "unknown option, ignored", f"did you mean {near}?" if near else "")
        elif isinstance(known[name], bool):
            if isinstance(given, bool):
                taken[name] = given
            else:
                problems.error(at, f"must be true or false, is {values.kind(given)}", "write it without quotes")
        elif isinstance(known[name], str):
            if isinstance(given, str) and (given or not known[name]):
                taken[name] = given
            else:
                what = "empty" if given == "" else values.kind(given)
                problems.error(at, f"must be a string, is {what}", f'write "{known[name]}"')
        elif isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given) or given < 0:
            problems.error(at, "must be a number, at least 0", f"write {known[name]}")
        elif isinstance(known[name], int) and int(given) != given:
            problems.error(at, "must be a whole number", f"write {known[name]}")
        else:
            taken[name] = type(known[name])(given)
    sources.check(taken, {name: values.member(path, name) for name in known}, problems)
    if taken.get(proxy.OPTION):
        taken[proxy.OPTION] = proxy.checked(str(taken[proxy.OPTION]), values.member(path, proxy.OPTION), problems)
    return Options(**taken)  # type: ignore[arg-type]  # each value has its default's type
