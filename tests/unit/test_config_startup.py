"""A new ``lad config`` process loads what its settings need, and no slow modules of the standard library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from extension.config import defaults

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from extension.cli import main
code = main()
print(code, *(name for name, found in sys.modules.items() if type(found) is type(sys)), file=sys.stderr)
"""
SLOW = {
    "dataclasses",
    "inspect",
    "difflib",
    "hashlib",
    "ipaddress",
    "pathlib",
    "platform",
    "socket",
    "ssl",
    "string",
    "subprocess",
    "uuid",
    "extension.plan",
}
OF_23 = {f"extension.config.{name}" for name in ("lad23", "model23", "tree23")}
OF_30 = {f"extension.config.{name}" for name in ("lad30", "model30", "tree30")}
PROTECTED = {
    "storageAccountName": "acct0",
    "storageAccountSasToken": "sv=2018-03-28&ss=bt&srt=sco&sp=rwlacu&se=2099-01-01T00%3A00%3A00Z&sig=YmVuY2g%3D",
}


def loaded(*words: str) -> set[str]:
    """The modules of a process that has run ``lad config WORDS`` without an error."""
    command = [sys.executable, "-c", CODE, "config", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Settings with the 48 counters, without any, and the protected ones."""
    text = json.dumps(defaults.public_settings())
    public = json.loads(text.replace(defaults.ACCOUNT, "acct0").replace(defaults.RESOURCE_ID, "/subscriptions/1"))
    settings = {"48": public, "none": {}, "protected": PROTECTED, "both": {"public": public, "protected": PROTECTED}}
    for name, value in settings.items():
        (tmp_path / name).write_text(json.dumps(value))
    return tmp_path


def test_the_48_counters_need_nothing_slow_and_nothing_of_lad_23(files: Path) -> None:
    modules = loaded("generate", "--public", str(files / "48"), "--protected", str(files / "protected"))
    assert modules >= OF_30 | {"extension.config.document"}
    assert not modules & (SLOW | OF_23)


def test_the_48_counters_need_no_urls_no_archives_no_translations_and_no_converter(files: Path) -> None:
    modules = loaded("generate", "--public", str(files / "48"), "--protected", str(files / "protected"))
    assert not modules & {"base64", "extension.config.convert", "gettext", "locale", "shutil", "urllib.parse"}


def test_settings_of_lad_23_need_nothing_slow_and_nothing_of_later_ones(files: Path) -> None:
    modules = loaded("generate", "--public", str(files / "none"), "--protected", str(files / "protected"))
    assert modules >= OF_23 | {"extension.config.document"}
    assert not modules & (SLOW | OF_30)


def test_settings_to_start_from_need_no_xml() -> None:
    assert not loaded("init") & (SLOW | {"lxml", "extension.config.values"})


def test_a_check_needs_no_more_than_generating(files: Path) -> None:
    assert not loaded("check", str(files / "both")) & (SLOW | OF_23)
