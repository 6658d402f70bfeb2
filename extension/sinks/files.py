"""JSON blobs and text rows as files, for ``file:`` endpoints and the file sink (spec/mdsd.md 5.1, 5.3).

Where a batch begins in its file is remembered before it is written, so that the same batch, repeated after a kill,
is written over itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace

from extension.rows.edm import Row
from extension.sinks import json_blob, memos
from extension.sinks.base import SinkError
from extension.sinks.memos import Memos

_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class JsonFilesSink:
    """The file tree below ``root``: ``CONTAINER/BLOB`` with the very content of the blobs (0600, folders 0700)."""

    def __init__(self, root: str, name: str, remembered: Memos) -> None:
        self._root = root
        self._name = name
        self._memos = remembered

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Append the rows of one blob; ``table`` is ``jsonblob/CONTAINER``. Repeating the same batch is fine."""
        if not rows:
            return
        container, path, batch = table.partition("/")[2], rows[0].partition_key, rows[0].row_key
        if not json_blob.acceptable_path(path) or not json_blob.acceptable_path(container):
            what = f"blob name {container[:63]}/{path[:200]} is not allowed; correct resourceId and eventName"
            raise SinkError("drop-batch", "InvalidResourceName", what)
        where = os.path.join(self._root, container, *(step for step in path.split("/") if step))
        key = f"{self._name}:{container}/{path}"
        try:
            os.makedirs(os.path.dirname(where), mode=0o700, exist_ok=True)
            file = os.open(where, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                begin = _begin(file, batch, memos.split(self._memos.recall(key)), where)
                self._memos.remember(key, memos.joined(batch, begin))
                head = json_blob.OPENING if begin == 0 else b""
                body = json_blob.content(rows, begin <= len(json_blob.OPENING))
                _write(file, begin, head + body + json_blob.CLOSING, cut=True)
            finally:
                os.close(file)
        except SinkError as error:
            raise replace(error, place=path) from None
        except OSError as error:
            raise replace(_judged(where, error), place=path) from error

    def close(self) -> None:
        """Nothing is open between batches."""


class TextFileSink:
    """Lines in text files; a relative path is below ``base``."""

    def __init__(self, name: str, remembered: Memos, base: str = "/tmp") -> None:  # noqa: S108
        self._name = name
        self._memos = remembered
        self._base = base

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Append one line per row; ``table`` is ``file/PATH``. Repeating the same batch is fine."""
        if not rows:
            return
        where = os.path.join(self._base, table.partition("/")[2])
        batch, key = rows[0].row_key, f"{self._name}:{where}"
        body = b"".join(str(row.columns[json_blob.RECORD][1]).encode("utf-8", "replace") + b"\n" for row in rows)
        try:
            file = os.open(where, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                memo = memos.split(self._memos.recall(key))
                size = os.fstat(file).st_size
                begin = memo[1] if memo is not None and memo[0] == batch and memo[1] <= size else size
                self._memos.remember(key, memos.joined(batch, begin))
                _write(file, begin, body, cut=False)
            finally:
                os.close(file)
        except OSError as error:
            raise _judged(where, error) from error

    def close(self) -> None:
        """Nothing is open between batches."""


def _begin(file: int, batch: str, memo: tuple[str, int] | None, where: str) -> int:
    """Where the batch goes: over the closing of the file, or where it was begun before."""
    size = os.fstat(file).st_size
    if memo is not None and memo[0] == batch and memo[1] <= size:
        return memo[1]
    if size == 0:
        return 0
    end = size - len(json_blob.CLOSING)
    whole = end > len(json_blob.OPENING) and os.pread(file, len(json_blob.CLOSING), end) == json_blob.CLOSING
    if whole and os.pread(file, len(json_blob.OPENING), 0) == json_blob.OPENING:
        return end
    raise SinkError("slow", "FileDamaged", f"{where} is not the JSON that was written there; move it away")


def _write(file: int, begin: int, body: bytes, *, cut: bool) -> None:
    done = 0
    while done < len(body):
        done += os.pwrite(file, body[done:], begin + done)
    if cut:
        os.ftruncate(file, begin + len(body))
    os.fdatasync(file)


def _judged(where: str, error: OSError) -> SinkError:
    if error.errno in _SPACE:
        return SinkError("retry", "DiskFull", f"no space for {where}; free some, it goes on by itself", connection=True)
    what = f"{where} cannot be written: {error.strerror or error}; check path and rights"
    return SinkError("slow", "FileUnusable", what)
