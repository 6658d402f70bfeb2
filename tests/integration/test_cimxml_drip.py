"""A server that drips (spec/cim-xml.md T2): each byte comes in time, so only a deadline ends the question."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omi_queries.backends.choose import Settings, with_fallback
from omi_queries.backends.cimxml import CimxmlSource, Endpoint, worker_argv
from omi_queries.backends.direct import DirectBackend
from omi_queries.backends.source import SourceError
from omi_queries.types import QueryError
from tests.cimxml_bed import PASSWORD, USER, FakeServer, serving

MEMORY = "SCX_MemoryStatisticalInformation"
PUMP = "Vendor_Pump"
ANSWERS: dict[str, list[tuple[str, dict[str, tuple[str, object]]]]] = {
    MEMORY: [(MEMORY, {"Name": ("string", "Memory"), "AvailableMemory": ("uint64", 5)})],
    PUMP: [(PUMP, {"Name": ("string", "p"), "Flow": ("uint32", 3)})],
}
LAD = [sys.executable, "-m", "extension.cli"]
LATE = r"(no answer|it could not be made ready to ask) within 10 s"
"""The second if this machine needs all that time to load the worker's library."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer(ANSWERS, mode="drip")) as fake:
        yield fake


def _slow_to_load(seconds: float) -> list[str]:
    python, option, code = worker_argv()
    return [python, option, f"import time; time.sleep({seconds}); {code}"]


def test_what_commands_say_of_it(server: FakeServer, tmp_path: Path) -> None:
    """All at once: each waits for 10 s."""
    where = ["--endpoint", server.url]
    alone = ["--backend", "cimxml", *where]
    record = ["record", "--count", "1", "--interval", "1", "--class"]
    auto, direct = tmp_path / "auto", tmp_path / "direct"
    commands = [
        ["query", *where, "--json", f"SELECT Name FROM {MEMORY}"],
        ["query", *where, f"SELECT * FROM {PUMP}"],
        ["query", *alone, f"SELECT * FROM {PUMP}"],
        [*record, MEMORY, "-o", str(auto), *where],
        [*record, MEMORY, "-o", str(direct), *alone],
    ]
    source = re.escape(f"cimxml ({server.url}): ")
    note = f"{source}{LATE}; samples come from /proc\n"
    failed = r"MI_RESULT_FAILED \(1\)\n"
    none = f"{MEMORY}: no answer at 1 of 1 times"
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen([*LAD, *one], stdout=-1, stderr=-1, text=True)) for one in commands
        ]
        ended = [one.communicate(timeout=120) for one in running]
    assert [one.returncode for one in running] == [0, 1, 1, 0, 1]
    assert json.loads(ended[0][0]) == [{"Name": "Memory"}]
    expected = [
        f"lad query: note: {note}",
        f"lad query: note: {note}lad query: no {PUMP}, which /proc does not have: {source}{LATE}; {failed}",
        f"lad query: {source}no answer within 10 s; {failed}",
        f"lad record: {note}lad record: 1 lines in {auto}\n",
        f"lad record: {MEMORY}: {source}no answer within 10 s\nlad record: {none}\nlad record: 0 lines in {direct}\n",
    ]
    for said, wanted in zip([one[1] for one in ended], expected, strict=True):
        assert re.fullmatch(wanted, said), said


@pytest.mark.parametrize("text", [f"SELECT Name FROM {MEMORY}", f"SELECT * FROM {PUMP}"])
def test_the_deadline_begins_when_the_question_is_put(server: FakeServer, text: str) -> None:
    """Not while the worker loads its library, neither the first worker nor the one after it."""
    source = CimxmlSource(Endpoint(server.url, USER, PASSWORD, timeout_s=5.0), argv=_slow_to_load(2.5))
    backend = DirectBackend(source, 2.0)
    stream = backend.open("root/scx", text)
    try:
        with pytest.raises(SourceError, match=re.escape(f"cimxml ({server.url}): no answer within 2 s")):
            stream.read(0.0)
        assert len(server.requests) == 1
        assert source.pid == 0  # nothing is left to work on the answer
        server.mode = "ok"
        server.release.set()
        assert len(stream.read(1.0).instances) == 1
    finally:
        backend.close()


def test_a_sample_beside_it_comes_from_proc_and_says_why(server: FakeServer) -> None:
    """As in a daemon, which waits for no first answer."""
    settings = Settings(endpoint=server.url, user=USER, password=PASSWORD, deadline_s=3.0)
    said: list[str] = []
    backend = with_fallback("auto", settings, lambda _level, text: said.append(text))
    source = f"cimxml ({server.url}): "
    try:
        stream = backend.open("root/scx", f"SELECT * FROM {MEMORY}")
        theirs = backend.open("root/vendor", f"SELECT * FROM {PUMP}")
        reading = stream.read(0.0)
        assert (reading.source, reading.why, said) == ("procfs", f"{source}it has not answered yet", [])
        until = time.monotonic() + 60
        tick = 0.0
        while not said and time.monotonic() < until:
            tick += 1.0
            reading = stream.read(tick)
            assert (reading.source, len(reading.instances)) == ("procfs", 1)
            time.sleep(0.05)
        assert said == [f"{source}no answer within 3 s; samples come from /proc"]
        assert stream.read(tick + 1).why == f"{source}no answer within 3 s"
        with pytest.raises(QueryError, match=re.escape(f"no {PUMP}, which /proc does not have: {source}no answer")):
            theirs.read(tick + 2)
    finally:
        backend.close()
