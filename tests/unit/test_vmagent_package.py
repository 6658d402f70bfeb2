"""Packages as the local VM agent sees them, its settings on the command line, its command environment."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from extension.vmagent import command, package
from extension.vmagent.package import PackageError, find_package, open_package

MANIFEST = {"handlerManifest": {"installCommand": "i"}}


def make_zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


class TestOpen:
    def test_name_by_manifest(self, tmp_path: Path) -> None:
        text = json.dumps([{"name": "A.B", "version": "1.2.3", **MANIFEST}])
        found = open_package(str(make_zip(tmp_path / "x.zip", {"HandlerManifest.json": text})))
        assert (found.name, found.version) == ("A.B", "1.2.3")

    def test_name_by_publishing_manifest(self, tmp_path: Path) -> None:
        files = {
            "HandlerManifest.json": json.dumps([{"version": 1.0, **MANIFEST}]),
            "manifest.xml": "<a><ProviderNameSpace>P.Q</ProviderNameSpace>"
            "<Type>T</Type><Version>2.3.9021</Version></a>",
        }
        found = open_package(str(make_zip(tmp_path / "x.zip", files)))
        assert (found.name, found.version) == ("P.Q.T", "2.3.9021")

    def test_name_by_file_name(self, tmp_path: Path) -> None:
        text = "\ufeff" + json.dumps([{"version": 1.0, **MANIFEST}])
        found = open_package(str(make_zip(tmp_path / "My.Ext__4.5.6.zip", {"deep/HandlerManifest.json": text})))
        assert (found.name, found.version) == ("My.Ext", "4.5.6")

    @pytest.mark.parametrize(
        ("files", "part"),
        [
            ({}, "no HandlerManifest"),
            ({"HandlerManifest.json": "{"}, "not JSON"),
            ({"HandlerManifest.json": "{}"}, "array of one object"),
            ({"HandlerManifest.json": "[{}]"}, "array of one object"),
            ({"HandlerManifest.json": json.dumps([MANIFEST])}, "name and version"),
            ({"HandlerManifest.json": json.dumps([{"name": "A-B/..", "version": "1.0", **MANIFEST}])}, "letters"),
        ],
    )
    def test_odd_packages_are_named(self, tmp_path: Path, files: dict[str, str], part: str) -> None:
        path = make_zip(tmp_path / "x.zip", files)
        with pytest.raises(PackageError, match=part) as caught:
            open_package(str(path))
        assert str(path) in str(caught.value)

    def test_not_a_zip(self, tmp_path: Path) -> None:
        (tmp_path / "x.zip").write_text("no")
        with pytest.raises(PackageError, match="cannot read"):
            open_package(str(tmp_path / "x.zip"))
        with pytest.raises(PackageError, match="there is no package"):
            open_package(str(tmp_path / "y.zip"))


class TestUnpack:
    def test_manifest_comes_to_the_root_and_files_are_executable(self, tmp_path: Path) -> None:
        text = "\ufeff" + json.dumps([{"name": "A.B", "version": "1.0", **MANIFEST}])
        found = open_package(str(make_zip(tmp_path / "x.zip", {"in/HandlerManifest.json": text, "in/run": "#!"})))
        home = tmp_path / "home"
        found.unpack(str(home))
        assert json.loads((home / "HandlerManifest.json").read_text(encoding="utf-8"))
        assert (home / "in" / "run").stat().st_mode & stat.S_IXUSR
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    def test_members_cannot_leave_the_folder(self, tmp_path: Path) -> None:
        text = json.dumps([{"name": "A.B", "version": "1.0", **MANIFEST}])
        path = make_zip(tmp_path / "x.zip", {"HandlerManifest.json": text, "../../out": "x", "/abs": "y"})
        (tmp_path / "a").mkdir()
        open_package(str(path)).unpack(str(tmp_path / "a" / "home"))
        assert sorted(os.listdir(tmp_path)) == ["a", "x.zip"]

    def test_a_folder_is_copied_without_its_own_state(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / "config").mkdir(parents=True)
        (source / "config" / "0.settings").write_text("x")
        (source / "module" / "config").mkdir(parents=True)
        (source / "module" / "config" / "code.py").write_text("x")
        (source / "HandlerManifest.json").write_text(json.dumps([{"name": "A.B", "version": "1.0", **MANIFEST}]))
        open_package(str(source)).unpack(str(tmp_path / "home"))
        assert sorted(os.listdir(tmp_path / "home")) == ["HandlerManifest.json", "module"]
        assert (tmp_path / "home" / "module" / "config" / "code.py").exists()


class TestFind:
    def test_told(self, tmp_path: Path) -> None:
        (tmp_path / "p.zip").write_text("")
        assert find_package({"LAD_PACKAGE": str(tmp_path / "p.zip")}) == str(tmp_path / "p.zip")
        with pytest.raises(PackageError, match="LAD_PACKAGE"):
            find_package({"LAD_PACKAGE": str(tmp_path / "q.zip")})

    def test_built_from_the_checkout(self, tmp_path: Path) -> None:
        path = find_package({}, str(tmp_path))
        assert os.path.dirname(path) == str(tmp_path)
        assert package.open_package(path).name == "LadEmulator.LinuxDiagnostic"


class TestCommandEnvironment:
    def test_the_agents_own_environment_wins(self) -> None:
        got = command.variables("enable", "/h", "1.0", 4, {"VERSION": "2"}, {"ConfigSequenceNumber": "9", "PATH": "/p"})
        assert got["ConfigSequenceNumber"] == "9"
        assert got["AZURE_GUEST_AGENT_EXTENSION_PATH"] == "/h"
        assert got["AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"] == "NOT_RUN"
        assert json.loads(got["AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES"]) == [
            {"Key": "ExtensionTelemetryPipeline", "Value": "1.0"}
        ]

    @pytest.mark.parametrize("name", ["disable", "update", "uninstall"])
    def test_only_install_and_enable_hear_of_an_uninstall(self, name: str) -> None:
        assert "AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE" not in command.variables(name, "/h", "1", 0, {}, {})

    @pytest.mark.parametrize(
        ("out", "err"), [("o" * 9000, "e" * 9000), ("o" * 9000, "e"), ("o", "e" * 9000), ("o", "e")]
    )
    def test_output_is_cut_to_its_ends(self, out: str, err: str) -> None:
        text = command.joined(f"{out}END1", f"{err}END2")
        assert len(text) <= command.OUTPUT_MAX
        assert "END1" in text
        assert text.endswith("END2")
        if len(out) > 100:
            assert len(text) == command.OUTPUT_MAX
