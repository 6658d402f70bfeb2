"""The procfs backend over fixture trees: expected instances, rates over a stream's own interval, odd content."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omi_queries import classes
from omi_queries.backends.procfs import ProcfsBackend, ProcfsStream
from omi_queries.types import Instance, QueryError, Reading

FIXTURES = Path(__file__).parent.parent / "fixtures" / "proc"
TREES = [
    (tree.parent.name, class_name)
    for tree in sorted(FIXTURES.glob("*/expected.json"))
    for class_name in json.loads(tree.read_text())
]
SERVED = [(ns, name) for ns in classes.namespaces() for name in classes.names(ns) if classes.get(name).served]
CPU, MEMORY = "SCX_ProcessorStatisticalInformation", "SCX_MemoryStatisticalInformation"
DISK, FS = "SCX_DiskDriveStatisticalInformation", "SCX_FileSystemStatisticalInformation"
ETHERNET = "SCX_EthernetPortStatistics"
STATISTICAL = [CPU, "SCX_RTProcessorStatisticalInformation", MEMORY, DISK, FS, ETHERNET]


class Machine:
    """A copy of a fixture tree with a clock and statvfs answers of its own."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.source = FIXTURES / name
        self.root = tmp_path / "root"
        shutil.copytree(self.source / "root", self.root, symlinks=True)
        self.spaces: dict[str, list[int]] = json.loads((self.source / "statvfs.json").read_text())
        self.now = 1000.0
        self.asked: list[str] = []
        self.backend = self.new_backend()

    def new_backend(self) -> ProcfsBackend:
        return ProcfsBackend(
            str(self.root),
            boottime=lambda: self.now,
            statvfs=self.statvfs,
            page_size=4096,
            wall=lambda: 1700086400.5,
            hz=100,
        )

    def statvfs(self, path: str) -> os.statvfs_result:
        inside = "/" + os.path.relpath(path, self.root).lstrip("./")
        self.asked.append(inside)
        if inside not in self.spaces:
            raise PermissionError(13, "Permission denied")
        frsize, blocks, bfree, bavail, files, ffree = self.spaces[inside]
        return os.statvfs_result((frsize, frsize, blocks, bfree, bavail, files, ffree, ffree, 0, 255))

    def open(self, text: str) -> ProcfsStream:
        return self.backend.open("root/scx", text)

    def all(self, class_name: str) -> ProcfsStream:
        return self.open(f"SELECT * FROM {class_name}")

    def later(self, seconds: float = 10.0) -> None:
        """What happens next in the fixture."""
        after = self.source / "after"
        if after.exists():
            shutil.copytree(after, self.root, symlinks=True, dirs_exist_ok=True)
        self.now += seconds

    def write(self, path: str, content: str | bytes) -> None:
        target = self.root / path
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        self.write(path, change((self.root / path).read_text()))


@pytest.fixture
def vm(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "vm")


def by_name(reading: Reading) -> dict[object, Instance]:
    return {one.get("Name", one.get("InstanceID")): one for one in reading.instances}


def rates(class_name: str) -> set[str]:
    return {p.name for p in classes.get(class_name).properties.values() if p.rate}


def without_null(instances: list[Instance]) -> list[Instance]:
    return [{name: value for name, value in one.items() if value is not None} for one in instances]


@pytest.mark.parametrize(("name", "class_name"), TREES)
def test_fixture_trees_give_the_expected_instances(tmp_path: Path, name: str, class_name: str) -> None:
    """Expected instances may leave NULL properties out; one that is said to be null must be NULL, not absent."""
    machine = Machine(tmp_path, name)
    stream = machine.all(class_name)
    stream.prime()
    machine.later()
    reading = stream.read(1.0)
    expected: list[Instance] = json.loads((FIXTURES / name / "expected.json").read_text())[class_name]
    assert without_null(reading.instances) == without_null(expected)
    for one, wanted in zip(reading.instances, expected, strict=True):
        assert set(wanted) <= set(one)
        assert list(one) == [p for p in classes.get(class_name).properties if p in one]
        for prop, value in one.items():
            assert value is None or type(value) is PYTHON_TYPES[reading.types[prop]], prop
    assert reading.source == "procfs"


