"""The live mount table: changes are noticed through poll, in a mount namespace of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
SCRIPT = """
import json, subprocess, sys
from omi_queries.backends.procfs import ProcfsBackend

source, target = sys.argv[1:]
backend = ProcfsBackend()
stream = backend.open("root/scx", "SELECT Name,IsOnline FROM SCX_FileSystemStatisticalInformation")
seen = []

def look(tick):
    found = {one["Name"]: one["IsOnline"] for one in stream.read(tick).instances}
    seen.append(found.get(target))

look(1.0)
look(2.0)
subprocess.run(["mount", "--bind", source, target], check=True)
look(3.0)
look(4.0)
subprocess.run(["umount", target], check=True)
look(5.0)
print(json.dumps(seen))
"""


def test_mounts_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    separate = ["unshare", "--mount", "--map-root-user", "--propagation", "private"]
    try:
        subprocess.run([*separate, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespace can be made here: {error}")
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    table = Path("/proc/self/mounts").read_text().splitlines()
    if not any(line.split()[0].startswith("/dev/") and line.split()[1] == "/" for line in table):
        pytest.skip("the root file system is not on a block device, a bind mount of it does not count")
    done = subprocess.run(
        [*separate, sys.executable, "-c", SCRIPT, str(source), str(target)],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [None, None, True, True, False]
