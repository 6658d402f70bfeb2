"""Recorded runs of the original command: the same command line gives the same output, errors and exit code.

Where an answer depends on the machine, the recorded instances themselves are served from a recording, so that the
texts must still be equal to the last character.
"""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from omi_queries import classes, recording
from omi_queries.backends.replay import ReplayBackend
from omi_queries.omicli.command import World, run
from omi_queries.types import MI_FAILED, Backend, Instance, QueryError, QueryStream

FIXTURES = Path(__file__).parent.parent / "fixtures" / "omi-golden"
PROGRAM = "/opt/omi/bin/omicli"
AT_US = 1_795_253_880_000_000


class Golden(NamedTuple):
    """One recorded run."""

    argv: list[str]
    out: str
    err: str
    code: int


def golden(name: str) -> Golden:
    text = (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")
    match = re.fullmatch(r"\$ omicli (.*?)\n--- stdout\n(.*)--- stderr\n(.*)--- exit (\d+)\n*", text, re.DOTALL)
    assert match is not None, name
    argv, out, err, code = match.groups()
    return Golden(shlex.split(argv), out, err, int(code))


ALL = sorted(path.stem for path in FIXTURES.glob("*.txt"))
REFUSED_HERE = {"iv-shell"}  # the original runs a shell command; ours never does
UNORDERED = {"ei-base-SCX_StatisticalInformation"}  # the original has no useful order of classes


def value(kind: str, text: str) -> object:
    """A printed value as the recording format has it."""
    if text == "NULL":
        return None
    if kind.endswith("[]"):
        inner = text[1:-1]
        return [value(kind.removesuffix("[]"), one) for one in inner.split(", ")] if inner else []
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind.startswith("real"):
        return float(text)
    return int(text) if "int" in kind else text


def instances(out: str, namespace: str) -> dict[str, list[Instance]]:
    """Printed instances by class."""
    found: dict[str, list[Instance]] = {}
    for name, body in re.findall(r"^instance of (\w+)\n\{\n(.*?)^\}\n", out, re.DOTALL | re.MULTILINE):
        known = recording.declared_class(namespace, name)
        assert known is not None, name
        rows = [line.removeprefix("    ").removeprefix("[Key] ").partition("=") for line in body.splitlines()]
        one = {prop: value(known.types[prop], text) for prop, _, text in rows}
        found.setdefault(name, []).append(one)  # type: ignore[arg-type]
    return found


def whole(one: Golden) -> bool:
    """Whether the run shows whole instances, so that what it shows is all that the source had."""
    words = " ".join(one.argv)
    return one.code == 0 and one.argv[0] != "gc" and ("*" in words or not re.search(r"\b[cw]ql\b", words))


class Refusing:
    """A source that answers no query."""

    name = "refusing"

    def open(self, namespace: str, text: str) -> QueryStream:
        raise QueryError(MI_FAILED, f"{text} in {namespace}: the disk cannot be opened")

    def close(self) -> None:
        """Nothing is open."""


def backend(one: Golden, folder: Path) -> Backend:
    """The recorded instances as a source: those of the run itself, else those of ``ein-CLASS``."""
    if one.code == MI_FAILED:
        return Refusing()
    namespace = "root/omi" if one.argv[-1] == "id" else "root/scx"
    tables: dict[str, list[Instance]] = {}
    for name in ALL:
        if name.startswith("ein-") and golden(name).code == 0:
            tables.update(instances(golden(name).out, "root/scx"))
    if whole(one) or "AvailableMemory, Percent" in " ".join(one.argv):
        tables.update(instances(one.out, namespace))
    lines = []
    for class_name, rows in sorted(tables.items()):
        space = "root/omi" if class_name.startswith("OMI_") else "root/scx"
        lines.append(recording.format_sample(AT_US, space, class_name, rows, {}))
    path = folder / "golden.ndjson"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ReplayBackend(str(path), clock=lambda: AT_US / 1e6)


def outcome(argv: list[str], source: Backend) -> tuple[str, str, int]:
    out, err = io.StringIO(), io.StringIO()
    world = World(out, err, {}, sleep=lambda _s: None, clock=lambda: 0.0, backend=lambda: source)
    code = run([PROGRAM, *argv], world)
    return out.getvalue(), err.getvalue(), code


def test_there_are_recorded_runs() -> None:
    assert len(ALL) >= 45


@pytest.mark.parametrize("name", [n for n in ALL if n not in REFUSED_HERE | UNORDERED])
def test_same_as_the_original(name: str, tmp_path: Path) -> None:
    one = golden(name)
    out, err, code = outcome(one.argv, backend(one, tmp_path))
    assert out == one.out
    assert err == one.err
    assert code == one.code


@pytest.mark.parametrize("name", sorted(UNORDERED))
def test_same_but_for_the_order_of_classes(name: str, tmp_path: Path) -> None:
    one = golden(name)
    out, err, code = outcome(one.argv, backend(one, tmp_path))
    assert sorted(re.split(r"(?m)^(?=instance of )", out)) == sorted(re.split(r"(?m)^(?=instance of )", one.out))
    assert (err, code) == (one.err, one.code)


def test_a_method_call_is_refused() -> None:
    out, err, code = outcome(golden("iv-shell").argv, Refusing())
    assert code == 7
    assert "OMI_Code=7" in out
    assert "hello" not in out
    assert err == golden("ei-SCX_LogFile").err


@pytest.mark.parametrize("name", [n for n in ALL if n.startswith("gc-")])
def test_the_declarations_need_no_source(name: str) -> None:
    one = golden(name)

    def no_source() -> Backend:
        raise AssertionError("a class declaration asked the machine")

    out, err = io.StringIO(), io.StringIO()
    assert run([PROGRAM, *one.argv], World(out, err, {}, backend=no_source)) == 0
    assert (out.getvalue(), err.getvalue()) == (one.out, "")


def test_no_class_with_instances_has_subclasses_with_instances() -> None:
    """Enumerating class by class would show such instances twice."""
    for namespace in classes.namespaces():
        for name in classes.names(namespace):
            if classes.get(name).served:
                assert [one.name for one in classes.served_by(name)] == [name]