PYTHON_TYPES = {
    "string": str, "boolean": bool, "real64": float, "datetime": str, "string[]": list, "uint16[]": list,
    **dict.fromkeys(("uint8", "uint16", "uint32", "uint64", "sint16"), int),
}  # fmt: skip


@pytest.mark.parametrize("class_name", STATISTICAL)
def test_first_reading_without_priming_has_no_rates_and_says_so(vm: Machine, class_name: str) -> None:
    reading = vm.all(class_name).read(1.0)
    assert reading.instances
    wanted = set(classes.get(class_name).properties) - rates(class_name)
    assert all(set(one) == wanted for one in reading.instances)
    assert bool(reading.skipped) == bool(rates(class_name))


def test_each_stream_has_rates_over_its_own_interval(vm: Machine) -> None:
    often, rarely = vm.open(f"SELECT PagesReadPerSec FROM {MEMORY}"), vm.open(f"SELECT PagesReadPerSec FROM {MEMORY}")
    seen: list[object] = []
    often.prime()
    rarely.prime()
    for step in range(1, 5):
        vm.now += 15
        vm.write("proc/vmstat", f"pgpgin {1000000 + 4 * 15 * step * step}\npgpgout 1\n")
        seen.append(often.read(vm.now).instances[0]["PagesReadPerSec"])
    assert seen == [1, 3, 5, 7]
    assert rarely.read(vm.now).instances[0]["PagesReadPerSec"] == 4


def test_streams_asked_with_the_same_tick_share_one_snapshot(vm: Machine) -> None:
    first, second = vm.all(ETHERNET), vm.open(f"SELECT BytesTotal FROM {ETHERNET}")
    before = first.read(1.0).instances[0]["BytesTotal"]
    vm.later()
    assert second.read(1.0).instances[0]["BytesTotal"] == before
    assert second.read(2.0).instances[0]["BytesTotal"] != before


def test_a_tick_asked_twice_gives_the_same_answer(vm: Machine) -> None:
    stream = vm.all(CPU)
    stream.prime()
    vm.later()
    assert stream.read(1.0).instances == stream.read(1.0).instances
    assert "PercentIdleTime" in stream.read(1.0).instances[0]


def test_disk_and_file_system_share_the_reading_of_diskstats(vm: Machine) -> None:
    disks, mounted = vm.all(DISK), vm.all(FS)
    for stream in (disks, mounted):
        stream.prime()
    vm.later()
    first = by_name(disks.read(1.0))["nvme1n1"]["ReadsPerSecond"]
    vm.write("proc/diskstats", "")
    assert by_name(mounted.read(1.0))["/mnt/scratch"]["ReadsPerSecond"] == first


