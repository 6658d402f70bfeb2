"""What a server answered as what the command shows. A value or an instance that cannot be is left out, and named."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from omi_queries import classes
from omi_queries.backends.accept import ValueRejectedError, checked
from omi_queries.backends.cimxml_reply import Given
from omi_queries.backends.foreign import MAX_REASONS, NAME, SCALARS
from omi_queries.classes import CimClass
from omi_queries.omicli.instances import Shown, Slot, of_instance


class Answer(NamedTuple):
    """The instances, what was left out of them, and what was asked for and is not there: a line for each kind."""

    shown: list[Shown]
    lost: list[str]
    missing: list[str]


def known(namespace: str, name: str) -> CimClass | None:
    """The class as it is declared here, None if it is not."""
    within = classes.namespace(namespace)
    return classes.find(name, within) if within is not None else None


def read(
    given: Iterable[Given], namespace: str, asked: str, source: str, needs: Collection[str] | None = None,
    names: bool = False,
) -> Answer:  # fmt: skip
    """The instances of class ``asked`` and its subclasses among those that ``source`` gave.

    Those of a class that is declared here have the properties ``needs`` (without it all, for ``names`` the keys) as
    they are declared, NULL where there is no value, and then what else there is, as instances of other classes have.
    """
    reasons: dict[str, None] = {}
    missing: dict[str, None] = {}

    def lose(reason: str) -> None:
        if reason not in reasons:
            reasons[reason if len(reasons) < MAX_REASONS else "more that cannot be"] = None

    shown: list[Shown] = []
    foreign = known(namespace, asked) is None
    for one in given:
        cim_class = known(namespace, one.class_name)
        if cim_class is None and foreign:
            shown.append(Shown(one.class_name, _others(one, one.values, lose)))
        elif cim_class is not None and asked.lower() in (name.lower() for name in classes.lineage(cim_class.name)):
            selected = cim_class.keys() if names else list(cim_class.properties) if needs is None else needs
            values, others = _declared(one, cim_class, lose)
            full = of_instance(cim_class, values, list(selected))
            absent = [s.name for s in full.slots if s.name not in values and not cim_class.properties[s.name].null]
            if absent:
                missing[f"{source} gave no {cim_class.name}.{', '.join(absent)}"] = None
            shown.append(Shown(full.class_name, full.slots + _others(one, others, lose)))
        else:
            lose(f"an instance of {one.class_name[:80]}, which was not asked for")
    return Answer(shown, [f"{source} gave {reason}" for reason in reasons], list(missing))


def _declared(one: Given, cim_class: CimClass, lose: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the declared properties, and of others."""
    declared = {name.lower(): name for name in cim_class.properties}
    values: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for given, value in one.values.items():
        name = declared.get(given.lower())
        if name is None:
            others[given] = value
            continue
        values[name] = None
        try:
            kind = one.types.get(given, "")
            if value is not None and kind.removesuffix("[]") not in SCALARS:
                raise ValueRejectedError(f"of the type {kind[:40]!a}")
            values[name] = checked(value, cim_class.types[name])
        except ValueRejectedError as why:
            lose(f"a {cim_class.name}.{name} that is {why}")
    return values, others


def _others(one: Given, values: Mapping[str, Any], lose: Callable[[str], None]) -> tuple[Slot, ...]:
    """Properties that are not declared here, as what the server says they are."""
    slots: list[Slot] = []
    for name, value in values.items():
        if not NAME.fullmatch(name):
            lose(f"a {one.class_name[:80]}.{name[:40]!a} that is not named as a property can be")
            continue
        kind = one.types.get(name, "string")
        if kind.removesuffix("[]") not in (*SCALARS, "reference"):  # embedded instances are shown as their text
            kind = "string[]" if kind.endswith("[]") else "string"
        key = name.lower() in one.keys
        try:
            slots.append(Slot(name, kind, key, checked(value, kind)))
        except ValueRejectedError as why:
            lose(f"a {one.class_name[:80]}.{name} that is {why}")
            slots.append(Slot(name, kind, key, None))
    return tuple(slots)


def plain(value: Any) -> Any:
    """A value without pywbem's types; what is neither text nor number (a date, a reference) as its text."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)
