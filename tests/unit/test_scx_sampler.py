"""``rate_window="scx"``: SCX's own sampler, its integer divisions, its zeros in the first minute and its defects."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omi_queries import classes
from omi_queries.backends.procfs import ProcfsBackend, ProcfsStream
from omi_queries.scx.family import Ask, Counters
from omi_queries.scx.ring import Ring
from omi_queries.scx.sampled import fill_disk
from omi_queries.types import Instance

TREE = Path(__file__).parent.parent / "fixtures" / "proc" / "server"
CPU, RT = "SCX_ProcessorStatisticalInformation", "SCX_RTProcessorStatisticalInformation"
MEMORY, DISK = "SCX_MemoryStatisticalInformation", "SCX_DiskDriveStatisticalInformation"
FS, PROCESS = "SCX_FileSystemStatisticalInformation", "SCX_UnixProcess"
PROCESS_STATISTICS = "SCX_UnixProcessStatisticalInformation"


class Machine:
    """A tree whose counters the test sets."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        shutil.copytree(TREE / "root", self.root, symlinks=True)
        self.now = 5000.0
        self.backend = self.new_backend()

    def new_backend(self) -> ProcfsBackend:
        space = os.statvfs_result((4096, 4096, 1000, 500, 400, 50, 20, 20, 0, 255))
        return ProcfsBackend(
            str(self.root),
            boottime=lambda: self.now,
            statvfs=lambda _path: space,
            page_size=16384,
            rate_window="scx",
            wall=lambda: 1.7e9,
            hz=100,
        )

    def all(self, class_name: str) -> ProcfsStream:
        return self.backend.open("root/scx", f"SELECT * FROM {class_name}")

    def cpu(self, user: int, idle: int) -> None:
        row = f"{user} 0 0 {idle} 0 0 0\n"
        (self.root / "proc/stat").write_text(f"cpu {row}cpu0 {row}btime 1700000000\n")

    def paging(self, read: int, written: int) -> None:
        (self.root / "proc/vmstat").write_text(f"pgpgin {read}\npgpgout {written}\n")

    def disk(self, reads: int, sectors: int, milliseconds: int, queue: int) -> None:
        row = f"{reads} 0 {sectors} {milliseconds} 0 0 0 0 {queue} 0 0\n"
        (self.root / "proc/diskstats").write_text(f"9 0 md0 {row}")
        (self.root / "proc/self/mounts").write_text("/dev/md0 / ext4 rw 0 0\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def one(stream: ProcfsStream, name: str, tick: float) -> Instance:
    return next(i for i in stream.read(tick).instances if i.get("Name") == name)


def test_everything_is_zero_in_the_first_minute_even_the_idle_time(machine: Machine) -> None:
    stream = machine.all(CPU)
    machine.cpu(100, 100)
    stream.prime()
    machine.now += 59.9
    machine.cpu(1000, 100)
    found = one(stream, "_Total", 1.0)
    assert [v for k, v in found.items() if k.startswith("Percent")] == [0] * 8
    machine.now += 0.1
    found = one(stream, "_Total", 2.0)
    assert (found["PercentUserTime"], found["PercentIdleTime"]) == (100, 0)


def test_the_window_is_six_samples_and_moves_once_a_minute(machine: Machine) -> None:
    stream = machine.all(CPU)
    machine.cpu(0, 0)
    stream.prime()
    seen = []
    user = idle = 0
    for minute in range(1, 9):
        machine.now += 60
        user, idle = (user + 60, idle) if minute <= 2 else (user, idle + 60)
        machine.cpu(user, idle)
        seen.append(one(stream, "0", machine.now)["PercentUserTime"])
        machine.now += 0.25
        machine.cpu(user + 50, idle)  # between samples nothing changes
        assert one(stream, "0", machine.now)["PercentUserTime"] == seen[-1]
        machine.now -= 0.25
    assert seen == [100, 100, 67, 50, 40, 20, 0, 0]


def test_rt_class_looks_at_the_last_ten_seconds(machine: Machine) -> None:
    stream = machine.all(RT)
    machine.cpu(0, 0)
    stream.prime()
    seen = []
    for user, idle in ((10, 0), (10, 10), (15, 15)):
        machine.now += 10
        machine.cpu(user, idle)
        seen.append(one(stream, "0", machine.now)["PercentUserTime"])
    assert seen == [100, 0, 50]
    assert machine.backend.next_sample_due() == 5040.0


def test_rt_window_is_that_of_the_configuration(machine: Machine) -> None:
    conf = machine.root / "etc/opt/microsoft/scx/conf/scxconfig.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text("# tuned\nRTCPUProvider_SampleSecs=5\nRTCPUProvider_SampleSize = 3\n")
    machine.backend = machine.new_backend()
    stream = machine.all(RT)
    machine.cpu(0, 0)
    stream.prime()
    seen = []
    for user, idle in ((10, 0), (10, 10), (10, 20)):
        machine.now += 5
        machine.cpu(user, idle)
        seen.append(one(stream, "0", machine.now)["PercentUserTime"])
    assert seen == [100, 50, 0]
    assert not stream.read(machine.now).skipped
    conf.write_text("RTCPUProvider_SampleSecs=soon\nRTCPUProvider_SampleSize=1\n")
    machine.backend = machine.new_backend()
    stream = machine.all(RT)
    stream.prime()
    notes = list(stream.read(1.0).skipped)
    assert [note.partition(": ")[2].partition(" ")[0] for note in notes] == [
        "RTCPUProvider_SampleSecs=soon",
        "RTCPUProvider_SampleSize=1",
    ]
    assert machine.backend.next_sample_due() == machine.now + 10


def test_a_ring_with_another_period_is_not_gone_on_with(machine: Machine) -> None:
    stream = machine.all(RT)
    stream.prime()
    state = json.loads(json.dumps(stream.state()))
    conf = machine.root / "etc/opt/microsoft/scx/conf/scxconfig.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    for seconds, taken in ((30, False), (10, True)):
        conf.write_text(f"RTCPUProvider_SampleSecs={seconds}\n")
        machine.backend = machine.new_backend()
        assert machine.all(RT).restore(state) is taken


def test_memory_rates_are_kib_and_divided_twice_and_the_cache_is_never_seen(machine: Machine) -> None:
    stream = machine.all(MEMORY)
    machine.paging(0, 0)
    stream.prime()
    for read in (60 * 3 - 1, 60 * 7 + 1):
        machine.now += 60
        machine.paging(read, 2 * read)
        found = one(stream, "Memory", machine.now)
    # 421 KiB read in two periods: 421//2 = 210, 210//60 = 3; 842 written: 842//2 = 421, 421//60 = 7
    assert (found["PagesReadPerSec"], found["PagesWrittenPerSec"], found["PagesPerSec"]) == (3, 7, 10)
    assert found["PercentUsedByCache"] == 0


def test_disk_rates_times_and_queue(machine: Machine) -> None:
    machine.disk(0, 0, 0, 3)
    disks, mounted = machine.all(DISK), machine.all(FS)
    disks.prime()
    mounted.prime()
    machine.now += 60
    machine.disk(119, 240, 238, 1)
    found, total = one(disks, "md0", 1.0), one(disks, "_Total", 1.0)
    assert (found["ReadsPerSecond"], found["ReadBytesPerSecond"], found["AverageReadTime"]) == (1, 2048, 0.002)
    assert (found["AverageDiskQueueLength"], total["AverageDiskQueueLength"]) == (2.0, 0.0)
    assert total["ReadsPerSecond"] == 1
    assert [one(mounted, n, 1.0)["ReadBytesPerSecond"] for n in ("/", "_Total")] == [2048, 2048]


def test_the_total_adds_up_what_was_rounded(machine: Machine) -> None:
    def disks(reads: int) -> None:
        rows = [f"8 {n} sd{c} {reads} 0 {reads} {reads} 0 0 0 0 0 0 0\n" for n, c in enumerate("ab")]
        (machine.root / "proc/diskstats").write_text("".join(rows))

    (machine.root / "proc/self/mounts").write_text("/dev/sda / ext4 rw 0 0\n/dev/sdb /b ext4 rw 0 0\n")
    disks(0)
    streams = [machine.all(DISK), machine.all(FS)]
    for stream in streams:
        stream.prime()
    machine.now += 60
    disks(119)
    for stream in streams:
        total = one(stream, "_Total", 1.0)
        # 119 // 60 = 1 twice, not 238 // 60 = 3; 119 * 512 // 60 = 1015 twice, not 2030.9
        assert (total["ReadsPerSecond"], total["ReadBytesPerSecond"], total["TransfersPerSecond"]) == (2, 2030, 2)
    assert one(streams[0], "_Total", 1.0)["AverageReadTime"] == 0.001


def test_what_the_sampler_cannot_see_is_zero_and_named(machine: Machine) -> None:
    (machine.root / "proc/vmstat").write_text("pgpgout 5\n")
    (machine.root / "proc/diskstats").write_text("8 0 sda 1 0 1 1 0 0 0 0 0 0 0\n")
    (machine.root / "sys/block/sdz").mkdir()
    (machine.root / "proc/self/mounts").write_text("/dev/sda / ext4 rw 0 0\n/dev/sdz /z ext4 rw 0 0\n")
    reading = machine.all(MEMORY).read(1.0)
    assert reading.instances[0]["PagesReadPerSec"] == 0
    assert list(reading.skipped) == ["/proc/vmstat: pgpgin is missing or unreadable, its rate is shown as 0"]
    reading = machine.all(FS).read(1.0)
    assert [one["ReadsPerSecond"] for one in reading.instances] == [0, 0, 0]
    assert [reason.partition(",")[0] for reason in reading.skipped] == [
        "file system /z: not in the sampler's last reading of /proc/diskstats"
    ]
    for query in (f"SELECT AvailableMemory FROM {MEMORY}", f"SELECT Name,FreeMegabytes FROM {FS}"):
        assert not machine.backend.open("root/scx", query).read(1.0).skipped


def test_a_late_reader_gets_averages_over_the_longer_time(machine: Machine) -> None:
    stream = machine.all(MEMORY)
    machine.paging(0, 0)
    stream.prime()
    machine.now += 600
    machine.paging(600 * 5, 0)
    assert one(stream, "Memory", 1.0)["PagesReadPerSec"] == 5


def test_samples_are_taken_when_due_without_a_query(machine: Machine) -> None:
    assert machine.backend.next_sample_due() is None
    assert machine.backend.sample_due() == 0
    stream = machine.all(MEMORY)
    machine.paging(0, 0)
    stream.prime()
    assert machine.backend.next_sample_due() == 5060.0
    assert machine.backend.sample_due() == 0
    machine.now = 5060.0
    machine.paging(120, 0)
    assert machine.backend.sample_due() == 1
    machine.now = 5119.0
    machine.paging(99999, 0)
    assert one(stream, "Memory", 1.0)["PagesReadPerSec"] == 2
    assert machine.backend.next_sample_due() == 5120.0


def test_true_deltas_have_no_sampler() -> None:
    backend = ProcfsBackend()
    assert backend.next_sample_due() is None
    assert backend.sample_due() == 0
    backend.close()


def test_an_unknown_rate_window_is_refused() -> None:
    with pytest.raises(ValueError, match="'weekly' is neither 'delta' nor 'scx'"):
        ProcfsBackend(rate_window="weekly")


@pytest.mark.parametrize("class_name", [CPU, MEMORY, DISK, FS])
def test_the_ring_goes_on_after_a_restart(machine: Machine, class_name: str) -> None:
    stream = machine.all(class_name)
    stream.prime()
    machine.now += 60
    before = stream.read(1.0).instances
    kept = json.loads(json.dumps(stream.state()))
    machine.now += 5
    machine.backend = machine.new_backend()
    resumed = machine.all(class_name)
    assert resumed.restore(kept)
    assert machine.backend.next_sample_due() == 5120.0
    assert resumed.read(1.0).instances == before


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "x"},
        {"origin": 1e9},
        {"samples": []},
        {"samples": None},
        {"samples": [[0, 5000.0]]},
        {"samples": [[0, 1.0, {}]]},
        {"samples": [[0, 5000.0, {"0": [1]}]]},
        {"samples": [[0, 5000.0, {"0": [-1] * 7}]]},
        {"samples": [[1, 5000.0, {}], [1, 5001.0, {}]]},
        {"samples": [["0", 5000.0, {}]]},
    ],
)
def test_a_ring_that_does_not_fit_is_ignored(machine: Machine, change: dict[str, Any]) -> None:
    stream = machine.all(CPU)
    stream.prime()
    state = json.loads(json.dumps(stream.state()))
    state["classes"][CPU].update(change)
    machine.backend = machine.new_backend()
    assert machine.all(CPU).restore(state) is False
    assert machine.backend.next_sample_due() is None


