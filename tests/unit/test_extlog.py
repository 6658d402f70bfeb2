"""extension.log: line format, sharing between processes, rotation, a disk that fails."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from extension import extlog
from extension.extlog import ExtensionLog

LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[P\.T-1\.0\] ")


@pytest.fixture
def log(tmp_path: Path) -> ExtensionLog:
    return ExtensionLog(str(tmp_path / "extension.log"), "P.T-1.0", clock=lambda: 0.0)


def text(log: ExtensionLog) -> str:
    return Path(log.path).read_text(encoding="utf-8")


def test_line_format(log: ExtensionLog) -> None:
    log.info("cwd is /x")
    log.error("it broke")
    log.warning("odd")
    first, second, third = text(log).splitlines()
    assert LINE.match(first)
    assert first.endswith("cwd is /x")
    assert re.fullmatch(r"\S+ \S+ ERROR:\[P\.T-1\.0\] it broke", second)
    assert re.fullmatch(r"\S+ \S+ WARNING:\[P\.T-1\.0\] odd", third)


def test_continuation_lines_have_the_time_only(log: ExtensionLog) -> None:
    log.info("one\ntwo\n\nthree\n")
    lines = text(log).splitlines()
    stamp = lines[0][:19]
    assert lines[1:] == [f"{stamp} two", f"{stamp} ", f"{stamp} three"]


def test_control_characters_cannot_forge_a_line(log: ExtensionLog) -> None:
    log.info("a\r2000/01/01 00:00:00 [x] b\x1b[31m\u2028c")
    assert len(text(log).split("\n")) == 2
    assert "\x1b" not in text(log)
    assert "\\r2000" in text(log)


def test_long_message_is_cut_and_says_so(log: ExtensionLog) -> None:
    log.info("x" * (extlog.MAX_MESSAGE + 5))
    assert text(log).rstrip().endswith("... [5 characters cut]")


def test_mode_is_tight(log: ExtensionLog) -> None:
    log.info("x")
    assert stat.S_IMODE(os.stat(log.path).st_mode) & ~0o640 == 0


def test_rotation_keeps_a_bounded_number(tmp_path: Path) -> None:
    log = ExtensionLog(str(tmp_path / "e.log"), "t", max_bytes=300, keep=2)
    for number in range(60):
        log.info(f"message {number}")
    files = sorted(name for name in os.listdir(tmp_path) if not name.endswith(".lock"))
    assert files == ["e.log", "e.log.1", "e.log.2"]
    assert all(os.path.getsize(tmp_path / name) <= 300 for name in files)
    assert "message 59" in (tmp_path / "e.log").read_text()
    kept = "".join((tmp_path / name).read_text() for name in reversed(files))
    numbers = [int(n) for n in re.findall(r"message (\d+)", kept)]
    assert numbers == list(range(numbers[0], 60))


def test_reopens_a_file_that_was_moved_away(log: ExtensionLog) -> None:
    log.info("one")
    os.rename(log.path, f"{log.path}.moved")
    log.info("two")
    assert "two" in text(log)
    assert "one" not in text(log)


def test_processes_share_a_rotating_file_without_loss(tmp_path: Path) -> None:
    path = str(tmp_path / "shared.log")
    code = (
        "import sys; from extension.extlog import ExtensionLog\n"
        "log = ExtensionLog(sys.argv[1], 't', max_bytes=4000, keep=50)\n"
        "for n in range(200): log.info(f'writer {sys.argv[2]} line {n}.')\n"
        "assert log.dropped == 0\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    started = [subprocess.Popen([sys.executable, "-c", code, path, str(who)], cwd=root) for who in range(3)]
    assert [child.wait(60) for child in started] == [0, 0, 0]
    found = "".join(p.read_text() for p in tmp_path.iterdir() if not p.name.endswith(".lock"))
    assert sorted(re.findall(r"writer (\d) line (\d+)\.", found)) == sorted(
        (str(w), str(n)) for w in range(3) for n in range(200)
    )


def test_a_disk_that_fails_never_raises_and_drops_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    log = ExtensionLog(str(folder / "e.log"), "t")
    log.info("one")
    log.info("two")
    assert log.dropped == 2
    folder.mkdir()
    log.info("three")
    lines = (folder / "e.log").read_text().splitlines()
    assert "2 log messages before this one were dropped: No such file or directory" in lines[0]
    assert lines[1].endswith("three")
    assert log.dropped == 0


def test_full_disk_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "e.log"
    path.symlink_to("/dev/full")
    log = ExtensionLog(str(path), "t")
    log.info("one")
    assert log.dropped == 1


def test_also_writes_to_a_stream_and_survives_its_end(log: ExtensionLog) -> None:
    stream = io.StringIO()
    both = ExtensionLog(log.path, "t", also=stream)
    both.info("seen")
    assert stream.getvalue().endswith("seen\n")
    stream.close()
    both.info("still in the file")
    both.info("and again")
    assert text(both).count("\n") == 3
