"""LAD 2.3 settings that have no effect, are overridden, misspelt or left unfilled: each is named."""

from __future__ import annotations

import base64
from datetime import datetime, timezone

import pytest

from extension.config.build import Generated, generate
from extension.config.machine import Machine

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
PROTECTED = {"storageAccountName": "diagacct01", "storageAccountKey": base64.b64encode(bytes(64)).decode()}
RESOURCE = "/subscriptions/0f1e2d3c/resourceGroups/rg-diag_one/providers/Microsoft.Compute/virtualMachines/web-01"
IDLE = {"class": "Processor", "counterSpecifier": "PercentIdleTime", "table": "LinuxCpu"}


def made(public: object, protected: object = PROTECTED) -> Generated:
    return generate(public, protected, machine=Machine("U", ""), now=NOW)


def found(generated: Generated, severity: str, path: str) -> str:
    """The messages of one severity at one path, as one text."""
    return " | ".join(p.message for p in generated.problems if p.severity == severity and p.path.startswith(path))


def packed(xml: str) -> str:
    return base64.b64encode(xml.encode()).decode()


def wad() -> str:
    metrics = f'<Metrics resourceId="{RESOURCE}"/>'
    return packed(f"<WadCfg><DiagnosticMonitorConfiguration>{metrics}</DiagnosticMonitorConfiguration></WadCfg>")


def monitor(**sections: object) -> dict[str, object]:
    return {"diagnosticMonitorConfiguration": sections}


def lad_cfg(*counters: object) -> dict[str, object]:
    return {"ladCfg": monitor(performanceCounters={"performanceCounterConfiguration": list(counters)})}


@pytest.mark.parametrize(
    ("public", "protected", "path", "message"),
    [
        ({"perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": "T", "tabel": 1}]}, {}, "perfCfg[0].tabel", "u"),
        ({"fileCfg": [{"file": "/a", "table": "T", "tag": 1}]}, {}, "fileCfg[0].tag", "unknown setting"),
        ({"ladCfg": {"sinks": 1}}, {}, "ladCfg.sinks", "unknown setting"),
        ({"ladCfg": monitor(syslogEvent={})}, {}, "ladCfg.diagnosticMonitorConfiguration.syslogEvent", "unknown"),
        (lad_cfg({**IDLE, "rate": 5}), {}, "ladCfg.diagnosticMonitorConfiguration.performanceCounters", "unknown"),
        ({**lad_cfg(IDLE), "perfCfg": [{}]}, {}, "perfCfg", "is not used"),
        ({"ladCfg": monitor(eventVolume="Small"), "eventVolume": "Large"}, {}, "eventVolume", "is not used"),
        ({"ladCfg": monitor(syslogCfg="YQ=="), "syslogCfg": "YQ=="}, {}, "syslogCfg", "is not used"),
        ({"ladCfg": monitor(metrics={"resourceId": RESOURCE}), "xmlCfg": wad()}, {}, "xmlCfg", "is not used"),
        ({"enableSyslog": "true", "EnableSyslog": "false"}, {}, "EnableSyslog", "is not used"),
        ({"enableSyslog": "false", "fileCfg": [{"file": "/a", "table": "T"}]}, {}, "enableSyslog", "file logs"),
        ({"syslogCfg": "YQ=="}, {}, "syslogCfg", "has no effect"),
        ({"instanceID": "x"}, {}, "instanceID", "has no effect"),
        ({"sampleRateInSeconds": "5", "perfCfg": []}, {}, "sampleRateInSeconds", "has no effect"),
        ({"StorageAccount": "another"}, {}, "StorageAccount", "is not the account"),
        ({"mysqlpassword": "x"}, {}, "mysqlpassword", "protected settings only"),
        ({}, {"mysqladdress": "x"}, "$.protected.mysqladdress", "MySQL is not sampled"),
        ({}, {"xmlCfg": "x"}, "$.protected.xmlCfg", "public settings only"),
        ({}, {"sasToken": "x"}, "$.protected.sasToken", "unknown setting"),
        ({"honourXmlCfg": True}, {}, "honourXmlCfg", "no metric tables"),
    ],
)
def test_what_has_no_effect_is_named(
    public: dict[str, object], protected: dict[str, object], path: str, message: str
) -> None:
    generated = made(public, {**PROTECTED, **protected})
    assert message in found(generated, "warning", path if path.startswith("$") else f"$.public.{path}")
    assert generated.ok


def test_the_portal_s_account_is_no_problem() -> None:
    generated = made({"StorageAccount": "DIAGacct01"})
    assert {p.severity for p in generated.problems} == {"note"}


def test_misspelt_alias_of_a_class() -> None:
    generated = made(lad_cfg({**IDLE, "class": "procesor"}))
    at = "$.public.ladCfg.diagnosticMonitorConfiguration.performanceCounters.performanceCounterConfiguration[0]"
    assert {p.cure for p in generated.problems if p.path == f"{at}.class"} == {"did you mean processor?"}
    assert "this query gives no rows" in found(generated, "warning", at)


@pytest.mark.parametrize(
    ("table", "message"),
    [("a" * 57, ""), ("a" * 58, "a hash of it"), ("1a", "letters and digits only"), ("a_b", "letters and digits only")],
)
def test_table_names(table: str, message: str) -> None:
    for public in (
        {"perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": table}]},
        {"fileCfg": [{"file": "/a", "table": table}]},
        lad_cfg({**IDLE, "table": table}),
    ):
        told = " | ".join(p.message for p in made(public).problems if p.path.endswith("table"))
        assert (message in told) if message else not told


def test_placeholders_that_were_not_filled_in() -> None:
    public = {"ladCfg": monitor(metrics={"resourceId": "__VM_OR_VMSS_RESOURCE_ID__"})}
    generated = made(public, {**PROTECTED, "storageAccountName": "__DIAGNOSTIC_STORAGE_ACCOUNT__"})
    assert "placeholder" in found(generated, "error", "$.protected.storageAccountName")
    assert "placeholder" in found(
        generated, "warning", "$.public.ladCfg.diagnosticMonitorConfiguration.metrics.resourceId"
    )


def test_own_base_document_is_judged_as_the_daemon_will() -> None:
    generated = made({"mdsdCfg": packed("<Monitoring/>")})
    assert generated.xml is not None
    assert "MonitoringManagement" in found(generated, "error", "$.public.mdsdCfg (the document as printed) line 1")


def test_proxy_goes_to_the_options_alone() -> None:
    generated = made({"mdsdHttpProxy": "other:1"}, {**PROTECTED, "mdsdHttpProxy": "http://u:geheim@proxy:3128"})
    assert generated.options == {"http_proxy": "http://u:geheim@proxy:3128"}
    assert b"proxy" not in (generated.xml or b"")
    assert "geheim" not in repr(generated)
    assert "is not used" in found(generated, "warning", "$.public.mdsdHttpProxy")
