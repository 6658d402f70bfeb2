"""The settings that the README shows are accepted as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

from extension.config.build import generate
from extension.config.machine import Machine

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_settings_example_is_valid() -> None:
    public, protected = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.S))
    token = "sv=2019-02-02&ss=bt&srt=sco&sp=acluw&se=2099-01-01T00%3A00%3A00Z&sig=YQ%3D%3D"
    protected["storageAccountSasToken"] = token
    made = generate(public, protected, machine=Machine("", ""))
    assert [p.render() for p in made.problems if p.severity != "note"] == []
    assert made.xml is not None
    for text in (b"WADMetricsPT1MP10DV2S", b"WADMetricsPT1HP10DV2S", b"MyMemory", b"diagacct01.table.core.windows.net"):
        assert text in made.xml


def test_every_command_that_the_readme_names_exists() -> None:
    from extension.cli import COMMANDS

    named = set(re.findall(r"\blad ([a-z-]+)", README)) - {"the"}
    assert named <= set(COMMANDS), named - set(COMMANDS)
