"""The Azure sink and reader against Azurite, a real table service."""

from __future__ import annotations

import math
import time
from datetime import timedelta

import pytest

from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import SinkError, open_sink
from extension.sinks.reader import Entity, open_reader
from tests.azurite_bed import Azurite

ALL_TYPES: dict[str, EdmValue] = {
    "CounterName": ("String", "\\Memory\\Verfügbar 😀 'x'"),
    "Empty": ("String", ""),
    "Null": ("String", "[NULL]"),
    "Small": ("Int32", -(2**31)),
    "Big": ("Int64", 2**63 - 1),
    "SmallInt64": ("Int64", 7),
    "Whole": ("Double", 1048576000.0),
    "Fraction": ("Double", 0.1),
    "Yes": ("Boolean", True),
    "TIMESTAMP": ("DateTime", "2026-11-21T09:18:00Z"),
    "Precise": ("DateTime", "2026-11-21T09:17:55.638998Z"),
}


def row(key: str, pk: str = "p", **columns: tuple[str, object]) -> Row:
    return Row(pk, key, dict(columns) or {"TIMESTAMP": ("DateTime", "2026-11-21T09:18:00Z"), "Value": ("Int64", 1)})


def read(account: Account, table: str, **conditions: str) -> list[Entity]:
    reader = open_reader(account)
    try:
        return list(reader.query(table, **conditions))  # type: ignore[arg-type]
    finally:
        reader.close()


def send(account: Account, table: str, rows: list[Row]) -> None:
    sink = open_sink(account, clock=time.time)
    try:
        sink.send(table, rows)
    finally:
        sink.close()


