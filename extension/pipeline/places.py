"""Where a target's rows end: lane, table, container and blob path (spec/mdsd.md 3.1, 5.1). Pure.

A lane is the way to one service of one account: ``MONIKER`` for its tables, ``jsonblob MONIKER``, ``eventhub EVENT``,
``file``. Monikers and events have no blanks, so the names cannot be confused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from extension.plan import OnBehalf, Plan, Publisher, Target
from extension.rows import names, ticks

FILE_LANE = "file"
JSON_BLOB = "jsonblob"
EVENT_HUB = "eventhub"
RECORD = "record"
"""The column that carries the text of a row for a lane that is not a table's."""
_HOUR_S = 3600


class PlaceError(Exception):
    """The plan does not say where the rows of an event go; one line with the reason."""


def _fields(token: str) -> dict[str, str]:
    """The fields of a SAS as written; those that are looked at here are letters and digits only."""
    pairs = (field.partition("=") for field in token.strip().lstrip("?").split("&"))
    return {name: value for name, _, value in pairs}


def json_blob_lane(moniker: str) -> str:
    """The lane of an account's JSON blobs."""
    return f"{JSON_BLOB} {moniker}"


def lane_parts(name: str) -> tuple[str, str]:
    """Kind ("" for tables, ``jsonblob``, ``eventhub``, ``file``) and moniker or event of a lane."""
    if name == FILE_LANE:
        return FILE_LANE, ""
    kind, blank, rest = name.partition(" ")
    return (kind, rest) if blank else ("", name)


def takes_rows(lane: str) -> bool:
    """Whether a lane is that of an account's tables."""
    return " " not in lane and lane != FILE_LANE


def event_hub_lanes(plan: Plan) -> list[tuple[str, Publisher]]:
    """Every publisher with its lane: by event, numbered where an event has several."""
    seen: dict[str, int] = {}
    out = []
    for publisher in plan.publishers:
        seen[publisher.event] = number = seen.get(publisher.event, 0) + 1
        out.append((f"{EVENT_HUB} {publisher.event}" + (f" {number}" if number > 1 else ""), publisher))
    return out


@dataclass(frozen=True)
class Tables:
    """Table names of one plan."""

    plan: Plan
    fixed: dict[str, str]
    """The only table of an account, for those whose SAS is for one table (``tn``)."""

    @staticmethod
    def of(plan: Plan) -> Tables:
        """Look into the plan's credentials once."""
        tokens = {a.moniker: _fields(a.secret) for a in plan.accounts if a.kind == "sas"}
        return Tables(plan, {m: token.get("tn", "") for m, token in tokens.items() if "ss" not in token})

    def name(self, target: Target, now: float) -> str:
        """The physical table of a target for rows queued at Unix time ``now``."""
        exact = target.full_name and not target.per_nday
        fixed = self.fixed.get(target.moniker)
        if fixed is not None and not exact:
            return fixed or target.event
        return names.table_name(
            target.event,
            namespace=self.plan.namespace,
            version=self.plan.event_version,
            full_name=target.full_name,
            per_nday=target.per_nday,
            now=now,
        )

    def base(self, target: Target) -> str:
        """The name before hashing and suffix."""
        return names.base_name(
            target.event,
            namespace=self.plan.namespace,
            version=self.plan.event_version,
            full_name=target.full_name,
        )

    def container(self, target: Target) -> str:
        """The container of a target's JSON blobs; a namespace stands twice before a name that is not full."""
        return (self.plan.namespace + self.base(target)).lower()

    def ledger(self, target: Target, now: float) -> str:
        """The name under which the rows of a target are counted."""
        if target.store == "jsonblob":
            return f"{JSON_BLOB}/{self.container(target)}"
        if target.store == "file":
            return f"{FILE_LANE}/{target.event}"
        return self.name(target, now)


def blob_path(plan: Plan, event: str, base: int) -> str:
    """The blob for rows whose batch interval begins at ``base`` (Unix s). Raises PlaceError."""
    chosen: OnBehalf | None = next((o for o in plan.on_behalf if o.event == event), None)
    if chosen is None:
        head = [_field(plan, "resourceId", "resourceId"), _field(plan, "agentIdentityHash", "i")]
        return _path(head, [], base, "PT1H", _HOUR_S)
    head = [_field(plan, chosen.primary, chosen.primary)] if chosen.primary else []
    fields = [_field(plan, name, name) for name in chosen.fields if name]
    if chosen.period_s <= 0:
        return _path(head, fields, base, "PT1H", _HOUR_S)
    return _path(head, fields, base, chosen.period_name, chosen.period_s)


def _field(plan: Plan, name: str, shown: str) -> str:
    value = dict(plan.obo).get(name, "")
    if not value:
        raise PlaceError(f"no OboDirectPartitionField {name}: JSON blobs cannot be named")
    return f"{shown}={value}"


def _path(head: list[str], fields: list[str], base: int, period_name: str, period_s: int) -> str:
    when = time.gmtime(ticks.floor_to(base * ticks.SECOND_US, period_s))
    return "/".join([*head, time.strftime("y=%Y/m=%m/d=%d/h=%H/m=%M", when), *fields, f"{period_name}.json"])
