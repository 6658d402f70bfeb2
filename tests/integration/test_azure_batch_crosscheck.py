"""The product's batch path beside the SDK's ``submit_transaction``: the same rows, types and judgement, always."""

from __future__ import annotations

import math
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import Sink, SinkError, limits, open_sink
from extension.sinks.azure_batch import repaired
from extension.sinks.reader import Entity, open_reader
from tests.azurite_bed import Azurite
from tests.fault_server import FaultServer, Reply
from tests.sdk_transaction import SdkSink

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
SAS = "?sv=2019-02-02&ss=t&srt=sco&sp=rwlacu&se=2035-01-01T00%3A00%3A00Z&sig=Zm9vYmFy%2BYmF6"
ROWS = [Row("p", f"r{i}", {"V": ("Int64", i)}) for i in range(4)]
NOW = 1795252675.0

VALUES: dict[str, EdmValue] = {
    "Int64Big": ("Int64", 2**63 - 1),
    "Int64Small": ("Int64", 7),
    "Int32Low": ("Int32", -(2**31)),
    "Whole": ("Double", 1.0),
    "Huge": ("Double", 1e300),
    "Tiny": ("Double", 5e-324),
    "MinusZero": ("Double", -0.0),
    "Fraction": ("Double", 0.1),
    "Infinite": ("Double", math.inf),
    "MinusInfinite": ("Double", -math.inf),
    "Time": ("DateTime", "2026-11-21T09:17:55.6389981Z"),
    "Second": ("DateTime", "2026-11-21T09:18:00Z"),
    "Yes": ("Boolean", True),
    "No": ("Boolean", False),
    "Empty": ("String", ""),
    "Controls": ("String", "a\x00\x01\t\r\n\x1f\x7fz"),
    "Quotes": ("String", "'\"\\/`"),
    "Emoji": ("String", "Verfügbar 😀 \u2028"),
    "Number": ("String", "5"),
    "Absent": ("String", None),
}


def entities(account: Account, table: str) -> dict[str, Entity]:
    reader = open_reader(account)
    try:
        return {e.row_key: e for e in reader.query(table)}
    finally:
        reader.close()


def shown(entity: Entity) -> tuple[str, dict[str, tuple[str, str]]]:
    """Everything but the service's time; repr tells -0.0 from 0.0 and 1 from 1.0."""
    return entity.partition_key, {name: (kind, repr(value)) for name, (kind, value) in entity.columns.items()}


def both_ways(azurite: Azurite, names: tuple[str, str], rows: list[Row]) -> None:
    """Send ``rows`` to one table by each path and compare what a reader finds."""
    account = azurite.key_account()
    ours, sdk = open_sink(account), SdkSink(account)
    try:
        ours.send(names[0], rows)
        if names[1] not in _made:
            open_sink(account).send(names[1], rows[:1])  # the SDK's own path creates no table
            _made.add(names[1])
        sdk.send(names[1], rows)
    finally:
        ours.close()
        sdk.close()
    one, other = entities(account, names[0]), entities(account, names[1])
    assert {r.row_key for r in rows} <= set(one)
    assert {k: shown(e) for k, e in one.items()} == {k: shown(e) for k, e in other.items()}


_made: set[str] = set()


def test_every_type_and_every_odd_key(azurite: Azurite, table_name: str) -> None:
    keys = ["plain", "lone ' quote", "''", "a:005C b", "€ 😀", "%25 %", "(x),y='z'", "+ &", "__", "~!@$^*"]
    rows = [Row("it's :002F %", key, dict(VALUES)) for key in keys]
    assert limits.check_batch(table_name, rows) is None
    both_ways(azurite, (table_name, table_name + "s"), rows)
    found = entities(azurite.key_account(), table_name)["plain"]
    assert found.columns["Time"] == ("DateTime", "2026-11-21T09:17:55.6389981Z")
    assert found.columns["Whole"] == ("Double", 1.0)
    assert found.columns["Controls"] == VALUES["Controls"]
    assert "Absent" not in found.columns


