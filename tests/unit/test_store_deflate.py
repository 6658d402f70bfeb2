"""What is compressed for the outbox comes back, and is not larger for it."""

from __future__ import annotations

import json
import os
import zlib

import pytest

from extension.store.deflate import LEVEL, SHORT, compressed


def text(size: int) -> bytes:
    """As packed rows are: keys that differ in a few places, then numbers."""
    keys = [f"2516063918999999999__:002Fbuiltin:002Fmemory:002Fcounter{i}" for i in range(size // 50 + 1)]
    return json.dumps({"k": keys, "c": [i * 1.25 for i in range(len(keys))]}).encode()[:size]


@pytest.mark.parametrize("size", [0, 1, 100, SHORT - 1, SHORT, SHORT + 1, 10 * SHORT])
def test_it_comes_back(size: int) -> None:
    for data in (text(size), os.urandom(size)):
        assert zlib.decompress(compressed(data)) == data


@pytest.mark.parametrize("size", [2000, 10_000, SHORT, SHORT + 1, 10 * SHORT])
def test_smaller_tables_cost_hardly_any_room(size: int) -> None:
    assert len(compressed(text(size))) <= 1.05 * len(zlib.compress(text(size), LEVEL)) + 16
