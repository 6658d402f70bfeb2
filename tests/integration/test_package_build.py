"""The extension package: what is in it, that it is the same every time, that its shim finds a Python."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from extension.vmagent import command
from extension.vmagent.package import find_package, open_package

ROOT = Path(__file__).resolve().parents[2]
NAME = "LadEmulator.LinuxDiagnostic__1.0.0.zip"


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    specification = importlib.util.spec_from_file_location("build_zip_under_test", ROOT / "packaging" / "build_zip.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(find_package({}, str(tmp_path_factory.mktemp("package"))))


@pytest.fixture
def home(package: Path, tmp_path: Path) -> Path:
    open_package(str(package)).unpack(str(tmp_path / "home"))
    return tmp_path / "home"


def shim(home: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "LAD_STATE_DIR": str(home.parent / "state"), **environ}
    return subprocess.run([str(home / "shim.sh"), *args], env=env, capture_output=True, text=True, timeout=60)


def test_contents(package: Path) -> None:
    assert re.fullmatch(r"LadEmulator\.LinuxDiagnostic__\d+\.\d+\.\d+\.zip", package.name)
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        listed = archive.read("package.list").decode().splitlines()
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    for wanted in (
        "HandlerManifest.json", "manifest.xml", "shim.sh", "version", "python-tag", "lad-emulator.service",
        "handler/commands.py", "extension/launch.py", "omi_queries/__init__.py",
        "lib/lxml/__init__.py", "lib/azure/data/tables/__init__.py", "lib/pywbem/__init__.py",
        "lib/tenacity/__init__.py",
    ):  # fmt: skip
        assert wanted in names
    assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc") or "/tests/" in n or n.startswith("tests")]
    assert not [n for n in names if n.startswith("lib/") and n.split("/")[1] in ("pytest", "hypothesis", "setuptools")]
    assert stat.S_IMODE(modes["shim.sh"]) == 0o755
    assert {line.partition(" ")[2]: int(line.partition(" ")[0]) for line in listed} == {
        name: size for name, size in sizes.items() if name not in ("package.list", "HandlerManifest.json")
    }


def test_same_inputs_same_bytes(builder: ModuleType, package: Path, tmp_path: Path) -> None:
    again = builder.build(str(tmp_path))
    assert Path(again).read_bytes() == package.read_bytes()
    assert os.listdir(tmp_path) == [package.name]


def test_publisher_type_and_version(builder: ModuleType, tmp_path: Path) -> None:
    path = builder.build(str(tmp_path), publisher="Contoso.Mon", type_="Diag", version="7.8.9.1")
    assert os.path.basename(path) == "Contoso.Mon.Diag__7.8.9.1.zip"
    found = open_package(path)
    assert (found.name, found.version) == ("Contoso.Mon.Diag", "7.8.9.1")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("version") == b"7.8.9.1\n"
        assert b"<ProviderNameSpace>Contoso.Mon</ProviderNameSpace>" in archive.read("manifest.xml")
        assert json.loads(archive.read("HandlerManifest.json"))[0]["name"] == "Contoso.Mon.Diag"


@pytest.mark.parametrize(
    "odd", [{"version": "1"}, {"version": "1.0-rc1"}, {"publisher": "a-b"}, {"publisher": ""}, {"type_": "a/b"}]
)
def test_odd_names_are_refused(builder: ModuleType, tmp_path: Path, odd: dict[str, str]) -> None:
    with pytest.raises(builder.BuildError):
        builder.build(str(tmp_path), **odd)
    assert os.listdir(tmp_path) == []


def test_missing_dependency_is_named(builder: ModuleType) -> None:
    with pytest.raises(builder.BuildError, match="no-such-distribution is not installed"):
        builder.closure(("no-such-distribution",))


def test_everything_needed_is_importable_from_the_package_alone(home: Path) -> None:
    code = (
        "import sys; home = sys.argv[1]; sys.path[:0] = [home, home + '/lib']\n"
        "import lxml.etree, azure.data.tables, pywbem, tenacity, handler.commands\n"
        "for module in ('azure.data.tables', 'lxml.etree', 'pywbem', 'tenacity', 'handler', 'yarl'):\n"
        "    __import__(module); assert sys.modules[module].__file__.startswith(home), module\n"
    )
    done = subprocess.run(
        [command.interpreter(), "-I", "-S", "-c", code, str(home)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_shim_runs_the_table_from_any_folder(home: Path) -> None:
    done = shim(home, "-reset", LAD_PYTHON=command.interpreter())
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_shim_without_a_fitting_python(home: Path) -> None:
    (home / "python-tag").write_text("2.7\n.cpython-27-nowhere.so\n")
    done = shim(home, "-install", LAD_PYTHON=command.interpreter())
    assert done.returncode == 52
    assert "no Python 2.7" in done.stderr
    assert "LAD_PYTHON" in done.stderr


def test_shim_with_a_broken_package(home: Path) -> None:
    (home / "python-tag").unlink()
    done = shim(home, "-install")
    assert done.returncode == 52
    assert "python-tag" in done.stderr


def test_shim_passes_over_a_wrong_lad_python(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / f"python{sys.version_info[0]}.{sys.version_info[1]}").symlink_to(command.interpreter())
    done = shim(home, "-reset", LAD_PYTHON="/no/such/python", PATH=f"{folder}:/usr/bin:/bin")
    assert done.returncode == 2


def test_service_template_names_only_what_is_filled_in(home: Path) -> None:
    text = (home / "lad-emulator.service").read_text()
    assert set(re.findall(r"@(\w+)@", text)) == {"HOME", "STATE_DIR", "PYTHON"}