def test_elapsed_time_does_not_come_from_the_wall_clock(vm: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = vm.open(f"SELECT ReadsPerSecond FROM {DISK} WHERE Name='sda'")
    stream.prime()
    vm.later(20.0)
    monkeypatch.setattr("time.time", lambda: -1e9)
    assert stream.read(1.0).instances == [{"ReadsPerSecond": 5}]


def test_no_time_passed_means_no_rates(vm: Machine) -> None:
    stream = vm.all(DISK)
    stream.prime()
    vm.later(0.0)
    reading = stream.read(1.0)
    assert not rates(DISK) & set(reading.instances[0])
    assert reading.skipped == {"no time passed since the earlier reading, rates are not known": 1}


# --- what is kept over a restart


@pytest.mark.parametrize("class_name", [CPU, MEMORY, DISK, FS])
def test_state_gives_the_next_process_its_first_rates(vm: Machine, class_name: str) -> None:
    stream = vm.all(class_name)
    stream.prime()
    kept = json.loads(json.dumps(stream.state()))
    vm.later()
    expected = stream.read(1.0).instances
    vm.backend = vm.new_backend()
    resumed = vm.all(class_name)
    assert resumed.restore(kept)
    reading = resumed.read(1.0)
    assert reading.instances == expected
    assert not reading.skipped


def test_state_of_cumulative_counters_is_none(vm: Machine) -> None:
    stream = vm.all(ETHERNET)
    stream.read(1.0)
    assert stream.state() is None
    assert stream.restore({"version": 1}) is False


def test_nothing_read_yet_is_no_state(vm: Machine) -> None:
    assert vm.all(CPU).state() is None


def _changed(state: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    copy = json.loads(json.dumps(state))
    *inner, last = path.split("/")
    target = copy
    for key in inner:
        target = target[key]
    target[last] = value
    return dict(copy)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("boot", "another"),
        ("version", 99),
        ("classes", []),
        ("classes", {}),
        (f"classes/{CPU}", None),
        (f"classes/{CPU}/at", "x"),
        (f"classes/{CPU}/at", True),
        (f"classes/{CPU}/at", -1.0),
        (f"classes/{CPU}/at", 1e12),
        (f"classes/{CPU}/at", float("nan")),
        (f"classes/{CPU}/raw", [1]),
        (f"classes/{CPU}/raw/0", [1, 2]),
        (f"classes/{CPU}/raw/0", [1, 2, 3, 4, 5, 6, -7]),
        (f"classes/{CPU}/raw/0", [1, 2, 3, 4, 5, 6, "7"]),
        (f"classes/{CPU}/raw/0", [1, 2, 3, 4, 5, 6, True]),
    ],
)
def test_state_that_does_not_fit_is_ignored(vm: Machine, path: str, value: object) -> None:
    stream = vm.all(CPU)
    stream.prime()
    state = stream.state()
    assert state is not None
    other = vm.all(CPU)
    assert other.restore(_changed(state, path, value)) is False
    assert not rates(CPU) & set(other.read(1.0).instances[0])


def test_what_a_query_without_rates_keeps_is_of_no_use_to_one_with_rates(vm: Machine) -> None:
    plain = vm.backend.open("root/scx", f"SELECT AvailableMemory FROM {MEMORY}")
    plain.read(1.0)
    kept = plain.state()
    assert kept is not None
    assert vm.all(MEMORY).restore(kept) is False


@pytest.mark.parametrize("junk", [{}, [], None, "x", {"version": 1, "boot": None}])
def test_junk_is_no_state(vm: Machine, junk: Any) -> None:
    assert vm.all(CPU).restore(junk) is False


def test_without_a_boot_id_there_is_no_state(vm: Machine) -> None:
    (vm.root / "proc/sys/kernel/random/boot_id").unlink()
    stream = vm.all(CPU)
    stream.prime()
    assert stream.state() is None


# --- processors


