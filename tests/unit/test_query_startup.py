"""A new process of a command loads what the class asked for needs, and no slow modules of the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from omi_queries.omicli import main
code = main(["omicli", *sys.argv[1:]])
print(code, *sorted(sys.modules), file=sys.stderr)
"""
SLOW = {
    "dataclasses",
    "inspect",
    "socket",
    "ssl",
    "asyncio",
    "email",
    "urllib.request",
    "subprocess",
    "importlib.metadata",
}
PROVIDERS = {
    "process": "SCX_UnixProcess",
    "endpoints": "SCX_LANEndpoint",
    "volume": "SCX_FileSystem",
    "operating_system": "SCX_OperatingSystem",
}


def loaded(*words: str) -> set[str]:
    command = [sys.executable, "-S", "-c", CODE, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize("words", [["id"], ["noop"], ["ei", "root/scx", "SCX_EthernetPortStatistics"]])
def test_nothing_slow_is_loaded_for_a_plain_question(words: list[str]) -> None:
    modules = loaded(*words)
    assert not SLOW & modules
    assert not {f"omi_queries.scx.{name}" for name in PROVIDERS} & modules


@pytest.mark.parametrize(("provider", "class_name"), PROVIDERS.items())
def test_the_provider_that_is_asked_is_loaded_and_no_other(provider: str, class_name: str) -> None:
    modules = loaded("cql", "root/scx", f"SELECT Name FROM {class_name}")
    found = {name.rpartition(".")[2] for name in modules if name.startswith("omi_queries.scx.")}
    assert found & set(PROVIDERS) == {provider}
