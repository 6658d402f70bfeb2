"""``instanceID``: what tells the rows of a scale set's machines apart (spec/lad-handler.md 4.1, 4.6)."""

from __future__ import annotations

import re

from extension.config import values
from extension.config.problems import Problems
from extension.config.values import PUBLIC, Object, member

PATH = member(PUBLIC, "instanceID")
_SCALE_SET = "providers/Microsoft.Compute/virtualMachineScaleSets"


def given(public: Object, problems: Problems) -> str:
    """The setting; what no row key can carry in it is an error."""
    instance = values.text(public, "instanceID", PUBLIC, problems)
    if re.search(r"[/\\#?\x00-\x1f\x7f-\x9f]", instance):
        problems.error(
            PATH,
            "becomes part of row keys, where / \\ # ? are not allowed: the table service refuses every row",
            "use letters, digits and dashes",
            instance,
        )
    return instance


def is_scale_set(resource_id: str) -> bool:
    """Whether it is that of a scale set or of one of its machines, in any case."""
    return _SCALE_SET.lower() in resource_id.lower()


def of(instance: str, resource_id: str, path: str, exact: bool, vm_uuid: str, problems: Problems) -> str:
    """``instance`` if given, else the machine's UUID where ``resource_id`` (found at ``path``) is of a scale set.

    ``exact``: as LAD, which told a scale set by the usual spelling only.
    """
    if instance or not (_SCALE_SET in resource_id if exact else is_scale_set(resource_id)):
        return instance
    if not vm_uuid:
        problems.warning(
            path, "this machine has no UUID to tell scale-set instances apart", "set instanceID, or give --vm-uuid"
        )
    return vm_uuid
