"""JSON blobs in Azurite's blob service and as files: content, block lists, kills between any two calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import pytest

from extension.lane import Lane
from extension.lanes import lanes
from extension.pipeline.batches import Batch
from extension.plan import Account, OnBehalf, Plan, Route, Source, Target
from extension.rows.edm import Row
from extension.sinks import endpoints, json_blob
from extension.sinks.base import Sink, SinkError
from extension.sinks.blob_service import BlobService
from extension.sinks.json_blob_sink import JsonBlobSink
from extension.sinks.memos import Forgetful, Memos
from extension.sinks.opening import open_blob_sink
from extension.store import ledger
from extension.store.collector_db import CollectorStore
from extension.store.uploader_db import UploaderStore
from tests import azurite_bed
from tests.azurite_bed import Azurite
from tests.fault_server import FaultServer, Reply

PATH = "resourceId=/subscriptions/s/vm é/i=HASH/y=2026/m=11/d=21/h=09/m=00/PT1H.json"
LANE = "jsonblob m"


def _rows(*names: str) -> list[Row]:
    return [Row(PATH, name, {"record": ("String", json.dumps({"name": name}))}) for name in names]


def _account(azurite: Azurite, token: str = "") -> Account:
    account = azurite.sas_account(token) if token else azurite.key_account()
    return replace(account, blob_endpoint=azurite.blob_endpoint)


def _sas(azurite: Azurite, permissions: str, types: str = "co") -> str:
    """An account SAS for blobs and tables: the SDK in use makes them for tables only, so it is signed here."""
    until = (datetime.now(timezone.utc) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = "\n".join([azurite.account, permissions, "bt", types, "", until, "", "", "2018-03-28", ""])
    digest = hmac.new(base64.b64decode(azurite.key), text.encode(), hashlib.sha256).digest()
    fields = {"sv": "2018-03-28", "ss": "bt", "srt": types, "sp": permissions, "se": until}
    return urlencode({**fields, "sig": base64.b64encode(digest).decode()})


def _service(azurite: Azurite, account: Account | None = None) -> BlobService:
    chosen = account or _account(azurite)
    return BlobService(endpoints.parse(chosen.blob_endpoint, chosen.account), chosen, clock=time.time)


def _read(azurite: Azurite, container: str, path: str = PATH) -> tuple[bytes, list[int]]:
    """The blob's bytes and committed blocks, by the account key."""
    service = _service(azurite)
    answer = service._ask("GET", f"{container}/{path}", {}, {}, b"", "blocks")
    assert answer.status == 200
    return answer.text.encode(), service.blocks(container, path) or []


def _names(content: bytes) -> list[str]:
    return [record["name"] for record in json.loads(content)["records"]]


@pytest.fixture
def container() -> str:
    return azurite_bed.unique_table()


@pytest.mark.parametrize("permissions", ["", "rwacul", "acluw"])
def test_blocks_are_laid_out_as_mdsd_does(azurite: Azurite, container: str, permissions: str, tmp_path: Path) -> None:
    account = _account(azurite, _sas(azurite, permissions) if permissions else "")
    sink = open_blob_sink(account, LANE, UploaderStore(str(tmp_path)))
    sink.send(f"jsonblob/{container}", _rows("a", "b"))
    sink.send(f"jsonblob/{container}", _rows("c"))
    content, blocks = _read(azurite, container)
    assert content == b'{"records":[\n{"name": "a"},\n{"name": "b"},\n{"name": "c"}\n]}'
    assert blocks == [0, 1, 2, 49999]
    sink.close()


