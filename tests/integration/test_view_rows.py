"""``lad tables`` and ``lad rows`` on the embedded store and on Azurite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from extension import cli
from extension.component import PlanError
from extension.plan import Account, Plan
from extension.rows import ticks
from extension.rows.edm import Row
from extension.sinks import open_sink
from extension.view import rows as rows_view
from extension.view import target
from tests.azurite_bed import Azurite

NOW = int(time.time()) // 60 * 60
METRICS = "WADMetricsPT1MP10DV2S20261119"
VARIABLES = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "LAD_STATE_DIR")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(f"{__name__}.NOW", int(time.time()) // 60 * 60)  # each test's own, however long the others took
    monkeypatch.setenv("LAD_STATE_DIR", str(tmp_path / "state"))


def metric_rows(minutes_ago: int, name: str, value: float, *, late: int = 0) -> list[Row]:
    """Both copies of a metric row; ``late``: seconds by which TIMESTAMP follows the window's start."""
    start = NOW - minutes_ago * 60
    encoded = "".join(c if c.isalnum() else f":{ord(c):04X}" for c in name)
    descending = ticks.descending(start)
    columns: dict[str, Any] = {
        "CounterName": ("String", name),
        "Total": ("Double", value * 4),
        "Average": ("Double", value),
        "Minimum": ("Double", value),
        "Maximum": ("Double", value),
        "Last": ("Double", value),
        "Count": ("Int32", 4),
        "TIMESTAMP": ("DateTime", ticks.iso((start + late) * ticks.SECOND_US)),
        "Host": ("String", "vm-ref-01"),
    }
    return [Row("vm", f"{descending}__{encoded}", columns), Row("vm", f"{encoded}__{descending}", columns)]


def raw_row(seconds_ago: int) -> Row:
    start = NOW - seconds_ago
    return Row(
        f"0000000000000000008___{ticks.ascending(start)}",
        f"ident___{seconds_ago:019d}",
        {
            "AvailableMemory": ("Int64", 2**40 + seconds_ago),
            "Percent": ("Double", 12.5),
            "Name": ("String", "Memory"),
            "TIMESTAMP": ("DateTime", ticks.iso(start * ticks.SECOND_US)),
            "PreciseTimeStamp": ("DateTime", ticks.iso(start * ticks.SECOND_US + 638998)),
            "N": ("String", "8"),
        },
    )


