"""The forms in which people keep LAD's settings in one file, and what of them can be checked."""

from __future__ import annotations

from typing import NamedTuple

from extension.config.problems import Problem, Problems
from extension.config.values import PROTECTED, PUBLIC, member

_PUBLIC = ("public", "publicSettings", "settings")
_PROTECTED = ("protected", "protectedSettings")
_HANDLER = "$.runtimeSettings[0].handlerSettings"


class Parts(NamedTuple):
    """Public and protected settings of a file; ``has_public`` and ``has_protected`` tell which of them are in it."""

    public: object
    protected: object
    has_public: bool = True
    has_protected: bool = True


def split(value: object, protected_keys: tuple[str, ...], problems: Problems) -> Parts:
    """The parts of a settings file.

    Forms: an object with ``public`` and ``protected`` (or ``publicSettings``/``settings`` and ``protectedSettings``,
    also below ``properties``, as templates have it), a VM agent's ``N.settings``, public settings alone, or protected
    settings alone (nothing but ``protected_keys``).
    """
    if not isinstance(value, dict):
        return Parts(value, {}, has_protected=False)
    if "runtimeSettings" in value:
        return _of_agent(value["runtimeSettings"], problems)
    if "resources" in value and "$schema" in value:
        problems.error(
            "$", "is a deployment template, not settings", "give properties.settings of its extension resource"
        )
        return Parts({}, {}, False, False)
    inner = value.get("properties")
    body: dict[str, object] = value
    if isinstance(inner, dict) and any(key in inner for key in (*_PUBLIC, *_PROTECTED)):
        body = inner
    public_key = next((key for key in _PUBLIC if key in body), None)
    protected_key = next((key for key in _PROTECTED if key in body), None)
    if public_key or protected_key:
        if body is value:  # beside them in a template stands what names and places the extension
            _others(body, (public_key, protected_key), problems)
        public = body[public_key] if public_key else None
        protected = body[protected_key] if protected_key else None
        return Parts(public, protected, public_key is not None, protected_key is not None)
    if value and all(key in protected_keys for key in value):
        return Parts({}, value, has_public=False)
    return Parts(value, {}, has_protected=False)


def _others(value: dict[str, object], used: tuple[str | None, ...], problems: Problems) -> None:
    for key in value:
        if key not in used:
            problems.warning(member("$", key), "stands beside the settings and is ignored", "move it into one of them")


def _of_agent(listed: object, problems: Problems) -> Parts:
    first = listed[0] if isinstance(listed, list) and listed else None
    handler = first.get("handlerSettings") if isinstance(first, dict) else None
    if not isinstance(handler, dict):
        problems.error(_HANDLER, "must be an object", "give a VM agent's settings file")
        return Parts({}, {}, False, False)
    protected = handler.get("protectedSettings")
    if isinstance(protected, str):
        problems.note(f"{_HANDLER}.protectedSettings", "is encrypted and is not looked at here")
        return Parts(handler.get("publicSettings"), {}, has_protected=False)
    return Parts(handler.get("publicSettings"), protected, has_protected=protected is not None)


def of_the_file(problems: tuple[Problem, ...], parts: Parts) -> list[Problem]:
    """``problems`` without those of a part that the file does not have: they are none of the file's."""
    absent = [path for path, there in ((PUBLIC, parts.has_public), (PROTECTED, parts.has_protected)) if not there]
    return [p for p in problems if not p.path.startswith(tuple(absent))]
