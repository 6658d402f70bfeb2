"""Valid settings of each generation with one part replaced, renamed, doubled or taken away: a document or an error."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.config import document
from extension.config.build import generate
from extension.config.machine import Machine
from extension.config.problems import Problems

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
KEY = base64.b64encode(bytes(64)).decode()
RESOURCE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v"
METRICS = f'<Metrics resourceId="{RESOURCE}"/>'
WAD = base64.b64encode(
    f"<WadCfg><DiagnosticMonitorConfiguration>{METRICS}</DiagnosticMonitorConfiguration></WadCfg>".encode()
).decode()
SAS = "sv=2018-03-28&ss=bt&srt=sco&sp=rwlacu&se=2099-01-01T00%3A00%3A00Z&sig=YmVuY2g%3D"
HUB = "https://n.servicebus.windows.net/h?sr=https%3a%2f%2fn%2fh&sig=YQ%3d%3d&se=4102444800&skn=writer"

LAD23 = {
    "public": {
        "xmlCfg": WAD,
        "eventVolume": "Medium",
        "sampleRateInSeconds": "60",
        "instanceID": "one",
        "enableSyslog": "true",
        "syslogCfg": "YQ==",
        "mdsdHttpProxy": "http://proxy:3128",
        "perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": "T", "namespace": "root/scx"}],
        "fileCfg": [{"file": "/var/log/a", "table": "A"}],
        "ladCfg": {
            "diagnosticMonitorConfiguration": {
                "performanceCounters": {
                    "performanceCounterConfiguration": [
                        {
                            "class": "memory",
                            "counterSpecifier": "UsedMemory",
                            "table": "M",
                            "condition": "Name='Memory'",
                        }
                    ]
                },
                "fileLogs": {"fileLogConfiguration": [{"file": "/var/log/b", "table": "B"}]},
                "metrics": {"resourceId": RESOURCE},
            },
            "sinksConfig": {"sinks": [{"applicationInsights": "k"}]},
        },
    },
    "protected": {
        "storageAccountName": "acct",
        "storageAccountKey": KEY,
        "storageAccountEndPoint": "https://core.windows.net",
        "mdsdHttpProxy": "http://u:p@proxy:3128",
        "mysqladdress": "127.0.0.1",
    },
}
LAD30 = {
    "public": {
        "StorageAccount": "acct",
        "sampleRateInSeconds": 15,
        "ladCfg": {
            "diagnosticMonitorConfiguration": {
                "eventVolume": "Medium",
                "metrics": {"resourceId": RESOURCE, "metricAggregation": [{"scheduledTransferPeriod": "PT1H"}]},
                "performanceCounters": {
                    "sinks": "blobs,hub",
                    "performanceCounterConfiguration": [
                        {
                            "type": "builtin",
                            "class": "processor",
                            "counter": "percentidletime",
                            "counterSpecifier": "/builtin/processor/percentidletime",
                            "sampleRate": "PT15S",
                            "condition": "IsAggregate=TRUE",
                            "annotation": [{"displayName": "CPU idle time", "locale": "en-us"}],
                        }
                    ],
                },
                "syslogEvents": {"sinks": "hub", "syslogEventConfiguration": {"LOG_CRON": "LOG_ERR"}},
            },
            "sampleRateInSeconds": 15,
        },
        "perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": "T", "frequency": 60, "sinks": "blobs"}],
        "fileLogs": [{"file": "/var/log/a", "table": "A", "sinks": "hub"}],
    },
    "protected": {
        "storageAccountName": "acct",
        "storageAccountSasToken": SAS,
        "sinksConfig": {
            "sink": [{"name": "blobs", "type": "JsonBlob"}, {"name": "hub", "type": "EventHub", "sasURL": HUB}]
        },
    },
}

Path = tuple[object, ...]
SCALARS = st.sampled_from(
    [None, True, False, 0, -1, 10**40, 1.5, float("inf"), float("nan"), "", " ", "0", "-1", "PT0S", "P1D", "\x00",
     "\ud800", "\u0661", "a,b", ",", "a/b", "&<>\"'", "]]>", "x" * 70_000, "{{" * 200_000, ":" * 200_000,
     "<a" * 100_000, "a@" * 100_000, "%25" * 60_000, "&a=" * 60_000, "//" * 100_000, "PT" + "9" * 100_000,
     "__NAME__", "SELECT", "%s%n", "{0}"]
)  # fmt: skip
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner), max_leaves=6
)


def places(value: object, at: Path = ()) -> Iterator[Path]:
    """The paths of all parts of a JSON value."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*at, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from places(child, (*at, i))


def changed(value: object, path: Path, how: str, new: object) -> object:
    """A copy of ``value`` with the part at ``path`` replaced, renamed, doubled or gone."""
    copy = json.loads(json.dumps(value))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    last = path[-1]
    if how == "replace":
        holder[last] = new
    elif isinstance(last, int):
        holder[last : last + 1] = [] if how == "remove" else [holder[last]] * 2
    else:
        part = holder.pop(last)
        if how != "remove":
            holder[f"{last}x" if how == "double" else str(last).swapcase()] = part
    return copy


@pytest.mark.parametrize(("whole", "dialect"), [(LAD23, "2.3"), (LAD30, "3.0")])
def test_the_starting_points_are_good(whole: dict[str, object], dialect: str) -> None:
    made = generate(whole["public"], whole["protected"], machine=Machine("u", ""), now=NOW)
    assert made.ok, [p.render() for p in made.problems]
    assert made.dialect == dialect


PLACES = [(whole, path) for whole in (LAD23, LAD30) for path in places(whole)]


@given(
    st.sampled_from(PLACES),
    st.sampled_from(["replace", "replace", "rename", "double", "remove"]),
    ANY,
    st.sampled_from([None, None, "2.3", "3.0", "4.0"]),
)
@settings(deadline=None, max_examples=300)
def test_one_part_changed(place: tuple[object, Path], how: str, new: object, lad: str | None) -> None:
    whole = changed(*place, how, new)
    assert isinstance(whole, dict)
    made = generate(whole.get("public"), whole.get("protected"), lad=lad, machine=Machine("u", ""), now=NOW)
    for problem in made.problems:
        assert problem.path
        assert problem.message
        assert problem.cure or problem.severity == "note" or made.dialect != "2.3", problem
        assert "\n" not in problem.render()
        assert len(problem.render()) < 1500
        json.dumps(problem.to_json()).encode()
    if made.xml is None:
        assert any(p.severity == "error" for p in made.problems)
        return
    problems = Problems()
    assert document.read(made.xml, "doc", problems) is not None
    if made.ok:
        assert not problems.failed, ([p.render() for p in problems], [p.render() for p in made.problems])