def test_a_processor_goes_away_and_comes_back(vm: Machine) -> None:
    stream = vm.all(CPU)
    stream.prime()
    vm.later()
    full = (vm.root / "proc/stat").read_text()
    vm.edit("proc/stat", lambda text: text.replace("cpu1 ", "gone "))
    reading = stream.read(1.0)
    assert list(by_name(reading)) == ["0", "_Total"]
    assert reading.skipped == {"processor 1: no longer in /proc/stat": 1}
    vm.now += 10
    vm.write("proc/stat", full.replace("cpu0 1500", "cpu0 1700").replace("cpu  2501", "cpu  2701"))
    back = stream.read(2.0)
    assert "PercentIdleTime" not in by_name(back)["1"]
    assert by_name(back)["0"]["PercentUserTime"] == 100
    assert back.skipped == {"processor 1: new, rates are not known yet": 1}


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("cpu0 1500 100 700 20250 245", "cpu0 1500 100 700 20250 195", {"PercentIOWaitTime"}),
        ("cpu0 1500 100 700 20250 245", "cpu0 1500 100 700 19990 245", {"PercentIdleTime"}),
        ("cpu0 1500 100 700 20250 245", "cpu0 1500 100 700 9 245", rates(CPU)),
        ("cpu0 1500 100 700 20250 245", "cpu0 999 100 700 20250 245", rates(CPU)),
    ],
)
def test_processor_counters_that_go_backwards(vm: Machine, old: str, new: str, missing: set[str]) -> None:
    stream = vm.all(CPU)
    stream.prime()
    vm.later()
    vm.edit("proc/stat", lambda text: text.replace(old, new))
    reading = stream.read(1.0)
    assert rates(CPU) - set(by_name(reading)["0"]) == missing
    assert rates(CPU) <= set(by_name(reading)["_Total"])
    assert reading.skipped == {"processor 0: counter went backwards": 1}


@pytest.mark.parametrize("content", ["", "\n", "garbage\n", "cpu", "intr 1\n", b"\xff\xfe\x00"])
def test_unreadable_stat_costs_the_sample_and_nothing_else(vm: Machine, content: str | bytes) -> None:
    stream = vm.all(CPU)
    stream.prime()
    vm.write("proc/stat", content)
    vm.now += 5
    reading = stream.read(1.0)
    assert reading.instances == []
    assert any(reason.startswith("/proc/stat") for reason in reading.skipped)
    vm.later(5.0)
    expected = json.loads((FIXTURES / "vm" / "expected.json").read_text())[CPU]
    assert stream.read(2.0).instances == expected


# --- memory


def test_missing_meminfo_is_null_and_counted(vm: Machine) -> None:
    stream = vm.all(MEMORY)
    stream.prime()
    vm.later()
    (vm.root / "proc/meminfo").unlink()
    reading = stream.read(1.0)
    assert reading.instances[0]["AvailableMemory"] is None
    assert reading.instances[0]["PagesReadPerSec"] == 53
    assert reading.skipped == {"/proc/meminfo: No such file or directory": 1}


def test_contradicting_meminfo_is_null_for_what_it_touches(vm: Machine) -> None:
    vm.edit("proc/meminfo", lambda text: text.replace("1500000 kB", "9999999 kB"))
    reading = vm.open(f"SELECT AvailableMemory,AvailableSwap,PercentUsedSwap FROM {MEMORY}").read(1.0)
    assert reading.instances == [{"AvailableMemory": 3906, "AvailableSwap": None, "PercentUsedSwap": None}]
    assert reading.skipped == {"/proc/meminfo: fields are missing or contradict each other": 1}


def test_paging_counters_that_go_backwards_leave_their_rates_out(vm: Machine) -> None:
    stream = vm.all(MEMORY)
    stream.prime()
    vm.later()
    vm.write("proc/vmstat", "pgpgin 5\npgpgout 5004150\n")
    reading = stream.read(1.0)
    assert set(reading.instances[0]) & rates(MEMORY) == {"PagesWrittenPerSec"}
    assert reading.skipped == {"/proc/vmstat pgpgin: counter went backwards": 1}


def test_vmstat_is_not_needed_for_memory_alone(vm: Machine) -> None:
    (vm.root / "proc/vmstat").unlink()
    reading = vm.open(f"SELECT UsedMemory FROM {MEMORY}").read(1.0)
    assert reading.instances == [{"UsedMemory": 4057}]
    assert not reading.skipped


# --- disks and file systems


def test_where_total_is_matched_without_case(vm: Machine) -> None:
    stream = vm.open(f"SELECT ReadsPerSecond,AverageDiskQueueLength FROM {DISK} WHERE Name='_TOTAL'")
    stream.prime()
    vm.later()
    assert stream.read(1.0).instances == [{"ReadsPerSecond": 11, "AverageDiskQueueLength": 0.0}]


