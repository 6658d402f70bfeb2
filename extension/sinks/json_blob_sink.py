"""Appends batches of rows to the JSON blobs of one account, each exactly once (spec/mdsd.md 5.1).

A block's number is remembered durably before the block is sent. After a kill, the same batch either finds its number
among the committed blocks, which is all, or sends the same block again under the same number: committing it twice
changes nothing. What is committed is asked from the service; where the SAS may not read (LAD asked for sp=acluw only)
it is taken from the blob's metadata, which a listing shows, and last from what was remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from extension.rows.edm import Row
from extension.sinks import json_blob, memos
from extension.sinks.base import SinkError
from extension.sinks.blob_service import BlobService, Listed
from extension.sinks.memos import Memos

KEPT_LISTS = 16
_BLOCKS, _LATEST = "lad_blocks", "lad_latest"
"""Names of the metadata: the number of the newest block, and the key of the batch that it holds."""


class JsonBlobSink:
    """One account. ``send`` takes rows of one blob (PartitionKey), whose first RowKey names the batch."""

    def __init__(self, service: BlobService, name: str, remembered: Memos) -> None:
        self._service = service
        self._name = name
        self._memos = remembered
        self._lists: dict[tuple[str, str], list[int]] = {}

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Append the rows as one block; ``table`` is ``jsonblob/CONTAINER``. Repeating the same batch is fine."""
        if not rows:
            return
        container, path, batch = table.partition("/")[2], rows[0].partition_key, rows[0].row_key
        if not json_blob.acceptable_path(path):
            what = f"blob name {path[:200]!r} is not allowed; correct resourceId and the other partition fields"
            raise SinkError("drop-batch", "InvalidResourceName", what)
        blob = (container, path)
        memo = memos.split(self._memos.recall(self._key(blob)))
        known = self._lists.get(blob)
        if known is None:
            known = self._committed(container, path, batch, memo)
        if known is None or (memo is not None and memo[0] == batch and memo[1] in known):
            return  # it was committed before
        number = memo[1] if memo is not None and memo[0] == batch else 0
        number = max(number, json_blob.next_number(known))
        if number >= json_blob.LAST:
            raise SinkError("drop-batch", "BlockCountExceedsLimit", f"blob {container}/{path} has 50,000 blocks")
        self._memos.remember(self._key(blob), memos.joined(batch, number))
        self._lists.pop(blob, None)
        self._append(container, path, known, number, rows)
        self._keep(blob, json_blob.with_block(known, number))

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _key(self, blob: tuple[str, str]) -> str:
        return f"{self._name}:{blob[0]}/{blob[1]}"

    def _keep(self, blob: tuple[str, str], blocks: list[int]) -> None:
        while len(self._lists) >= KEPT_LISTS:
            del self._lists[next(iter(self._lists))]
        self._lists[blob] = blocks

    def _append(self, container: str, path: str, known: list[int], number: int, rows: Sequence[Row]) -> None:
        first = not [n for n in known if n not in (json_blob.FIRST, json_blob.LAST)]
        if not known:
            self._service.put_block(container, path, json_blob.FIRST, json_blob.OPENING)
            self._service.put_block(container, path, json_blob.LAST, json_blob.CLOSING)
        self._service.put_block(container, path, number, json_blob.content(rows, first))
        blocks = json_blob.with_block(known, number)
        self._service.put_block_list(container, path, blocks, {_BLOCKS: str(number), _LATEST: rows[0].row_key})

    def _committed(self, container: str, path: str, batch: str, memo: tuple[str, int] | None) -> list[int] | None:
        """The blob's blocks as they really are; None if this batch is known to be the newest of them."""
        blocks = self._service.blocks(container, path)
        if blocks is not None:
            return blocks
        listed = self._service.listed(container, path)
        if listed is False:
            return []
        if isinstance(listed, Listed):
            newest = listed.metadata.get(_BLOCKS, "")
            if newest.isascii() and newest.isdigit() and int(newest) < json_blob.LAST:
                return None if listed.metadata.get(_LATEST) == batch else [*range(int(newest) + 1), json_blob.LAST]
        if memo is not None:
            newest_known = memo[1] - 1 if memo[0] == batch else memo[1]
            return [*range(newest_known + 1), json_blob.LAST] if newest_known > 0 else []
        what = (
            f"blob {container}/{path} exists and the SAS may not read which blocks it has; make a new one with read "
            "permission (r), or move the blob away"
        )
        raise SinkError("slow", "BlobNotReadable", what, cause="sas-permission", place=path)
