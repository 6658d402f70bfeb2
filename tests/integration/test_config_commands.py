"""``lad config generate``, ``lad config check`` and the plan child as processes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from extension import spawn
from extension.config.build import generate
from extension.config.machine import Machine
from extension.config.secrets import seal_for
from extension.plan import from_json

CASES = sorted((Path(__file__).parent.parent / "fixtures" / "config").glob("lad23-*"))
KEY = base64.b64encode(bytes(64)).decode()
PROTECTED = {"storageAccountName": "acct", "storageAccountKey": KEY}
SELF_SIGNED = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)


def lad(*args: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "extension.config", *map(str, args)]
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    return done


def plan(*args: object) -> tuple[int, dict[str, object]]:
    argv = spawn.module_argv("extension.config.plan", *map(str, args))
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return done.returncode, answer


def write(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_generate_prints_the_document_and_says_whether_it_may_run(case: Path) -> None:
    outcome = json.loads((case / "outcome.json").read_text())
    files = ("--public", case / "public.json", "--protected", case / "protected.json")
    done = lad("generate", *files, "--lad", "2.3", "--vm-uuid", "U", "--deployment-id", "")
    assert done.stdout.startswith(b"<MonitoringManagement ") == outcome["has_xml"]
    assert done.returncode == (0 if outcome["has_xml"] and not outcome["log_errors"] else 1)
    if not outcome["has_xml"]:
        assert outcome["message"].encode() in done.stderr


def test_generate_reads_standard_input_and_takes_identity(tmp_path: Path) -> None:
    protected = write(tmp_path, "p.json", PROTECTED)
    args = ("generate", "--public", "-", "--protected", protected, "--vm-uuid", "U", "--deployment-id", "dep")
    done = lad(*args, stdin=b'\xef\xbb\xbf{"perfCfg": []}')
    assert done.returncode == 0
    assert b'<IdentityComponent name="DeploymentId">dep<' in done.stdout
    assert b"<OMIQuery" not in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "line 1 column 2: is not JSON"),
        (b"", "is not JSON"),
        (b"\xff{}", "is not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be an object"),
        (None, "No such file"),
    ],
)
def test_unreadable_input_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "missing" if content is None else write(tmp_path, "s.json", content)
    done = lad("generate", "--public", path, "--protected", write(tmp_path, "p.json", PROTECTED))
    assert (done.returncode, done.stdout) == (1, b"")
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_both_files_are_looked_at_in_one_pass(tmp_path: Path) -> None:
    broken = write(tmp_path, "s.json", b"{"), write(tmp_path, "p.json", b'{"storageAccountKey": "TOPSECRET')
    done = lad("generate", "--public", broken[0], "--protected", broken[1])
    assert (done.returncode, done.stdout) == (1, b"")
    lines = done.stderr.decode().splitlines()
    assert [path.name in line for path, line in zip(broken, lines, strict=True)] == [True, True]
    assert b"TOPSECRET" not in done.stderr


@pytest.mark.parametrize("command", [("generate", "--public"), ("check",), ("check", "--json")])
def test_settings_in_place_of_a_file_are_not_repeated(command: tuple[str, ...]) -> None:
    done = lad(*command, '{"storageAccountKey": "TOPSECRET"}')
    assert done.returncode == 1
    assert b"not the name of a file" in done.stdout + done.stderr
    assert b"TOPSECRET" not in done.stdout + done.stderr


def test_wrong_usage(tmp_path: Path) -> None:
    public = write(tmp_path, "s.json", {})
    assert lad("generate").returncode == 2
    assert lad("generate", "--public", public, "--lad", "1.0").returncode == 2
    assert lad("generate", "--public", "-", "--protected", "-").returncode == 2
    assert lad("generate", "--public", public, "--vm-uuid", "a\x01b").returncode == 2


def test_messages_in_a_locale_without_unicode(tmp_path: Path) -> None:
    public = write(tmp_path, "s.json", {"eventVolume": "größe\ud800", "zażółć": 1})
    done = subprocess.run(
        [sys.executable, "-m", "extension.config", "generate", "--public", str(public)],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert "größe".encode() in done.stderr


def test_check_takes_settings_in_every_form(tmp_path: Path) -> None:
    handler = {
        "runtimeSettings": [{"handlerSettings": {"publicSettings": {"perfCfg": 5}, "protectedSettings": "MII="}}]
    }
    forms: list[tuple[object, set[str]]] = [
        (
            {"public": {"perfCfg": 5}, "protected": {}},
            {"$.public.perfCfg", "$.protected.storageAccountName", "$.protected"},
        ),
        ({"perfCfg": 5}, {"$.public.perfCfg"}),
        (handler, {"$.public.perfCfg"}),
        ({"runtimeSettings": []}, {"$.runtimeSettings[0].handlerSettings"}),
        ([], {"$.public"}),
        ({"properties": {"settings": {"perfCfg": 5}, "protectedSettings": PROTECTED}}, {"$.public.perfCfg"}),
        ({"storageAccountName": "acct"}, {"$.protected"}),
        ({"$schema": "s", "resources": []}, {"$"}),
        ({"public": {}, "protected": PROTECTED}, set()),
    ]
    for value, paths in forms:
        done = lad("check", write(tmp_path, "s.json", value), "--json")
        assert {p["path"] for p in json.loads(done.stdout) if p["severity"] == "error"} == paths
        assert done.returncode == (1 if paths else 0)


def test_keys_that_stand_twice_are_named_and_secrets_are_not(tmp_path: Path) -> None:
    text = f'{{"public": {{"perfCfg": 1, "perfCfg": []}}, "protected": {json.dumps(PROTECTED)}, "{KEY}": "{KEY}"}}'
    done = lad("check", write(tmp_path, "s.json", text.encode()))
    assert done.returncode == 0
    assert b"warning: $.public.perfCfg: stands twice" in done.stdout
    assert KEY.encode() not in done.stdout + done.stderr
    protected = write(tmp_path, "p.json", json.dumps(PROTECTED)[:-1].encode() + b', "storageAccountName": "other"}')
    made = lad("generate", "--public", write(tmp_path, "s.json", {}), "--protected", protected)
    assert made.returncode == 0
    assert b"warning: $.protected.storageAccountName: stands twice" in made.stderr
    assert b'account="other"' in made.stdout


def test_check_takes_documents(tmp_path: Path) -> None:
    made = generate({}, PROTECTED, machine=Machine("", ""), now=NOW)
    assert made.xml is not None
    good = lad("check", write(tmp_path, "good.xml", made.xml))
    assert good.returncode == 0
    assert b"good.xml: 0 errors" in good.stdout
    bad = lad("check", "-", "--json", stdin=made.xml.replace(b'version="1.0"', b'version="7"'))
    assert bad.returncode == 1
    assert [p["path"] for p in json.loads(bad.stdout) if p["severity"] == "error"] == ["standard input line 1"]


def test_check_of_nothing_readable(tmp_path: Path) -> None:
    assert lad("check", tmp_path / "none").returncode == 1
    done = lad("check", write(tmp_path, "x", b"neither"), "--json")
    assert done.returncode == 1
    assert "is not JSON" in json.loads(done.stdout)[0]["message"]


def test_settings_become_a_plan_through_sealed_files(tmp_path: Path) -> None:
    key, cert = tmp_path / "T.prv", tmp_path / "T.crt"
    subprocess.run(
        [*SELF_SIGNED, "-subj", "/CN=t", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    resource = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v"
    inner = f'<Metrics resourceId="{resource}"/>'
    wad = f"<WadCfg><DiagnosticMonitorConfiguration>{inner}</DiagnosticMonitorConfiguration></WadCfg>"
    public = {"xmlCfg": base64.b64encode(wad.encode()).decode()}
    made = generate(public, PROTECTED, machine=Machine("", "dep"), seal=seal_for(str(cert), str(key)), now=NOW)
    assert made.xml is not None
    assert KEY.encode() not in made.xml
    code, answer = plan(write(tmp_path, "xmlCfg.xml", made.xml), write(tmp_path, "options.json", {"proc_root": "/p"}))
    assert code == 0
    assert [p for p in answer["problems"] if p["severity"] == "error"] == []  # type: ignore[attr-defined]
    found = from_json(answer["plan"])  # type: ignore[arg-type]
    assert found.accounts[0].secret == KEY
    assert found.options.proc_root == "/p"
    assert found.identity[0] == ("DeploymentId", "dep")
    assert [q.target.event for q in found.queries] == (
        ["LinuxMemory", "LinuxCpu", "LinuxDisk", "memoryStats", "cpuStats", "diskStats", "netStats"]
    )
    assert [q.rate for q in found.queries] == [60] * 3 + [15] * 4
    assert {d.duration for d in found.derived} == {60, 3600}
    assert len(found.derived) == 8
    assert {d.lad.partition_key[:5] for d in found.derived if d.lad} == {":002F"}


@pytest.mark.parametrize("content", [None, b"", b"<a", b"<WadCfg/>", b"\x00\xff"])
def test_plan_of_a_broken_document_is_null_with_reasons(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.xml" if content is None else write(tmp_path, "xmlCfg.xml", content)
    code, answer = plan(path)
    assert code == 1
    assert answer["plan"] is None
    assert str(path) in json.dumps(answer["problems"])


def test_plan_with_broken_options(tmp_path: Path) -> None:
    made = generate({}, PROTECTED, machine=Machine("", ""), now=NOW)
    assert made.xml is not None
    config = write(tmp_path, "xmlCfg.xml", made.xml)
    for options in (b"{", b'{"store_max_mib": "big"}', b"[1]"):
        code, answer = plan(config, write(tmp_path, "options.json", options))
        assert (code, answer["plan"]) == (1, None)
        assert "options.json" in json.dumps(answer["problems"])


def test_a_reader_whose_asker_has_gone_ends_quietly(tmp_path: Path) -> None:
    argv = spawn.module_argv("extension.config.plan", str(write(tmp_path, "xmlCfg.xml", b"<MonitoringManagement/>")))
    read, unread = os.pipe()
    os.close(read)
    done = subprocess.run(argv, stdout=unread, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(unread)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_document_that_is_no_regular_file_is_named_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "xmlCfg.xml"
    if kind == "pipe":
        os.mkfifo(path)  # nobody writes to it
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    code, answer = plan(path)
    assert code == 1
    assert answer["plan"] is None
    assert str(path) in json.dumps(answer["problems"])
