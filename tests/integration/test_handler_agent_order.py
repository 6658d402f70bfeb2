"""The local VM agent's orders of commands, with a dummy extension that journals its calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from extension.vmagent import command
from extension.vmagent.agent import AgentError, LocalAgent
from extension.vmagent.command import CommandResult
from extension.vmagent.folder import Settings

HANDLER = """#!/bin/sh
here=$(dirname "$0")
facts=$(env | grep -E '{wanted}' | sort | tr '\\n' ' ')
printf '%s\\t%s\\t%s\\t%s\\n' "$1" "$AZURE_GUEST_AGENT_EXTENSION_VERSION" "$PWD" "$facts" >>"$JOURNAL"
if [ "$1" = enable ]; then
  echo '[{{"version": 1.0, "status": {{"operation": "Enable", "status": "success", "code": 0}}}}]' \\
    >"status/$ConfigSequenceNumber.status"
  echo "$ConfigSequenceNumber" >mrseq
fi
echo "ran $1"
[ ! -e "$FAIL_DIR/$AZURE_GUEST_AGENT_EXTENSION_VERSION-$1" ] || exit 7
"""
WANTED = "^(VERSION|ConfigSequenceNumber|AZURE_GUEST_AGENT_(UN|DIS|UPD).*)="


class Bed:
    """A root, a journal, and packages of any version."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.journal = base / "journal"
        self.fail_dir = base / "fail"
        self.fail_dir.mkdir()
        env = {**os.environ, "JOURNAL": str(self.journal), "FAIL_DIR": str(self.fail_dir)}
        self.agent = LocalAgent(str(base / "root"), env=env)

    def package(self, version: str, **manifest: Any) -> str:
        folder = self.base / f"package-{version}"
        folder.mkdir()
        commands = {f"{name}Command": f"run.sh {name}" for name in command.LIMITS}
        value = [{"name": "D.Dummy", "version": version, "handlerManifest": {**commands, **manifest}}]
        (folder / "HandlerManifest.json").write_text(json.dumps(value))
        (folder / "run.sh").write_text(HANDLER.format(wanted=WANTED))
        return str(folder)

    def fail(self, version: str, name: str) -> None:
        (self.fail_dir / f"{version}-{name}").write_text("")

    def heal(self) -> None:
        for path in self.fail_dir.iterdir():
            path.unlink()

    def calls(self) -> list[tuple[str, str]]:
        """(version, command) of every call so far."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [(line.split("\t")[1], line.split("\t")[0]) for line in lines]

    def facts(self, index: int) -> dict[str, str]:
        """The agent's variables of one call."""
        text = self.journal.read_text().splitlines()[index].split("\t")[3]
        return dict(part.split("=", 1) for part in text.split())

    def home(self, version: str) -> Path:
        return Path(self.agent.lib_dir) / f"D.Dummy-{version}"


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def codes(done: list[CommandResult]) -> list[tuple[str, int]]:
    return [(result.command, result.exit_code) for result in done]


def test_first_enable_installs(bed: Bed) -> None:
    done = bed.agent.enable(bed.package("1.0.0"), Settings({"a": 1}))
    assert codes(done) == [("install", 0), ("enable", 0)]
    assert bed.calls() == [("1.0.0", "install"), ("1.0.0", "enable")]
    assert bed.facts(0) == {"ConfigSequenceNumber": "0", "AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE": "NOT_RUN"}
    home = bed.home("1.0.0")
    assert (home / "config" / "HandlerState").read_text() == "Enabled"
    assert json.loads((home / "config" / "HandlerStatus").read_text())["status"] == "Ready"
    body = json.loads((home / "config" / "0.settings").read_text())["runtimeSettings"][0]["handlerSettings"]
    assert body == {"publicSettings": {"a": 1}, "protectedSettings": None, "protectedSettingsCertThumbprint": None}
    environment = json.loads((home / "HandlerEnvironment.json").read_text())[0]
    assert environment["name"] == "D.Dummy"
    assert all(os.path.isabs(path) for path in environment["handlerEnvironment"].values())
    assert bed.agent.status()["status"]["status"] == "success"
    log = Path(bed.agent.log_root, "D.Dummy", "CommandExecution.log").read_text()
    assert "ran install" in log