def test_state_of_true_deltas_is_not_taken_for_a_ring(machine: Machine) -> None:
    plain = ProcfsBackend(str(machine.root), boottime=lambda: 1.0).open("root/scx", f"SELECT * FROM {CPU}")
    plain.prime()
    state = plain.state()
    assert state is not None
    assert machine.all(CPU).restore(state) is False


def test_processes_are_those_of_the_last_minute_with_the_unit_defects(machine: Machine) -> None:
    stream, statistics = machine.all(PROCESS), machine.all(PROCESS_STATISTICS)
    stream.prime()
    machine.now += 30
    shutil.copytree(TREE / "after" / "proc", machine.root / "proc", symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(machine.root / "proc" / "2")
    assert [i["Handle"] for i in stream.read(1.0).instances] == ["1", "2", "300", "301"]
    machine.now += 30
    read = {i["Handle"]: i for i in stream.read(2.0).instances}
    assert list(read) == ["1", "300", "301", "302"]
    # 100 * (1000*100//100) // 60000 = 1 and 100 * (1000*40//100) // 60000 = 0; times * 100, pages * 4
    assert read["1"]["PercentBusyTime"] == 1
    assert (read["1"]["UserModeTime"], read["1"]["KernelModeTime"]) == (60000, 34000)
    assert read["1"]["UsedMemory"] == 12800
    assert read["302"]["PercentBusyTime"] == 0
    found = {i["Handle"]: i for i in statistics.read(2.0).instances}
    assert (found["1"]["VirtualText"], found["1"]["VirtualData"]) == (12 * 4096, 5000 * 4096)
    assert found["300"]["CPUTime"] == 133  # 8000 ticks: 100 * 80000 // 60000


def test_percentages_of_processes_are_cut_to_eight_bits(machine: Machine) -> None:
    stream = machine.all(PROCESS)
    stream.prime()
    machine.now += 60
    stat = (machine.root / "proc/300/stat").read_text()
    (machine.root / "proc/300/stat").write_text(stat.replace(" 1000 10 0 0 ", " 19000 10 0 0 "))
    found = {i["Handle"]: i for i in stream.read(1.0).instances}
    assert found["300"]["PercentBusyTime"] == 300 - 256


def test_a_drive_never_says_whether_it_is_online(machine: Machine) -> None:
    assert {i["IsOnline"] for i in machine.all("SCX_DiskDrive").read(1.0).instances} == {None}


def test_a_counter_that_goes_backwards_is_nothing(machine: Machine) -> None:
    stream = machine.all(MEMORY)
    machine.paging(1000, 0)
    stream.prime()
    machine.now += 60
    machine.paging(5, 120)
    found = one(stream, "Memory", 1.0)
    assert (found["PagesReadPerSec"], found["PagesWrittenPerSec"]) == (0, 2)


def test_ring_keeps_six_and_rows_that_come_later_have_their_own_time() -> None:
    now, rows = 0.0, {"a": (0,)}
    ring = Ring(60, 6, lambda: Counters(now, dict(rows)))
    assert ring.span("a") is None
    for minute in range(10):
        now = 60.0 * minute
        rows["a"] = (minute * 600,)
        if minute >= 8:
            rows["b"] = (minute * 60,)
        assert ring.sample(now)
        assert not ring.sample(now + 59)
    assert [s.slot for s in ring.samples] == [4, 5, 6, 7, 8, 9]
    a, b = ring.span("a"), ring.span("b")
    assert a is not None
    assert b is not None
    assert (a.change, a.periods, b.change, b.periods, b.milliseconds) == ([3000], 5, [60], 1, 60000)
    assert ring.per_second(3000, 5) == 10


class Counted(dict[str, tuple[int, ...]]):
    """Counts how often all of it is looked at."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return super().__iter__()


def test_the_rows_are_looked_through_once_for_all_disks() -> None:
    rows = Counted({f"sd{n}": (0,) * 7 for n in range(50)})
    ring = Ring(60, 6, lambda: Counters(1.0, rows))
    ring.sample(1.0)
    ask = Ask(1.0, None, frozenset(), lambda _name, _aggregate: True, lambda _reason: None)
    fill = fill_disk(ask, ring)
    for name in list(rows):
        fill({"Name": name, "IsAggregate": False})
    assert rows.walks <= 3


@pytest.mark.parametrize("origin", [70246.22694054387, 0.1, 99999.9, 1e7 / 3])
@pytest.mark.parametrize("period", [10, 60])
def test_a_sample_is_taken_at_the_very_moment_it_is_due(origin: float, period: int) -> None:
    now = origin
    ring = Ring(period, 6, lambda: Counters(now, {"a": (int(now),)}))
    assert ring.sample(now)
    for slot in range(1, 3000):
        due = ring.next_due()
        assert due is not None
        now = due
        assert ring.sample(now), slot
        assert ring.samples[-1].slot == slot


def test_a_state_that_fits_some_classes_only_changes_nothing(machine: Machine) -> None:
    text = "SELECT * FROM SCX_StatisticalInformation"
    stream = machine.backend.open("root/scx", text)
    stream.prime()
    state = json.loads(json.dumps(stream.state()))
    state["classes"][DISK]["samples"] = []
    machine.backend = machine.new_backend()
    assert machine.backend.open("root/scx", text).restore(state) is False
    assert machine.backend.next_sample_due() is None


@pytest.mark.parametrize("class_name", [CPU, RT, MEMORY, DISK, FS, PROCESS, PROCESS_STATISTICS])
def test_every_rate_is_there_and_zero_until_the_second_sample(machine: Machine, class_name: str) -> None:
    rates = {p.name for p in classes.get(class_name).properties.values() if p.rate}
    reading = machine.all(class_name).read(1.0)
    assert reading.instances
    for found in reading.instances:
        assert {name: found[name] for name in rates} == dict.fromkeys(rates, 0)
    assert not reading.skipped
