"""``lad run`` with a state folder that cannot be used: one line that names it and the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension import cli
from extension.plan import Account
from tests.daemon_bed import document


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_state_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "file").write_text("x")
    config = tmp_path / "xmlCfg.xml"
    config.write_text(document(Account("m", "local", "key", "c2VjcmV0", "file:///t.db", True), rate=1, period=5))
    assert cli.main(["run", "-c", str(config), "--state-dir", str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"lad run: cannot use the state folder: {tmp_path / 'file'}")
    assert "--state-dir" in said
    assert "Errno" not in said
    assert said.count("\n") == 1
