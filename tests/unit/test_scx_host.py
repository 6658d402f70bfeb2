"""Facts about the machine: times, releases, logins, addresses, geometry, and that the product says what it is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries import VERSION
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.scx.agent import install_date, machine_type, physical_processors
from omi_queries.scx.conf import assignments, number
from omi_queries.scx.endpoints import enabled_state
from omi_queries.scx.host import Host, cim_datetime, release_of
from omi_queries.scx.ipv4 import NONE, Address, by_ioctl, from_tables
from omi_queries.scx.operating_system import limits, memory_values
from omi_queries.scx.utmp import Logins, parse_utmp
from omi_queries.scx.volume import Geometry, geometry_by_ioctl, interface_type, layout_values

TREE = Path(__file__).parent.parent / "fixtures" / "proc" / "server" / "root"


@pytest.mark.parametrize(
    ("microseconds", "offset", "text"),
    [
        (0, 0, "19700101000000.000000+000"),
        (1_795_252_067_588_993, 0, "20261121090747.588993+000"),
        (1_700_000_000_000_001, 330, "20231115034320.000001+330"),
        (1_700_000_000_999_999, -480, "20231114141320.999999-480"),
    ],
)
def test_cim_datetime(microseconds: int, offset: int, text: str) -> None:
    assert cim_datetime(microseconds, offset) == text
    assert len(text) == 25


def test_release_of_the_distribution() -> None:
    debian = assignments('NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n# x=y\nbroken\n')
    assert release_of({}, debian, "x86_64", False) == (
        "Debian GNU/Linux", "12.0", "Debian GNU/Linux 12.0 (x86_64)", "UniversalD",
    )  # fmt: skip
    fedora = assignments("NAME='Rocky Linux'\nVERSION_ID=9.3\nID=rocky\nID_LIKE=\"rhel centos fedora\"\n")
    assert release_of({}, fedora, "aarch64", False)[1:] == ("9.3", "Rocky Linux 9.3 (aarch64)", "UniversalR")
    assert release_of({}, fedora, "aarch64", True).alias == "UniversalD"
    scx = {"OSName": "My", "OSVersion": "3", "OSFullName": "My OS 3 (x86_64)", "OSAlias": "UniversalR"}
    assert release_of(scx, debian, "x86_64", True) == ("My", "3", "My OS 3 (x86_64)", "UniversalR")
    assert release_of({}, {}, "x86_64", False).full == "Linux (x86_64)"


@given(st.text())
def test_any_release_file_is_read(text: str) -> None:
    assert all(assignments(text))


def test_full_name_and_time_zone_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/hostname").write_text("web\n")
    host = Host(str(tmp_path), False)
    assert (host.name(), host.full_name(), host.machine(), host.utc_offset(0)) == ("web", "web", "x86_64", 0)
    (tmp_path / "etc/hosts").write_text("# web web.example\n10.0.0.1 db.example db\n10.0.0.2 web web.example.org\n")
    assert host.full_name() == "web.example.org"
    (tmp_path / "proc/sys/kernel/hostname").write_text("a.b\n")
    assert host.full_name() == "a.b"
    zone = b"TZif2" + b"\0" * 15 + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    zone += b"TZif2" + b"\0" * 15 + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 19800, 0, 0) + b"IST\0"
    (tmp_path / "usr/share/zoneinfo").mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Kolkata").write_bytes(zone + b"\nIST-5:30\n")
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Kolkata")
    assert host.utc_offset(1.7e9) == 330
    (tmp_path / "usr/share/zoneinfo/Kolkata").write_bytes(b"no zone")
    assert host.utc_offset(1.7e9) == 0


def _compatible(kind: int, seconds: int, micros: int) -> bytes:
    return struct.pack("<h2xi32s4s32s256s2hiii16s20x", kind, 1, b"", b"", b"", b"", 0, 0, 0, seconds, micros, b"")


def _wide(kind: int, seconds: int, micros: int) -> bytes:
    return struct.pack("<h2xi32s4s32s256s2hqqq16s20x4x", kind, 1, b"", b"", b"", b"", 0, 0, 0, seconds, micros, b"")


def test_utmp_records_of_both_sizes() -> None:
    wanted = Logins(1_700_000_000_000_005, 2)
    kinds = [(2, 1_700_000_000, 5), (7, 1, 1), (8, 2, 2), (1, 3, 3), (7, 4, 4)]
    assert parse_utmp(b"".join(_compatible(*k) for k in kinds), "x86_64") == wanted
    assert parse_utmp(b"".join(_wide(*k) for k in kinds), "aarch64") == wanted
    assert parse_utmp(_compatible(7, 1, 1) + b"rest", "x86_64") == Logins(None, 1)
    assert parse_utmp(b"", "x86_64") == Logins(None, 0)


@given(st.binary(max_size=2000), st.sampled_from(["x86_64", "aarch64"]))
def test_any_utmp_is_read(data: bytes, machine: str) -> None:
    found = parse_utmp(data, machine)
    assert found.users <= len(data) // 384
    assert found.booted is None or len(cim_datetime(found.booted)) == 25


ROUTE = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
TRIE = (
    "  |-- 192.168.7.9\n     /32 host LOCAL\n"
    "  |-- 192.168.7.15\n     /32 link BROADCAST\n  |-- x\n     /32 host LOCAL\n"
)


def test_addresses_from_routing_tables() -> None:
    line = "eth0 0807A8C0 00000000 0001 0 0 0 F8FFFFFF\n"
    assert from_tables(ROUTE + "junk\n" + line, TRIE) == {
        "eth0": Address("192.168.7.9", "255.255.255.248", "192.168.7.15")
    }
    assert from_tables(ROUTE + line.replace("00000000", "0107A8C0"), TRIE) == {}
    assert from_tables(ROUTE + line.replace("0807A8C0", "0008A8C0"), TRIE) == {}
    assert from_tables("", "") == {}


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_routing_tables_are_read(route: str, trie: str) -> None:
    assert isinstance(from_tables(ROUTE + route, trie), dict)


def test_the_kernel_knows_the_address_of_loopback() -> None:
    assert by_ioctl("lo")[:2] in (("127.0.0.1", "255.0.0.0"), (None, None))
    assert by_ioctl("no-such-if0") == NONE
    assert by_ioctl("a-name-that-is-too-long-for-an-interface") == NONE
    assert by_ioctl("") == NONE


@pytest.mark.parametrize(("flags", "state"), [(0x1003, 2), (0x41, 2), (0x40, 6), (0x1002, 3), (0, 3), (None, 0)])
def test_enabled_state(flags: int | None, state: int) -> None:
    assert enabled_state(flags) == state


def test_limits_of_processes() -> None:
    text = (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max address space         1048576              4194304              bytes     \n"
        "Max processes             96365                unlimited            processes \n"
    )
    assert limits(text) == {"MaxProcessMemorySize": 4096, "MaxProcessesPerUser": 96365}
    assert limits(text.replace("4194304  ", "unlimited"))["MaxProcessMemorySize"] == 0
    assert limits("Max processes\nMax address space         x y\n") == {}


def test_memory_of_old_kernels_and_without_swap() -> None:
    found = memory_values(b"MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n")
    assert found == {"TotalVisibleMemorySize": 100, "FreePhysicalMemory": 35}


def test_geometry_is_taken_only_if_it_accounts_for_the_size() -> None:
    size = 1000 * 16 * 63 * 512 + 512
    assert layout_values(size, 512, Geometry(16, 63, 1000)) == {
        "TotalCylinders": 1000, "TotalHeads": 16, "TotalSectors": 1000 * 16 * 63 + 1,
    }  # fmt: skip
    guessed = {"TotalCylinders": size // (512 * 63 * 255), "TotalHeads": 255, "TotalSectors": 1000 * 16 * 63 + 1}
    assert layout_values(size, 512, Geometry(16, 63, 999)) == guessed
    assert layout_values(size, 512, Geometry(0, 0, 0)) == guessed
    assert layout_values(size, 512, None) == guessed
    assert geometry_by_ioctl("/dev/null") is None
    assert geometry_by_ioctl("/dev/no-such-disk") is None


@pytest.mark.parametrize("selected", ["TotalCylinders", "TotalHeads", "TotalCylinders,TotalHeads,Name", "*"])
def test_what_else_is_selected_does_not_change_the_geometry(selected: str) -> None:
    """md0 of the fixture has 2,048,000 sectors of 512 bytes: 1,015 cylinders of 32 heads of 63 sectors, and a rest."""
    backend = ProcfsBackend(str(TREE), geometry=lambda _path: Geometry(32, 63, 1015))
    found = backend.open("root/scx", f"SELECT {selected} FROM SCX_DiskDrive WHERE DeviceID='md0'").read(1.0)
    one = found.instances[0]
    assert one.get("TotalCylinders", 1015) == 1015
    assert one.get("TotalHeads", 32) == 32


@pytest.mark.parametrize(
    ("name", "kind"), [("hda", "IDE"), ("sda", "SCSI"), ("xvda", "Virtual"), ("vda", "Unknown"), ("nvme0n1", "Unknown")]
)
def test_interface_type(name: str, kind: str) -> None:
    assert interface_type(name) == kind


def test_agent_details() -> None:
    cpus = "physical id\t: 0\nflags\t: fpu\n\nphysical id\t: 1\nflags\t: fpu\n\nphysical id\t: 0\n"
    assert physical_processors(cpus) == 2
    assert physical_processors("") == 1
    assert machine_type(cpus, "") == "Physical"
    assert machine_type("flags : fpu hypervisor tsc\n", "Microsoft Corporation\n") == "Virtual"
    assert machine_type("flags : fpu hypervisor\n", "QEMU") == "Unknown"
    assert machine_type("", "VMware") == "Unknown"
    assert install_date("2025-04-29T10:11:12.0Z") == "20250429101112.000000+000"
    assert install_date("yesterday") is None


def test_installed_kit(tmp_path: Path) -> None:
    folder = tmp_path / "etc/opt/microsoft/scx/conf"
    folder.mkdir(parents=True)
    (folder / "installinfo.txt").write_text("2025-04-29T10:11:12.0Z\n1.6.2-337\n")
    (one,) = ProcfsBackend(str(tmp_path)).open("root/scx", "SELECT * FROM SCX_Agent").read(1.0).instances
    assert (one["InstallDate"], one["KitVersionString"]) == ("20250429101112.000000+000", "1.6.2-337")


def test_what_answers_says_that_it_is_an_emulation() -> None:
    backend = ProcfsBackend()
    (one,) = backend.open("root/omi", "SELECT * FROM OMI_Identify").read(1.0).instances
    assert one["InstanceID"] == "2FDB5542-5896-45D5-9BE9-DC04430AAABE"
    assert "emulation" in str(one["ProductName"])
    assert "emulation" in str(one["ProductVersionString"])
    assert "Microsoft" not in str(one["ProductVendor"])
    assert one["ConfigNameSpaces"] == ["interop", "root-omi", "root-scx"]
    assert {name for name, value in one.items() if value is None} == set()
    assert str(one["ConfigPIDFile"]).endswith("/omi/omiserver.pid")
    (agent,) = backend.open("root/scx", "SELECT * FROM SCX_Agent").read(1.0).instances
    assert "mulation" in str(agent["Description"])
    names = backend.open("ROOT/interop", "SELECT Name FROM CIM_Namespace").read(1.0).instances
    assert [i["Name"] for i in names] == ["root/scx", "root/omi", "interop"]
    backend.close()


def test_version_is_that_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'\nversion = "{VERSION}"\n' in text


@pytest.mark.parametrize(
    ("text", "value", "wrong"),
    [("", 10, False), ("5", 5, False), ("0", 10, True), ("3601", 10, True), ("-5", 10, True), ("x" * 99, 10, True),
     ("9" * 5000, 10, True), ("\u0665", 10, True)],
)  # fmt: skip
def test_numbers_of_a_configuration_file(text: str, value: int, wrong: bool) -> None:
    found, note = number({"Secs": text}, "Secs", 10, 1, 3600)
    assert (found, bool(note)) == (value, wrong)
    if wrong:
        assert "scxconfig.conf: Secs=" in note
        assert "a number from 1 to 3600, 10 is taken" in note
        assert len(note) < 200
