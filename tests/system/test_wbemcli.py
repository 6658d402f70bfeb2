"""Debian's sblim-wbemcli, a WBEM client in C that has nothing to do with pywbem, against the running service."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.server_bed import Server, running

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        shutil.which("wbemcli") is None, reason="wbemcli is not there; apt-get install sblim-wbemcli (Debian, Ubuntu)"
    ),
]
MEMORY = "SCX_MemoryStatisticalInformation"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), tls=True) as one:
        yield one


def wbemcli(
    server: Server, command: str, rest: str, *options: str, password: str = "secret", secure: bool = False
) -> subprocess.CompletedProcess[str]:
    scheme, port = ("https", server.tls_port) if secure else ("http", server.port)
    url = f"{scheme}://tester:{password}@127.0.0.1:{port}/root/scx:{rest}"
    flags = [one for one in options if one.startswith("-")]
    words = [one for one in options if not one.startswith("-")]
    argv = ["wbemcli", *(["-noverify"] if secure else []), *flags, command, url, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_enumerate_instances(server: Server, secure: bool) -> None:
    done = wbemcli(server, "ei", MEMORY, "-nl", secure=secure)
    assert done.returncode == 0, done.stderr
    assert f'{MEMORY}.Name="Memory"' in done.stdout
    used = re.search(r"^-UsedMemory=(\d+)$", done.stdout, re.MULTILINE)
    assert used
    assert int(used.group(1)) > 0


def test_instance_names(server: Server) -> None:
    done = wbemcli(server, "ein", "SCX_ProcessorStatisticalInformation")
    assert done.returncode == 0, done.stderr
    assert 'SCX_ProcessorStatisticalInformation.Name="_Total"' in done.stdout


def test_instance_and_property(server: Server) -> None:
    done = wbemcli(server, "gi", f"{MEMORY}.Name=Memory", "-nl")
    assert (done.returncode, '-Name="Memory"' in done.stdout) == (0, True), done.stderr + done.stdout
    done = wbemcli(server, "gp", f"{MEMORY}.Name=Memory", "UsedMemory")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_classes(server: Server) -> None:
    done = wbemcli(server, "gc", MEMORY)
    assert (done.returncode, MEMORY in done.stdout) == (0, True), done.stderr
    done = wbemcli(server, "ecn", "SCX_StatisticalInformation")
    assert (done.returncode, MEMORY in done.stdout) == (0, True), done.stderr
    done = wbemcli(server, "ec", "SCX_StatisticalInformation")
    assert (done.returncode, "PercentUsedMemory" in done.stdout) == (0, True), done.stderr


def test_errors(server: Server) -> None:
    done = wbemcli(server, "ei", "NoSuch")
    assert (done.returncode, "Cim: (5)" in done.stderr) == (16, True), done.stderr
    done = wbemcli(server, "ei", MEMORY, password="wrong")
    assert done.returncode == 16
    assert MEMORY not in done.stdout
    done = wbemcli(server, "cm", f"{MEMORY}.Name=Memory", "Reset")
    assert (done.returncode, "Cim: (16)" in done.stderr) == (16, True), done.stderr
    done = wbemcli(server, "gi", f"{MEMORY}.Name=none")
    assert (done.returncode, "Cim: (6)" in done.stderr) == (16, True), done.stderr
