"""A program in the place of a real omicli: answers, errors, hangs, and our own command in disguise."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extension import orphans
from omi_queries.backends.child import BEGUN_VARIABLE, PARENT_VARIABLE, Child
from omi_queries.backends.child import begun as child_begun
from omi_queries.backends.choose import Settings, open_backend, with_fallback
from omi_queries.backends.fallback import FallbackBackend
from omi_queries.backends.omicli import MAX_SUBCLASSES, OmicliSource, unusable
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.backends.source import Question, RefusedError, SourceError, wait_for
from tests.omicli_bed import FakeOmicli

MEMORY = "SCX_MemoryStatisticalInformation"
PROCESSOR = "SCX_ProcessorStatisticalInformation"
ASKED = Question("root/scx", MEMORY, ("Name", "AvailableMemory"))
PRINTED = f"""instance of {MEMORY}
{{
    InstanceID=NULL
    Caption=Memory
 of this machine
    Description=NULL
    ElementName=NULL
    [Key] Name=Memory
    IsAggregate=true
    AvailableMemory=1234
    PercentUsedMemory=40
    PagesPerSec=NULL
}}
"""


@pytest.fixture
def fake(tmp_path: Path) -> FakeOmicli:
    made = FakeOmicli(tmp_path)
    made.answer(MEMORY, PRINTED)
    return made


@pytest.fixture
def source(fake: FakeOmicli) -> Iterator[OmicliSource]:
    made = OmicliSource(fake.path)
    yield made
    made.close()


def test_values_nulls_and_lines(fake: FakeOmicli) -> None:
    backend = open_backend("omicli", Settings(omicli=fake.path))
    text = f"SELECT Name,Caption,AvailableMemory,PagesPerSec FROM {MEMORY} WHERE AvailableMemory > 1000"
    reading = backend.open("root/scx", text).read(0.0)
    assert reading.instances == [
        {"Caption": "Memory\n of this machine", "Name": "Memory", "AvailableMemory": 1234, "PagesPerSec": None}
    ]
    assert (reading.source, dict(reading.skipped)) == ("omicli", {})
    assert fake.calls() == [f"-n cql root/scx SELECT * FROM {MEMORY}"]
    backend.close()


def test_noop(source: OmicliSource) -> None:
    assert wait_for(source.probe(), 20) == []


def test_a_class_it_has_not(source: OmicliSource) -> None:
    with pytest.raises(RefusedError, match="MI_RESULT_INVALID_CLASS: The class does not exist") as caught:
        wait_for(source.ask(Question("root/scx", PROCESSOR, ("Name",))), 20)
    assert caught.value.code == 5


def test_an_error_that_the_exit_code_does_not_tell(fake: FakeOmicli, source: OmicliSource) -> None:
    fake.answer(MEMORY, "instance of OMI_Error\n{\n    Message=Gone.\n    CIMStatusCode=5\n}\n")
    with pytest.raises(RefusedError, match="MI_RESULT_INVALID_CLASS: Gone") as caught:
        wait_for(source.ask(ASKED), 20)
    assert caught.value.code == 5


@pytest.mark.parametrize(
    ("mode", "said"),
    [("fail", "is omiserver running"), ("garbage", "something else than instances"), ("endless", "more than 16 MiB")],
)
def test_no_answer_is_a_clear_error(fake: FakeOmicli, source: OmicliSource, mode: str, said: str) -> None:
    fake.mode(mode)
    with pytest.raises(SourceError, match=said):
        wait_for(source.ask(ASKED), 60)
    fake.mode("ok")
    assert wait_for(source.ask(ASKED), 20)[0].values["AvailableMemory"] == 1234


def test_a_hang_is_ended_with_all_that_it_started(fake: FakeOmicli, source: OmicliSource) -> None:
    fake.mode("hang")
    exchange = source.ask(ASKED)
    assert not exchange.advance(0.5)
    pid = source._running._child.pid  # type: ignore[union-attr]
    group = _members(pid)
    assert len(group) >= 2  # the program and its own child
    with pytest.raises(SourceError, match="no answer within"):
        wait_for(exchange, 0.1)
    end = time.monotonic() + 10
    while _members(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert _members(pid) == []


def _members(group: int) -> list[int]:
    """Live processes of a group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(entry))
    return found


