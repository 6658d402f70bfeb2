"""Parsers of /proc files over bytes: odd lines, the memo, the mount table, and files read to their end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_queries.mounts import select_mounts, unescape
from omi_queries.procfs import (
    Memo,
    ProcFile,
    Table,
    field_value,
    parse_diskstats,
    parse_net_dev,
    parse_stat,
)

STAT = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu12 11 12 13 14 15 16 17\nintr 5 0\nctxt 1\n"
DISK = b" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"
_PIECES = st.sampled_from([STAT, DISK, b"eth0:" + b" 1" * 16, b"cpu", b":", b" 1", b"\n"])
HEAD = b"Inter-|   Receive  |  Transmit\n face |bytes    packets errs |bytes packets\n"


def test_stat_rows() -> None:
    rows = parse_stat(STAT, {}).rows
    assert rows == {"_Total": (1, 2, 3, 4, 5, 6, 7), "0": (1, 2, 3, 4, 5, 6, 7), "12": (11, 12, 13, 14, 15, 16, 17)}


def test_diskstats_rows() -> None:
    assert parse_diskstats(DISK, {}).rows == {"vda": (1, 3, 4, 5, 7, 8, 9)}


def test_net_dev_rows_with_and_without_a_blank_after_the_colon() -> None:
    data = HEAD + b"  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nens3:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    row = (1, 2, 3, 9, 10, 11, 14)
    table = parse_net_dev(data, {})
    assert table.rows == {"eth0": row, "ens3": row}
    assert table.notes == ()


@pytest.mark.parametrize(
    ("data", "rows", "note"),
    [
        (b"cpu  1 2 3\ncpu0 1 2 3 4 5 6 7\n", {"0"}, "/proc/stat: row cpu is unreadable"),
        (b"cpu  1 2 3 4 5 6 x\n", set(), "/proc/stat: row cpu is unreadable"),
        (b"cpu  1 2 3 4 5 6 -7\n", set(), "/proc/stat: row cpu is unreadable"),
        (b"cpu  1 2 3 4 5 6 18446744073709551616\n", set(), "/proc/stat: row cpu is unreadable"),
        (b"cpux 1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7", {"0"}, "/proc/stat: row cpux is unreadable"),
    ],
)
def test_unreadable_rows_are_left_out_and_named(data: bytes, rows: set[str], note: str) -> None:
    table = parse_stat(data, {})
    assert set(table.rows) == rows
    assert table.notes == (note,)


def test_truncated_disk_and_interface_rows_are_named() -> None:
    assert parse_diskstats(DISK + b" 8 0 sda 1 2 3", {}).notes == ("/proc/diskstats: row sda is unreadable",)
    assert parse_net_dev(HEAD + b"eth0: 1 2 3", {}).notes == ("/proc/net/dev: row eth0 is unreadable",)
    assert parse_net_dev(b"garbage\n", {}).notes == ("/proc/net/dev: line garbage is unreadable",)


@pytest.mark.parametrize("parse", [parse_stat, parse_diskstats, parse_net_dev])
@given(data=st.one_of(st.binary(), st.lists(_PIECES).map(b"".join)))
def test_any_bytes_give_rows_of_counters_or_notes(parse: Callable[[bytes, Memo], Table], data: bytes) -> None:
    first = parse(data, {})
    again = parse(data, first.memo)
    assert again.rows == first.rows
    assert all(0 <= value < 2**64 for row in first.rows.values() for value in row)


def test_memo_keeps_unchanged_lines_only() -> None:
    first = parse_stat(STAT, {})
    second = parse_stat(STAT.replace(b"cpu0 1", b"cpu0 9"), first.memo)
    assert second.rows["12"] is first.rows["12"]
    assert second.rows["0"] == (9, 2, 3, 4, 5, 6, 7)
    assert len(second.memo) == 3


@pytest.mark.parametrize(
    ("name", "parse"),
    [("stat", parse_stat), ("diskstats", parse_diskstats), ("net/dev", parse_net_dev)],
)
def test_a_file_cut_off_anywhere_never_gives_a_piece_of_a_number(
    name: str, parse: Callable[[bytes, Memo], Table]
) -> None:
    data = (Path(__file__).parent.parent / "fixtures" / "proc" / "vm" / "root" / "proc" / name).read_bytes()
    whole = parse(data, {}).rows
    first = data.find(b"\n") + 1  # of a single line nobody can tell
    for end in range(first, len(data)):
        found = parse(data[:end], {})
        assert all(whole[row] == counters for row, counters in found.rows.items() if row in whole), (end, found.notes)
        assert found.rows.keys() <= whole.keys()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"MemTotal:  10 kB\nCached:  5 kB\n", 5),
        (b"SwapCached: 7 kB\nCached:  5 kB\n", 5),
        (b"SwapCached: 7 kB\n", None),
        (b"Cached: 5 kB", 5),
        (b"MemTotal:  10 kB\nCached: 5", None),
        (b"MemTotal:  10 kB\nCached: 5 k", None),
        (b"Cached: five kB\n", None),
        (b"Cached: -5 kB\n", None),
        (b"Cached:", None),
        (b"", None),
    ],
)
def test_field_value(data: bytes, value: int | None) -> None:
    assert field_value(data, b"Cached:") == value


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"/a\040b\011c", b"/a b\tc"),
        (rb"/a\134040", rb"/a\040"),
        (rb"/a\04", rb"/a\04"),
        (rb"/a\999", rb"/a\999"),
        (rb"/a\777", rb"/a\777"),
        (b"/plain", b"/plain"),
        (b"\\", b"\\"),
        (rb"/\303\251", "/é".encode()),
    ],
)
def test_octal_escapes(raw: bytes, text: bytes) -> None:
    assert unescape(raw) == text


@given(st.binary(max_size=40).filter(lambda b: b"\n" not in b))
def test_what_the_kernel_escapes_comes_back(point: bytes) -> None:
    escaped = b"".join(b"\\%03o" % c if c in b" \t\n\\#" else bytes([c]) for c in point)
    assert unescape(escaped) == point


@pytest.mark.parametrize(
    "line",
    [
        b"overlay / overlay rw 0 0",
        b"tmpfs /tmp tmpfs rw 0 0",
        b"/dev/loop3 /snap/x squashfs ro 0 0",
        b"/srv/disk.img /mnt ext4 rw,loop=/dev/loop1 0 0",
        b"filer:/vol /mnt nfs rw 0 0",
        b"filer:/vol /mnt nfs4 rw 0 0",
        b"filer:/vol /mnt fuse.glusterfs rw 0 0",
        b"drive:photos/2024 /mnt fuse.rclone rw 0 0",
        b"//server/share /mnt cifs rw 0 0",
        b"//server/share /mnt smb3 rw 0 0",
        b"/dev/sr0 /cdrom ISO9660 ro 0 0",
        b"tank/data /tank zfs rw 0 0",
        b"/x/gvfsd /run/gvfs fuse.gvfsd-fuse rw 0 0",
        b"/dev/fuse /run/doc fuse.portal rw 0 0",
        b"# a comment /mnt ext4 rw 0 0",
    ],
)
def test_mounts_that_do_not_count(line: bytes) -> None:
    assert select_mounts(line + b"\n") == ([], [])


def test_the_topmost_mount_of_a_point_counts() -> None:
    lines = [
        b"/dev/sda1 /data ext4 rw 0 0",
        b"/dev/sdb1 /data xfs rw 0 0",
        b"/dev/sdc1 /hidden xfs rw 0 0",
        b"tmpfs /hidden tmpfs rw 0 0",
    ]
    mounts, notes = select_mounts(b"\n".join(lines))
    assert [(m.device, m.point, m.fstype) for m in mounts] == [(b"/dev/sdb1", b"/data", b"xfs")]
    assert notes == []


def test_mount_lines_of_any_length_and_shape() -> None:
    long = b"/dev/sda1 /" + b"x" * 4000 + b" ext4 rw," + b"o" * 4000 + b" 0 0\n"
    mounts, notes = select_mounts(long + b"/dev/sdb1 /short\n" + b"/dev/sdc1 /caf\xe9 ext4 rw 0 0\n")
    assert [len(m.point) for m in mounts] == [4001, 5]
    assert len(notes) == 1


@given(st.binary())
def test_any_mount_table_is_survived(data: bytes) -> None:
    select_mounts(data)


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 40000])
@pytest.mark.parametrize("keep", [True, False])
def test_files_are_read_whole_and_again(tmp_path: Path, size: int, keep: bool) -> None:
    path = tmp_path / "stat"
    file = ProcFile(str(tmp_path), ("missing", "stat"), keep)
    for content in (b"a" * size, b"b" * size + b"\n"):
        path.write_bytes(content)
        assert file.read() == content
    file.close()


def test_a_replaced_file_is_seen_where_nothing_is_kept(tmp_path: Path) -> None:
    file = ProcFile(str(tmp_path), ("stat",), keep=False)
    (tmp_path / "stat").write_bytes(b"one\n")
    assert file.read() == b"one\n"
    (tmp_path / "new").write_bytes(b"two\n")
    (tmp_path / "new").rename(tmp_path / "stat")
    assert file.read() == b"two\n"
    assert file.fileno() == -1


def test_missing_files_and_folders_are_os_errors_and_a_kept_file_comes_back(tmp_path: Path) -> None:
    file = ProcFile(str(tmp_path), ("stat",), keep=True)
    with pytest.raises(FileNotFoundError):
        file.read()
    (tmp_path / "stat").mkdir()
    with pytest.raises(IsADirectoryError):
        file.read()
    (tmp_path / "stat").rmdir()
    os.mkfifo(tmp_path / "stat")
    with pytest.raises(OSError, match="seek"):
        file.read()
    (tmp_path / "stat").unlink()
    (tmp_path / "stat").write_bytes(b"x\n")
    assert file.read() == b"x\n"
    file.close()
