"""From the store to a service that refuses: every row is delivered or dropped alone for a counted reason."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extension.lane import Lane
from extension.pipeline.batches import Batch
from extension.plan import Account
from extension.rows.edm import EdmValue, Row
from extension.sinks import open_sink
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from tests.fault_server import FaultServer, Reply, Seen

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def keys_of(request: Seen) -> list[str]:
    return re.findall(r",RowKey='([^']*)'\) HTTP/1\.1", request.body)


class Service:
    """A table service that keeps the keys it took; ``refuse`` looks at a batch's keys first."""

    def __init__(self, refuse: Callable[[list[str], Seen], Reply | None]) -> None:
        self.refuse = refuse
        self.taken: list[str] = []

    def judge(self, request: Seen) -> Reply | None:
        if "$batch" not in request.path:
            return None
        keys = keys_of(request)
        reply = self.refuse(keys, request)
        if reply is None:
            self.taken += keys
        return reply


@contextlib.contextmanager
def delivered(folder: Path, rows: list[Row], service: Service) -> Iterator[tuple[ledger.Balance, FaultServer]]:
    """The balance of table T after one drain of ``rows`` into ``service``."""
    server = FaultServer(service.judge)
    account = Account("m", "acct", "key", SECRET, server.endpoint)
    store = CollectorStore(str(folder), max_bytes=64 << 20)
    uploads = UploaderStore(str(folder))
    try:
        with store.transaction():
            store.queue([Batch("m", "Tab", rows)], 1.0)
        lane = Lane(
            account,
            uploads,
            spread_s=0.0,
            publish=lambda: None,
            progress=lambda: None,
            log=lambda _level, _text: None,
            connect=lambda a: open_sink(a, connect_timeout=5, read_timeout=5),
        )
        lane.drain()
        yield ledger.read(str(folder))["Tab"], server
    finally:
        uploads.close()
        store.close()
        server.stop()


def rows_of(count: int) -> list[Row]:
    return [Row("p", f"r{i:02}", {"V": ("Int32", i)}) for i in range(count)]


@pytest.mark.parametrize("count", [100, 7, 2])
@pytest.mark.parametrize("named", [True, False])
def test_one_poison_row_of_a_batch_is_found_and_dropped_alone(tmp_path: Path, count: int, named: bool) -> None:
    poison = f"r{count // 3:02}"

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        if poison not in keys:
            return None
        blame = f"{keys.index(poison)}:" if named else ""
        return Reply(400, "PropertyValueTooLarge", f"{blame}The property value exceeds the limit.", batch=True)

    service = Service(refuse)
    with delivered(tmp_path, rows_of(count), service) as (balance, server):
        assert (balance.delivered, balance.queued) == (count - 1, 0)
        assert balance.dropped == {"PropertyValueTooLarge": 1}
        assert sorted(service.taken) == [f"r{i:02}" for i in range(count) if f"r{i:02}" != poison]
        assert len(server.seen) <= (2 if named else 2 * math.ceil(math.log2(count)) + 1)


@pytest.mark.parametrize("whole", [True, False])
def test_a_batch_that_is_too_large_is_sent_in_halves(tmp_path: Path, whole: bool) -> None:
    too_large = Reply(413, "RequestBodyTooLarge", "0:The request body is too large.", batch=not whole)
    service = Service(lambda keys, _request: too_large if len(keys) > 30 else None)
    with delivered(tmp_path, rows_of(100), service) as (balance, server):
        assert (balance.delivered, balance.queued, balance.dropped) == (100, 0, {})
        assert service.taken == [f"r{i:02}" for i in range(100)]
        assert [len(keys_of(s)) for s in server.seen] == [100, 50, 25, 25, 50, 25, 25]


def test_rows_that_are_there_already_count_as_delivered(tmp_path: Path) -> None:
    """A service that inserts where it should replace, met again after an answer was lost."""
    there = {"r02", "r05"}

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        known = next((i for i, key in enumerate(keys) if key in there), None)
        if known is None:
            return None
        return Reply(409, "EntityAlreadyExists", f"{known}:The specified entity already exists.", batch=True)

    service = Service(refuse)
    with delivered(tmp_path, rows_of(8), service) as (balance, server):
        assert (balance.delivered, balance.queued, balance.dropped) == (8, 0, {})
        assert len(server.seen) == 3
        assert sorted([*service.taken, *there]) == [f"r{i:02}" for i in range(8)]