def test_disk_that_vanishes_stays_as_offline(vm: Machine) -> None:
    stream = vm.all(DISK)
    stream.prime()
    vm.later()
    vm.edit("proc/self/mounts", lambda text: text.replace("/dev/nvme1n1p1 /mnt/scratch xfs", "x y tmpfs"))
    vm.edit("proc/diskstats", lambda text: "".join(x + "\n" for x in text.splitlines() if "nvme1n1" not in x))
    reading = stream.read(1.0)
    found = by_name(reading)
    assert list(found) == ["sda", "nvme0n1", "nvme1n1", "_Total"]
    assert found["nvme1n1"]["IsOnline"] is False
    assert "ReadsPerSecond" not in found["nvme1n1"]
    assert found["_Total"]["ReadsPerSecond"] == 10
    assert reading.skipped == {"disk nvme1n1: not in /proc/diskstats": 1}


def test_unmounted_file_system_stays_as_offline_without_space(vm: Machine) -> None:
    stream = vm.open(f"SELECT Name,IsOnline,FreeMegabytes FROM {FS}")
    stream.read(1.0)
    vm.edit("proc/self/mounts", lambda text: text.replace("/dev/sda1 /boot ext4", "/dev/sda1 /boot2 ext4"))
    vm.spaces["/boot2"] = vm.spaces["/boot"]
    found = by_name(stream.read(2.0))
    assert found["/boot"] == {"Name": "/boot", "IsOnline": False, "FreeMegabytes": None}
    assert found["/boot2"] == {"Name": "/boot2", "IsOnline": True, "FreeMegabytes": 264}
    assert found["_Total"]["FreeMegabytes"] == 111648


@pytest.mark.parametrize("content", ["", None])
def test_unreadable_mount_table_keeps_the_last_one(vm: Machine, content: str | None) -> None:
    stream = vm.open(f"SELECT Name,IsOnline FROM {DISK}")
    before = stream.read(1.0).instances
    if content is None:
        (vm.root / "proc/self/mounts").unlink()
    else:
        vm.write("proc/self/mounts", content)
    reading = stream.read(2.0)
    assert reading.instances == before
    assert len(reading.skipped) == 1


def test_disk_counters_that_go_backwards_leave_rates_out(vm: Machine) -> None:
    stream = vm.all(DISK)
    stream.prime()
    vm.later()
    vm.edit("proc/diskstats", lambda text: text.replace("sda 1100 ", "sda 900 "))
    vm.edit("proc/diskstats", lambda text: text.replace("nvme1n1 305 11 6040 70", "nvme1n1 305 11 6040 7"))
    reading = stream.read(1.0)
    found = by_name(reading)
    assert not rates(DISK) & set(found["sda"])
    assert rates(DISK) - set(found["nvme1n1"]) == {"AverageReadTime", "AverageTransferTime"}
    assert found["nvme1n1"]["AverageWriteTime"] == 0.0005
    assert found["_Total"]["ReadBytesPerSecond"] == 2048
    assert reading.skipped == {
        "disk sda: counter went backwards": 1,
        "disk nvme1n1: time counter went backwards": 1,
    }
    assert all(not isinstance(v, (int, float)) or v >= 0 for one in reading.instances for v in one.values())


def test_file_system_that_cannot_be_asked_is_null_and_counted(vm: Machine) -> None:
    del vm.spaces["/boot"]
    reading = vm.open(f"SELECT Name,PercentFreeSpace FROM {FS}").read(1.0)
    assert by_name(reading)["/boot"]["PercentFreeSpace"] is None
    assert by_name(reading)["/"]["PercentFreeSpace"] == 47
    assert reading.skipped == {"file system /boot: statvfs: Permission denied": 1}


def test_remote_and_ignored_file_systems_are_never_asked(vm: Machine) -> None:
    vm.all(FS).read(1.0)
    assert sorted(vm.asked) == ["/", "/boot", "/data disk", "/mnt/scratch", "/srv/bind"]


