"""Fixtures that several test folders share: a running Azurite and a fresh table name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import azurite_bed
from tests.azurite_bed import Azurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for the session (one per worker under xdist). Without node: a skip, in CI a failure."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ.update(NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")
    try:
        try:
            server = azurite_bed.start(tmp_path_factory.mktemp("azurite"))
        except azurite_bed.UnavailableError as reason:
            if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
                pytest.fail(f"CI must run the Azurite tests: {reason}")
            pytest.skip(str(reason))
        try:
            yield server
        finally:
            server.stop()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture
def table_endpoint(azurite: Azurite) -> str:
    """``http://127.0.0.1:PORT/devstoreaccount1``."""
    return azurite.table_endpoint


@pytest.fixture
def table_name() -> str:
    """A table that no other test uses."""
    return azurite_bed.unique_table()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for unix sockets below it: ``tmp_path`` may be over 100 characters long."""
    folder = tempfile.mkdtemp(prefix="lad-")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