def refused(account: Account, table: str, rows: list[Row]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        send(account, table, rows)
    assert "\n" not in str(caught.value)
    assert account.secret not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", ["key", "sas", "sas with ?", "sas encoded twice"])
def test_creates_the_table_and_keeps_every_type(azurite: Azurite, table_name: str, kind: str) -> None:
    token = azurite.sas("rlacu")
    account = {
        "key": azurite.key_account(),
        "sas": azurite.sas_account(token),
        "sas with ?": azurite.sas_account("?" + token),
        "sas encoded twice": azurite.sas_account(token.replace("%", "%25")),
    }[kind]
    send(account, table_name, [Row("p k", "r__:005C|x", dict(ALL_TYPES))])
    (stored,) = read(account, table_name)
    assert (stored.partition_key, stored.row_key) == ("p k", "r__:005C|x")
    shown = dict(ALL_TYPES)
    assert stored.columns == shown
    assert stored.timestamp.endswith("Z")


def test_not_a_number_and_infinities(azurite: Azurite, table_name: str) -> None:
    doubles: dict[str, EdmValue] = {"A": ("Double", math.nan), "B": ("Double", math.inf), "C": ("Double", -math.inf)}
    send(azurite.key_account(), table_name, [Row("p", "r", doubles)])
    (stored,) = read(azurite.key_account(), table_name)
    assert [kind for kind, _ in stored.columns.values()] == ["Double"] * 3
    a, b, c = (value for _, value in stored.columns.values())
    assert (math.isnan(a), b, c) == (True, math.inf, -math.inf)


def test_sending_again_replaces_and_never_merges(azurite: Azurite, table_name: str) -> None:
    account = azurite.key_account()
    rows = [row(f"r{i:03d}", Old=("Int32", i)) for i in range(100)]
    send(account, table_name, rows)
    send(account, table_name, rows)
    send(account, table_name, [row("r050", New=("Int32", 1))])
    stored = read(account, table_name)
    assert [e.row_key for e in stored] == [f"r{i:03d}" for i in range(100)]
    assert stored[50].columns == {"New": ("Int32", 1)}


def test_a_table_that_vanishes_is_made_again(azurite: Azurite, table_name: str) -> None:
    from azure.data.tables import TableServiceClient

    sink = open_sink(azurite.key_account())
    try:
        sink.send(table_name, [row("a")])
        with TableServiceClient.from_connection_string(azurite.connection_string) as service:
            service.delete_table(table_name)
        sink.send(table_name, [row("b")])
    finally:
        sink.close()
    assert [e.row_key for e in read(azurite.key_account(), table_name)] == ["b"]


def test_losing_the_race_of_table_creation_is_fine(azurite: Azurite, table_name: str) -> None:
    """Two sinks see the table missing; the later creation meets 409 TableAlreadyExists and goes on."""
    from extension.sinks.azure_tables import AzureTablesSink

    late = open_sink(azurite.key_account())
    assert isinstance(late, AzureTablesSink)
    send(azurite.key_account(), table_name, [row("first")])
    late._create(table_name)
    late.send(table_name, [row("second")])
    late.close()
    assert len(read(azurite.key_account(), table_name)) == 2


def test_ranges_and_limits(azurite: Azurite, table_name: str) -> None:
    account = azurite.key_account()
    for pk in ("o'neil", "q"):
        send(
            account,
            table_name,
            [row(f"k{i}", pk, TIMESTAMP=("DateTime", f"2026-11-21T09:0{i}:00.5Z")) for i in range(5)],
        )
    reader = open_reader(account)
    keys = [(e.partition_key, e.row_key) for e in reader.query(table_name, row_key_ge="k1", row_key_le="k2")]
    assert keys == [("o'neil", "k1"), ("o'neil", "k2"), ("q", "k1"), ("q", "k2")]
    found = reader.query(table_name, partition_key="o'neil", time_ge="2026-11-21T09:03:00.900000Z")
    assert [e.row_key for e in found] == ["k3", "k4"]
    assert [e.row_key for e in reader.query(table_name, partition_key="q", limit=3)] == ["k0", "k1", "k2"]
    assert reader.tables()[table_name] is None
    reader.close()


def test_more_rows_than_a_page(azurite: Azurite, table_name: str) -> None:
    sink = open_sink(azurite.key_account())
    for block in range(11):
        sink.send(table_name, [row(f"k{block:02d}{i:02d}", One=("Int32", 1)) for i in range(100)])
    sink.close()
    assert len(read(azurite.key_account(), table_name)) == 1100


def test_unknown_table_when_reading(azurite: Azurite, table_name: str) -> None:
    with pytest.raises(SinkError) as caught:
        read(azurite.key_account(), table_name)
    assert (caught.value.code, caught.value.http_status) == ("TableNotFound", 404)


def test_wrong_key(azurite: Azurite, table_name: str) -> None:
    account = Account("m", azurite.account, "key", "QUJD" * 16, azurite.table_endpoint)
    error = refused(account, table_name, [row("a")])
    assert (error.reaction, error.http_status, error.connection) == ("slow", 403, True)
    assert "storageAccountKey" in error.message


def test_key_that_is_not_base64(azurite: Azurite, table_name: str) -> None:
    account = Account("m", azurite.account, "key", "A=B", azurite.table_endpoint)
    error = refused(account, table_name, [row("a")])
    assert (error.reaction, error.code) == ("slow", "InvalidKey")


@pytest.mark.parametrize(
    ("lifetime", "start", "cause"),
    [(timedelta(hours=-1), None, "sas-expired"), (timedelta(hours=3), timedelta(hours=1), "sas-not-yet-valid")],
)
def test_sas_out_of_its_time(
    azurite: Azurite, table_name: str, lifetime: timedelta, start: timedelta | None, cause: str
) -> None:
    token = azurite.sas(expires_in=lifetime, starts_in=start)
    error = refused(azurite.sas_account(token), table_name, [row("a")])
    assert (error.reaction, error.http_status, error.cause) == ("slow", 403, cause)


def test_sas_that_may_not_create_tables(azurite: Azurite, table_name: str) -> None:
    error = refused(azurite.sas_account(azurite.sas("rlau", "o")), table_name, [row("a")])
    assert (error.reaction, error.cause) == ("slow", "sas-permission")
    assert "container (srt=c)" in error.message
    assert "create (c)" in error.message


def test_unknown_account(azurite: Azurite, table_name: str) -> None:
    endpoint = azurite.table_endpoint.replace(azurite.account, "nobody")
    error = refused(Account("m", "nobody", "key", azurite.key, endpoint), table_name, [row("a")])
    assert error.reaction == "slow"
    assert error.connection


@pytest.mark.parametrize(
    ("rows", "code", "index"),
    [
        ([row("a"), row("b/c")], "InvalidInput", 1),
        ([row("a"), row("b"), row("a")], "InvalidDuplicateRow", 2),
        ([row("a", Text=("String", "x" * 32769)), row("b")], "PropertyValueTooLarge", 0),
        ([Row("p", "a", {"not-a-name": ("Int32", 1)})], "PropertyNameInvalid", 0),
    ],
)
def test_a_poison_row_is_named_before_it_is_sent(
    azurite: Azurite, table_name: str, rows: list[Row], code: str, index: int
) -> None:
    error = refused(azurite.key_account(), table_name, rows)
    assert (error.reaction, error.code, error.row) == ("drop-row", code, index)


def test_poison_rows_that_only_the_service_finds(
    azurite: Azurite, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same refusals when nothing is checked here: code and index come out of the batch's answer."""
    from extension.sinks import azure_batch_client, limits

    monkeypatch.setattr(limits, "check_batch", lambda *_args, **_more: None)
    monkeypatch.setattr(azure_batch_client, "MAX_BATCH", 1 << 30)
    error = refused(azurite.key_account(), table_name, [row("a"), row("b"), row("a")])
    assert (error.reaction, error.code, error.row) == ("drop-row", "InvalidDuplicateRow", 2)
    long = [row("a"), row("b", Text=("String", "x" * 32769))]
    error = refused(azurite.key_account(), table_name, long)
    assert (error.reaction, error.code, error.row) == ("drop-row", "PropertyValueTooLarge", 1)
    texts: dict[str, EdmValue] = {f"T{n}": ("String", "x" * 32000) for n in range(8)}
    huge = [Row("p", f"r{i}", dict(texts)) for i in range(20)]
    error = refused(azurite.key_account(), table_name, huge)
    assert (error.reaction, error.http_status) == ("split", 413)


def test_a_proxy_in_the_environment_is_not_asked_for_loopback(
    azurite: Azurite, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    send(azurite.key_account(), table_name, [row("a")])
    assert len(read(azurite.key_account(), table_name)) == 1


def test_localhost_is_not_taken_for_cosmos(azurite: Azurite, table_name: str) -> None:
    endpoint = azurite.table_endpoint.replace("127.0.0.1", "localhost")
    account = Account("m", azurite.account, "key", azurite.key, endpoint)
    send(account, table_name, [row("a")])
    send(account, table_name, [row("a")])
    assert len(read(account, table_name)) == 1