def test_statvfs_is_not_asked_when_no_space_is_wanted(vm: Machine) -> None:
    vm.open(f"SELECT ReadsPerSecond FROM {FS}").read(1.0)
    assert vm.asked == []


def test_names_that_are_not_utf8_and_very_long_ones(vm: Machine) -> None:
    lines = [b"/dev/sda1 /caf\xe9 ext4 rw 0 0"]
    lines += [b"/dev/sda%d /" % n + b"d" * 4000 + b"%d ext4 rw 0 0" % n for n in (2, 3)]  # they differ in their ends
    vm.write("proc/self/mounts", b"\n".join(lines) + b"\n")
    reading = vm.open(f"SELECT Name,FreeMegabytes FROM {FS}").read(1.0)
    names = [one["Name"] for one in reading.instances]
    assert names == ["/caf\\xe9", "/" + "d" * 4000 + "2", "/" + "d" * 4000 + "3", "_Total"]
    json.dumps(names).encode()
    assert max(map(len, reading.skipped)) < 300


def test_the_type_of_a_file_system_is_as_in_the_mount_table(vm: Machine) -> None:
    vm.write("proc/self/mounts", "/dev/sda1 / EXT4 rw 0 0\n/dev/sda2 /f fuse.Odd\\040FS rw 0 0\n")
    found = vm.open("SELECT FileSystemType,PersistenceType FROM SCX_FileSystem").read(1.0).instances
    assert [tuple(one.values()) for one in found] == [("EXT4", 2), ("fuse.Odd FS", 0)]


@pytest.mark.parametrize(
    ("device", "disk"),
    [
        ("/dev/nvme0n1", "nvme0n1"),
        ("/dev/nvme1n1p1", "nvme1n1"),
        ("/dev/sda2", "sda"),
        ("/dev/dm-0", "sda"),
        ("/dev/mapper/vg0-root", "sda"),
        ("/dev/vg0/root", "sda"),
        ("/dev/disk/by-uuid/ABCD", "sda"),
        ("/dev/root", "nvme1n1"),
    ],
)
def test_devices_are_mapped_to_their_disks(vm: Machine, device: str, disk: str) -> None:
    links = vm.root / "dev/disk/by-uuid"
    links.mkdir(parents=True)
    (links / "ABCD").symlink_to("../../sda1")
    (vm.root / "sys/dev/block/259:2").mkdir(parents=True)
    vm.write("sys/dev/block/259:2/uevent", "MAJOR=259\nMINOR=2\nDEVNAME=nvme1n1p1\nDEVTYPE=partition\n")
    vm.write("proc/self/mountinfo", "22 1 259:2 / / rw,relatime - ext4 /dev/root rw\n")
    vm.write("proc/self/mounts", f"{device} / ext4 rw 0 0\n")
    assert [one["Name"] for one in vm.open(f"SELECT Name FROM {DISK}").read(1.0).instances] == [disk, "_Total"]


