"""``lad config convert``: what has a counterpart becomes the same streams, the rest is listed; secrets stay out."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from extension.cli import main
from extension.config.build import generate
from extension.config.convert_files import PLACEHOLDER, without_secrets
from extension.config.convert_streams import asked, streams
from extension.config.defaults import public_settings
from extension.config.machine import Machine
from extension.config.plan import planned
from extension.config.syslog_names import FACILITIES
from extension.plan import Account
from tests.daemon_bed import document

SIG = "c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
SAS = f"sv=2018-03-28&ss=bt&srt=sco&sp=rwlacud&se=2090-01-01T00:00:00Z&sig={SIG}"
KEY = base64.b64encode(b"k" * 64).decode()
RESOURCE = "/subscriptions/s/resourceGroups/g_1/providers/Microsoft.Compute/virtualMachines/web-01"


_KEYS = (
    "ladCfg", "diagnosticMonitorConfiguration", "performanceCounters", "performanceCounterConfiguration", "metrics",
    "metricAggregation", "scheduledTransferPeriod", "resourceId", "syslogEvents", "syslogEventConfiguration", "perfCfg",
    "query", "table", "fileCfg", "fileLogs", "file", "xmlCfg", "mdsdCfg", "eventVolume", "StorageAccount", "type",
    "class", "counter", "counterSpecifier", "sinks", "enableSyslog", "sampleRateInSeconds", "runtimeSettings",
)  # fmt: skip


class _Out(io.TextIOWrapper):
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def convert(*words: str | Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    out, err = _Out(io.BytesIO(), "utf-8"), _Out(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["config", "convert", *map(str, words)])
    return code, out.text(), err.text()


def _later() -> dict[str, Any]:
    text = json.dumps(public_settings()).replace("__DIAGNOSTIC_STORAGE_ACCOUNT__", "diagacct")
    found: dict[str, Any] = json.loads(text.replace("__VM_OR_VMSS_RESOURCE_ID__", RESOURCE))
    return found


def _file(folder: Path, public: object, protected: object | None) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps({"public": public, **({"protected": protected} if protected else {})}))
    return path


WITH_SAS = {"storageAccountName": "diagacct", "storageAccountSasToken": SAS}
WITH_KEY = {"storageAccountName": "diagacct", "storageAccountKey": KEY}


def _streams(path: Path) -> set[Any]:
    from datetime import datetime, timezone

    plan, problems = planned(str(path), None, "h", {}, datetime.now(timezone.utc))
    assert plan is not None, [p.render() for p in problems]
    return streams(plan)


def test_there_and_back_is_the_same(tmp_path: Path) -> None:
    source = _file(tmp_path, _later(), WITH_SAS)
    secret, again, third = tmp_path / "full.xml", tmp_path / "again.json", tmp_path / "third.xml"
    code, _, _ = convert("--to", "mdsd", source, "--protected-out", secret)
    assert code == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    protected = tmp_path / "protected.json"
    code, out, err = convert("--to", "3.0", secret, "--protected-out", protected)
    assert "no counterpart: the syslog facilities" in err  # a document has none
    assert code == 1
    assert json.loads(protected.read_text()) == WITH_SAS
    again.write_text(out)
    public = json.loads(out)
    assert len(public["ladCfg"]["diagnosticMonitorConfiguration"]["performanceCounters"][
        "performanceCounterConfiguration"]) == 48  # fmt: skip
    assert public["ladCfg"]["diagnosticMonitorConfiguration"]["metrics"]["resourceId"] == RESOURCE
    code, _, err = convert("--to", "mdsd", again, "--protected", protected, "--protected-out", third)
    assert code == 0, err
    assert _streams(third) == _streams(secret)
    assert len(_streams(third)) == 48 * 2 + 1


MEMORY = "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation"
HUBS = [
    {
        "name": f"hub{n}",
        "type": "EventHub",
        "sasURL": f"https://ns.servicebus.windows.net/h{n}?sr=x&sig={SIG}&se=9&skn=s",
    }
    for n in (1, 2)
]
BLOB = {"name": "logs", "type": "JsonBlob"}
UUID = ("--vm-uuid", "UUID-1")


def _with_sinks() -> tuple[dict[str, Any], dict[str, Any]]:
    """All features of 3.0 that a document has words for, with sinks."""
    monitor = {
        "metrics": {"resourceId": RESOURCE, "metricAggregation": [{"scheduledTransferPeriod": "PT1M"}]},
        "syslogEvents": {
            "syslogEventConfiguration": dict.fromkeys(FACILITIES, "LOG_DEBUG"), "sinks": "logs,hub1,hub2"
        },
    }  # fmt: skip
    public = {
        "ladCfg": {"diagnosticMonitorConfiguration": monitor},
        "perfCfg": [
            {"query": MEMORY, "table": "Mem", "sinks": "hub2,logs"},
            {"query": MEMORY, "sinks": "hub1,hub2", "frequency": 60},
        ],
    }
    return public, {**WITH_SAS, "sinksConfig": {"sink": [*HUBS, BLOB]}}


def test_sinks_of_every_feature_come_back(tmp_path: Path) -> None:
    xml, protected, again = tmp_path / "full.xml", tmp_path / "p.json", tmp_path / "again.xml"
    assert convert("--to", "mdsd", _file(tmp_path, *_with_sinks()), "--protected-out", xml, *UUID)[0] == 0
    code, out, err = convert("--to", "3.0", xml, "--protected-out", protected)
    assert code == 1
    assert [line for line in err.splitlines() if line.startswith("no counterpart")] == [
        "no counterpart: the syslog facilities and levels: a document has none, all of them are written"
    ]
    assert SIG not in out + err
    made, secret = json.loads(out), json.loads(protected.read_text())
    assert {sink["sasURL"] for sink in secret["sinksConfig"]["sink"] if "sasURL" in sink} == {h["sasURL"] for h in HUBS}
    assert made["ladCfg"]["diagnosticMonitorConfiguration"]["syslogEvents"]["sinks"].startswith("logs,EventHub")
    assert convert("--to", "mdsd", _file(tmp_path, made, secret), "--protected-out", again, *UUID)[0] == 0
    assert _streams(again) == _streams(xml)
    assert len(_streams(xml)) == 4 + 2 + 2 + 1
    root = etree.parse(str(xml)).getroot()
    hashes = [e.get("value") for e in root.iter("OboDirectPartitionField") if e.get("name") == "agentIdentityHash"]
    assert hashes == ["UUID-1"]


def test_a_second_hub_of_a_log_has_a_counterpart_in_no_form_of_2_3(tmp_path: Path) -> None:
    metrics = {"resourceId": RESOURCE, "metricAggregation": []}
    public: dict[str, Any] = {"ladCfg": {"diagnosticMonitorConfiguration": {"metrics": metrics}}}
    public["fileLogs"] = [{"file": "/var/log/a", "table": "ALog", "sinks": "hub1,hub2"}]
    secret = {**WITH_SAS, "sinksConfig": {"sink": HUBS}}
    for to in ("2.3", "3.0", "mdsd"):
        code, _, err = convert("--to", to, _file(tmp_path, public, secret))
        assert code == (1 if to == "2.3" else 0)
        for n in (1, 2):
            assert (f"no counterpart: log -> Event Hub ns.servicebus.windows.net/h{n}" in err) == (to == "2.3")


def test_a_query_without_a_table_breaks_no_other_in_earlier_settings(tmp_path: Path) -> None:
    public, secret = _with_sinks()
    public["perfCfg"] = [{"query": MEMORY, "sinks": "logs"}, {"query": MEMORY, "table": "Mem"}]
    code, out, err = convert("--to", "2.3", _file(tmp_path, public, secret))
    assert code == 1
    assert json.loads(out)["perfCfg"] == [{"query": MEMORY, "table": "Mem", "namespace": "root/scx"}]
    assert "table Mem" not in err


def test_settings_of_the_wanted_form_stay_as_they_are(tmp_path: Path) -> None:
    public, secret = _with_sinks()
    public["fileLogs"] = [{"file": "/var/log/a", "sinks": "hub1"}]
    protected = tmp_path / "p.json"
    code, out, _ = convert("--to", "3.0", _file(tmp_path, public, secret), "--protected-out", protected)
    assert (code, json.loads(out), json.loads(protected.read_text())) == (0, public, secret)


@pytest.mark.parametrize("kind", ["virtualMachines/web-01", "virtualMachineScaleSets/ss/virtualMachines/0"])
@pytest.mark.parametrize("given", ["web-7", ""])
def test_instance_ids_come_back(tmp_path: Path, kind: str, given: str) -> None:
    public, xml = _later(), tmp_path / "full.xml"
    metrics = public["ladCfg"]["diagnosticMonitorConfiguration"]["metrics"]
    metrics["resourceId"] = RESOURCE.replace("virtualMachines/web-01", kind)
    public |= {"instanceID": given} if given else {}
    assert convert("--to", "mdsd", _file(tmp_path, public, WITH_SAS), "--protected-out", xml, *UUID)[0] == 0
    _, out, err = convert("--to", "3.0", xml)
    assert json.loads(out).get("instanceID", "") == given
    assert "aggregated" not in err


def test_later_settings_are_told_from_earlier_ones(tmp_path: Path) -> None:
    """Without counters nothing else would."""
    _, out, _ = convert("--to", "3.0", _file(tmp_path, {"perfCfg": [], "enableSyslog": "true"}, WITH_SAS))
    made = generate(json.loads(out), WITH_SAS, machine=Machine("", ""))
    assert made.dialect == "3.0"


@pytest.mark.parametrize("to", ["2.3", "3.0", "mdsd"])
@pytest.mark.parametrize("protected", [WITH_SAS, WITH_KEY])
def test_no_secret_is_printed(tmp_path: Path, to: str, protected: dict[str, str]) -> None:
    public: dict[str, Any] = {
        "perfCfg": [{"query": "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation", "table": "M"}]
    }
    _, out, err = convert("--to", to, _file(tmp_path, public, protected))
    assert out
    whole = out + err + base64.b64decode(json.loads(out).get("mdsdCfg", "")).decode() if to != "mdsd" else out + err
    assert SIG not in whole
    assert KEY not in whole
    assert "--protected-out" in err


def test_earlier_settings_become_later_ones_and_say_what_is_lost(tmp_path: Path) -> None:
    public = {
        "enableSyslog": "false",
        "sampleRateInSeconds": "30",
        "perfCfg": [{"query": "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation", "table": "Mem"}],
        "fileCfg": [{"file": "/var/log/a.log", "table": "ALog"}],
    }
    path = _file(tmp_path, public, WITH_KEY)
    code, out, err = convert("--to", "3.0", path)
    made = json.loads(out)
    assert made["perfCfg"] == [
        {
            "query": "SELECT UsedMemory FROM SCX_MemoryStatisticalInformation",
            "table": "Mem",
            "namespace": "root/scx",
            "frequency": 30,
        }
    ]
    assert made["fileLogs"] == [{"file": "/var/log/a.log", "table": "ALog"}]
    assert code == 1
    assert "no counterpart: the account key" in err


def test_metrics_of_later_settings_go_into_a_document_of_ones_own(tmp_path: Path) -> None:
    later = _later()
    del later["ladCfg"]["diagnosticMonitorConfiguration"]["syslogEvents"]
    code, out, err = convert("--to", "2.3", _file(tmp_path, later, WITH_SAS))
    assert code == 0, err
    made = json.loads(out)
    root = etree.fromstring(base64.b64decode(made["mdsdCfg"]))
    assert len(root.findall(".//OMIQuery")) == 5  # one per class
    protected = tmp_path / "p.json"
    convert("--to", "2.3", _file(tmp_path, later, WITH_SAS), "--protected-out", protected)
    again = tmp_path / "again.json"
    again.write_text(out)
    one, two = tmp_path / "one.xml", tmp_path / "two.xml"
    assert convert("--to", "mdsd", again, "--protected", protected, "--protected-out", one)[0] == 0
    assert convert("--to", "mdsd", _file(tmp_path, later, WITH_SAS), "--protected-out", two)[0] == 0
    assert _streams(one) == _streams(two)


def test_what_settings_cannot_say_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "bed.xml"
    path.write_text(
        document(Account("m", "acct", "key", KEY, "https://acct.table.core.windows.net"), rate=15, period=60)
    )
    code, out, err = convert("--to", "3.0", path)
    assert code == 1
    assert "table Metrics" in err
    assert "WADMetrics" not in "".join(line for line in err.splitlines() if "added" not in line)
    json.loads(out)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not JSON"),
        ("{", "line 1"),
        ("[]", "no document"),
        ("<MonitoringManagement", "input"),
        ("<Other/>", "cannot be read"),
        ('{"perfCfg": ' + "[" * 100_000, "not JSON"),
    ],
)
def test_faulty_input_is_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "input"
    path.write_text(content)
    code, out, err = convert("--to", "3.0", path)
    assert (code, out) == (1, "")
    assert told in err
    assert "Traceback" not in err


def test_a_missing_file_and_missing_secrets_are_told(tmp_path: Path) -> None:
    code, _, err = convert("--to", "3.0", tmp_path / "none")
    assert code == 1
    assert "cannot be read" in err
    code, out, err = convert("--to", "mdsd", _file(tmp_path, _later(), None), "--protected-out", tmp_path / "x")
    assert (code, out) == (1, "")
    assert "--protected" in err
    assert not (tmp_path / "x").exists()


def test_every_place_of_a_secret_is_blanked() -> None:
    xml = (
        b'<M><Accounts><Account key="S1" decryptKeyPath="/k"/><ServiceBusAccountInfos><ServiceBusAccountInfo '
        b'connectionString="S2"/></ServiceBusAccountInfos></Accounts><EventPublisher><Key decryptKeyPath="/k">S3</Key>'
        b"</EventPublisher></M>"
    )
    made = without_secrets(xml).decode()
    assert not any(secret in made for secret in ("S1", "S2", "S3", "/k"))
    assert made.count(PLACEHOLDER) == 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT a, b FROM C", (("a", "b"), "C", "")),
        ("select a from C where Name='_Total'  AND b=1", (("a",), "C", "Name='_Total' AND b=1")),
        ("SELECT * FROM C WHERE x='from here where'", (("*",), "C", "x='from here where'")),
        ("nonsense", None),
    ],
)
def test_queries_are_taken_apart(text: str, parts: object) -> None:
    assert asked(text) == parts


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(public=_JSON, to=st.sampled_from(["2.3", "3.0", "mdsd"]))
def test_no_settings_end_in_a_traceback(public: object, to: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = convert("--to", to, _file(Path(folder), public, WITH_SAS))
    assert code in (0, 1)
    assert SIG not in out + err
    assert out or code == 1