def test_programs_that_are_not_run(fake: FakeOmicli, tmp_path: Path) -> None:
    assert unusable(fake.path) == ""
    assert "No such file" in unusable(str(tmp_path / "none"))
    assert "not an executable" in unusable(str(tmp_path / "mode"))
    assert "not an executable" in unusable(str(tmp_path)) or "directory" in unusable(str(tmp_path))
    os.chmod(fake.path, 0o777)
    assert "may be changed by other users" in unusable(fake.path)
    with pytest.raises(SourceError, match="chmod go-w"):
        OmicliSource(fake.path).ask(ASKED)


def test_our_own_command_is_never_taken_for_an_omi(tmp_path: Path) -> None:
    script = tmp_path / "omicli-script"
    script.write_text("#!/usr/bin/python3\nimport sys\nfrom omi_queries.omicli import main\nsys.exit(main())\n")
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexec python3 -m omi_queries.omicli "$@"\n')
    module = tmp_path / "module"
    module.symlink_to(Path(__file__).parents[2] / "omi_queries/types.py")
    link = tmp_path / "omicli"
    link.symlink_to(script)
    for path in (script, wrapper):
        path.chmod(0o755)
    for path in (script, wrapper, link):
        assert "this project's own command" in unusable(str(path))
        backend = with_fallback("auto", Settings(omicli=str(path)))
        assert isinstance(backend, ProcfsBackend)
        backend.close()
    assert unusable(str(module))


def test_our_own_command_behind_a_wrapper_says_so(tmp_path: Path) -> None:
    wrapper = tmp_path / "omicli"
    (tmp_path / "run.py").write_text("import sys\nfrom omi_queries.omicli import main\nsys.exit(main())\n")
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/run.py "$@"\n')
    wrapper.chmod(0o755)
    assert unusable(str(wrapper)) == ""  # nothing in the file tells
    backend = open_backend("auto", Settings(omicli=str(wrapper)))
    reading = backend.open("root/scx", f"SELECT AvailableMemory FROM {MEMORY}").read(0.0)
    backend.close()
    assert reading.source == "procfs"
    assert "this project's own command" in reading.why


def test_auto(fake: FakeOmicli, tmp_path: Path) -> None:
    backend = open_backend("auto", Settings(omicli=fake.path))
    assert isinstance(backend, FallbackBackend)
    assert backend.open("root/scx", f"SELECT AvailableMemory FROM {MEMORY}").read(0.0).source == "omicli"
    assert fake.calls()[0] == "noop"
    backend.close()
    fake.mode("fail")
    backend = open_backend("auto", Settings(omicli=fake.path))
    reading = backend.open("root/scx", f"SELECT AvailableMemory FROM {MEMORY}").read(0.0)
    assert reading.source == "procfs"
    assert "noop failed" in reading.why
    backend.close()
    elsewhere = open_backend("auto", Settings(omicli=fake.path, proc_root=str(tmp_path)))
    assert elsewhere.name == "procfs"  # the command knows this machine only
    elsewhere.close()


