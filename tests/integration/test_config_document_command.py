"""``lad config check`` on mdsd documents, and the plan child on a document with imports, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from extension import spawn
from extension.plan import Publisher, Route, Target, from_json

SAS = "sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluwr&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
ACCOUNTS = f'<Accounts><SharedAccessSignature moniker="m" account="acct" key="{SAS}" isDefault="true"/></Accounts>'
BASE = f"""<MonitoringManagement version="1.0">
{ACCOUNTS}
<Management eventVolume="Medium"><OboDirectPartitionField name="resourceId" value="/r"/></Management>
<Sources><Source name="s" dynamic_schema="true"/></Sources>
<Events><MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="E"/></MdsdEventSource></MdsdEvents></Events>
</MonitoringManagement>
"""


def check(*args: object, stdin: str = "") -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "extension.config", "check", *map(str, args)]
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "strict", "plain"),
    [
        ("", "", 0, 0),
        ('"1.0"', '"2.0"', 1, 1),
        ("<Sources>", "stray<Sources>", 1, 0),
        ("<Events>", "<Events><HeartBeats><HeartBeat/></HeartBeats>", 1, 0),
        ("</Events>", "<Extensions><Extension extensionName='e'/></Extensions></Events>", 0, 0),
        ('"Medium"', '"Huge"', 1, 1),
        ('<RouteEvent eventName="E"/>', "", 0, 1),
        ("</MonitoringManagement>", "", 0, 0),
    ],
)
def test_exit_code_is_that_of_mdsd(tmp_path: Path, old: str, new: str, strict: int, plain: int) -> None:
    path = tmp_path / "doc.xml"
    path.write_text(BASE.replace(old, new, 1) if old else BASE)
    code, out, _ = check("--mdsd-strict", path)
    assert code == strict
    first, *others = out.splitlines()
    assert first == ("Parse reported these messages:" if strict else "Parse succeeded with no messages.")
    assert bool(others) == bool(strict)
    assert all(line.startswith(f"{path}(") for line in others)
    code, out, _ = check(path)
    assert code == plain
    assert out.splitlines()[-1].startswith(f"{path}: ")


def test_strict_tells_what_mdsd_does_not_say_apart(tmp_path: Path) -> None:
    text = BASE.replace("</Events>", "<Extensions><Extension extensionName='e'/></Extensions></Events>")
    code, out, err = check("--mdsd-strict", "-", stdin=text)
    assert (code, out) == (0, "Parse succeeded with no messages.\n")
    assert err.startswith("warning: standard input line 5: <Extension> is accepted, but is not run here")


def test_strict_with_json_keeps_the_list(tmp_path: Path) -> None:
    code, out, _ = check("--mdsd-strict", "--json", "-", stdin=BASE.replace("<Sources>", "stray<Sources>"))
    assert code == 1
    assert [p["severity"] for p in json.loads(out)] == ["warning"]


@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "doc.xml"
    path.write_text(content)
    assert check("--mdsd-strict", path)[:2] == (0, "Parse succeeded with no messages.\n")
    code, out, _ = check(path)
    assert code == 1
    assert "nothing to do" in out


def test_strict_takes_every_file_for_a_document(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"public": {}}')
    code, out, _ = check("--mdsd-strict", path)
    assert code == 1
    assert out.startswith("Parse reported these messages:\n")


def test_plan_child_reads_imports_beside_the_document(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "accounts.xml").write_text(f"<MonitoringManagement>{ACCOUNTS}</MonitoringManagement>")
    annotation = (
        '<EventStreamingAnnotations><EventStreamingAnnotation name="s"><EventPublisher>'
        "<Key>https://n.servicebus.windows.net/hub?sr=a&amp;sig=b&amp;se=4102444800&amp;skn=k</Key></EventPublisher></EventStreamingAnnotation>"
        "</EventStreamingAnnotations>"
    )
    text = BASE.replace(ACCOUNTS, '<Imports><Import file="parts/accounts.xml"/></Imports>')
    path = tmp_path / "doc.xml"
    path.write_text(text.replace("</Events>", f"</Events>{annotation}"))
    argv = spawn.module_argv("extension.config.plan", str(path))
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, cwd="/")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    plan = from_json(answer["plan"])
    assert plan.routes == (Route("s", 300, Target("table", "E", "m")),)
    assert plan.publishers == (Publisher("s", "https://n.servicebus.windows.net/hub?sr=a&sig=b&se=4102444800&skn=k"),)
    assert [p["severity"] for p in answer["problems"]] == []
