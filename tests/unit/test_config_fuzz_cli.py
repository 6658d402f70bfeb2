"""``lad config generate`` and ``check`` with anything for a file: no traceback, and no secret in a message."""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.config import cli
from extension.config.build import generate
from extension.config.lad23_keys import PROTECTED_KEYS, PUBLIC_KEYS
from extension.config.machine import Machine

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
KEY = base64.b64encode(bytes(range(64))).decode()
SIGNATURE = "cGFzc3dvcnRwYXNzd29ydHBhc3N3b3J0cGFzc3dvcnQ"
SAS = f"?sv=2018-03-28&ss=bt&srt=sco&sp=rwlacu&se=2031-05-06T07%3A08Z&sig={SIGNATURE}%3D"
PASSWORD = "Hunter2geheim"
SECRETS = (KEY, SIGNATURE, PASSWORD)
RESOURCE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v"
WAD = (
    '<WadCfg><DiagnosticMonitorConfiguration overallQuotaInMB="4096">'
    '<PerformanceCounters scheduledTransferPeriod="PT1M">'
    '<PerformanceCounterConfiguration counterSpecifier="\\Memory\\UsedMemory" sampleRate="PT15S" unit="Bytes">'
    '<annotation displayName="Memory used" locale="en-us"/></PerformanceCounterConfiguration></PerformanceCounters>'
    f'<Metrics resourceId="{RESOURCE}"><MetricAggregation scheduledTransferPeriod="PT1H"/></Metrics>'
    "</DiagnosticMonitorConfiguration></WadCfg>"
)
PUBLIC = {
    "xmlCfg": base64.b64encode(WAD.encode()).decode(),
    "StorageAccount": "acct",
    "perfCfg": [{"query": "SELECT Name FROM SCX_Agent", "table": "Agent", "namespace": "root/scx"}],
    "fileCfg": [{"file": "/var/log/a", "table": "A"}],
    "ladCfg": {
        "diagnosticMonitorConfiguration": {
            "eventVolume": "Medium",
            "metrics": {"resourceId": RESOURCE},
            "performanceCounters": {
                "performanceCounterConfiguration": [
                    {"class": "Processor", "counterSpecifier": "PercentIdleTime", "table": "C", "condition": "Name='0'"}
                ]
            },
        }
    },
    "enableSyslog": "true",
    "sampleRateInSeconds": "30",
    "mdsdHttpProxy": f"http://me:{PASSWORD}@proxy:3128",
}  # fmt: skip
PROTECTED = {
    "storageAccountName": "acct",
    "storageAccountKey": KEY,
    "storageAccountEndPoint": "https://core.windows.net",
}
WHOLE = json.dumps({"public": PUBLIC, "protected": PROTECTED}).encode()


