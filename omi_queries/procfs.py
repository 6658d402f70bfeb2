"""Reading /proc: kept descriptors, and parsers that are pure functions over bytes.

Formats: kernel Documentation/filesystems/proc.rst and admin-guide/iostats.rst. A parser takes the bytes of a file and
the rows of the previous call with their raw lines (the memo), so that an unchanged line is not parsed again. Lines
that cannot be read are named in ``notes`` and left out.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Sequence
from typing import NamedTuple

Row = tuple[int, ...]
Memo = dict[bytes, tuple[str, Row]]
"""Raw line -> (name, numbers)."""

_CHUNK = 32768
_LIMIT = 16 << 20
_UINT64 = 1 << 64


class Table(NamedTuple):
    """Rows of a file by name, why lines are missing, and the memo for the next call."""

    rows: dict[str, Row]
    notes: tuple[str, ...]
    memo: Memo


EMPTY = Table({}, (), {})


class ProcFile:
    """One file below ``root``, read as a whole again and again.

    On the live system (``keep``) the descriptor stays open and is read with pread, which makes the kernel produce
    the text anew; elsewhere the file is opened each time, because it may have been replaced. ``paths`` are relative
    to ``root`` and tried in order. ``long_records``: a line may be as long as a page.
    """

    def __init__(self, root: str, paths: Sequence[str], keep: bool, long_records: bool = False) -> None:
        self._paths = [os.path.join(root, path) for path in paths]
        self._keep = keep
        self._long_records = long_records
        self._fd = -1
        self.name = "/" + paths[0]

    def read(self) -> bytes:
        """The content (OSError if it cannot be had, also when it is larger than 16 MiB)."""
        if self._fd >= 0:
            try:
                return _read_all(self._fd, self._long_records)
            except OSError:
                self.close()  # the descriptor went stale: open it anew
        self._fd = self._open()
        try:
            return _read_all(self._fd, self._long_records)
        except OSError:
            self.close()
            raise
        finally:
            if not self._keep:
                self.close()

    def _open(self) -> int:
        failure: OSError | None = None
        for path in self._paths:
            try:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError as error:
                failure = failure or error
        raise failure or FileNotFoundError(self.name)

    def fileno(self) -> int:
        """The kept descriptor, -1 before the first read."""
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _read_all(fd: int, long_records: bool) -> bytes:
    """All bytes from offset 0.

    The kernel answers with as many whole records as fit into a page. Where records are short, an answer of less than
    half a page that ends a line is therefore everything, and the read that would only find the end is saved.
    """
    data = os.pread(fd, _CHUNK, 0)
    if not data or (not long_records and len(data) < 2048 and data[-1:] == b"\n"):
        return data
    parts = [data]
    size = len(data)
    while size <= _LIMIT:
        more = os.pread(fd, _CHUNK, size)
        if not more:
            return b"".join(parts)
        parts.append(more)
        size += len(more)
    raise OSError(f"more than {_LIMIT} bytes")


def why(name: str, error: OSError) -> str:
    """The reason to count when file ``name`` cannot be read."""
    return f"{name}: {error.strerror or error}"


def numbers(fields: Sequence[bytes]) -> Row | None:
    """Counters from decimal fields; None if one is not a number of at most 64 bits."""
    try:
        row = tuple(map(int, fields))
    except ValueError:
        return None
    return row if min(row) >= 0 and max(row) < _UINT64 else None


def _cut_off(data: bytes) -> bytes | None:
    """The last line if the file was cut off in it: it has no end, and fewer fields than the one before it.

    Its last number may be a piece of a number, which would make a rate of the next reading far too high.
    """
    if data.endswith(b"\n"):
        return None
    *_, before, last = (b"", b"", *data.rsplit(b"\n", 2))
    return last if len(last.split()) < len(before.split()) else None


def parse_stat(data: bytes, memo: Memo) -> Table:
    """``cpu`` rows of /proc/stat: "0", "1", ... and "_Total" to user nice system idle iowait irq softirq in ticks."""
    end = data.find(b"\nintr")
    cut = _cut_off(data) if end < 0 else None
    rows: dict[str, Row] = {}
    notes: list[str] = []
    fresh: Memo = {}
    for line in (data[:end] if end >= 0 else data).split(b"\n"):
        if line[:3] != b"cpu":
            if rows or notes:
                break
            continue
        entry = memo.get(line)
        if entry is None:
            fields = line.split(None, 8)
            row = numbers(fields[1:8]) if len(fields) > 7 and line != cut else None
            number = fields[0][3:]
            if row is None or not (number.isdigit() or not number):
                notes.append(f"/proc/stat: row {shown(fields[0])} is unreadable")
                continue
            entry = (str(int(number)) if number else "_Total", row)
        fresh[line] = entry
        rows[entry[0]] = entry[1]
    return Table(rows, tuple(notes), fresh)


def parse_diskstats(data: bytes, memo: Memo) -> Table:
    """/proc/diskstats by device: reads, sectors read, ms reading, writes, sectors written, ms writing, in flight.

    A sector is 512 bytes whatever the device's own block size is.
    """
    cut = _cut_off(data)
    rows: dict[str, Row] = {}
    notes: list[str] = []
    fresh: Memo = {}
    for line in data.split(b"\n"):
        entry = memo.get(line)
        if entry is None:
            if not line or line.isspace():
                continue
            f = line.split(None, 12)
            row = numbers((f[3], f[5], f[6], f[7], f[9], f[10], f[11])) if len(f) > 11 and line != cut else None
            if row is None:
                notes.append(f"/proc/diskstats: row {shown(f[2] if len(f) > 2 else line)} is unreadable")
                continue
            entry = (shown(f[2]), row)
        fresh[line] = entry
        rows[entry[0]] = entry[1]
    return Table(rows, tuple(notes), fresh)


def parse_net_dev(data: bytes, memo: Memo) -> Table:
    """/proc/net/dev by interface: bytes, packets, errors received; bytes, packets, errors, collisions transmitted."""
    cut = _cut_off(data)
    rows: dict[str, Row] = {}
    notes: list[str] = []
    fresh: Memo = {}
    for line in data.split(b"\n"):
        entry = memo.get(line)
        if entry is None:
            colon = line.rfind(b":")
            if colon < 0:
                if line and b"|" not in line:  # the two heading lines have bars
                    notes.append(f"/proc/net/dev: line {shown(line)} is unreadable")
                continue
            name = shown(line[:colon].strip())
            f = line[colon + 1 :].split()
            row = numbers((f[0], f[1], f[2], f[8], f[9], f[10], f[13])) if len(f) > 13 and line != cut else None
            if row is None or not name:
                notes.append(f"/proc/net/dev: row {name} is unreadable")
                continue
            entry = (name, row)
        fresh[line] = entry
        rows[entry[0]] = entry[1]
    return Table(rows, tuple(notes), fresh)


def field_value(data: bytes, key: bytes) -> int | None:
    """The number after ``key`` at the start of a line (``MemTotal:   123 kB``, ``pgpgin 5``); None if not readable."""
    at = 0 if data.startswith(key) else data.find(b"\n" + key) + 1
    if at == 0 and not data.startswith(key):
        return None
    at += len(key)
    end = data.find(b"\n", at)
    text = data[at:end] if end >= 0 else data[at:]
    if text.endswith(b" kB"):
        text = text[:-3]
    elif end < 0 and key[-1:] == b":":
        return None  # cut off: the number may go on
    try:
        value = int(text)
    except ValueError:
        return None
    return value if 0 <= value < _UINT64 else None


def shown(raw: bytes) -> str:
    """Text of a name; bytes that are not UTF-8 as ``\\xNN``, at most 255 characters of it."""
    return raw[:1020].decode("utf-8", "backslashreplace")[:255]
