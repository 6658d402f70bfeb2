"""The forms in which people keep LAD's settings in one file, and what of them can be checked."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from extension.config import jsontext
from extension.config.problems import Problem, Problems
from extension.config.values import PROTECTED, PUBLIC, member

_PUBLIC = ("public", "publicSettings", "settings")
_PROTECTED = ("protected", "protectedSettings", "protected_settings")
_TYPE = "linuxdiagnostic"
_AGENT_KEY = "runtimeSettings"
_TEMPLATE_KEYS = ("resources", "resource")
"""What a deployment template, a Terraform state and Terraform's JSON have their resources in."""
_HANDLER = "$.runtimeSettings[0].handlerSettings"


class Parts(NamedTuple):
    """Public and protected settings of a file; ``has_public`` and ``has_protected`` tell which of them are in it."""

    public: object
    protected: object
    has_public: bool = True
    has_protected: bool = True


def split(value: object, protected_keys: tuple[str, ...], problems: Problems) -> Parts:
    """The parts of a settings file.

    Forms: an object with ``public`` and ``protected`` (or ``publicSettings``/``settings`` and
    ``protectedSettings``/``protected_settings``, also below ``properties``, as templates have it), a VM agent's
    ``N.settings``, a template or Terraform state with one such extension, public settings alone, or protected settings
    alone (nothing but ``protected_keys``). Each part, or all, may be a string of JSON, as Terraform keeps them.
    """
    value = _unpacked(value, "$", problems)
    if not isinstance(value, dict):
        return Parts(value, {}, has_protected=False)
    if _AGENT_KEY in value:
        return _of_agent(value[_AGENT_KEY], problems)
    if any(isinstance(value.get(key), (dict, list)) for key in _TEMPLATE_KEYS):
        return _of_template(value, problems)
    return _of_object(value, protected_keys, problems)


def is_wrapped(value: object) -> bool:
    """Whether a value is more than bare settings of one kind, so that :func:`split` finds the parts in it."""
    if isinstance(value, str):
        return True
    if not isinstance(value, dict):
        return False
    inner = value.get("properties")
    keys = (*_PUBLIC, *_PROTECTED)
    return (
        any(key in value for key in (_AGENT_KEY, *keys))
        or any(isinstance(value.get(key), (dict, list)) for key in _TEMPLATE_KEYS)
        or (isinstance(inner, dict) and any(key in inner for key in keys))
    )


def unwrapped(given: Mapping[str, object], problems: Problems) -> tuple[object, object]:
    """Public and protected settings of files given as such (:data:`PUBLIC`, :data:`PROTECTED` -> value), each of which
    may be in any form of :func:`split`; a file of both, given as the public one, is enough.
    """
    public, protected = given.get(PUBLIC, {}), given.get(PROTECTED, {})
    if is_wrapped(public):
        parts = split(public, (), problems)
        public = parts.public
        if PROTECTED not in given and parts.has_protected:
            protected = parts.protected
    if is_wrapped(protected):
        protected = split(protected, (), problems).protected
    return public, protected


def _of_object(value: dict[str, object], protected_keys: tuple[str, ...], problems: Problems) -> Parts:
    inner = value.get("properties")
    body: dict[str, object] = value
    if isinstance(inner, dict) and any(key in inner for key in (*_PUBLIC, *_PROTECTED)):
        body = inner
    public_key = next((key for key in _PUBLIC if key in body), None)
    protected_key = next((key for key in _PROTECTED if key in body), None)
    if public_key or protected_key:
        if body is value and not _is_extension(body):  # beside them stands what names and places the extension
            _others(body, (public_key, protected_key), problems)
        public = _unpacked(body[public_key], PUBLIC, problems) if public_key else None
        protected = _unpacked(body[protected_key], PROTECTED, problems) if protected_key else None
        return Parts(public, protected, public_key is not None, protected_key is not None)
    if value and all(key in protected_keys for key in value):
        return Parts({}, value, has_public=False)
    return Parts(value, {}, has_protected=False)


def _unpacked(value: object, path: str, problems: Problems) -> object:
    """What a string of JSON holds; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip("\ufeff \t\r\n").startswith("{"):
        return value
    try:
        return jsontext.parse(value.encode("utf-8", "replace"), path, problems)
    except jsontext.JsonError as problem:
        problems.error(path, f"is a string whose text{problem.where} {problem}", problem.cure)
        return {}


def _is_extension(value: dict[str, object]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind.lower() == _TYPE


def _extensions(value: object, path: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The LinuxDiagnostic extensions with settings anywhere in ``value``; its depth is bounded by the reader."""
    if isinstance(value, dict):
        if _is_extension(value) and any(key in value for key in (*_PUBLIC, *_PROTECTED)):
            yield path, value
            return
        for key, inner in value.items():
            yield from _extensions(inner, member(path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _extensions(inner, f"{path}[{i}]")


def _of_template(value: dict[str, object], problems: Problems) -> Parts:
    found = [one for key in _TEMPLATE_KEYS for one in _extensions(value.get(key), member("$", key))]
    if len(found) == 1:
        path, extension = found[0]
        problems.note(path, "these settings of the template are looked at")
        return _of_object(extension, (), problems)
    if found:
        where = ", ".join(path for path, _ in found[:3])
        problems.error("$", f"has {len(found)} LinuxDiagnostic extensions ({where})", "give the settings of one")
    else:
        problems.error(
            "$", "is a template without settings of a LinuxDiagnostic extension", "give the extension's settings"
        )
    return Parts({}, {}, False, False)


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
