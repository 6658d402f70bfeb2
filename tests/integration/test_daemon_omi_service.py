"""The emulated OMI service as a component: asked for in options.json, supervised, answered by a real client."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import pywbem  # type: ignore[import-untyped]

from extension.plan import Account
from tests.daemon_bed import Daemon, daemon, document, until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(bed: Daemon, folder: Path, **options: object) -> None:
    account = Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{folder}/tables.db", True)
    bed.configure(document(account, rate=1, period=5), upload_spread_s=0, **options)
    bed.start()
    bed.wait_healthy()


def _names(port: int, user: str, password: str) -> set[str]:
    connection = pywbem.WBEMConnection(f"http://127.0.0.1:{port}", (user, password), "root/scx", timeout=10)
    connection.session.trust_env = False
    with connection:
        return {str(i["Name"]) for i in connection.EnumerateInstances("SCX_ProcessorStatisticalInformation")}


def test_it_serves_when_asked_for_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    port = _free_port()
    with daemon(tmp_path) as bed:
        _start(bed, tmp_path, omi_service=f"127.0.0.1:{port}")
        assert bed.health()["components"]["omi_service"]["level"] == "ok"
        assert f"127.0.0.1:{port}" in bed.health()["components"]["omi_service"]["message"]
        secret = bed.state / "omi" / "credentials"
        assert secret.stat().st_mode & 0o777 == 0o600
        user, _, password = secret.read_text().strip().partition(":")
        assert "_Total" in _names(port, user, password)
        with pytest.raises(pywbem.AuthError):
            _names(port, user, "wrong")
        before = bed.kill("omi_service")
        until(lambda: bed.pid("omi_service") not in (0, before), 20, bed.describe)
        until(lambda: bed.health()["healthy"], 20, bed.describe)
        assert "_Total" in _names(port, user, password)
        assert {s["name"] for s in bed.status()["substatus"]} == {"collector", "uploader", "omi_service"}
        bed.stop(10)
        assert password not in bed.describe()


def test_it_is_off_by_default(tmp_path: Path) -> None:
    with daemon(tmp_path) as bed:
        _start(bed, tmp_path)
        assert set(bed.health()["components"]) == {"collector", "uploader"}
        bed.stop()


def test_a_port_in_use_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    with socket.socket() as taken, daemon(tmp_path) as bed:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        account = Account("m", "local", "key", "c2VjcmV0LWtleS0x", f"file://{tmp_path}/tables.db", True)
        port = taken.getsockname()[1]
        bed.configure(document(account, rate=1, period=5), upload_spread_s=0, omi_service=f"127.0.0.1:{port}")
        bed.start()
        until(lambda: "cannot listen" in str(bed.health().get("components", {}).get("omi_service")), 30, bed.describe)
        until(lambda: bed.health()["components"]["collector"]["state"] == "running", 30, bed.describe)
        until(lambda: bed.status()["status"] == "error", 10, bed.describe)
        bed.stop()