@contextlib.contextmanager
def captured() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Standard output and error as bytes."""
    out, err = io.BytesIO(), io.BytesIO()
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8", "backslashreplace")
    try:
        yield out, err
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.detach()
        sys.stdout, sys.stderr = kept


def run(*argv: str) -> tuple[int, bytes, bytes]:
    parser = argparse.ArgumentParser()
    cli.add_parsers(parser.add_subparsers())
    args = parser.parse_args(["config", *argv])
    with captured() as (out, err):
        code = int(args.run(args))
    return code, out.getvalue(), err.getvalue()


def tried(data: bytes) -> None:
    """All three ways of giving ``data``; each ends with an exit code and messages that can be acted upon."""
    with tempfile.TemporaryDirectory() as folder:
        path, good = Path(folder) / "any", Path(folder) / "good"
        path.write_bytes(data)
        good.write_bytes(json.dumps(PROTECTED).encode())
        ids = ("--vm-uuid", "U", "--deployment-id", "")
        for argv in (
            ("generate", "--public", str(path), "--protected", str(good), *ids),
            ("generate", "--public", str(good), "--protected", str(path), "--lad", "2.3", *ids),
            ("check", str(path), "--json"),
        ):
            code, out, err = run(*argv)
            assert code in (0, 1), argv
            if argv[0] == "check":
                told = json.loads(out)
                assert (code == 1) == any(p["severity"] == "error" for p in told)
                assert all(p["path"] and p["message"] for p in told)
                message = out
            else:
                assert (code == 1) == (b"error: " in err)
                message = err
            assert all(secret.encode() not in message for secret in SECRETS)


JUNK = st.sampled_from(
    [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"[" * 2000, b'{"a":' * 300,
     b'"\\ud800"', b'"xmlCfg": 1,', b'"public":{},', b"{", b"}", b"]", b'"', b"\\", b",", b"null", b"<", b"\n", b"\xc3"]
)  # fmt: skip


@given(st.integers(0, len(WHOLE)), st.integers(0, 40), JUNK)
@settings(deadline=None)
def test_settings_files_with_something_in_between(at: int, cut: int, junk: bytes) -> None:
    tried(WHOLE[:at] + junk + WHOLE[at + cut :])


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=40)
def test_any_bytes_for_a_file(data: bytes) -> None:
    tried(data)


@given(
    st.integers(0, len(WAD)), st.integers(0, 60), st.text(max_size=5) | st.sampled_from(["<", "&", "]]>", '"', "<x"])
)
@settings(deadline=None)
def test_xml_cfg_with_something_in_between(at: int, cut: int, junk: str) -> None:
    xml = (WAD[:at] + junk + WAD[at + cut :]).encode("utf-8", "surrogatepass")
    for honour in (False, True):
        public = {"xmlCfg": base64.b64encode(xml).decode(), "honourXmlCfg": honour}
        made = generate(public, PROTECTED, machine=Machine("U", ""), now=NOW)
        assert made.xml is not None
        assert all(p.path.startswith("$.public") for p in made.problems)
    tried(xml)


DOCUMENT = generate({"xmlCfg": PUBLIC["xmlCfg"]}, PROTECTED, machine=Machine("U", ""), now=NOW).xml or b""


@given(st.integers(0, len(DOCUMENT)), st.integers(0, 60), JUNK | st.sampled_from([b"<!--", b"<Account key='", b">"]))
@settings(deadline=None)
def test_documents_with_something_in_between(at: int, cut: int, junk: bytes) -> None:
    xml = DOCUMENT[:at] + junk + DOCUMENT[at + cut :]
    tried(xml)
    tried(json.dumps({"public": {"mdsdCfg": base64.b64encode(xml).decode()}, "protected": PROTECTED}).encode())


# --- secrets, wherever they are put

MISPLACED = st.sampled_from(
    [
        KEY,
        SAS,
        SAS[1:],
        f'"{SAS}"',
        f"https://acct.table.core.windows.net/{SAS}",
        SAS.replace("&", ";"),
        SAS.replace("%", "%25"),
        SAS.replace("&", "%26").replace("=", "%3D"),
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"TableEndpoint=https://a.table.core.windows.net;SharedAccessSignature={SAS[1:]}",
        f"me:{PASSWORD}@proxy:3128",
        f"http://me:{PASSWORD}@proxy:nowhere",
        f"ftp://me:{PASSWORD}@proxy",
    ]
)
WRAPPED = MISPLACED | MISPLACED.map(lambda s: [s]) | MISPLACED.map(lambda s: {"value": s})


@given(
    st.sampled_from([*PROTECTED_KEYS, "sinksConfig", "sas", "storageAccountkey", KEY, SAS]),
    WRAPPED,
    st.sampled_from([None, "2.3", "3.0", "4.0"]),
)
@settings(deadline=None)
def test_no_protected_value_is_repeated(key: str, value: object, lad: str | None) -> None:
    for protected in ({key: value}, {**PROTECTED, key: value}):
        made = generate({}, protected, lad=lad, machine=Machine("U", ""), now=NOW)
        for secret in SECRETS:
            assert all(secret not in repr(p) + p.render() for p in made.problems)
            assert secret not in repr(made)


@given(st.sampled_from(PUBLIC_KEYS + PROTECTED_KEYS), WRAPPED, st.sampled_from([None, "2.3", "3.0"]))
@settings(deadline=None)
def test_no_secret_in_the_public_settings_is_repeated(key: str, value: object, lad: str | None) -> None:
    made = generate({key: value}, PROTECTED, lad=lad, machine=Machine("U", ""), now=NOW)
    for secret in SECRETS:
        assert all(secret not in repr(p) + p.render() for p in made.problems)


def test_a_short_secret_for_a_key_is_cut() -> None:
    for key in ("x?sig=TOPSECRET", "AccountKey=TOPSECRET", "user:TOPSECRET@host"):
        for public, protected in (({key: 1}, PROTECTED), ({}, {**PROTECTED, key: 1})):
            made = generate(public, protected, machine=Machine("U", ""), now=NOW)
            assert any("unknown setting" in p.message for p in made.problems)
            assert all("TOPSECRET" not in p.render() for p in made.problems)


@pytest.mark.parametrize("form", [{"public": {}, "protected": {KEY: 1}}, {KEY: 1}, {SAS: {}}])
def test_a_secret_for_a_key_is_cut(form: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.json"
        path.write_text(json.dumps(form))
        code, out, err = run("check", str(path))
    assert code in (0, 1)
    assert all(secret.encode() not in out + err for secret in SECRETS)
