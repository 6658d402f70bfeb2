"""What is asked for by its keys (``gi``), checked before anyone is asked."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Mapping

from omi_queries.classes import CimClass
from omi_queries.omicli import results
from omi_queries.omicli.results import OmiError


def checked_keys(cim_class: CimClass, given: Mapping[str, str]) -> dict[str, str]:
    """The key values by declared name; other properties of the class do not count.

    OmiError: 5 for a class without instances of its own, 12 for a name that is none of its properties and for a key
    without a value, 7 for a class with methods only.
    """
    if not cim_class.served and not cim_class.methods_only:  # no provider is registered for it
        detail = f"{cim_class.name} has no instances of its own; name one of its subclasses"
        raise OmiError(results.INVALID_CLASS, detail)
    keys = cim_class.keys()
    declared = {name.lower(): name for name in cim_class.properties}
    for name in given:
        if name.lower() not in declared:
            detail = f"{cim_class.name} has no property {name[:80]!a}; its keys are {', '.join(keys)}"
            raise OmiError(results.NO_SUCH_PROPERTY, detail)
    found = {declared[name.lower()]: value for name, value in given.items()}
    missing = [name for name in keys if name not in found]
    if missing:
        raise OmiError(results.NO_SUCH_PROPERTY, f"no value for the key {missing[0]} of {cim_class.name}")
    if cim_class.methods_only:
        raise OmiError(results.NOT_SUPPORTED, f"{cim_class.name} has methods only", posted=True)
    return {name: found[name] for name in keys}
