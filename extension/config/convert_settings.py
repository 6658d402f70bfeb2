"""A plan as LAD settings, as far as they can say it. What they cannot is found by comparing streams afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any
from urllib.parse import urlsplit

from extension.config import instance
from extension.config.convert_streams import asked
from extension.config.counters30 import CLASSES
from extension.config.syslog_names import FACILITIES
from extension.plan import Account, Derived, Plan, Query

SYSLOG = frozenset(("syslog", "mdsd.syslog"))
"""The sources that syslog comes in by."""

VOLUMES = {1: "Small", 10: "Medium", 100: "Large"}
_WAD = re.compile(r"WADMetrics(P[A-Z0-9]+)P10DV2S\Z", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_ESCAPED = re.compile(r":([0-9A-F]{4})")

Settings = dict[str, Any]


def later(plan: Plan) -> tuple[Settings, Settings]:
    """Public and protected settings of LAD 3.0, whose metricAggregation tells them from those of 2.3."""
    resource, counters = resource_id(plan), list(_counters(plan))
    periods = _periods(plan) if counters else []
    metrics: Settings = {"resourceId": resource} if resource else {}
    metrics["metricAggregation"] = [{"scheduledTransferPeriod": period} for period in periods]
    monitor: Settings = {"eventVolume": VOLUMES[plan.partitions], "metrics": metrics}
    sinks: list[Settings] = []
    if counters:
        monitor["performanceCounters"] = {"performanceCounterConfiguration": counters}
        _name_sinks(monitor["performanceCounters"], [*_blob_sinks(plan), *_hub_sinks(plan)], sinks)
    perf, perf_sinks = _perf(plan)
    sinks += [sink for sink in perf_sinks if sink not in sinks]
    if syslog(plan):
        monitor["syslogEvents"] = {"syslogEventConfiguration": dict.fromkeys(FACILITIES, "LOG_DEBUG")}
        _name_sinks(monitor["syslogEvents"], _syslog_sinks(plan), sinks)
    public: Settings = {"ladCfg": {"diagnosticMonitorConfiguration": monitor}, **_instance(plan)}
    if perf:
        public["perfCfg"] = perf
    protected = credentials(plan)
    protected.pop("storageAccountKey", None)  # refused by LAD 3.0
    if sinks:
        protected["sinksConfig"] = {"sink": sinks}
    return _with_account(plan, public), protected


def _name_sinks(feature: Settings, named: list[Settings], sinks: list[Settings]) -> None:
    """``named`` as the sinks of ``feature``, defined in ``sinks``."""
    if named:
        feature["sinks"] = ",".join(str(sink["name"]) for sink in named)
        sinks += [sink for sink in named if sink not in sinks]


def earlier(plan: Plan) -> tuple[Settings, Settings]:
    """Public and protected settings of LAD 2.3, where its own words do; :func:`whole` has the rest."""
    perf, _ = _perf(plan)
    rates = {query.rate for query in plan.queries if query.target.store == "table"}
    public: Settings = {"eventVolume": VOLUMES[plan.partitions]}
    public["perfCfg"] = [
        {name: one[name] for name in ("query", "table", "namespace") if name in one} for one in perf if "table" in one
    ]
    if len(rates) == 1:
        public["sampleRateInSeconds"] = str(rates.pop())
    if any(True for _ in _metrics(plan)):
        public["ladCfg"] = {"diagnosticMonitorConfiguration": {"metrics": {"resourceId": resource_id(plan)}}}
        public |= _instance(plan)
    public["enableSyslog"] = "true" if syslog(plan) else "false"
    return _with_account(plan, public), credentials(plan)


def syslog(plan: Plan) -> bool:
    """Whether the rows of syslog have a table."""
    return any(route.source in SYSLOG for route in plan.routes) or any(p.event in SYSLOG for p in plan.publishers)


def followed(plan: Plan) -> list[str]:
    """The sources of files that LAD follows; which files those are stands in no document."""
    names = dict.fromkeys(route.source for route in plan.routes)
    return [name for name in names if name.startswith(("ladfile", "mdsd.filelog"))]


def credentials(plan: Plan) -> Settings:
    """The protected settings of the default account."""
    account = default_account(plan)
    if account is None:
        return {}
    kind = "storageAccountSasToken" if account.kind == "sas" else "storageAccountKey"
    found = {"storageAccountName": account.account, kind: account.secret}
    endpoint = _endpoint(account)
    return found | ({"storageAccountEndPoint": endpoint} if endpoint else {})


def default_account(plan: Plan) -> Account | None:
    """The account that tables go to unless they say otherwise."""
    return next((a for a in plan.accounts if a.default), plan.accounts[0] if plan.accounts else None)


def resource_id(plan: Plan) -> str:
    """The machine's resource id: stated, or read out of a metric table's partition key."""
    for name, value in plan.obo:
        if name == "resourceId":
            return value
    keys = [d.lad.partition_key for _, d in _metrics(plan) if d.lad is not None]
    return _ESCAPED.sub(lambda m: chr(int(m.group(1), 16)), keys[0]) if keys else ""


def _instance(plan: Plan) -> Settings:
    """``instanceID``, but for the UUID of a scale set's machine, which LAD finds out on each of them."""
    found = {d.lad.instance_id for _, d in _metrics(plan) if d.lad is not None}
    one = found.pop() if len(found) == 1 else ""
    machines = {value for name, value in plan.obo if name == "agentIdentityHash"}
    own = one in machines or _UUID.fullmatch(one) is not None
    return {"instanceID": one} if one and not (own and instance.is_scale_set(resource_id(plan))) else {}