def test_the_environment_is_not_handed_on(fake: FakeOmicli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    source = OmicliSource(fake.path)
    exchange = source.ask(ASKED)
    assert wait_for(exchange, 20)
    assert not any(name.lower().endswith("_proxy") for name in source._environ)


APACHE = "Apache_HTTPDServerStatistics"
DECLARED = f"""class of {APACHE}
{{
    [MI_STRING] [Key] InstanceID=NULL
    [MI_STRING] ServerVersion=NULL
    [MI_UINT64] TotalPctCPU=NULL
    [MI_UINT32A] Ports=NULL
}}
"""
SERVERS = f"""instance of {APACHE}
{{
    [Key] InstanceID=a
    ServerVersion=Apache
 of this machine
    TotalPctCPU=7
    Ports={{80, 443}}
}}
instance of {APACHE}
{{
    [Key] InstanceID=b
    ServerVersion=NULL
    TotalPctCPU=90
    Ports={{}}
}}
"""


def test_a_class_that_only_the_server_has(fake: FakeOmicli) -> None:
    fake.declare(APACHE, DECLARED)
    fake.answer(APACHE, SERVERS)
    backend = open_backend("auto", Settings(omicli=fake.path))
    reading = backend.open("root/apache", f"SELECT * FROM {APACHE} WHERE TotalPctCPU < 50").read(0.0)
    backend.close()
    assert reading.instances == [
        {"InstanceID": "a", "ServerVersion": "Apache\n of this machine", "TotalPctCPU": 7, "Ports": [80, 443]}
    ]
    types = {"InstanceID": "string", "ServerVersion": "string", "TotalPctCPU": "uint64", "Ports": "uint32[]"}
    assert (reading.source, dict(reading.types), dict(reading.skipped)) == ("omicli", types, {})
    text = f"-n cql root/apache SELECT * FROM {APACHE}"
    assert fake.calls() == ["noop", f"gc root/apache {APACHE}", text]


def test_instances_of_its_subclass_are_named(fake: FakeOmicli) -> None:
    fake.declare("Base", DECLARED.replace(APACHE, "Base"))
    fake.answer("Base", SERVERS)
    backend = open_backend("omicli", Settings(omicli=fake.path))
    reading = backend.open("root/apache", "SELECT * FROM Base").read(0.0)
    backend.close()
    assert reading.instances == []
    said = f"omicli gave an instance of {APACHE} and no types with it; ask for that class itself"
    assert dict(reading.skipped) == {said: 2}


SUBCLASS = """class of Vendor_Pump
{
    [MI_STRING] [Key] InstanceID=NULL
    [MI_STRING] Caption=NULL
    [MI_UINT32A] Ports=NULL
    [MI_STRING] Maker=NULL
    [MI_UINT64] Flow=NULL
}
"""
BASE = """class of Vendor_Thing
{
    [MI_STRING] Caption=NULL
    [MI_UINT32A] Ports=NULL
    [MI_UINT64] Weight=NULL
}
"""
MIXED = """instance of Vendor_Pump
{
    [Key] InstanceID=p1
    Caption=first
    Ports={1, 2}
    Maker=a line
and another=not a property
    Flow=7
}
instance of Vendor_Thing
{
    Caption=a plain one
    Ports={}
    Weight=9
}
instance of Vendor_Valve
{
    [Key] Name=v
    Caption=of no declaration
}
"""


def test_a_base_class_gives_the_instances_of_its_subclasses(fake: FakeOmicli) -> None:
    """With the properties of the base, as by CIM-XML, and the subclass's keys."""
    fake.declare("Vendor_Thing", BASE)
    fake.declare("Vendor_Pump", SUBCLASS)
    fake.answer("Vendor_Thing", MIXED)
    backend = open_backend("omicli", Settings(omicli=fake.path))
    reading = backend.open("root/vendor", "SELECT * FROM Vendor_Thing").read(0.0)
    backend.close()
    assert reading.instances == [
        {"InstanceID": "p1", "Caption": "first", "Ports": [1, 2]},
        {"Caption": "a plain one", "Ports": [], "Weight": 9},
    ]
    types = {"InstanceID": "string", "Caption": "string", "Ports": "uint32[]", "Weight": "uint64"}
    assert dict(reading.types) == types
    said = "omicli gave an instance of Vendor_Valve and no types with it; ask for that class itself"
    assert dict(reading.skipped) == {said: 1}
    assert fake.calls() == [
        "gc root/vendor Vendor_Thing",
        "-n cql root/vendor SELECT * FROM Vendor_Thing",
        "gc root/vendor Vendor_Pump",
        "gc root/vendor Vendor_Valve",
    ]


def test_so_many_subclasses_are_asked_for_and_no_more(fake: FakeOmicli) -> None:
    fake.declare("Vendor_Thing", BASE)
    names = ["Vendor_" + chr(65 + i) for i in range(MAX_SUBCLASSES + 4)]
    fake.answer("Vendor_Thing", "".join(f"instance of {n}\n{{\n    Caption=c\n}}\n" for n in names))
    for name in names:
        fake.declare(name, BASE.replace("Vendor_Thing", name))
    backend = open_backend("omicli", Settings(omicli=fake.path))
    reading = backend.open("root/vendor", "SELECT Caption FROM Vendor_Thing WHERE Caption = 'c'").read(0.0)
    backend.close()
    assert reading.instances == [{"Caption": "c"}] * MAX_SUBCLASSES
    assert len(reading.skipped) == 4


def test_a_class_that_nobody_has(fake: FakeOmicli) -> None:
    backend = open_backend("omicli", Settings(omicli=fake.path))
    with pytest.raises(RefusedError, match="MI_RESULT_INVALID_CLASS") as caught:
        backend.open("root/apache", f"SELECT * FROM {APACHE}").read(0.0)
    assert caught.value.code == 5
    with pytest.raises(RefusedError, match="is no namespace"):
        backend.open("--socketfile", f"SELECT * FROM {APACHE}").read(0.0)
    backend.close()
    assert fake.calls() == [f"gc root/apache {APACHE}"]


@pytest.mark.parametrize("mode", ["garbage", "fail"])
def test_a_declaration_that_is_none(fake: FakeOmicli, mode: str) -> None:
    fake.mode(mode)
    backend = open_backend("omicli", Settings(omicli=fake.path))
    with pytest.raises(SourceError, match=r"something else than instances|is omiserver running"):
        backend.open("root/apache", f"SELECT * FROM {APACHE}").read(0.0)
    backend.close()


def test_a_declaration_that_hangs_is_ended(fake: FakeOmicli, source: OmicliSource) -> None:
    fake.mode("hang")
    exchange = source.ask(Question("root/apache", APACHE, (), foreign=True))
    with pytest.raises(SourceError, match="no answer within"):
        wait_for(exchange, 0.5)
    pid = source._running._child.pid  # type: ignore[union-attr]
    end = time.monotonic() + 10
    while _members(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert _members(pid) == []


ASKING = """
import sys
from omi_queries.backends.choose import Settings, open_backend
open_backend("omicli", Settings(omicli=sys.argv[1], command=True)).open("root/scx", sys.argv[2]).read(0.0)
"""


def _marked(parent: int) -> list[int]:
    """The live processes that ``parent`` started, or that those started."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            carried = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            if f"{PARENT_VARIABLE}={parent}".encode() in carried:
                found.append(int(entry))
    return found


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_that_is_killed_leaves_no_hung_omicli(fake: FakeOmicli) -> None:
    fake.mode("hang")
    asked = "SELECT * FROM SCX_OperatingSystem"
    process = subprocess.Popen([sys.executable, "-c", ASKING, fake.path, asked])
    try:
        _until(lambda: len(_marked(process.pid)) == 2)  # the program and its own child
    finally:
        process.kill()
        process.wait(10)
    _until(lambda: not _marked(process.pid))


def test_the_guard_goes_with_what_it_guards(fake: FakeOmicli) -> None:
    child = Child([fake.path, "noop"], {"PATH": os.environ["PATH"]}, 1000, guarded=True)
    guard = child._guard
    assert guard is not None
    where = Path(f"/proc/{guard._pid}")
    assert where.exists()
    _until(lambda: child.listen(0.1) and child.ended)
    _until(lambda: child.exit_code(0.1) == 0)
    assert not where.exists()
    hung = Child(["/bin/sleep", "60"], {}, 1000, guarded=True)
    assert hung.kill()
    assert hung.code == -signal.SIGKILL


@pytest.mark.parametrize(("begun", "stays"), [("own", True), ("1", False), (None, False)])
def test_children_of_a_process_with_the_pid_of_a_dead_one_stay(begun: str | None, stays: bool) -> None:
    environ = {PARENT_VARIABLE: str(os.getpid())}
    if begun is not None:
        environ[BEGUN_VARIABLE] = begun if begun != "own" else child_begun(os.getpid())
    process = subprocess.Popen(["/bin/sleep", "60"], env=environ)
    try:
        _until(lambda: process.pid in _marked(os.getpid()))
        orphans.end(os.getpid())
        if stays:
            assert process.poll() is None
        else:
            assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait(10)


def test_a_child_carries_who_began_it_and_when(tmp_path: Path) -> None:
    child = Child(["/usr/bin/env"], {}, 10_000)
    _until(lambda: child.listen(0.1) and child.ended)
    child.exit_code(10)
    lines = child.out.decode().split()
    assert f"{PARENT_VARIABLE}={os.getpid()}" in lines
    begun = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert f"{BEGUN_VARIABLE}={begun}" in lines
