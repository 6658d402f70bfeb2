"""Recordings: what is written is read back, wrong lines are named, and queries are answered from them."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import classes, recording
from omi_queries.backends.replay import ReplayBackend
from omi_queries.recording import InputEvent, Sample, format_sample, parse_line
from omi_queries.recording_file import Recording, RecordingError, Writer
from omi_queries.types import CimValue, QueryError

T0 = "2026-11-21T09:18:00.000000Z"
T0_US = 1_795_252_680_000_000
MEMORY = "SCX_MemoryStatisticalInformation"
DISK = "SCX_DiskDriveStatisticalInformation"


def line(t: str = T0, cls: str = MEMORY, *rows: object, namespace: str = "root/scx") -> str:
    return json.dumps({"t": t, "namespace": namespace, "class": cls, "instances": list(rows)})


def at(second: int) -> str:
    return f"2026-11-21T09:18:{second:02d}.000000Z"


def write(folder: Path, *lines: str, end: str = "\n") -> str:
    path = folder / "r.ndjson"
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return str(path)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "us"),
        [
            (T0, T0_US),
            ("2026-11-21T09:18:00Z", T0_US),
            ("2026-11-21T09:18:00.5Z", T0_US + 500_000),
            ("2026-11-21T09:18:00.123456789Z", T0_US + 123_456),
            ("2026-11-21T10:18:00+01:00", T0_US),
            ("2026-11-21T08:48:00-00:30", T0_US),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ],
    )
    def test_read(self, text: str, us: int) -> None:
        assert recording.parse_time(text) == us

    @pytest.mark.parametrize(
        "text",
        [None, 1, "", "2026-11-21", "2026-11-21T09:18:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
         "2026-11-21T24:00:00Z", "0000-01-01T00:00:00Z", "2026-11-21T09:18:00.Z", T0 + "\n", "٢026-11-21T09:18:00Z"],
    )  # fmt: skip
    def test_refused(self, text: object) -> None:
        with pytest.raises(ValueError, match="time"):
            recording.parse_time(text)

    def test_written(self) -> None:
        assert recording.time_text(T0_US) == T0


class TestLines:
    def test_the_documented_line(self) -> None:
        text = (
            '{"t": "2026-11-21T09:18:00.000000Z", "namespace": "root/scx", "class": '
            '"SCX_MemoryStatisticalInformation", "instances": [{"Name": "Memory", "AvailableMemory": 1000}]}'
        )
        found = parse_line(text.encode())
        assert isinstance(found, Sample)
        assert (found.at_us, found.namespace, found.class_name) == (T0_US, "root/scx", MEMORY)
        assert found.instances == [{"Name": "Memory", "AvailableMemory": 1000}]
        assert found.types == {"Name": "string", "AvailableMemory": "uint64"}
        assert format_sample(T0_US, "root/scx", MEMORY, found.instances, found.types) == text

    def test_a_value_with_its_own_type(self) -> None:
        found = parse_line(line(T0, MEMORY, {"Name": {"type": "uint8", "value": 3}}).encode())
        assert isinstance(found, Sample)
        assert (found.instances, found.given) == ([{"Name": 3}], {"Name": "uint8"})

    def test_a_character_and_integers_as_text_beside_their_type(self) -> None:
        row = {"C": {"type": "char16", "value": 65}, "U": {"type": "uint64", "value": "18446744073709551615"}}
        found = parse_line(line(T0, "X_Y", row).encode())
        assert isinstance(found, Sample)
        assert found.instances == [{"C": 65, "U": 2**64 - 1}]
        moment, real = {"type": "datetime", "value": "2026-11-21T10:18:00.5+01:00"}, {"type": "real64", "value": "inf"}
        row = {"D": moment, "R": real}
        found = parse_line(line(T0, "X_Y", row).encode())
        assert isinstance(found, Sample)
        assert found.instances == [{"D": "20261121091800.500000+000", "R": math.inf}]
        with pytest.raises(ValueError, match="U is uint64 and must be an integer from 0"):
            parse_line(line(T0, "X_Y", {"U": {"type": "uint64", "value": "18446744073709551616"}}).encode())

    def test_properties_come_in_the_order_of_the_declaration_whatever_the_case_of_the_class(self) -> None:
        found = parse_line(line(T0, MEMORY.upper(), {"UsedMemory": 1, "Name": "Memory", "Caption": None}).encode())
        assert isinstance(found, Sample)
        assert found.class_name == MEMORY
        assert list(found.instances[0]) == ["Caption", "Name", "UsedMemory"]

    def test_a_real_written_as_an_integer_is_a_real(self) -> None:
        found = parse_line(line(T0, DISK, {"AverageReadTime": 2}).encode())
        assert isinstance(found, Sample)
        assert repr(found.instances[0]["AverageReadTime"]) == "2.0"

    def test_an_unknown_class_has_the_types_of_its_values(self) -> None:
        row = {"S": "x", "U": 1, "I": -1, "R": 1.5, "B": True, "N": None, "A": [1], "E": []}
        found = parse_line(line(T0, "X_Y", row).encode())
        assert isinstance(found, Sample)
        assert found.types == {
            "S": "string", "U": "uint64", "I": "sint64", "R": "real64", "B": "boolean", "N": "string",
            "A": "uint64[]", "E": "string[]",
        }  # fmt: skip

    def test_an_input_event(self) -> None:
        text = json.dumps({"t": T0, "socket": "djson", "message": [1, "x"]})
        assert parse_line(text.encode()) == InputEvent(T0_US, "djson", [1, "x"])

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[]", "must be an object"),
            ("{", "not JSON"),
            ('{"a": 1, "a": 2}', "'a' stands twice"),
            (line("yesterday"), "t must be a time"),
            (json.dumps({"t": T0, "namespace": "root/scx", "class": MEMORY}), "instances is missing"),
            (json.dumps({"t": T0, "namespace": "", "class": MEMORY, "instances": []}), "namespace must be"),
            (line(T0, "a b"), "class must be"),
            (json.dumps({"t": T0, "namespace": "n", "class": "C", "instances": {}}), "instances must be a list"),
            (json.dumps({"t": T0, "namespace": "n", "class": "C", "instances": [], "x": 1}), "unknown key 'x'"),
            (line(T0, MEMORY, 1), "instance 1 is not an object"),
            (line(T0, MEMORY, {}, {"UsedMemroy": 1}), "instance 2: UsedMemroy is no property of " + MEMORY),
            (line(T0, MEMORY, {"UsedMemroy": 1}), "did you mean UsedMemory?"),
            (line(T0, MEMORY, {"UsedMemory": "1"}), "UsedMemory is uint64 and must be an integer"),
            (line(T0, MEMORY, {"UsedMemory": -1}), "from 0 to 18446744073709551615"),
            (line(T0, MEMORY, {"PercentUsedMemory": 256}), "from 0 to 255"),
            (line(T0, MEMORY, {"UsedMemory": True}), "must be an integer"),
            (line(T0, MEMORY, {"IsAggregate": 1}), "must be true or false"),
            (line(T0, MEMORY, {"Name": 1}), "must be text"),
            (line(T0, DISK, {"AverageReadTime": "x"}), "must be a number"),
            (line(T0, DISK, {"AverageReadTime": math.nan}), "NaN is not a number"),
            (line(T0, DISK, {"AverageReadTime": 10**400}), "so large a number"),
            (line(T0, MEMORY, {"Name": {"type": "uint9", "value": 1}}), "unknown type 'uint9'"),
            (line(T0, MEMORY, {"Name": {"value": 1}}), "must be a plain value or"),
            (line(T0, "C", {"D": {"type": "datetime", "value": "today"}}), "must look like"),
            (line(T0, "C", {"A": [1, None]}), "must not have null"),
            (line(T0, "C", {"A": {"type": "uint8[]", "value": 1}}), "must be a list"),
            (line(T0, "C", {"A": {"type": "uint8", "value": 1}}, {"A": {"type": "uint16", "value": 1}}), "uint16 here"),
            (json.dumps({"t": T0, "socket": "udp", "message": 1}), "socket must be one of"),
            ('{"t": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ],
    )
    def test_what_is_wrong_is_said(self, text: str, words: str) -> None:
        with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
            parse_line(text.encode())
        assert words in str(caught.value)


VALUES = {
    "string": st.text(),
    "boolean": st.booleans(),
    "datetime": st.just("20261121091618.747502+000"),
    "real64": st.floats(allow_nan=False, allow_infinity=False),
    "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 65535),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "sint16": st.integers(-(2**15), 2**15 - 1),
    "sint64": st.integers(-(2**63), 2**63 - 1),
}


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, list[dict[str, CimValue]], dict[str, str]]:
    """A class, instances and types: as declared, or of a class that nobody knows."""
    known = draw(st.sampled_from([*(classes.get(n) for n in classes.names() if classes.get(n).served), None]))
    if known is not None:
        types = {n: kind for n, kind in known.types.items() if kind.removesuffix("[]") in VALUES}
    else:
        types = draw(st.dictionaries(st.from_regex(r"[A-Z][a-z]{1,6}", fullmatch=True), st.sampled_from([*VALUES])))
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        names = draw(st.lists(st.sampled_from(sorted(types)), unique=True, max_size=4)) if types else []
        row: dict[str, CimValue] = {}
        for name in names:
            one: st.SearchStrategy[Any] = VALUES[types[name].removesuffix("[]")]
            row[name] = draw(st.none() | (st.lists(one, max_size=3) if types[name].endswith("[]") else one))
        rows.append(row)
    return known.name if known else "Foreign_Class", rows, types


@given(samples(), st.integers(0, 4_102_444_800_000_000))
def test_what_is_written_is_read_back(drawn: tuple[str, list[dict[str, CimValue]], dict[str, str]], at_us: int) -> None:
    name, rows, types = drawn
    text = format_sample(at_us, "root/scx", name, rows, types)
    assert "\n" not in text
    found = parse_line(text.encode())
    assert isinstance(found, Sample)
    assert (found.at_us, found.class_name, found.instances) == (at_us, name, rows)
    assert all(found.types[prop] == types[prop] for row in rows for prop in row)


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    keys = st.sampled_from(["t", "namespace", "class", "instances", "type", "value"])
    return st.lists(inner) | st.dictionaries(keys, inner)


LEAVES = st.none() | st.text() | st.just(T0) | st.just(MEMORY)


@given(st.binary(max_size=200) | st.recursive(LEAVES, nested).map(lambda value: json.dumps(value).encode()))
def test_no_line_makes_it_fail_otherwise(data: bytes) -> None:
    outcome = ""
    try:
        parse_line(data)
    except ValueError as error:
        outcome = str(error)
    assert "\n" not in outcome


class TestFiles:
    def test_wrong_line_is_numbered(self, tmp_path: Path) -> None:
        path = write(tmp_path, line(), "", line(T0, MEMORY, {"UsedMemory": -1}), line())
        with pytest.raises(RecordingError, match=r"r\.ndjson: line 3: instance 1: UsedMemory"):
            Recording(path)

    def test_order_is_checked(self, tmp_path: Path) -> None:
        path = write(tmp_path, line(at(2)), line(at(2), DISK), line(at(1)))
        with pytest.raises(RecordingError, match=r"line 3: 2026-11-21T09:18:01.000000Z is before the line above"):
            Recording(path)

    def test_a_last_line_cut_off_is_left_out_with_a_note(self, tmp_path: Path) -> None:
        path = write(tmp_path, line(at(1)), line(at(2))[:-7], end="")
        found = Recording(path)
        assert found.notes == [f"{path}: line 2, the last one, is incomplete and is left out"]
        assert found.first_us == found.last_us == T0_US + 1_000_000
        found.close()

    def test_a_last_line_without_its_end_counts_if_it_is_whole(self, tmp_path: Path) -> None:
        found = Recording(write(tmp_path, line(at(1)), line(at(2)), end=""))
        assert (found.notes, found.last_us) == ([], T0_US + 2_000_000)
        found.close()

    def test_an_unknown_class_is_noted_once_with_its_line(self, tmp_path: Path) -> None:
        unknown = line(at(1), "SCX_MemoryStatisticalInfo"), line(at(2), "LAB_X"), line(at(3), "LAB_X")
        path = write(tmp_path, line(), *unknown)
        found = Recording(path)
        assert found.last_us == T0_US + 3_000_000
        near = f"root/scx has no class SCX_MemoryStatisticalInfo; did you mean {MEMORY}?"
        tail = "Its properties have the types of their values."
        assert found.notes == [
            f"{path}: line 2: {near} {tail}",
            f"{path}: line 3: root/scx has no class LAB_X. {tail}",
        ]
        found.close()

    def test_nothing_in_it(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match="there is nothing in it"):
            Recording(write(tmp_path, "", ""))

    def test_no_such_file(self) -> None:
        with pytest.raises(RecordingError, match=r"^/nonexistent: No such file"):
            Recording("/nonexistent")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match="directory"):
            Recording(str(tmp_path))

    def test_input_events_stand_between(self, tmp_path: Path) -> None:
        event = json.dumps({"t": at(1), "socket": "json", "message": {"a": 1}})
        found = Recording(write(tmp_path, line(at(0)), event, line(at(2))))
        assert list(found.events()) == [InputEvent(T0_US + 1_000_000, "json", {"a": 1})]
        assert found.last_us == T0_US + 2_000_000
        found.close()

    def test_changed_under_the_reader(self, tmp_path: Path) -> None:
        path = write(tmp_path, line(at(0)), line(at(1), DISK))
        found = Recording(path)
        write(tmp_path, line(at(0), DISK), line(at(1)))
        with pytest.raises(RecordingError, match="has changed"):
            found.newest("root/scx", DISK, T0_US + 1_000_000)
        found.close()

    def test_the_writer_s_file_is_private_and_never_another_s(self, tmp_path: Path) -> None:
        path = tmp_path / "w"
        writer = Writer(str(path))
        writer.write(line())
        writer.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == line() + "\n"
        with pytest.raises(FileExistsError):
            Writer(str(path))
        path.chmod(0o644)
        Writer(str(path), replace=True).close()
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("", 0o600)
        link = tmp_path / "link"
        link.symlink_to(path)
        with pytest.raises(OSError, match="symbolic link"):
            Writer(str(link), replace=True)


class TestReplay:
    def backend(self, folder: Path, *lines: str) -> ReplayBackend:
        return ReplayBackend(write(folder, *lines))

    def test_the_newest_at_or_before_the_tick(self, tmp_path: Path) -> None:
        source = self.backend(tmp_path, *(line(at(s), MEMORY, {"UsedMemory": s}) for s in (10, 20, 30)))
        stream = source.open("root/scx", f"SELECT UsedMemory FROM {MEMORY}")
        first = stream.read(T0_US / 1e6 + 9.999)
        assert (first.instances, first.source) == ([], "replay")
        assert dict(first.skipped) == {f"the recording has no instances of {MEMORY} yet": 1}
        for seconds, used in ((10.0, 10), (19.999, 10), (20.0, 20), (31.0, 30), (math.inf, 30), (5e9, 30), (20.0, 20)):
            reading = stream.read(T0_US / 1e6 + seconds)
            assert (reading.instances, dict(reading.skipped)) == ([{"UsedMemory": used}], {}), seconds
        source.close()

    def test_a_virtual_clock_goes_before_the_tick(self, tmp_path: Path) -> None:
        path = write(tmp_path, *(line(at(s), MEMORY, {"UsedMemory": s}) for s in (10, 20)))
        now = [T0_US / 1e6 + 10]
        source = ReplayBackend(path, clock=lambda: now[0])
        stream = source.open("root/scx", f"SELECT UsedMemory FROM {MEMORY}")
        assert stream.read(0.0).instances == [{"UsedMemory": 10}]
        now[0] += 10
        assert stream.read(0.0).instances == [{"UsedMemory": 20}]
        source.close()

    def test_where_projection_order_and_case(self, tmp_path: Path) -> None:
        rows = [{"Name": n, "UsedMegabytes": u, "FreeMegabytes": 1} for n, u in (("/", 5), ("/a", 7), ("_Total", 12))]
        source = self.backend(tmp_path, line(T0, "scx_filesystemSTATISTICALINFORMATION", *rows))
        text = (
            "SELECT UsedMegabytes, Name FROM SCX_FileSystemStatisticalInformation "
            "WHERE UsedMegabytes > 5 AND Name <> '_total'"
        )
        reading = source.open("ROOT/SCX/", text).read(math.inf)
        assert [list(one.items()) for one in reading.instances] == [[("Name", "/a"), ("UsedMegabytes", 7)]]
        assert reading.types["UsedMegabytes"] == "uint64"
        source.close()

    def test_where_on_the_key_alone(self, tmp_path: Path) -> None:
        source = self.backend(tmp_path, line(T0, DISK, {"Name": "sda"}, {"Name": "_Total"}))
        reading = source.open("root/scx", f"SELECT Name FROM {DISK} WHERE Name='_TOTAL'").read(math.inf)
        assert reading.instances == [{"Name": "_Total"}]
        source.close()

    def test_a_stated_type_goes_before_the_declared_one(self, tmp_path: Path) -> None:
        source = self.backend(tmp_path, line(T0, MEMORY, {"UsedMemory": {"type": "uint8", "value": 3}}))
        reading = source.open("root/scx", f"SELECT UsedMemory FROM {MEMORY}").read(math.inf)
        assert (reading.instances, reading.types["UsedMemory"]) == ([{"UsedMemory": 3}], "uint8")
        source.close()

    def test_a_base_class_is_answered_by_its_recorded_subclasses(self, tmp_path: Path) -> None:
        source = self.backend(tmp_path, line(T0, MEMORY, {"Name": "Memory"}), line(T0, DISK, {"Name": "sda"}))
        reading = source.open("root/scx", "SELECT Name FROM CIM_StatisticalInformation").read(math.inf)
        assert sorted(str(one["Name"]) for one in reading.instances) == ["Memory", "sda"]
        assert dict(reading.skipped) == {}
        source.close()

    def test_a_class_that_only_the_recording_knows(self, tmp_path: Path) -> None:
        rows = ({"Name": "a", "Hits": 5}, {"Name": "b", "Hits": 7})
        source = self.backend(tmp_path, line(T0, "Apache_Stats", *rows, namespace="root/apache"))
        reading = source.open("root/apache", "SELECT Hits FROM apache_stats WHERE Hits > 5").read(math.inf)
        assert reading.instances == [{"Hits": 7}]
        assert reading.types == {"Name": "string", "Hits": "uint64"}
        warned = source.open("root/apache", "SELECT hits FROM Apache_Stats").read(math.inf)
        assert "write Hits" in warned.warnings[0]
        with pytest.raises(QueryError, match="did you mean Hits") as caught:
            source.open("root/apache", "SELECT Hit FROM Apache_Stats")
        assert caught.value.code == 15
        source.close()

    @pytest.mark.parametrize(
        ("namespace", "text", "code", "words"),
        [
            ("root/scx", "SELECT * FROM Nope", 5, f"the recording has {MEMORY}"),
            ("root/none", f"SELECT * FROM {MEMORY}", 3, "unknown namespace"),
            ("root/scx", "SELECT", 15, "expected"),
            ("root/scx", f"SELECT Nope FROM {MEMORY}", 15, "no property"),
        ],
    )
    def test_wrong_queries(self, namespace: str, text: str, code: int, words: str, tmp_path: Path) -> None:
        source = self.backend(tmp_path, line(T0, MEMORY, {"Name": "Memory"}))
        with pytest.raises(QueryError, match=words) as caught:
            source.open(namespace, text)
        assert caught.value.code == code
        source.close()

    def test_a_file_that_is_no_recording(self, tmp_path: Path) -> None:
        with pytest.raises(QueryError, match=r"line 1: not JSON") as caught:
            self.backend(tmp_path, "hello")
        assert caught.value.code == 1

    def test_there_is_no_state(self, tmp_path: Path) -> None:
        source = self.backend(tmp_path, line(T0, MEMORY, {"Name": "Memory"}))
        stream = source.open("root/scx", f"SELECT * FROM {MEMORY}")
        stream.prime()
        assert stream.state() is None
        assert stream.restore({"version": 1}) is False
        source.close()
