"""``lad config init``: the settings to start from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from extension.cli import main

FILLED = {
    "__DIAGNOSTIC_STORAGE_ACCOUNT__": "diagacct01",
    "__VM_OR_VMSS_RESOURCE_ID__": "/subscriptions/0f/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm",
    "__SAS_TOKEN__": "sv=2018-03-28&ss=bt&srt=sco&sp=acluw&se=2999-05-06T07%3A08%3A09Z&sig=Zm9vYmFy",
}


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["config", "init", *options]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def filled(text: str) -> str:
    for name, value in FILLED.items():
        text = text.replace(name, value)
    assert not re.search("__[A-Z_]+__", text)
    return text


def test_filled_in_settings_generate_without_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "public.json").write_text(filled(printed(capsys)))
    (tmp_path / "protected.json").write_text(filled(printed(capsys, "--protected")))
    command = ["config", "generate", "--public", str(tmp_path / "public.json")]
    command += ["--protected", str(tmp_path / "protected.json"), "--vm-uuid", "U", "--deployment-id", "D"]
    for lad in ([], ["--lad", "3.0"], ["--lad", "4.0"]):
        assert main([*command, *lad]) == 0
        told = capsys.readouterr()
        assert told.out.count("<MapName ") == 48
        assert told.out.count("<OMIQuery ") == 5
        assert told.out.count("<DerivedEvent ") == 10
        assert "warning" not in told.err
        assert "error" not in told.err


def test_both_forms_in_one_file_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = printed(capsys, "--both")
    assert set(json.loads(both)) == {"public", "protected"}
    file = tmp_path / "settings.json"
    file.write_text(filled(both))
    assert main(["config", "check", str(file)]) == 0
    capsys.readouterr()
    file.write_text(both)
    assert main(["config", "check", str(file)]) == 1
    told = capsys.readouterr().out
    for path in ("$.protected.storageAccountName", "$.protected.storageAccountSasToken", "metrics.resourceId"):
        assert f"{path}: is a placeholder that was not filled in" in told


def test_public_settings_can_be_checked_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = json.loads(filled(printed(capsys)))
    given["ladCfg"]["diagnosticMonitorConfiguration"]["syslogEvents"]["sinks"] = "somewhere"
    (tmp_path / "public.json").write_text(json.dumps(given))
    assert main(["config", "check", str(tmp_path / "public.json")]) == 0
    assert "sinks are defined in the protected settings" in capsys.readouterr().out


def test_settings_name_all_of_syslog(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = json.loads(printed(capsys))["ladCfg"]["diagnosticMonitorConfiguration"]
    assert len(monitor["syslogEvents"]["syslogEventConfiguration"]) == 20
    assert [p["scheduledTransferPeriod"] for p in monitor["metrics"]["metricAggregation"]] == ["PT1H", "PT1M"]