def _with_account(plan: Plan, public: Settings) -> Settings:
    account = default_account(plan)
    return ({"StorageAccount": account.account} if account else {}) | public


def _endpoint(account: Account) -> str:
    """``storageAccountEndPoint``: "" for the public cloud, a cloud's suffix, or the whole address."""
    prefix = f"https://{account.account}.table."
    if account.table_endpoint.startswith(prefix):
        suffix = account.table_endpoint.removeprefix(prefix)
        return "" if suffix == "core.windows.net" else f"https://{suffix}"
    parts = urlsplit(account.table_endpoint)
    if parts.path.strip("/") == account.account and parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    return account.table_endpoint


def _metrics(plan: Plan) -> Iterator[tuple[Query, Derived]]:
    """(local query, aggregation) of metric tables, whether they are written at once or by a second stage."""
    for query in plan.queries:
        for derived in plan.derived:
            if query.target.store == "local" and derived.source == query.target.event and derived.lad is not None:
                yield query, derived


def _periods(plan: Plan) -> list[str]:
    names = [m.group(1) for d in plan.derived if (m := _WAD.match(d.target.event)) and d.target.store == "table"]
    return list(dict.fromkeys(names))


def _counters(plan: Plan) -> Iterator[Settings]:
    """performanceCounterConfiguration of the local queries that are aggregated, for counters that there are."""
    seen: set[str] = set()
    for query, _ in _metrics(plan):
        parts = asked(query.text)
        if parts is None or query.unpivot is None or query.target.event in seen:
            continue
        seen.add(query.target.event)
        for column in query.unpivot.columns:
            found = _builtin(parts.class_name, column)
            if found is None or column not in parts.columns:
                continue
            family, counter = found
            one: Settings = {
                "type": "builtin",
                "class": family.name,
                "counter": counter.key,
                "counterSpecifier": query.unpivot.maps.get(column, (column, 1.0))[0],
                "unit": counter.unit,
                "annotation": [{"displayName": counter.display, "locale": "en-us"}],
                "sampleRate": f"PT{query.rate}S",
            }
            if parts.where:
                one["condition"] = parts.where
            yield one


def _builtin(class_name: str, column: str) -> Any:
    for family in CLASSES:
        if family.scx_class.lower() == class_name.lower():
            for counter in family.counters:
                if counter.scx_property == column:
                    return family, counter
    return None


def _blob_sinks(plan: Plan) -> list[Settings]:
    local = {d.target.event for _, d in _metrics(plan) if d.target.store == "local"}
    names = [d.target.event for d in plan.derived if d.source in local and d.target.store == "jsonblob"]
    return [{"name": name, "type": "JsonBlob"} for name in dict.fromkeys(names)]


def _hub_sinks(plan: Plan) -> list[Settings]:
    return _hubs(plan, {d.target.event for _, d in _metrics(plan) if d.target.store == "local"})


def _hubs(plan: Plan, events: Set[str]) -> list[Settings]:
    """The Event Hubs that the rows of ``events`` go to; a hub has one name wherever it is used."""
    names = {url: f"EventHub{n}" for n, url in enumerate(dict.fromkeys(p.url for p in plan.publishers), 1)}
    urls = dict.fromkeys(p.url for p in plan.publishers if p.event in events)
    return [{"name": names[url], "type": "EventHub", "sasURL": url} for url in urls]


def _syslog_sinks(plan: Plan) -> list[Settings]:
    targets = [route.target for route in plan.routes if route.source in SYSLOG]
    blobs = dict.fromkeys(target.event for target in targets if target.store == "jsonblob")
    local = {target.event for target in targets if target.store == "local"}
    return [*({"name": name, "type": "JsonBlob"} for name in blobs), *_hubs(plan, {*SYSLOG, *local})]


def _perf(plan: Plan) -> tuple[list[Settings], list[Settings]]:
    """perfCfg of the queries that are written as they are, and the sinks that they need."""
    found: dict[tuple[str, str, int], Settings] = {}
    sinks: dict[str, Settings] = {}
    for query in plan.queries:
        store, event = query.target.store, query.target.event
        hubs = _hubs(plan, {event}) if store == "local" else []
        if query.unpivot is not None or not (hubs or store in ("table", "jsonblob")):
            continue
        key = (query.namespace, query.text, query.rate)
        one = found.setdefault(key, {"query": query.text})
        if store == "table" and "table" in one:
            key = (*key[:2], -len(found))  # the same query into a second table
            one = found.setdefault(key, {"query": query.text})
        if store == "table":
            one["table"] = event
        for sink in hubs or ([{"name": event, "type": "JsonBlob"}] if store == "jsonblob" else []):
            one["sinks"] = ",".join(filter(None, (one.get("sinks"), sink["name"])))
            sinks[sink["name"]] = sink
        one |= {"namespace": query.namespace, "frequency": query.rate}
    return list(found.values()), list(sinks.values())
