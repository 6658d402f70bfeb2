"""The extension as a systemd unit, under a real systemd in a container (systemd-nspawn, debootstrap; needs root)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extension.vmagent.package import find_package

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
SUITE = {(3, 11): "bookworm", (3, 13): "trixie"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian tree with systemd and the Python that the package is built for."""
    for tool in ("systemd-nspawn", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (make test-system installs it where apt and root are there)")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    suite = SUITE.get(sys.version_info[:2])
    if suite is None:
        pytest.skip(f"no Debian release is known that ships Python {sys.version_info[0]}.{sys.version_info[1]}")
    root = tmp_path_factory.mktemp("nspawn") / "tree"
    packages = "systemd,systemd-sysv,python3,openssl,procps,dbus"
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(root)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        pytest.skip(f"debootstrap cannot make a tree here: {done.stdout[-300:]} {done.stderr[-300:]}")
    return root


@pytest.fixture(scope="module")
def found(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the life of the extension looked like in there."""
    folder = tree / "lad"
    folder.mkdir()
    shutil.copy(find_package(out_dir=str(tmp_path_factory.mktemp("package"))), folder / "package.zip")
    shutil.copy(HERE / "inside_systemd.py", folder / "inside.py")
    public = {"perfCfg": [{"query": "SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation", "table": "M"}]}
    (folder / "public.json").write_text(json.dumps({**public, "sampleRateInSeconds": "5"}))
    protected = {"storageAccountName": "local", "storageAccountKey": "a2V5" * 22}
    protected["storageAccountEndPoint"] = "file:///lad/tables.db"
    (folder / "protected.json").write_text(json.dumps(protected))
    unit = tree / "etc/systemd/system/lad-test.service"
    unit.write_text(
        "[Unit]\nAfter=multi-user.target\n[Service]\nType=simple\nExecStart=/usr/bin/python3 /lad/inside.py /lad\n"
        "StandardOutput=append:/lad/out.txt\nStandardError=append:/lad/out.txt\n"
    )
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "lad-test.service").symlink_to("/etc/systemd/system/lad-test.service")
    argv = ["systemd-nspawn", "-q", "-D", str(tree), "--boot", "--private-network", "--register=no", "--keep-unit"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400)
    said = (folder / "out.txt").read_text() if (folder / "out.txt").exists() else ""
    if not (folder / "found.json").exists() and not said:
        pytest.skip(f"systemd does not boot in a container here: {done.stdout[-500:]} {done.stderr[-500:]}")
    value: dict[str, Any] = json.loads((folder / "found.json").read_text())
    value["said"] = said
    return value


def test_the_commands_succeed(found: dict[str, Any]) -> None:
    for command in ("install", "enable", "again", "disable", "uninstall"):
        assert found[command]["code"] == 0, (command, found)


def test_enable_starts_a_unit_that_boots_with_the_machine(found: dict[str, Any]) -> None:
    assert found["healthy"], found
    assert found["enabled"]["ActiveState"] == "active"
    assert found["enabled"]["UnitFileState"] == "enabled"
    assert found["unchanged"]["MainPID"] == found["enabled"]["MainPID"]
    for name in ("extension.watchdog", "extension.collector", "extension.uploader"):
        assert name in found["processes"]


def test_systemd_restarts_a_killed_watchdog(found: dict[str, Any]) -> None:
    assert found["recovered"], found
    assert found["restarted"]["MainPID"] not in ("0", found["enabled"]["MainPID"])
    assert found["rows"]


def test_disable_and_uninstall_leave_nothing(found: dict[str, Any]) -> None:
    assert found["disabled"]["ActiveState"] == "inactive"
    assert found["disabled"]["UnitFileState"] in ("disabled", "")
    assert found["left"] == ""
    assert found["unit_file"] is False
    assert found["state"] is False
