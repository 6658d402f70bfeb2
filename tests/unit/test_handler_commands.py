"""The command table: how commands are written, what they answer to bad surroundings."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from handler import commands

ROOT = Path(__file__).resolve().parents[2]


def make_home(base: Path, settings: str | None = None) -> Path:
    home = base / "lib" / "P.T-1.0"
    for folder in ("config", "status"):
        (home / folder).mkdir(parents=True)
    (base / "log").mkdir()
    folders = {
        "logFolder": str(base / "log"),
        "configFolder": str(home / "config"),
        "statusFolder": str(home / "status"),
    }
    (home / "HandlerEnvironment.json").write_text(json.dumps([{"name": "P.T", "handlerEnvironment": folders}]))
    if settings is not None:
        (home / "config" / "0.settings").write_text(settings)
    return home


def run(home: Path, *argv: str, platform: str = "linux", **environ: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    env = {"LAD_STATE_DIR": str(home.parent.parent / "state"), "LAD_SERVICE": "daemon", **environ}
    code = commands.run(list(argv), env, str(home), out, err, platform=platform, patience=0.1)
    return code, out.getvalue(), err.getvalue()


def status(home: Path) -> dict[str, object]:
    value = json.loads((home / "status" / "0.status").read_text())
    body: dict[str, object] = value[0]["status"]
    return body


@pytest.mark.parametrize("word", ["-enable", "--enable", "/enable", "enable", "-Enable", "//enable"])
def test_every_way_to_write_a_command(word: str) -> None:
    assert commands.command_name(word) == "enable"


@pytest.mark.parametrize("argv", [[], ["-reset"], ["-enable", "-disable"], [""], ["enableXYZ"]])
def test_unknown_command_is_a_usage_error(tmp_path: Path, argv: list[str]) -> None:
    code, _, err = run(make_home(tmp_path, ""), *argv)
    assert code == 2
    assert err.startswith("usage: ")


def test_the_table_has_the_manifests_commands() -> None:
    manifest = json.loads((ROOT / "packaging" / "HandlerManifest.json").read_text())[0]["handlerManifest"]
    named = {value for key, value in manifest.items() if key.endswith("Command")}
    assert named == {f"shim.sh -{name}" for name in commands.COMMANDS if name != "daemon"}
    assert manifest["reportHeartbeat"] is False
    assert manifest["rebootAfterInstall"] is False
    assert manifest["updateMode"] == "UpdateWithInstall"
    assert manifest["continueOnUpdateFailure"] is True


@pytest.mark.parametrize(
    ("name", "code"), [("install", 1), ("enable", 1), ("update", 1), ("disable", 0), ("uninstall", 0)]
)
def test_without_environment_file(tmp_path: Path, name: str, code: int) -> None:
    home = tmp_path / "a" / "home"
    home.mkdir(parents=True)
    got, _, err = run(home, name)
    assert got == code
    assert "HandlerEnvironment.json" in err.splitlines()[0]
    assert "Traceback" not in err


def test_other_operating_systems_are_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path, "")
    code, _, err = run(home, "-install", platform="freebsd14")
    assert code == 51
    assert "Linux only" in err
    assert status(home)["code"] == 51
    assert not (tmp_path / "state").exists()


def test_incomplete_package_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path, "")
    (home / "package.list").write_text("5 there\n7 extension/gone.py\n")
    (home / "there").write_text("four")
    code, _, err = run(home, "-install")
    assert code == 52
    assert "file there has 4 instead of 5 bytes" in err
    assert "extension/gone.py is missing" in err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (None, "no settings file"),
        ("{", "line 1 column 2"),
        ("", "storageAccountName"),
        ('{"runtimeSettings": [{"handlerSettings": {"publicSettings": 7}}]}', "publicSettings is a number"),
    ],
)
def test_enable_refuses_bad_settings(tmp_path: Path, settings: str | None, part: str) -> None:
    home = make_home(tmp_path, settings)
    code, out, err = run(home, "-enable", ConfigSequenceNumber="0")
    assert code == 53
    assert part in err
    body = status(home)
    assert (body["status"], body["code"], body["operation"]) == ("error", 53, "Enable")
    assert part in json.dumps(body)
    assert "Dispatching command:-enable" in out
    made = {p.name for p in home.iterdir()}
    assert not made & {"xmlCfg.xml", "options.json", "daemon.json", "mrseq", "lad.pids"}


def test_missing_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"protectedSettings": "QUFB", "protectedSettingsCertThumbprint": "B" * 40}
    home = make_home(tmp_path, json.dumps({"runtimeSettings": [{"handlerSettings": body}]}))
    (tmp_path / "lib" / ("B" * 40 + ".prv")).write_text("key")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run(home, "-enable")
    assert code == 52
    assert "openssl" in err


def test_update_marks_only_what_exists(tmp_path: Path) -> None:
    home = make_home(tmp_path, "")
    assert run(home, "-update")[0] == 0
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    assert run(home, "-update", VERSION="1.0")[0] == 0
    assert json.loads((tmp_path / "state" / "upgrading").read_text())["to"] == "1.0"


def test_disable_and_uninstall_with_nothing_there(tmp_path: Path) -> None:
    home = make_home(tmp_path, "")
    for name in ("-disable", "-uninstall", "-uninstall"):
        code, out, err = run(home, name)
        assert (code, err) == (0, "")
        assert "no daemon was running" in out


def test_daemon_before_enable(tmp_path: Path) -> None:
    code, _, err = run(make_home(tmp_path, ""), "-daemon")
    assert code == 1
    assert "run enable first" in err


def test_import_is_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import handler.commands\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'handler', 'extension'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
