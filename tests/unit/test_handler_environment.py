"""HandlerEnvironment.json: its shapes, its errors, an agent that is writing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handler import environment
from handler.environment import EnvironmentFileError

FOLDERS = {"logFolder": "/l/log", "configFolder": "/h/config", "statusFolder": "/h/status", "heartbeatFile": "/h/hb"}


def text(value: object) -> str:
    return json.dumps(value)


@pytest.mark.parametrize("wrap", [True, False])
def test_array_or_object(wrap: bool) -> None:
    value = {"name": "P.T", "version": 1.0, "handlerEnvironment": FOLDERS}
    env = environment.parse(text([value] if wrap else value), "/lib/P.T-1.2", "1.2")
    assert (env.name, env.schema, env.version) == ("P.T", "1.0", "1.2")
    assert (env.log_folder, env.config_folder, env.status_folder) == ("/l/log", "/h/config", "/h/status")
    assert env.tag == "P.T-1.2"
    assert env.lib_dir == "/lib"


def test_name_falls_back_to_the_folder() -> None:
    env = environment.parse(text({"handlerEnvironment": FOLDERS}), "/lib/Pub.Type-3.4.5", "3.4.5")
    assert env.name == "Pub.Type"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "empty array"),
        ('"x"', "neither an object"),
        ("[1]", "neither an object"),
        ("{}", "handlerEnvironment"),
        ('{"handlerEnvironment": []}', "handlerEnvironment"),
        (text({"handlerEnvironment": {**FOLDERS, "logFolder": "rel"}}), "logFolder"),
        (text({"handlerEnvironment": {**FOLDERS, "configFolder": 7}}), "configFolder"),
        (text({"handlerEnvironment": {**FOLDERS, "statusFolder": None}}), "statusFolder"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_odd_content_is_named(content: str, part: str) -> None:
    with pytest.raises(EnvironmentFileError, match=part) as caught:
        environment.parse(content, "/home", "1")
    assert "/home/HandlerEnvironment.json" in str(caught.value)


def test_waits_for_an_agent_that_is_writing(tmp_path: Path) -> None:
    path = tmp_path / environment.FILE
    path.write_text('[{"handlerEnv')
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 0.5:
            path.write_text(text({"name": "P.T", "handlerEnvironment": FOLDERS}))

    env = environment.read(str(tmp_path), {}, monotonic=lambda: now[0], sleep=sleep)
    assert env.name == "P.T"


def test_gives_up_after_its_patience(tmp_path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(EnvironmentFileError, match="cannot read"):
        environment.read(str(tmp_path), {}, monotonic=lambda: now[0], sleep=sleep)
    assert 1.0 < now[0] <= environment.PATIENCE


def test_version_by_file_agent_folder(tmp_path: Path) -> None:
    home = tmp_path / "P.T-7.8.9"
    home.mkdir()
    assert environment.package_version(str(home), {}) == "7.8.9"
    assert environment.package_version(str(home), {"AZURE_GUEST_AGENT_EXTENSION_VERSION": "2.0"}) == "2.0"
    (home / "version").write_text("1.0.0\n")
    assert environment.package_version(str(home), {"AZURE_GUEST_AGENT_EXTENSION_VERSION": "2.0"}) == "1.0.0"


def test_state_dir() -> None:
    assert environment.state_dir({}) == "/var/lib/lad-emulator"
    assert environment.state_dir({"LAD_STATE_DIR": "/x/../y"}) == "/y"