def test_a_full_batch_is_replaced_not_merged(azurite: Azurite, table_name: str) -> None:
    account = azurite.sas_account(azurite.sas("rlacu"))
    sink = open_sink(account)
    sink.send(table_name, [Row("p", f"{i:03}", {"Old": ("Int32", i), "V": ("Int32", 0)}) for i in range(100)])
    for _ in range(2):
        sink.send(table_name, [Row("p", f"{i:03}", {"V": ("Int32", i)}) for i in range(100)])
    sink.close()
    found = entities(account, table_name)
    assert [e.columns for _, e in sorted(found.items())] == [{"V": ("Int32", i)} for i in range(100)]


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True).filter(lambda n: n != "Timestamp")
TEXT = st.text(max_size=12).map(repaired)
ANY = st.one_of(
    st.tuples(st.just("String"), TEXT),
    st.tuples(st.just("Int32"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("Int64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("Double"), st.floats(allow_nan=False)),
    st.tuples(st.just("Boolean"), st.booleans()),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(Row, st.just("p'p"), TEXT, st.dictionaries(NAMES, ANY, max_size=5)),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row.row_key,
    )
)
def test_any_rows_that_pass_the_check(azurite: Azurite, table_name: str, rows: list[Row]) -> None:
    rows = [row for row in rows if limits.check_row(row) is None]
    if rows:
        both_ways(azurite, (table_name, table_name + "s"), rows)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as found:
        yield found


def judged(sink: Sink) -> SinkError:
    with pytest.raises(SinkError) as caught:
        sink.send("Faulty", ROWS)
    return caught.value


LATE = formatdate(NOW - 3600, usegmt=True)
FAULTS = {
    "busy": Reply(503, "ServerBusy", headers={"Retry-After": "7"}),
    "busy part": Reply(503, "ServerBusy", "0:Busy.", batch=True),
    "too many": Reply(429, headers={"Retry-After": "7"}),
    "too many until": Reply(429, headers={"Retry-After": formatdate(NOW + 30, usegmt=True)}, date=formatdate(NOW)),
    "time-out": Reply(500, "OperationTimedOut", "Operation could not be completed within the specified time."),
    "internal": Reply(500, "InternalError"),
    "internal part": Reply(500, "InternalError", "0:Oops.", batch=True),
    "bad gateway": Reply(502),
    "bad gateway page": Reply(502, body="<html>Bad gateway</html>"),
    "gateway time-out": Reply(504),
    "request time-out": Reply(408),
    "not implemented": Reply(501),
    "portal 200": Reply(200, body="<html><body>Please log in</body></html>"),
    "portal 202": Reply(202, body="<html><body>Please log in</body></html>"),
    "empty 204": Reply(204),
    "redirect": Reply(302, headers={"Location": "http://127.0.0.1:9/login"}),
    "redirect same method": Reply(307, headers={"Location": "http://127.0.0.1:9/login"}),
    "reset": Reply(reset=True),
    "truncated": Reply(cut=40),
    "truncated late": Reply(cut=700),
    "too few parts": Reply(accepted=3),
    "too large": Reply(413, "RequestBodyTooLarge"),
    "too large unnamed": Reply(413),
    "too large part": Reply(413, "RequestBodyTooLarge", "0:The request body is too large.", batch=True),
    "being deleted": Reply(409, "TableBeingDeleted", "0:The specified table is being deleted.", batch=True),
    "account being created": Reply(409, "AccountBeingCreated"),
    "conflict": Reply(409),
    "no access": Reply(403, "AuthenticationFailed", "Server failed to authenticate the request."),
    "no access, skewed": Reply(403, "AuthenticationFailed", date=LATE),
    "failure": Reply(403, "AuthorizationFailure"),
    "permission": Reply(403, "AuthorizationPermissionMismatch"),
    "resource type": Reply(403, "AuthorizationResourceTypeMismatch"),
    "service": Reply(403, "AuthorizationServiceMismatch"),
    "protocol": Reply(403, "AuthorizationProtocolMismatch"),
    "address": Reply(403, "AuthorizationSourceIPMismatch"),
    "disabled": Reply(403, "AccountIsDisabled"),
    "key disabled": Reply(403, "KeyBasedAuthenticationNotPermitted"),
    "unnamed 401": Reply(401),
    "firewall page": Reply(403, body="<html>Forbidden by proxy</html>"),
    "proxy": Reply(407),
    "not here": Reply(404, body="<html>no such page</html>"),
    "header": Reply(400, "InvalidHeaderValue"),
    "unnamed 400": Reply(400),
    "poison row": Reply(400, "PropertyValueTooLarge", "2:The property value exceeds the limit.", batch=True),
    "poison unblamed": Reply(400, "InvalidInput", "One of the request inputs is not valid.", batch=True),
    "poison whole": Reply(400, "InvalidInput", "One of the request inputs is not valid."),
    "twice": Reply(400, "InvalidDuplicateRow", "3:Twice.", batch=True),
    "out of range": Reply(400, "OutOfRangeInput", "1:Out of range.", batch=True),
    "unforeseen 400": Reply(400, "SomethingNew", "1:No.", batch=True),
    "table name": Reply(400, "InvalidResourceName", "0:No.", batch=True),
}


@pytest.mark.parametrize("kind", ["key", "sas"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_judged_alike(server: FaultServer, kind: str, fault: str) -> None:
    account = Account("m", "acct", kind, SECRET if kind == "key" else SAS, server.endpoint)
    ours = open_sink(account, clock=lambda: NOW, connect_timeout=5, read_timeout=5)
    sdk = SdkSink(account, clock=lambda: NOW)
    server.script = [FAULTS[fault], FAULTS[fault]]
    try:
        one, other = judged(ours), judged(sdk)
        assert (one.reaction, one.code, one.http_status, one.row, one.connection, one.cause, one.retry_after) == (
            other.reaction,
            other.code,
            other.http_status,
            other.row,
            other.connection,
            other.cause,
            other.retry_after,
        )
        assert len(server.seen) == 2
        assert server.script == []
        ours.send("Faulty", ROWS)  # and the next attempt is fine
    finally:
        ours.close()
        sdk.close()


def test_no_answer_in_time_is_judged_alike(server: FaultServer) -> None:
    account = Account("m", "acct", "key", SECRET, server.endpoint)
    ours, sdk = open_sink(account, read_timeout=0.2), SdkSink(account, read_timeout=0.2)
    server.script = [Reply(hold=True), Reply(hold=True)]
    one, other = judged(ours), judged(sdk)
    assert (one.reaction, one.code, one.message) == (other.reaction, other.code, other.message)
    ours.close()
    sdk.close()


@pytest.mark.parametrize("key", ["no base64!", "abc", "é"])
def test_a_key_that_is_none_sends_nothing(server: FaultServer, key: str) -> None:
    sink = open_sink(Account("m", "acct", "key", key, server.endpoint))
    error = judged(sink)
    assert (error.reaction, error.code) == ("slow", "InvalidKey")
    assert key not in error.message
    assert server.seen == []
    sink.close()
