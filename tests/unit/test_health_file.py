"""The health file: written anew when it says something else, its time set in place when it says the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from extension.health import HealthFile

FACTS: dict[str, object] = {"pid": 7, "healthy": True, "components": {"collector": {"state": "running"}}}
NOW = 1795917677.1093


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.health"


def test_the_same_again_changes_the_time_and_keeps_the_file(path: Path) -> None:
    health = HealthFile()
    health.write(str(path), FACTS, NOW)
    first = path.stat()
    assert read(path) == {**FACTS, "time": NOW}
    assert first.st_mode & 0o777 == 0o600
    for later in (NOW + 60, NOW - 3600, 1800000000.0, 1e9):
        health.write(str(path), dict(FACTS), later)
        assert read(path) == {**FACTS, "time": later}
        assert (path.stat().st_ino, path.stat().st_size) == (first.st_ino, first.st_size)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("other", [{"pid": 8}, {"healthy": False}, {"components": {"collector": {"state": "backoff"}}}])
def test_something_else_is_a_new_file(path: Path, other: dict[str, object]) -> None:
    health = HealthFile()
    health.write(str(path), FACTS, NOW)
    kept = path.open()  # whoever reads the old one reads it to its end
    health.write(str(path), {**FACTS, **other}, NOW)
    assert read(path) == {**FACTS, **other, "time": NOW}
    assert path.stat().st_ino != os.fstat(kept.fileno()).st_ino
    assert json.load(kept) == {**FACTS, "time": NOW}
    kept.close()
    health.write(str(path), FACTS, NOW + 1)
    assert read(path) == {**FACTS, "time": NOW + 1}


@pytest.mark.parametrize("times", [(NOW, 5.25), (5.25, NOW), (1e10, NOW)])
def test_a_time_of_another_width_is_a_new_file(path: Path, times: tuple[float, float]) -> None:
    health = HealthFile()
    for time in times:
        health.write(str(path), FACTS, time)
        assert read(path)["time"] == time


def test_a_file_that_is_gone_or_another_is_written_anew(path: Path, tmp_path: Path) -> None:
    health = HealthFile()
    health.write(str(path), FACTS, NOW)
    path.unlink()
    health.write(str(path), FACTS, NOW + 1)
    assert read(path) == {**FACTS, "time": NOW + 1}
    other = tmp_path / "other"
    other.write_text("{}")
    other.replace(path)
    health.write(str(path), FACTS, NOW + 2)
    assert read(path) == {**FACTS, "time": NOW + 2}
    elsewhere = tmp_path / "elsewhere"
    health.write(str(elsewhere), FACTS, NOW + 3)
    assert (read(elsewhere)["time"], read(path)["time"]) == (NOW + 3, NOW + 2)


def test_a_folder_that_is_gone_is_an_error_each_time_and_then_over(path: Path) -> None:
    health = HealthFile()
    health.write(str(path), FACTS, NOW)
    path.unlink()
    path.parent.rename(path.parent.with_name("away"))
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            health.write(str(path), FACTS, NOW + 1)
    path.parent.mkdir()
    health.write(str(path), FACTS, NOW + 2)
    assert read(path)["time"] == NOW + 2