def test_a_root_with_blanks_and_quotes(tmp_path: Path) -> None:
    odd = tmp_path / "it's a $(root) #1"
    odd.mkdir()
    bed = Bed(odd)
    assert [(r.command, r.exit_code) for r in bed.agent.enable(bed.package("1.0.0"))] == [("install", 0), ("enable", 0)]
    assert [r.exit_code for r in bed.agent.uninstall()] == [0, 0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_root_of_somebody_else_is_one_clear_line(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    bed.agent.enable(bed.package("1.0.0"))
    code = (
        "import locale, os, sys; from extension.cli import main; import extension.vmagent.cli; "
        "os.setgid(65534); os.setuid(65534); "
        f"sys.exit(main(['vm-agent', 'status', '--root', {str(tmp_path / 'root')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.endswith("Permission denied\n")
    assert len(done.stderr.splitlines()) == 1


def test_new_settings_take_the_next_number_and_noop_keeps_it(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    assert (bed.home("1.0.0") / "config" / "0.settings").read_bytes() == b""
    bed.agent.enable(None, Settings({"n": 1}))
    bed.agent.noop()
    bed.agent.enable()
    assert [bed.facts(i)["ConfigSequenceNumber"] for i in range(5)] == ["0", "0", "1", "1", "1"]
    assert sorted(os.listdir(bed.home("1.0.0") / "config")) == [
        "0.settings", "1.settings", "HandlerState", "HandlerStatus",
    ]  # fmt: skip


def test_protected_settings_are_encrypted_on_disk(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"), Settings({}, {"storageAccountKey": "t0p-s3cret"}))
    for folder, _, names in os.walk(bed.agent.root):
        for name in names:
            assert b"t0p-s3cret" not in Path(folder, name).read_bytes(), name


def test_upgrade_order_and_facts(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"), Settings({}))
    bed.agent.enable(None, Settings({"n": 2}))
    before = len(bed.calls())
    done = bed.agent.update(bed.package("2.0.0"))
    assert bed.calls()[before:] == [
        ("1.0.0", "disable"), ("2.0.0", "update"), ("1.0.0", "uninstall"), ("2.0.0", "install"), ("2.0.0", "enable"),
    ]  # fmt: skip
    assert all(result.exit_code == 0 for result in done)
    assert bed.facts(before + 1) == {
        "ConfigSequenceNumber": "1",
        "VERSION": "2.0.0",
        "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": "1.0.0",
        "AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE": "0",
    }
    assert bed.facts(before + 4)["AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"] == "0"
    new = bed.home("2.0.0")
    assert not bed.home("1.0.0").exists()
    assert (new / "mrseq").read_text().strip() == "1"
    assert sorted(os.listdir(new / "status")) == ["0.status", "1.status"]
    assert sorted(n for n in os.listdir(new / "config") if n.endswith(".settings")) == ["1.settings"]


def test_update_mode_without_install(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    done = bed.agent.update(bed.package("2.0.0", updateMode="UpdateWithoutInstall"))
    assert [result.command for result in done] == ["disable", "update", "uninstall", "enable"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_failing_old_commands_in_an_upgrade(bed: Bed, goes_on: bool) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    bed.fail("1.0.0", "disable")
    bed.fail("1.0.0", "uninstall")
    done = bed.agent.update(bed.package("2.0.0", continueOnUpdateFailure=goes_on))
    if goes_on:
        assert [r.command for r in done] == ["disable", "update", "uninstall", "install", "enable"]
        assert bed.agent.status()["version"] == "2.0.0"
    else:
        assert codes(done) == [("disable", 7)]
        assert bed.agent.status()["state"] == "Enabled"
        assert bed.agent.status()["version"] == "1.0.0"


def test_failing_update_can_be_repeated(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    package = bed.package("2.0.0")
    bed.fail("2.0.0", "update")
    assert codes(bed.agent.update(package)) == [("disable", 0), ("update", 7)]
    assert (bed.home("2.0.0") / "config" / "HandlerState").read_text() == "FailedUpgrade"
    bed.heal()
    assert [r.command for r in bed.agent.update(package)] == ["update", "uninstall", "install", "enable"]


def test_failing_install_is_done_again_from_a_fresh_folder(bed: Bed) -> None:
    package = bed.package("1.0.0")
    bed.fail("1.0.0", "install")
    assert codes(bed.agent.enable(package)) == [("install", 7)]
    assert bed.agent.status()["state"] == "NotInstalled"
    (bed.home("1.0.0") / "left").write_text("")
    bed.heal()
    assert codes(bed.agent.enable(package)) == [("install", 0), ("enable", 0)]
    assert not (bed.home("1.0.0") / "left").exists()


def test_failing_disable_blocks_uninstall(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    bed.fail("1.0.0", "disable")
    assert codes(bed.agent.uninstall()) == [("disable", 7)]
    assert bed.agent.status()["state"] == "Enabled"
    bed.heal()
    assert codes(bed.agent.uninstall()) == [("disable", 0), ("uninstall", 0)]
    assert not bed.home("1.0.0").exists()
    assert Path(bed.agent.log_root, "D.Dummy").is_dir()


def test_failing_uninstall_does_not_keep_the_folder(bed: Bed) -> None:
    bed.agent.enable(bed.package("1.0.0"))
    bed.agent.disable()
    bed.fail("1.0.0", "uninstall")
    assert codes(bed.agent.uninstall()) == [("uninstall", 7)]
    assert bed.agent.status()["handler"] is None


def test_what_does_not_fit_is_named(bed: Bed) -> None:
    for action in (bed.agent.enable, bed.agent.noop, bed.agent.disable, bed.agent.uninstall):
        with pytest.raises(AgentError, match="nothing is installed"):
            action()
    one, two = bed.package("1.0.0"), bed.package("2.0.0")
    bed.agent.enable(one)
    with pytest.raises(AgentError, match="use update"):
        bed.agent.install(two)
    with pytest.raises(AgentError, match="use update"):
        bed.agent.enable(two)
    with pytest.raises(AgentError, match="installed already"):
        bed.agent.update(one)


def test_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    result = command.run("enable", f"sleep 300 & echo $! >{mark}; wait", str(tmp_path), "1", dict(os.environ), 1.0)
    assert result.exit_code == command.TIMED_OUT
    assert result.output.startswith("Timeout(1): ")
    end = time.monotonic() + 10  # a process that was sent SIGKILL dies when it gets the processor
    while _runs(int(mark.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return "sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def lad(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "extension.cli", "vm-agent", *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, **more)


def test_command_line(bed: Bed, tmp_path: Path) -> None:
    root = str(tmp_path / "cli")
    package = bed.package("1.0.0")
    env = {**os.environ, "JOURNAL": str(bed.journal), "FAIL_DIR": str(bed.fail_dir)}
    assert lad("status", "--root", root).returncode == 1
    done = lad(
        "enable",
        "--package",
        package,
        "--root",
        root,
        "--protected",
        "-",
        "--json",
        env=env,
        input='{"k": "t0p-s3cret"}',
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [c["command"] for c in said["commands"]] == ["install", "enable"]
    assert (said["ok"], said["state"], said["sequence"], said["status"]["status"]) == (True, "Enabled", 0, "success")
    assert "t0p-s3cret" not in done.stdout + done.stderr
    human = lad("status", "--root", root)
    assert human.returncode == 0
    assert "D.Dummy 1.0.0: Enabled, sequence number 0" in human.stdout
    bed.fail("1.0.0", "enable")
    failed = lad("noop", "--root", root, env=env)
    assert failed.returncode == 1
    assert "exit 7" in failed.stdout


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["restart", "--root", "x"], 2, "invalid choice"),
        (["status"], 2, "--root"),
        (["enable", "--root", "{root}", "--public", "-", "--protected", "-"], 2, "standard input"),
        (["noop", "--root", "{root}", "--public", "x"], 2, "takes no settings"),
        (["noop", "--root", "{root}"], 1, "nothing is installed"),
        (["enable", "--root", "{root}", "--public", "{root}/absent.json"], 1, "cannot read"),
        (["install", "--root", "{root}", "--package", "{root}/absent.zip"], 1, "there is no package"),
        (["install", "--root", "{root}", "--public", "-"], 1, "standard input line 1 column 2: not JSON"),
    ],
)
def test_bad_use_is_one_clear_line(tmp_path: Path, args: list[str], code: int, part: str) -> None:
    done = lad(*[arg.format(root=tmp_path) for arg in args], input="{")
    assert done.returncode == code
    assert part in done.stderr
    assert "Traceback" not in done.stderr