@pytest.mark.parametrize("permissions", ["rwacul", "acluw"])
@pytest.mark.parametrize("memos_lost", [False, True])
def test_another_process_goes_on_where_the_blob_really_is(
    azurite: Azurite, container: str, permissions: str, memos_lost: bool, tmp_path: Path
) -> None:
    account = _account(azurite, _sas(azurite, permissions))
    for number, name in enumerate("abc"):
        folder = tmp_path / (str(number) if memos_lost else "one")
        folder.mkdir(exist_ok=True)
        open_blob_sink(account, LANE, UploaderStore(str(folder))).send(f"jsonblob/{container}", _rows(name))
    content, blocks = _read(azurite, container)
    assert _names(content) == ["a", "b", "c"]
    assert blocks == [0, 1, 2, 3, 49999]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class DyingService:
    """The service, until the ``n``-th call; ``after``: that call still reaches it."""

    def __init__(self, service: BlobService, n: int, after: bool) -> None:
        self._service, self._left, self._after = service, n, after

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._service, name)

        def call(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0:
                if self._after:
                    method(*arguments)
                raise Killed
            return method(*arguments)

        return call


@pytest.mark.parametrize("permissions", ["rwacul", "acluw"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 10))
def test_a_kill_at_any_call_neither_loses_nor_doubles(
    azurite: Azurite, container: str, permissions: str, after: bool, call: int, tmp_path: Path
) -> None:
    account = _account(azurite, _sas(azurite, permissions))
    memos = UploaderStore(str(tmp_path))
    batches = [_rows("a", "b"), _rows("c")]

    def deliver(make: Callable[[], JsonBlobSink], done: int) -> int:
        sink = make()
        for batch in batches[done:]:
            sink.send(f"jsonblob/{container}", batch)
            done += 1
        return done

    done = 0
    dying = DyingService(_service(azurite, account), call, after)
    try:
        sink = JsonBlobSink(dying, LANE, memos)  # type: ignore[arg-type]
        for batch in batches:
            sink.send(f"jsonblob/{container}", batch)
            done += 1
    except Killed:
        pass
    memos.close()
    deliver(lambda: JsonBlobSink(_service(azurite, account), LANE, UploaderStore(str(tmp_path))), done)
    content, _ = _read(azurite, container)
    assert _names(content) == ["a", "b", "c"]


_CHILD = """
import json, os, signal, sys, time
from extension.plan import Account
from extension.rows.edm import Row
from extension.sinks import endpoints
from extension.sinks.blob_service import BlobService
from extension.sinks.json_blob_sink import JsonBlobSink
from extension.store.uploader_db import UploaderStore
account, key, url, folder, container, path, when = sys.argv[1:]
given = Account("m", account, "key", key, "", True, url)
service = BlobService(endpoints.parse(url, account), given, clock=time.time)
commit, commits = service.put_block_list, []
def put_block_list(*arguments):
    commits.append(1)
    if len(commits) == 2 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(*arguments)
    if len(commits) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
service.put_block_list = put_block_list
sink = JsonBlobSink(service, "jsonblob m", UploaderStore(folder))
for name in "abc":
    sink.send("jsonblob/" + container, [Row(path, name, {"record": ("String", json.dumps({"name": name}))})])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_sigkill_around_the_commit(azurite: Azurite, container: str, when: str, tmp_path: Path) -> None:
    given = [azurite.account, azurite.key, azurite.blob_endpoint, str(tmp_path), container, PATH, when]
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", _CHILD, *given], cwd=root, timeout=60, check=False)
    assert child.returncode == -signal.SIGKILL
    assert _names(_read(azurite, container)[0]) == (["a"] if when == "before" else ["a", "b"])
    sink = open_blob_sink(_account(azurite), LANE, UploaderStore(str(tmp_path)))
    for name in "bc":  # b was not acknowledged
        sink.send(f"jsonblob/{container}", _rows(name))
    assert _names(_read(azurite, container)[0]) == ["a", "b", "c"]


def test_a_batch_that_was_committed_but_not_acknowledged_is_not_repeated(
    azurite: Azurite, container: str, tmp_path: Path
) -> None:
    memos = UploaderStore(str(tmp_path))
    for _ in range(2):  # in one process and in the next
        sink = open_blob_sink(_account(azurite), LANE, memos)
        sink.send(f"jsonblob/{container}", _rows("a"))
        sink.send(f"jsonblob/{container}", _rows("a"))
    assert _names(_read(azurite, container)[0]) == ["a"]


def test_a_blob_that_somebody_deletes_is_begun_anew(azurite: Azurite, container: str, tmp_path: Path) -> None:
    service = _service(azurite)
    sink: Sink = open_blob_sink(_account(azurite), LANE, UploaderStore(str(tmp_path)))
    sink.send(f"jsonblob/{container}", _rows("a"))
    assert service._ask("DELETE", f"{container}/{PATH}", {}, {}, b"", "block").status == 202
    with pytest.raises(SinkError) as refused:
        sink.send(f"jsonblob/{container}", _rows("b"))
    assert refused.value.reaction == "retry"
    sink.send(f"jsonblob/{container}", _rows("b"))
    assert _names(_read(azurite, container)[0]) == ["b"]


def test_a_blob_of_mdsd_that_the_sas_may_not_read_is_not_overwritten(
    azurite: Azurite, container: str, tmp_path: Path
) -> None:
    service = _service(azurite)
    service.create_container(container)
    for number, body in ((0, json_blob.OPENING), (1, b'{"name": "old"}'), (49999, json_blob.CLOSING)):
        service.put_block(container, PATH, number, body)
    service.put_block_list(container, PATH, [0, 1, 49999], {})
    blind = open_blob_sink(_account(azurite, _sas(azurite, "acluw")), LANE, UploaderStore(str(tmp_path)))
    with pytest.raises(SinkError, match=r"read permission \(r\)") as refused:
        blind.send(f"jsonblob/{container}", _rows("new"))
    assert refused.value.reaction == "slow"
    open_blob_sink(_account(azurite), LANE, UploaderStore(str(tmp_path))).send(f"jsonblob/{container}", _rows("new"))
    assert _names(_read(azurite, container)[0]) == ["old", "new"]


def test_refusals_name_their_cause_and_no_secret(azurite: Azurite, container: str) -> None:
    token = _sas(azurite, "acluw")
    wrong = re.sub(r"sig=[^&]+", "sig=AAAA", token)
    with pytest.raises(SinkError) as refused:
        open_blob_sink(_account(azurite, wrong), LANE, Forgetful()).send(f"jsonblob/{container}", _rows("a"))
    assert refused.value.reaction == "slow"
    assert "AAAA" not in str(refused.value)
    with pytest.raises(SinkError) as named:
        open_blob_sink(_account(azurite), LANE, Forgetful()).send("jsonblob/not_allowed", _rows("a"))
    assert (named.value.reaction, named.value.code) == ("drop-batch", "InvalidResourceName")
    up = [Row("a/../b.json", "k", {"record": ("String", "{}")})]
    with pytest.raises(SinkError) as climbing:
        open_blob_sink(_account(azurite), LANE, Forgetful()).send(f"jsonblob/{container}", up)
    assert climbing.value.reaction == "drop-batch"


class _Proxy(BaseHTTPRequestHandler):
    """Notes what it is asked for and answers for a service without blobs; fails for a container ``busy``."""

    seen: ClassVar[list[tuple[str, str, str]]] = []

    def do_PUT(self) -> None:
        self._answer(503 if "/busy" in self.path else 201)

    def do_GET(self) -> None:
        self._answer(404)

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append((self.command, self.path, self.headers.get("Proxy-Authorization", "")))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


def test_the_configured_proxy_counts_before_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    account = Account("m", "acct", "key", "c2VjcmV0", "", True, "http://acct.blob.example.test")
    proxy = f"http://user:pa55@127.0.0.1:{server.server_address[1]}"
    try:
        sink = open_blob_sink(account, LANE, Forgetful(), proxy=proxy)
        sink.send("jsonblob/metrics", _rows("a"))
        with pytest.raises(SinkError) as busy:
            sink.send("jsonblob/busy", _rows("b"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [method for method, _, _ in _Proxy.seen] == ["GET", "PUT", "PUT", "PUT", "PUT", "GET", "PUT"]
    assert all(path.startswith("http://acct.blob.example.test/") for _, path, _ in _Proxy.seen)
    assert all(secret.startswith("Basic ") for _, _, secret in _Proxy.seen)
    assert busy.value.reaction == "retry"
    assert "pa55" not in str(busy.value)


def _file_sink(tmp_path: Path, memos: Memos) -> Sink:
    endpoint = f"file://{tmp_path}/tables.db"
    return open_blob_sink(Account("m", "acct", "key", "", endpoint, True, endpoint), LANE, memos)


def test_a_file_endpoint_keeps_the_same_tree_of_files(tmp_path: Path) -> None:
    memos = Forgetful()
    for batch in (["a", "b"], ["c"], ["c"]):  # the last one again, as after a kill
        _file_sink(tmp_path, memos).send("jsonblob/metrics", _rows(*batch))
    found = tmp_path / "metrics" / PATH
    assert found.read_bytes() == b'{"records":[\n{"name": "a"},\n{"name": "b"},\n{"name": "c"}\n]}'
    assert found.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_half_written_is_made_whole_by_the_same_batch(tmp_path: Path) -> None:
    memos = Forgetful()
    _file_sink(tmp_path, memos).send("jsonblob/metrics", _rows("a"))
    whole = (tmp_path / "metrics" / PATH).read_bytes()
    _file_sink(tmp_path, memos).send("jsonblob/metrics", _rows("b"))
    after = (tmp_path / "metrics" / PATH).read_bytes()
    for cut in (len(whole) - 3, len(whole) + 1, len(after) - 1):
        os.truncate(tmp_path / "metrics" / PATH, cut)
        _file_sink(tmp_path, memos).send("jsonblob/metrics", _rows("b"))
        assert (tmp_path / "metrics" / PATH).read_bytes() == after


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "metrics" / PATH
    other.parent.mkdir(parents=True)
    other.write_bytes(b"not ours")
    with pytest.raises(SinkError, match="move it away"):
        _file_sink(tmp_path, Forgetful()).send("jsonblob/metrics", _rows("a"))
    assert other.read_bytes() == b"not ours"


def test_the_outbox_reaches_blobs_and_tables_by_lanes_of_their_own(azurite: Azurite, tmp_path: Path) -> None:
    container, table = azurite_bed.unique_table(), azurite_bed.unique_table()
    target = Target("jsonblob", container, "m", full_name=True)
    plan = Plan(
        accounts=(_account(azurite),),
        sources=(Source("s"),),
        routes=(Route("s", 60, target),),
        on_behalf=(OnBehalf("other", "", (), "PT1H", 3600),),
    )
    store = CollectorStore(str(tmp_path), max_bytes=64 << 20)
    with store.transaction():
        store.queue([Batch(LANE, f"jsonblob/{container}", _rows("a", "b"))], 1.0)
        store.queue([Batch("m", table, [Row("p", "r", {"V": ("Int32", 1)})])], 1.0)
    uploads = UploaderStore(str(tmp_path))
    ways = lanes(plan, uploads, spread_s=0.0, publish=lambda: None, progress=lambda: None, log=lambda level, text: None)
    assert [way.name for way in ways] == ["m", LANE]
    for way in ways:
        way.drain()
    assert _names(_read(azurite, container)[0]) == ["a", "b"]
    balance = ledger.read(str(tmp_path))
    assert (balance[f"jsonblob/{container}"].delivered, balance[table].delivered) == (2, 1)


def _drained(
    azurite: Azurite,
    account: Account,
    folder: Path,
    batches: list[Batch],
    until: Callable[[dict[str, ledger.Balance]], bool],
) -> tuple[Lane, threading.Thread, list[str]]:
    """The lane of the account's blobs at work on ``batches``, when ``until`` is true of the balances."""
    store = CollectorStore(str(folder), max_bytes=64 << 20)
    with store.transaction():
        store.queue(batches, 1.0)
    said: list[str] = []
    plan = Plan(accounts=(account,))
    uploads = UploaderStore(str(folder))
    made = lanes(
        plan,
        uploads,
        spread_s=0,
        publish=lambda: None,
        progress=lambda: None,
        log=lambda _level, text: said.append(text),
    )
    (lane,) = [way for way in made if way.name == LANE]
    thread = threading.Thread(target=lane.drain, daemon=True)
    thread.start()
    for _ in range(2000):
        if until(ledger.read(str(folder))):
            return lane, thread, said
        time.sleep(0.01)
    lane.stop.set()
    raise AssertionError(f"{ledger.read(str(folder))} {said}")


def _at(path: str, *names: str) -> list[Row]:
    return [Row(path, name, {"record": ("String", json.dumps({"name": name}))}) for name in names]


def test_a_leased_blob_holds_up_no_other(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 0.2)
    container, other = azurite_bed.unique_table(), azurite_bed.unique_table()
    service = _service(azurite)
    open_blob_sink(_account(azurite), LANE, Forgetful()).send(f"jsonblob/{container}", _at("leased.json", "first"))
    lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
    answer = service._ask("PUT", f"{container}/leased.json", {"comp": "lease"}, lease, b"", "block")
    assert answer.status == 201
    batches = [Batch(LANE, f"jsonblob/{container}", _at("leased.json", f"l{i}")) for i in range(30)]
    batches += [Batch(LANE, f"jsonblob/{container}", _at("free.json", "a"))]
    batches += [Batch(LANE, f"jsonblob/{other}", _at("leased.json", "b"))]

    def others_arrived(found: dict[str, ledger.Balance]) -> bool:
        return found[f"jsonblob/{container}"].delivered == found[f"jsonblob/{other}"].delivered == 1

    lane, thread, said = _drained(azurite, _account(azurite), tmp_path, batches, others_arrived)
    assert "LeaseIdMissing" in said[0]
    assert "end it" in lane.problem
    released = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
    assert service._ask("PUT", f"{container}/leased.json", {"comp": "lease"}, released, b"", "block").status == 202
    thread.join(60)
    assert not thread.is_alive()
    assert _names(_read(azurite, container, "leased.json")[0]) == ["first", *(f"l{i}" for i in range(30))]
    assert _names(_read(azurite, container, "free.json")[0]) == ["a"]
    assert len(said) == 2
    assert lane.level == "ok"


def test_a_container_that_may_not_be_created_holds_up_no_other(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extension.lane.pause", lambda _error, _attempt: 3600.0)
    there, missing = azurite_bed.unique_table(), azurite_bed.unique_table()
    _service(azurite).create_container(there)
    batches = [
        Batch(LANE, f"jsonblob/{name}", _at(f"{i}.json", f"r{i}"))
        for i, name in enumerate([missing, there, missing, there])
    ]
    account = _account(azurite, _sas(azurite, "rwacul", "o"))
    lane, thread, said = _drained(
        azurite, account, tmp_path, batches, lambda found: found[f"jsonblob/{there}"].delivered == 2
    )
    assert ledger.read(str(tmp_path))[f"jsonblob/{missing}"].queued == 2
    assert "srt=co" in lane.problem
    assert len(said) == 1
    lane.stop.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("status", "code", "reaction", "place", "connection"),
    [
        (400, "InvalidResourceName", "drop-batch", True, False),
        (400, "InvalidBlobName", "drop-batch", False, False),
        (400, "OutOfRangeInput", "drop-batch", False, False),
        (413, "RequestBodyTooLarge", "drop-batch", False, False),
        (409, "BlockCountExceedsLimit", "drop-batch", True, False),
        (400, "InvalidUri", "slow", True, False),
        (409, "InvalidBlobType", "slow", True, False),
        (409, "BlobTypeMismatch", "retry", True, False),
        (409, "BlobImmutableDueToPolicy", "slow", True, False),
        (409, "BlobArchived", "slow", True, False),
        (412, "LeaseIdMissing", "slow", True, False),
        (412, "ConditionNotMet", "retry", True, False),
        (403, "UnauthorizedBlobOverwrite", "slow", True, False),
        (404, "BlobNotFound", "retry", True, False),
        (409, "ContainerBeingDeleted", "slow", False, False),
        (409, "ContainerDisabled", "slow", False, False),
        (403, "AuthenticationFailed", "slow", False, True),
        (400, "InvalidHeaderValue", "slow", False, True),
        (404, "", "slow", False, True),
        (503, "ServerBusy", "retry", False, True),
    ],
)
def test_what_a_refusal_of_one_block_is_about(
    status: int, code: str, reaction: str, place: bool, connection: bool
) -> None:
    """Dropped with its reason, or waited for without holding up other blobs, or the whole account's."""
    server = FaultServer(lambda request: Reply(404, "BlobNotFound") if request.method == "GET" else Reply(status, code))
    endpoint = server.endpoint
    account = Account("m", "acct", "key", "c2VjcmV0", "", True, endpoint)
    try:
        with pytest.raises(SinkError) as refused:
            open_blob_sink(account, LANE, Forgetful()).send("jsonblob/metrics", _rows("a"))
    finally:
        server.stop()
    error = refused.value
    assert (error.reaction, error.place, error.connection) == (reaction, PATH if place else "", connection)
    if code:
        assert error.code == code
