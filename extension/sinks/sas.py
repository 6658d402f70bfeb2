"""Shared access signatures: what a token allows and when (spec/storage.md 4, "SAS forms"). Pure; never prints one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal
from urllib.parse import parse_qsl

Operation = Literal["upsert", "create", "list", "query", "container", "block", "blocks", "blobs", "message"]

# operation -> (signed resource type, its name, permissions of which each group needs one)
_NEEDS: dict[Operation, tuple[str, str, tuple[str, ...]]] = {
    "upsert": ("o", "object", ("a", "u")),
    "create": ("c", "container", ("cw",)),
    "list": ("c", "container", ("l",)),
    "query": ("o", "object", ("r",)),
    "container": ("c", "container", ("cw",)),
    "block": ("o", "object", ("cw",)),
    "blocks": ("o", "object", ("r",)),
    "blobs": ("c", "container", ("l",)),
    "message": ("", "", ()),
}
_OF_BLOBS = frozenset({"container", "block", "blocks", "blobs"})
_NAMES = {"a": "add (a)", "u": "update (u)", "cw": "create (c) or write (w)", "l": "list (l)", "r": "read (r)"}


@dataclass(frozen=True)
class Sas:
    """The readable parts of a token: everything but the signature. Times are Unix seconds, None where absent or odd."""

    services: str = ""
    resource_types: str = ""
    permissions: str = ""
    table: str = ""
    protocol: str = ""
    addresses: str = ""
    start: float | None = None
    expiry: float | None = None
    start_text: str = ""
    expiry_text: str = ""
    policy: str = ""

    @property
    def account_wide(self) -> bool:
        """Whether it is an account SAS (``ss``/``srt``) rather than one of a single table (``tn``)."""
        return not self.table


def normalise(token: str) -> str:
    """The token as it goes into a URL: without blanks, one leading ``?``, and a second percent-encoding."""
    token = token.strip()
    if token.startswith("?"):
        token = token[1:]
    while "%25" in token:
        token = token.replace("%25", "%")
    return token


def fields(token: str) -> dict[str, str]:
    """The fields of ``token`` by name, decoded."""
    return dict(parse_qsl(normalise(token), keep_blank_values=True))


def parse(token: str) -> Sas:
    """The readable parts of ``token``; unknown and missing fields are left empty."""
    found = fields(token)
    start, expiry = found.get("st", ""), found.get("se", "")
    return Sas(
        services=found.get("ss", ""),
        resource_types=found.get("srt", ""),
        permissions=found.get("sp", ""),
        table=found.get("tn", ""),
        protocol=found.get("spr", ""),
        addresses=found.get("sip", ""),
        start=instant(start),
        expiry=instant(expiry),
        start_text=start,
        expiry_text=expiry,
        policy=found.get("si", ""),
    )


def instant(text: str) -> float | None:
    """Unix seconds of an ISO 8601 time as tokens carry it (date only, minutes, seconds, any fraction; UTC)."""
    body = text.strip()
    if body[-1:] in ("Z", "z"):
        body = body[:-1]
    body, _, fraction = body.partition(".")
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            moment = datetime.strptime(body, form)
        except ValueError:
            continue
        whole = (moment - datetime(1970, 1, 1)) / timedelta(seconds=1)
        return whole + (float("0." + fraction) if fraction.isdigit() else 0.0)
    return None


def needed(operation: Operation) -> str:
    """What a token must allow for ``operation``, as words: ``add (a) and update (u) on objects (srt=o)``."""
    resource, resource_name, groups = _NEEDS[operation]
    return " and ".join(_NAMES[g] for g in groups) + (f" on {resource_name}s (srt={resource})" if resource else "")


def complete(operation: Operation) -> str:
    """The fields of an account SAS that is enough for ``operation`` and all that goes with it."""
    read = "r" if operation in ("query", "blocks") else ""
    return f"sp={read}acluw, ss={'bt' if operation in _OF_BLOBS else 't'}, srt=co"


def missing(sas: Sas, operation: Operation, table: str) -> str:
    """What the token does not allow of ``operation`` on ``table``, as words ("permission add (a)"), or "" if it does.

    A token of a stored policy (``si``) keeps its permissions at the service, so nothing is said about those.
    """
    resource, resource_name, groups = _NEEDS[operation]
    lacks: list[str] = []
    if sas.account_wide:
        letter, service = ("b", "blob") if operation in _OF_BLOBS else ("t", "table")
        if letter not in sas.services:
            lacks.append(f"service {service} (ss={letter})")
        if resource not in sas.resource_types:
            lacks.append(f"resource type {resource_name} (srt={resource})")
    else:
        if operation in ("create", "list") or operation in _OF_BLOBS:
            return "an account SAS: the SAS of one table cannot create or list tables"
        if table and sas.table.lower() != table.lower():
            return f"table {table}: it is for table {sas.table} only"
    if not sas.policy:
        lacks += ["permission " + _NAMES[g] for g in groups if not any(c in sas.permissions for c in g)]
    return ", ".join(lacks)


def iso(seconds: float) -> str:
    """Unix seconds as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")