@pytest.mark.parametrize(
    ("device", "disk"),
    [
        ("nvme0n2p3", "nvme0n2"),  # a second namespace
        ("nvme10n11p12", "nvme10n11"),
        ("nvme0n3", "nvme0n3"),  # reached over nvme0c0n3 and nvme0c1n3
        ("mmcblk0p1", "mmcblk0"),
        ("mmcblk0boot0", "mmcblk0boot0"),
        ("nbd0p1", "nbd0"),
        ("rbd0p2", "rbd0"),
        ("pmem0p1", "pmem0"),
        ("dasda1", "dasda"),
        ("sdaa15", "sdaa"),
        ("hda3", "hda"),
        ("xvda1", "xvda1"),  # a disk that is called so
        ("zram0", "zram0"),
        ("bcache0", "bcache0"),
        ("ida/c1d0p2", "c1d0"),
    ],
)
def test_partitions_of_any_driver(vm: Machine, device: str, disk: str) -> None:
    disks = ["nvme0n1", "nvme0n2", "nvme0n3", "nvme0c0n3", "nvme0c1n3", "nvme10n11", "mmcblk0", "mmcblk0boot0", "nbd0",
             "rbd0", "pmem0", "dasda", "sda", "sdaa", "hda", "xvda1", "zram0", "bcache0", "ida/c1d0"]  # fmt: skip
    rows = (f" 8 0 {name} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n" for name in dict.fromkeys([*disks, device]))
    vm.write("proc/diskstats", "".join(rows))
    for name in disks:
        (vm.root / "sys/block" / name.replace("/", "!")).mkdir(exist_ok=True)
    vm.write("proc/self/mounts", f"/dev/{device} / ext4 rw 0 0\n")
    assert [one["Name"] for one in vm.open(f"SELECT Name FROM {DISK}").read(1.0).instances] == [disk, "_Total"]
    stream = vm.all(FS)
    stream.prime()
    vm.now += 10
    assert stream.read(2.0).instances[0]["ReadsPerSecond"] == 0  # its row is found


def test_a_volume_over_two_disks_lists_both_and_a_loop_of_slaves_ends(vm: Machine) -> None:
    (vm.root / "sys/block/dm-0/slaves/nvme1n1p1").touch()
    (vm.root / "sys/block/dm-0/slaves/dm-0").touch()
    vm.write("proc/self/mounts", "/dev/mapper/vg0-root / ext4 rw 0 0\n")
    names = [one["Name"] for one in vm.open(f"SELECT Name FROM {DISK}").read(1.0).instances]
    assert set(names) >= {"sda", "nvme1n1", "_Total"}


@pytest.mark.parametrize(
    ("device", "disk"),
    [
        ("/dev/sda2", "sda"), ("/dev/nvme1n1p1", "nvme1n1"), ("/dev/nvme0n1", "nvme0n1"), ("/dev/dm-0", "dm-0"),
        ("/dev/dasda1", "dasda"), ("/dev/xvda1", "xvda1"),
    ],
)  # fmt: skip
def test_without_sys_names_decide(vm: Machine, device: str, disk: str) -> None:
    shutil.rmtree(vm.root / "sys")
    rows = (f" 94 0 {name} 1 2 3 4 5 6 7 8 9 10 11\n" for name in ("dasda", "dasda1", "xvda1"))
    vm.edit("proc/diskstats", lambda text: text + "".join(rows))
    vm.write("proc/self/mounts", f"{device} / ext4 rw 0 0\n")
    assert [one["Name"] for one in vm.open(f"SELECT Name FROM {DISK}").read(1.0).instances] == [disk, "_Total"]


def test_disks_that_come_and_go_for_ever_are_bounded(vm: Machine) -> None:
    stream = vm.open(f"SELECT Name FROM {FS}")
    for number in range(0, 600, 50):
        lines = (f"/dev/sda1 /m{number + i} ext4 rw 0 0\n" for i in range(50))
        vm.write("proc/self/mounts", "".join(lines))
        reading = stream.read(float(number))
    assert len(reading.instances) == 50 + 256 + 1


@pytest.mark.parametrize("class_name", [DISK, FS])
def test_without_any_disk_the_total_is_nothing(vm: Machine, class_name: str) -> None:
    vm.write("proc/self/mounts", "overlay / overlay rw 0 0\n")
    stream = vm.all(class_name)
    stream.prime()
    vm.later()
    (total,) = stream.read(1.0).instances
    assert total["Name"] == "_Total"
    assert total["BytesPerSecond"] == 0
    assert total.get("PercentFreeSpace", 100) == 100