def test_a_row_blamed_beside_one_that_is_there_already(tmp_path: Path) -> None:
    """The index in an answer counts the rows of that attempt, not those of the batch."""

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        if "r01" in keys:
            return Reply(409, "EntityAlreadyExists", f"{keys.index('r01')}:Exists.", batch=True)
        if "r04" in keys:
            return Reply(400, "OutOfRangeInput", f"{keys.index('r04')}:Out of range.", batch=True)
        return None

    with delivered(tmp_path, rows_of(6), Service(refuse)) as (balance, _server):
        assert (balance.delivered, balance.dropped) == (5, {"OutOfRangeInput": 1})


BAD: dict[str, tuple[str, dict[str, EdmValue]]] = {
    "PropertyValueTooLarge": ("r", {"V": ("String", "x" * 32769)}),
    "TooManyProperties": ("r", {f"C{i}": ("Int32", i) for i in range(300)}),
    "OutOfRangeInput": ("r", {"V": ("Int64", 2**63)}),
    "KeyValueTooLarge": ("r" * 513, {}),
    "InvalidInput": ("r\x07", {}),
    "PropertyNameInvalid": ("r", {"not a name": ("Int32", 1)}),
    "PropertyNameTooLong": ("r", {"n" * 256: ("Int32", 1)}),
    "EntityTooLarge": ("r", {f"C{i}": ("String", "x" * 32000) for i in range(17)}),
    "InvalidValueType": ("r", {"V": ("Decimal", 1)}),
    "DuplicatePropertiesSpecified": ("r", {"RowKey": ("String", "x")}),
}
ODD: dict[str, EdmValue] = {
    "NotANumber": ("Double", math.nan),
    "Infinite": ("Double", -math.inf),
    "Controls": ("String", "\x00\x07"),
    "Absent": ("Int64", None),
}


@pytest.mark.parametrize("code", BAD)
def test_what_the_service_would_refuse_never_reaches_it(tmp_path: Path, code: str) -> None:
    key, columns = BAD[code]
    rows = [*rows_of(3), Row("p", key, columns), Row("p", "s", {"V": ("Int32", 1)})]
    service = Service(lambda _keys, _request: None)
    with delivered(tmp_path, rows, service) as (balance, server):
        assert (balance.delivered, balance.queued, balance.dropped) == (4, 0, {code: 1})
        assert service.taken == ["r00", "r01", "r02", "s"]
        assert len(server.seen) == 1


def test_what_can_be_said_otherwise_is_delivered(tmp_path: Path) -> None:
    service = Service(lambda _keys, _request: None)
    with delivered(tmp_path, [Row("p", "r", dict(ODD))], service) as (balance, server):
        assert (balance.delivered, balance.dropped) == (1, {})
        for text in ('"NotANumber":"NaN"', '"Infinite":"-Infinity"', '"Controls":"\\u0000\\u0007"'):
            assert text in server.seen[0].body
        assert "Absent" not in server.seen[0].body


@pytest.mark.parametrize("status", [400, 415, 411])
@pytest.mark.parametrize("count", [100, 3])
def test_a_refusal_without_a_code_inside_a_transaction_costs_one_row(tmp_path: Path, status: int, count: int) -> None:
    """The service itself has judged the rows: the batch is not retried for ever."""

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        return Reply(status, batch=True) if "r01" in keys else None

    with delivered(tmp_path, rows_of(count), Service(refuse)) as (balance, _server):
        assert (balance.delivered, balance.queued) == (count - 1, 0)
        assert sum(balance.dropped.values()) == 1


def test_rows_that_are_there_already_count_as_delivered_though_none_is_named(tmp_path: Path) -> None:
    there = {"r02", "r05"}

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        return Reply(409, "EntityAlreadyExists", "Exists.", batch=True) if there & set(keys) else None

    service = Service(refuse)
    with delivered(tmp_path, rows_of(8), service) as (balance, _server):
        assert (balance.delivered, balance.queued, balance.dropped) == (8, 0, {})
        assert sorted([*service.taken, *there]) == [f"r{i:02}" for i in range(8)]


def test_a_row_refused_unnamed_beside_those_that_are_there_already(tmp_path: Path) -> None:
    """What is left of the batch is one row, and that is the one to drop."""

    def refuse(keys: list[str], _request: Seen) -> Reply | None:
        known = [key for key in keys if key != "r02"]
        if known:
            return Reply(409, "EntityAlreadyExists", f"{keys.index(known[0])}:Exists.", batch=True)
        return Reply(400, "OutOfRangeInput", "Out of range.", batch=True)

    with delivered(tmp_path, rows_of(4), Service(refuse)) as (balance, _server):
        assert (balance.delivered, balance.dropped) == (3, {"OutOfRangeInput": 1})
