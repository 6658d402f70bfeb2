"""Whatever /proc says, a sample is values of the declared types and ranges, or absences with a reason."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omi_queries import classes
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.types import CimValue, Reading

TREE = Path(__file__).parent.parent / "fixtures" / "proc" / "vm"
FILES = ["stat", "meminfo", "vmstat", "diskstats", "net/dev", "self/mounts"]
NASTY = [b"-5", b"99999999999999999999", b"18446744073709551615", b"\\000", b"\\777", b" ", b"\n"]
SERVED = [name for name in classes.names() if classes.get(name).served]
RANGES = {f"uint{bits}": (0, 2**bits) for bits in (8, 16, 32, 64)}
RANGES |= {f"sint{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1)) for bits in (8, 16, 32, 64)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    target = tmp_path_factory.mktemp("fuzz") / "root"
    shutil.copytree(TREE / "root", target)
    yield target
    shutil.rmtree(target)


@st.composite
def damages(draw: st.DrawFn) -> dict[str, bytes]:
    """Some of the files, cut, overwritten, doubled or replaced."""
    found: dict[str, bytes] = {}
    for name in draw(st.lists(st.sampled_from(FILES), unique=True)):
        content = (TREE / "root" / "proc" / name).read_bytes()
        at = draw(st.integers(0, len(content)))
        insert = draw(st.one_of(st.binary(max_size=30), st.sampled_from(NASTY)))
        kind = draw(st.sampled_from(["cut", "overwrite", "insert", "replace", "double"]))
        found[name] = {
            "cut": content[:at],
            "overwrite": content[:at] + insert + content[at + len(insert) :],
            "insert": content[:at] + insert + content[at:],
            "replace": insert,
            "double": content + content[:at],
        }[kind]
    return found


def fits(kind: str, value: CimValue) -> bool:
    if value is None:
        return True
    if kind.endswith("[]"):
        return isinstance(value, list) and all(fits(kind[:-2], one) for one in value)
    if kind in RANGES:
        return type(value) is int and RANGES[kind][0] <= value < RANGES[kind][1]
    if kind == "real64":
        return type(value) is float and 0.0 <= value < float("inf")
    return type(value) is (bool if kind == "boolean" else str)


def check(reading: Reading) -> None:
    for one in reading.instances:
        for prop, value in one.items():
            kind = reading.types[prop]
            assert fits(kind, value), (prop, value)
            if prop.startswith("Percent") and value is not None:
                assert isinstance(value, (int, float)), (prop, value)
                assert 0 <= value <= 100, (prop, value)
    json.dumps([reading.instances, dict(reading.skipped)]).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(damages(), min_size=1, max_size=3))
def test_damaged_files(root: Path, steps: list[dict[str, bytes]]) -> None:
    now = [100.0]
    space = os.statvfs_result((4096, 4096, 1000, 500, 400, 50, 20, 20, 0, 255))

    def statvfs(path: str) -> os.statvfs_result:
        os.stat(path)  # refuses what the kernel would refuse
        return space

    backend = ProcfsBackend(str(root), boottime=lambda: now[0], statvfs=statvfs)
    streams = [backend.open("root/scx", f"SELECT * FROM {name}") for name in SERVED]
    for step in [*steps, {}]:
        for name in FILES:
            content = step.get(name, (TREE / "root" / "proc" / name).read_bytes())
            (root / "proc" / name).write_bytes(content)
        for stream in streams:
            check(stream.read(now[0]))
            json.dumps(stream.state())
        now[0] += 7.5