@pytest.mark.parametrize("class_name", [DISK, FS])
def test_a_mount_table_that_was_never_readable_is_no_instance(vm: Machine, class_name: str) -> None:
    (vm.root / "proc/self/mounts").unlink()
    reading = vm.all(class_name).read(1.0)
    assert reading.instances == []
    assert "/proc/self/mounts: No such file or directory" in reading.skipped


def test_only_what_is_asked_for_is_looked_at(vm: Machine) -> None:
    stream = vm.open(f"SELECT FreeMegabytes FROM {FS} WHERE Name='/boot'")
    assert stream.read(1.0).instances == [{"FreeMegabytes": 264}]
    assert vm.asked == ["/boot"]
    reading = vm.open(f"SELECT ReadsPerSecond FROM {DISK} WHERE Name='sda'").read(2.0)
    assert list(reading.skipped) == ["no earlier reading, rates are not known yet"]


# --- interfaces


def test_an_interface_that_appears_or_comes_up_is_picked_up(vm: Machine) -> None:
    stream = vm.open(f"SELECT InstanceID FROM {ETHERNET}")
    assert stream.read(1.0).instances == [{"InstanceID": "eth0"}]
    vm.write("sys/class/net/eth1/flags", "0x1043\n")
    vm.edit("proc/net/dev", lambda text: text + "  eth2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
    assert [one["InstanceID"] for one in stream.read(2.0).instances] == ["eth0", "eth1", "eth2"]
    vm.write("sys/class/net/eth1/flags", "0x1002\n")
    vm.edit("proc/net/dev", lambda text: text.replace("eth2:", "veth4f2a1c:"))
    (vm.root / "sys/devices/virtual/net/veth4f2a1c").mkdir()
    assert [one["InstanceID"] for one in stream.read(3.0).instances] == ["eth0", "eth1"]


def test_virtual_interfaces_are_listed_where_scx_was_told_so(vm: Machine) -> None:
    conf = vm.root / "etc/opt/microsoft/scx/conf/scxenum.conf"
    conf.parent.mkdir(parents=True)
    for content, names in [
        ("# enumvif=true\n", ["eth0"]),
        ("enumvif=false\n", ["eth0"]),
        ("enumvif = True\n", ["eth0", "docker0", "veth4f2a1b"]),
    ]:
        conf.write_text(content)
        vm.backend = vm.new_backend()
        for class_name, key in ((ETHERNET, "InstanceID"), ("SCX_LANEndpoint", "Name")):
            assert [one[key] for one in vm.open(f"SELECT {key} FROM {class_name}").read(1.0).instances] == names


def test_counters_near_the_end_of_their_range_stay_exact(vm: Machine) -> None:
    big = 2**64 - 1
    vm.edit("proc/net/dev", lambda text: text.replace("100000 1000 1 ", f"{big} 1000 1 "))
    one = vm.all(ETHERNET).read(1.0).instances[0]
    assert one["BytesReceived"] == big
    assert one["BytesTotal"] == (big + 200000) % 2**64


# --- the real machine


@pytest.mark.parametrize("rate_window", ["delta", "scx"])
@pytest.mark.parametrize(("namespace", "class_name"), SERVED)
def test_this_machine_answers_twice_with_kept_descriptors(namespace: str, class_name: str, rate_window: str) -> None:
    backend = ProcfsBackend(rate_window=rate_window)
    try:
        stream = backend.open(namespace.upper(), f"SELECT * FROM {class_name}")
        stream.prime()
        for tick in (1.0, 2.0):
            reading = stream.read(tick)
            declared = list(classes.get(class_name).properties)
            for one in reading.instances:
                assert list(one) == [name for name in declared if name in one]
    finally:
        backend.close()


def test_refused_namespace_and_class(vm: Machine) -> None:
    with pytest.raises(QueryError) as caught:
        vm.backend.open("root/cimv2", f"SELECT * FROM {CPU}")
    assert caught.value.code == 3
    with pytest.raises(QueryError) as caught:
        vm.open("SELECT * FROM SCX_Nothing")
    assert caught.value.code == 5