def fill(account: Account, metrics: str, raw: str) -> None:
    sink = open_sink(account)
    for minutes in (3, 2, 90):
        rows = metric_rows(minutes, "\\Memory\\AvailableMemory", 1048576.0 * minutes)
        sink.send(metrics, rows + metric_rows(minutes, "\\Memory\\UsedMemory", 0.5))
    sink.send(metrics, metric_rows(12, "\\Two\\Stages", 1.0, late=60))
    for seconds in (30, 60, 7200):
        sink.send(raw, [raw_row(seconds)])
    sink.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Endpoint of a filled embedded store."""
    endpoint = f"file://{tmp_path}/tables.db"
    fill(Account("", "", "key", "", endpoint), METRICS, "LinuxMemoryVer2v0")
    return endpoint


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run("rows", *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def test_tables(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tables", "--endpoint", store, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"LinuxMemoryVer2v0": 3, METRICS: 14}
    assert run("tables", "--endpoint", store) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["TABLE", "ROWS"]
    assert lines[1].split() == ["LinuxMemoryVer2v0", "3"]


def test_json_rows_are_all_that_is_stored(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows_of(capsys, METRICS.lower(), "--endpoint", store)
    assert len(found) == 14
    assert [r["TIMESTAMP"] for r in found] == sorted(r["TIMESTAMP"] for r in found)
    (raw, *_, newest) = rows_of(capsys, "LinuxMemoryVer2v0", "--endpoint", store)
    assert raw["AvailableMemory"] == 2**40 + 7200
    assert list(newest) == [
        "PartitionKey", "RowKey", "AvailableMemory", "Percent", "Name", "TIMESTAMP", "PreciseTimeStamp", "N",
    ]  # fmt: skip
    assert newest["PreciseTimeStamp"] == ticks.iso((NOW - 30) * ticks.SECOND_US + 638998)


def test_since_counter_once_and_limit(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    recent = rows_of(capsys, METRICS, "--endpoint", store, "--since", "10m")
    assert len(recent) == 8
    once = rows_of(capsys, METRICS, "--endpoint", store, "--since", "10m", "--once")
    assert len(once) == 4
    assert all(r["RowKey"][:19].isdigit() for r in once)
    counter = rows_of(capsys, METRICS, "--endpoint", store, "--counter", "availablememory", "--once")
    assert [r["Average"] for r in counter] == [90 * 1048576.0, 3 * 1048576.0, 2 * 1048576.0]
    newest = rows_of(capsys, METRICS, "--endpoint", store, "--once", "--limit", "2")
    assert [r["TIMESTAMP"] for r in newest] == [ticks.iso((NOW - 120) * ticks.SECOND_US)] * 2
    assert len(rows_of(capsys, METRICS, "--endpoint", store, "--partition", "other")) == 0
    assert len(rows_of(capsys, "LinuxMemoryVer2v0", "--endpoint", store, "--since", "1h")) == 2


def test_since_is_by_timestamp_where_the_key_is_older(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    span = (
        str(int(time.time()) - (NOW - 11 * 60) + 5) + "s"
    )  # the row's TIMESTAMP lies in it, its key's window does not
    found = rows_of(capsys, METRICS, "--endpoint", store, "--since", span, "--once", "--counter", "stages")
    assert [r["CounterName"] for r in found] == ["\\Two\\Stages"]


def test_the_table_for_people(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rows", METRICS, "--endpoint", store, "--since", "10m") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "TIMESTAMP",
        "(UTC)",
        "CounterName",
        "Average",
        "Minimum",
        "Maximum",
        "Last",
        "Total",
        "Count",
    ]
    assert len(lines) == 5
    assert lines[-1].split()[1:4] == ["\\Memory\\UsedMemory", "0.5", "0.5"]
    assert len({len(line) for line in lines}) == 1
    assert run("rows", METRICS, "--endpoint", store, "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 15
    assert run("rows", "LinuxMemoryVer2v0", "--endpoint", store) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["TIMESTAMP", "(UTC)", "AvailableMemory", "Percent", "Name"]
    assert "12.5" in out


def test_what_does_not_fit_is_named() -> None:
    from extension.sinks.entity import Entity

    wide = Entity("p", "r", {f"Column{i}": ("String", "x" * 200) for i in range(5)}, "2026-11-21T09:18:00Z")
    lines = rows_view.render_text([wide], 80)
    assert all(len(line) <= 80 for line in lines[:2])
    assert "more columns: Column" in lines[-1]
    assert "…" in lines[1] or "Column0" in lines[-1]


def test_nothing_found_is_explained(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rows", METRICS, "--endpoint", store, "--counter", "Nonsense") == 0
    caught = capsys.readouterr()
    assert caught.out == "no rows\n"
    assert "\\Memory\\UsedMemory" in caught.err
    assert run("rows", METRICS, "--endpoint", store, "--since", "1s") == 0
    assert "--since" in capsys.readouterr().err
    assert run("rows", METRICS, "--endpoint", store, "--since", "1s", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("rows",),
        ("rows", "abc", "--since", "10"),
        ("rows", "abc", "--since", "tenminutes"),
        ("rows", "abc", "--limit", "0"),
        ("rows", "abc", "--limit", "x"),
        ("rows", "abc", "--once", "--all"),
        ("tables", "--endpoint", "file:///x", "-c", "y"),
        ("tables", "--key-file", "a", "--sas-file", "b"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert "usage: lad" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("tables",), ("rows", "T"), ("audit",)])
@pytest.mark.parametrize(
    "url", ["ftp://x", "tables.db", "http://", "https://h:x", "file://a/b", "https://a.b/c?sig=1", ""]
)
def test_an_endpoint_that_is_no_address_is_an_error_of_usage(
    command: tuple[str, ...], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*command, "--endpoint", url)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith(f"lad {command[0]}: error: argument --endpoint: ")]
    assert any(words in line for words in ("write https://", "file:///", "as credential", "such as https://"))
    assert "sig=1" not in err


def one_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(*arguments) == 1
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.count("\n") == 1
    assert caught.err.startswith(f"lad {arguments[0]}: ")
    return caught.err


def test_errors_are_one_line(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no table xyz" in one_error(capsys, "rows", "xyz", "--endpoint", store)
    assert METRICS in one_error(capsys, "rows", "xyz", "--endpoint", store)
    assert "nothing is installed" in one_error(capsys, "tables")
    assert "there is no table store" in one_error(capsys, "tables", "--endpoint", f"file://{tmp_path}/none.db")
    (tmp_path / "bad.db").write_bytes(b"\xff" * 5000)
    assert "damaged" in one_error(capsys, "tables", "--endpoint", f"file://{tmp_path}/bad.db")
    assert "there is no document" in one_error(capsys, "tables", "-c", str(tmp_path / "none.xml"))
    assert "no credential for account acct" in one_error(
        capsys, "tables", "--endpoint", "https://acct.table.core.windows.net"
    )
    assert "no credential" in one_error(capsys, "tables", "--endpoint", "http://10.1.2.3:10002/devstoreaccount1")
    nobody = "http://127.0.0.1:9/devstoreaccount1"
    assert "connection refused" in one_error(capsys, "rows", "abc", "--endpoint", nobody)
    assert "cannot read" in one_error(capsys, "tables", "--endpoint", nobody, "--key-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in one_error(capsys, "tables", "--endpoint", nobody, "--sas-file", str(tmp_path / "empty"))


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.db").touch()
    assert run("tables", "--endpoint", f"file://{tmp_path}/t.db") == 0
    assert capsys.readouterr().out == "no tables\n"
    assert "there are no tables" in one_error(capsys, "rows", "abc", "--endpoint", f"file://{tmp_path}/t.db")


def test_reading_does_not_write(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tables.db"
    before = path.read_bytes()
    rows_of(capsys, METRICS, "--endpoint", store)
    assert path.read_bytes() == before


def test_a_store_in_a_folder_that_cannot_be_written(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    tmp_path.chmod(0o500)
    try:
        assert run("tables", "--endpoint", store) == 0
    finally:
        tmp_path.chmod(0o700)


def test_azurite_gives_the_same_rows(
    azurite: Azurite, table_name: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, raw = "WADMetricsPT1MP10DV2S" + str(abs(hash(table_name)))[:8], table_name
    fill(azurite.key_account(), metrics, raw)
    there = ("--endpoint", azurite.table_endpoint)
    here = ("--endpoint", store)
    assert run("tables", *there, "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[raw] is None
    for extra in ((), ("--since", "10m"), ("--since", "1h", "--once"), ("--counter", "UsedMemory"), ("--limit", "3")):
        assert rows_of(capsys, metrics, *there, *extra) == rows_of(capsys, METRICS, *here, *extra)
        assert rows_of(capsys, raw, *there, *extra) == rows_of(capsys, "LinuxMemoryVer2v0", *here, *extra)


def test_credentials_for_azurite(
    azurite: Azurite,
    table_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sink = open_sink(azurite.key_account())
    sink.send(table_name, [raw_row(1)])
    there = (table_name, "--endpoint", azurite.table_endpoint)
    monkeypatch.setenv("AZURE_STORAGE_KEY", "QUJD")
    assert "storageAccountKey" in one_error(capsys, "rows", *there)
    (tmp_path / "key").write_text(azurite.key + "\n")
    assert len(rows_of(capsys, *there, "--key-file", str(tmp_path / "key"))) == 1
    (tmp_path / "sas").write_text("?" + azurite.sas("r") + "\n")
    assert len(rows_of(capsys, *there, "--sas-file", str(tmp_path / "sas"))) == 1
    (tmp_path / "sas").write_text(azurite.sas("a"))
    assert "read (r)" in one_error(capsys, "rows", *there, "--sas-file", str(tmp_path / "sas"))
    monkeypatch.delenv("AZURE_STORAGE_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", azurite.sas("r"))
    assert len(rows_of(capsys, *there)) == 1
    monkeypatch.delenv("AZURE_STORAGE_SAS_TOKEN")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    assert len(rows_of(capsys, *there)) == 1


ACCOUNTS = (
    Account("first", "one", "key", "K1", "file:///1"),
    Account("second", "two", "sas", "S2", "file:///2", True),
)


def test_the_account_of_a_document() -> None:
    assert target.choose(ACCOUNTS, None, "x.xml").account == "two"
    assert target.choose(ACCOUNTS, "first", "x.xml").account == "one"
    assert target.choose(ACCOUNTS, "one", "x.xml").account == "one"
    assert target.choose(ACCOUNTS[:1], None, "x.xml").account == "one"
    for accounts, name, words in (
        ((), None, "no storage account"),
        (ACCOUNTS, "third", "it has first, second"),
        (ACCOUNTS[:1] * 2, None, "choose one"),
    ):
        with pytest.raises(target.TargetError, match=words):
            target.choose(accounts, name, "x.xml")


def arguments_of(*words: str) -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    target.add_options(parser)
    return parser.parse_args(words)


def test_the_installed_document_is_the_default(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    document, options = tmp_path / "xmlCfg.xml", tmp_path / "options.json"
    document.write_text("")
    options.write_text("{}")
    (state / "installed.json").write_text(json.dumps({"config": str(document), "options": str(options)}))
    asked: list[tuple[str, str]] = []

    def load(config: str, extra: str) -> tuple[Plan, list[str]]:
        asked.append((config, extra))
        return Plan(accounts=ACCOUNTS), []

    found = target.resolve(arguments_of(), {}, load)
    assert (found.account, found.secret) == ("two", "S2")
    assert asked == [(str(document), str(options))]
    (tmp_path / "key").write_text("OTHER")
    found = target.resolve(arguments_of("--account", "one", "--key-file", str(tmp_path / "key")), {}, load)
    assert (found.account, found.kind, found.secret) == ("one", "key", "OTHER")


def test_a_document_that_gives_no_plan_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text("")

    def load(config: str, extra: str) -> tuple[Plan, list[str]]:
        raise PlanError("line 3: not closed")

    with pytest.raises(target.TargetError, match="line 3"):
        target.resolve(arguments_of("-c", str(tmp_path / "x.xml")), {}, load)


def test_a_connection_string_counts_for_its_own_account_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=mine;AccountKey=abc=="}
    found = target.resolve(arguments_of("--endpoint", "https://mine.table.core.windows.net"), text)
    assert (found.account, found.kind, found.secret) == ("mine", "key", "abc==")
    with pytest.raises(target.TargetError, match="no credential for account other"):
        target.resolve(arguments_of("--endpoint", "https://other.table.core.windows.net"), text)


def test_a_local_store_needs_no_azure_sdk(store: str) -> None:
    """In a process of its own: neither reading nor writing a file: endpoint imports azure, requests or urllib3."""
    code = f"""
import sys
from extension import cli
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import open_sink
open_sink(Account("", "", "key", "", {store!r})).send("abc", [Row("p", "r", {{}})])
code = cli.main(["tables", "--endpoint", {store!r}])
heavy = [m for m in ("azure", "requests", "urllib3", "lxml", "ssl") if m in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy or code else 0)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("0s", 0)])
def test_spans(text: str, seconds: int) -> None:
    assert rows_view.span_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1.5h", "10 m", "1w", "٣m", "1" * 10 + "d"])
def test_bad_spans(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s"):
        rows_view.span_seconds(text)
