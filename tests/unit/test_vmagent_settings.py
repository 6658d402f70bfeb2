"""The files that ``lad vm-agent`` is given: taken as they are, or taken out of what people keep settings in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extension.vmagent import cli
from extension.vmagent.agent import AgentError
from extension.vmagent.folder import Settings

PUBLIC: dict[str, object] = {"perfCfg": []}
PROTECTED = {"storageAccountName": "a"}


def given(folder: Path, public: object, protected: object = None) -> Settings | None:
    paths: list[str | None] = [None, None]
    for at, value in enumerate((public, protected)):
        if value is not None:
            path = folder / f"{at}.json"
            path.write_text(json.dumps(value))
            paths[at] = str(path)
    return cli._settings(*paths)


@pytest.mark.parametrize(
    ("public", "protected", "wanted"),
    [
        (None, None, None),
        (PUBLIC, None, Settings(PUBLIC, None)),
        (PUBLIC, PROTECTED, Settings(PUBLIC, PROTECTED)),
        ("text", None, Settings("text", None)),
        ([1], {"x": 1}, Settings([1], {"x": 1})),
        ({"public": PUBLIC, "protected": PROTECTED}, None, Settings(PUBLIC, PROTECTED)),
        ({"properties": {"settings": PUBLIC}}, None, Settings(PUBLIC, None)),
        ({"settings": json.dumps(PUBLIC), "protected_settings": json.dumps(PROTECTED)}, None,
         Settings(PUBLIC, PROTECTED)),
    ],
)  # fmt: skip
def test_settings(tmp_path: Path, public: object, protected: object, wanted: Settings | None) -> None:
    assert given(tmp_path, public, protected) == wanted


def test_what_cannot_be_taken_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"\$.public: is a string whose text line 1 column 2 is not JSON"):
        given(tmp_path, {"settings": "{'a': 1}"})
