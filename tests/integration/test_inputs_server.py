"""The JSON inputs on real sockets: acknowledgement after storing, bounds, deadlines, neighbours, files."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from extension.inputs import Event, server, sockets, throttle
from extension.inputs import client as client_of
from extension.inputs.server import Inputs
from extension.plan import Options, Plan, Route, Source, Target

PLAN = Plan(
    sources=(Source("s", (("m", "str", "mt:wstr"),)), Source("d")), routes=(Route("s", 60, Target("table", "T")),)
)


@dataclass
class Bed:
    """Inputs in ``folder`` whose time only the test moves."""

    folder: Path
    options: Options = field(default_factory=Options)
    now: float = 1000.0
    cpu: float = 0.0
    costs: float = 0.0
    fails: bool = False
    events: list[list[Event]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    logged: list[tuple[str, str]] = field(default_factory=list)
    opened: list[socket.socket] = field(default_factory=list)
    inputs: Inputs = field(init=False)

    def start(self) -> None:
        """Open the sockets."""
        plan = Plan(sources=PLAN.sources, routes=PLAN.routes, options=self.options)
        self.inputs = Inputs(
            plan,
            str(self.folder),
            self.ingest,
            self.count,
            lambda level, text: self.logged.append((level, text)),
            clock=lambda: 1e9 + self.now,
            monotonic=lambda: self.now,
            cpu=lambda: self.cpu,
        )

    def ingest(self, events: list[Event]) -> bool:
        self.cpu += self.costs
        if not self.fails:
            self.events.append(events)
        return not self.fails

    def count(self, reason: str, n: int) -> None:
        self.counted[reason] = self.counted.get(reason, 0) + n

    def path(self, kind: str) -> str:
        return sockets.path(str(self.folder / "run"), kind)

    def connect(self, kind: str) -> socket.socket:
        """A client; its operations do not block."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect(self.path(kind))
        self.opened.append(client)
        return client

    def turns(self, n: int = 6) -> None:
        for _ in range(n):
            self.inputs.attend()

    def ask(self, client: socket.socket, data: bytes) -> bytes:
        """Send, give the inputs their turns, and read what came."""
        client.sendall(data)
        self.turns()
        return read(client)

    def reasons(self) -> set[str]:
        return {reason.partition(": ")[2] for reason in self.counted}

    def stored(self) -> list[Event]:
        return [event for group in self.events for event in group]


def read(client: socket.socket) -> bytes:
    """What there is to read now; b"<closed>" at the end of the stream."""
    found = b""
    while True:
        try:
            data = client.recv(1 << 20)
        except BlockingIOError:
            return found
        except ConnectionResetError:
            data = b""
        if not data:
            return found + b"<closed>"
        found += data


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a unix socket's path, whatever the test's own folder is."""
    with tempfile.TemporaryDirectory(prefix="in") as name:
        yield Path(name)


@pytest.fixture
def make(folder: Path) -> Iterator[Callable[..., Bed]]:
    made: list[Bed] = []

    def bed(**options: object) -> Bed:
        one = Bed(folder, Options(**options))  # type: ignore[arg-type]
        one.start()
        made.append(one)
        return one

    yield bed
    for one in made:
        for client in one.opened:
            client.close()
        one.inputs.close()


@pytest.fixture
def bed(make: Callable[..., Bed]) -> Bed:
    return make()


def event(tag: str, source: str = "s") -> bytes:
    return json.dumps({"TAG": tag, "SOURCE": source, "DATA": [tag]}).encode()


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return b"%d\n%s" % (len(body), body)


def test_static_events_are_stored_together_then_acknowledged(bed: Bed) -> None:
    client = bed.connect("json")
    assert bed.ask(client, event("a") + event("b") + b'{"ECHO":"x"}' + event("c", "nosuch")) == b"a\nb\nx\nc\n"
    assert [len(group) for group in bed.events] == [2]
    assert bed.stored()[0] == ("s", 1_000_001_000 * 10**6, {"m": ("String", "a")})
    assert bed.reasons() == {"unknown source"}
    assert bed.inputs.stored == 2


def test_dynamic_events(bed: Bed) -> None:
    client = bed.connect("djson")
    assert bed.ask(client, frame(["d", 1, 7, [["a", "FT_INT32"]], [1]])) == b"1:0\n"
    assert bed.ask(client, frame(["d", 2, 7, None, [2]]) + frame(["d", 3, 8, None, [2]])) == b"2:0\n0:2\n"
    other = bed.connect("djson")
    assert bed.ask(other, frame(["d", 4, 7, None, [2]])) == b"0:2\n"  # schemas belong to a connection
    assert [e[2] for e in bed.stored()] == [{"a": ("Int32", 1)}, {"a": ("Int32", 2)}]


def test_clients_in_one_turn_share_one_transaction(bed: Bed) -> None:
    clients = [bed.connect("json") for _ in range(5)]
    bed.turns(1)
    for n, client in enumerate(clients):
        client.sendall(event(str(n)))
    bed.turns()
    assert [read(c) for c in clients] == [b"%d\n" % n for n in range(5)]
    assert [len(group) for group in bed.events] == [5]


def test_sockets_are_files_of_their_group(bed: Bed) -> None:
    for kind in ("json", "djson"):
        mode = os.stat(bed.path(kind)).st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
    assert bed.inputs.names() == [bed.path("json"), bed.path("djson")]
    bed.inputs.close()
    assert os.listdir(bed.folder / "run") == []
    bed.start()  # for the fixture to close


def test_a_client_that_has_gone_before_its_turn_is_stored(bed: Bed) -> None:
    client = bed.connect("json")
    client.sendall(event("a"))
    client.close()
    bed.turns()
    assert len(bed.stored()) == 1


@pytest.mark.parametrize("kind", ["json", "djson"])
def test_all_that_a_client_sent_before_it_went_is_stored(bed: Bed, kind: str) -> None:
    text = "x" * 1000
    one = event(text) if kind == "json" else frame(["d", 1, 1, [["m", "FT_STRING"]], [text]])
    client = bed.connect(kind)
    count = 2 * client_of.READ_BYTES // len(one)  # its first replies find nobody, the rest is not yet read
    client.sendall(b"".join(one.replace(b"xxxxxx", b"%06d" % n, 1) for n in range(count)))
    client.close()
    bed.turns()
    assert len(bed.stored()) == count
    assert bed.inputs.attention_in() > 1  # nobody is left to serve


def test_what_has_arrived_is_stored_and_answered_when_the_sockets_close(bed: Bed) -> None:
    static = bed.connect("json")
    bed.turns()
    static.sendall(event("a") + event("b"))
    dynamic = bed.connect("djson")  # not yet accepted
    dynamic.sendall(frame(["d", 1, 1, [["m", "FT_STRING"]], ["c"]]) + b"99")
    bed.inputs.close()
    assert sorted(str(e[2]["m"][1]) for e in bed.stored()) == ["a", "b", "c"]
    assert read(static) == b"a\nb\n<closed>"
    assert read(dynamic) == b"1:0\n<closed>"


def test_a_store_that_takes_nothing_does_not_delay_the_close(bed: Bed) -> None:
    client = bed.connect("json")
    bed.turns()
    client.sendall(event("a"))
    bed.fails = True
    bed.inputs.close()
    assert read(client) == b"<closed>"
    assert bed.stored() == []


def test_a_half_closed_client_gets_its_replies(bed: Bed) -> None:
    client = bed.connect("json")
    client.sendall(event("a") + b'{"TAG"')
    client.shutdown(socket.SHUT_WR)
    bed.turns()
    assert read(client) == b"a\n<closed>"
    assert bed.reasons() == {"closed in the middle of a message"}


def test_malformed_input_closes_with_a_reason_after_earlier_acknowledgements(bed: Bed) -> None:
    client = bed.connect("json")
    assert bed.ask(client, event("a") + b'{"TAG": "SECRET" oops}' + event("b")) == b"a\n<closed>"
    assert len(bed.stored()) == 1
    assert bed.reasons() == {"malformed input"}
    warnings = [text for level, text in bed.logged if level == "warning"]
    assert len(warnings) == 1
    assert "not JSON" in warnings[0]
    assert "SECRET" not in warnings[0]


def test_a_cut_off_client_is_dropped_if_it_stays(bed: Bed) -> None:
    client = bed.connect("djson")
    assert bed.ask(client, b"zzz\n") == b"<closed>"
    assert bed.inputs.attention_in() <= client_of.LINGER_S
    bed.now += client_of.LINGER_S
    bed.turns()
    with pytest.raises(BrokenPipeError):
        client.sendall(b"x")


def test_nothing_is_acknowledged_that_is_not_stored(bed: Bed) -> None:
    static, dynamic = bed.connect("json"), bed.connect("djson")
    bed.turns(1)
    bed.fails = True
    static.sendall(event("a"))
    dynamic.sendall(frame(["d", 1, 7, [], []]))
    bed.turns()
    assert read(static) == b"<closed>"
    assert read(dynamic) == b"1:1\n"
    assert bed.counted == {"JSON inputs: not stored and not acknowledged: the store takes nothing": 2}
    assert any("cannot be stored" in problem for problem in bed.inputs.problems())
    dynamic.sendall(frame(["d", 2, 7, None, []]))
    bed.turns()
    assert read(dynamic) == b""  # nobody reads while the store takes nothing
    bed.fails = False
    assert 0 < bed.inputs.attention_in() <= server.STORE_RETRY_S[0]
    bed.now += server.STORE_RETRY_S[0]
    bed.turns()
    assert read(dynamic) == b"2:0\n"
    assert bed.inputs.problems() == []
    again = bed.connect("json")
    assert bed.ask(again, event("a")) == b"a\n"


def test_the_store_is_tried_less_and_less_often(bed: Bed) -> None:
    bed.fails = True
    client = bed.connect("djson")
    waits = []
    for n in range(9):
        assert bed.ask(client, frame(["d", n, 7, [], []])) == b"%d:1\n" % n
        began = bed.now
        while bed.inputs.problems():
            assert bed.inputs.attention_in() > 0
            bed.now += bed.inputs.attention_in()
            bed.turns()
        waits.append(bed.now - began)
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == server.STORE_RETRY_S[1]


def test_duplicates_within_a_connection_are_echoed_once_stored(bed: Bed) -> None:
    client = bed.connect("json")
    assert bed.ask(client, event("a") + event("a")) == b"a\na\n"
    assert len(bed.stored()) == 1
    assert bed.reasons() == {"duplicate TAG"}


def test_a_kind_of_rejection_is_logged_once_until_it_has_been_quiet(bed: Bed) -> None:
    client = bed.connect("json")
    for n in range(20):
        bed.now += 100
        bed.ask(client, event(str(n), "nosuch"))
    assert sum("unknown source" in text for _, text in bed.logged) == 1
    assert sum(bed.counted.values()) == 20
    bed.now += 700
    bed.ask(client, event("later", "nosuch"))
    assert sum("unknown source" in text for _, text in bed.logged) == 2


def test_an_incomplete_message_has_a_deadline(bed: Bed) -> None:
    idle, slow = bed.connect("json"), bed.connect("json")
    assert bed.ask(slow, b'{"TAG":') == b""
    assert bed.ask(idle, event("a")) == b"a\n"
    for _ in range(4):  # a byte now and then does not help
        bed.now += client_of.MESSAGE_S / 4 - 1
        assert bed.ask(slow, b" ") == b""
    assert 0 < bed.inputs.attention_in() <= 4
    bed.now += 4
    bed.turns()
    assert read(slow) == b"<closed>"
    assert bed.reasons() == {"connection closed"}
    bed.now += 100_000
    assert bed.ask(idle, event("b")) == b"b\n"


def fill(bed: Bed, client: socket.socket, data: bytes, rounds: int) -> None:
    """Send as much as is taken, reading nothing."""
    for _ in range(rounds):
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            client.send(data)
        bed.turns(2)


def test_a_dynamic_client_that_reads_nothing_is_held_up_then_closed(bed: Bed) -> None:
    client = bed.connect("djson")
    fill(bed, client, frame(["d", 10**17, 1, [], []]) * 500, 200)
    stored = len(bed.stored())
    assert bed.inputs.attention_in() > 0  # not a busy loop
    fill(bed, client, frame(["d", 10**17, 1, [], []]) * 500, 5)
    assert len(bed.stored()) == stored
    bed.now += client_of.REPLY_S
    bed.turns()
    assert bed.reasons() == {"connection closed"}
    assert read(client).count(b":0\n") <= stored


def test_a_dynamic_client_that_reads_late_gets_every_reply(bed: Bed) -> None:
    client = bed.connect("djson")
    client.setblocking(True)
    client.settimeout(0.05)
    data = b"".join(frame(["d", n, 1, [], []]) for n in range(40_000))
    sent, replies = 0, b""
    while sent < len(data):
        with contextlib.suppress(TimeoutError):
            sent += client.send(data[sent : sent + 200_000])
        bed.turns(3)
        with contextlib.suppress(TimeoutError):
            replies += client.recv(8192)
    client.setblocking(False)
    for _ in range(2000):
        bed.turns(1)
        replies += read(client)
        if replies.count(b"\n") == 40_000:
            break
    assert replies == b"".join(b"%d:0\n" % n for n in range(40_000))
    assert [len(g) <= server.TURN_MESSAGES + server.MIN_SHARE for g in bed.events] == [True] * len(bed.events)


def test_a_static_client_that_reads_nothing_goes_on(bed: Bed) -> None:
    client = bed.connect("json")
    n = 0
    for _ in range(60):
        data = b"".join(event(f"tag-{'x' * 60}-{n + i}") for i in range(200))
        with contextlib.suppress(BlockingIOError):
            n += 200 if client.send(data) == len(data) else 0
        bed.turns(2)
    assert n > 5000
    assert len(bed.stored()) >= n
    assert "reply dropped" in " ".join(bed.counted)


def test_a_flood_leaves_room_for_others(bed: Bed) -> None:
    flood, calm = bed.connect("djson"), bed.connect("djson")
    bed.turns(1)
    data = b"".join(frame(["d", n, 1, [], []]) for n in range(20_000))
    with contextlib.suppress(BlockingIOError):
        flood.send(data)
    calm.sendall(frame(["d", 7, 1, [], []]))
    bed.turns(1)
    assert read(calm) == b"7:0\n"
    assert max(len(group) for group in bed.events) <= server.TURN_MESSAGES


def test_clients_wait_when_they_cost_too_much(bed: Bed) -> None:
    client = bed.connect("json")
    assert bed.ask(client, event("a")) == b"a\n"
    bed.costs = throttle.BURST_S + 1
    client.sendall(event("b"))
    bed.turns(1)
    bed.costs = 0.0
    bed.turns()
    assert read(client) == b"b\n"
    assert bed.ask(client, event("c")) == b""
    wait = bed.inputs.attention_in()
    assert 1 / throttle.SHARE < wait < 2 / throttle.SHARE
    bed.now += wait / 2
    bed.turns()
    assert read(client) == b""
    bed.now += wait / 2 + 0.01
    bed.turns()
    assert read(client) == b"c\n"
    assert bed.inputs.problems() == []
    assert bed.counted == {}


def test_events_are_charged_for_what_they_cost_later(bed: Bed) -> None:
    client = bed.connect("djson")
    data = frame(["d", 1, 1, [], []]) * 1000
    stored = []
    for _ in range(300):
        with contextlib.suppress(BlockingIOError):
            client.send(data)
        bed.turns(1)
        read(client)
        stored.append(len(bed.stored()))
    assert stored[-1] == stored[-100]
    assert throttle.BURST_S / throttle.LATER_S <= stored[-1] <= throttle.BURST_S / throttle.LATER_S + 3000


def test_connections_are_bounded_and_idle_ones_make_room(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 3)
    clients = [bed.connect("json") for _ in range(3)]
    bed.turns()
    refused = bed.connect("json")
    bed.turns()
    assert read(refused) == b"<closed>"
    bed.now += server.IDLE_S
    for client in clients[1:]:
        bed.ask(client, event("x"))
    newcomer = bed.connect("json")
    assert bed.ask(newcomer, event("a")) == b"a\n"
    assert read(clients[0]) == b"<closed>"
    assert bed.reasons() == {"connection refused", "idle connection closed"}


def test_memory_of_incomplete_messages_is_bounded(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_HELD", 100_000)
    small, large = bed.connect("json"), bed.connect("json")
    bed.turns(1)
    small.sendall(b'{"TAG":"' + b"x" * 30_000)
    large.sendall(b'{"TAG":"' + b"x" * 90_000)
    bed.turns()
    assert read(large) == b"<closed>"
    assert bed.ask(small, b'","SOURCE":"s","DATA":["m"]}') == b"x" * 30_000 + b"\n"


def test_a_file_of_a_dead_process_is_replaced(folder: Path, make: Callable[..., Bed]) -> None:
    os.makedirs(folder / "run")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(sockets.path(str(folder / "run"), "json"))
        dead.listen()
    bed = make()
    assert bed.inputs.problems() == []
    assert bed.ask(bed.connect("json"), event("a")) == b"a\n"


def test_a_living_neighbour_is_named_and_left_alone(folder: Path, make: Callable[..., Bed]) -> None:
    os.makedirs(folder / "run")
    path = sockets.path(str(folder / "run"), "json")
    neighbour = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    neighbour.bind(path)
    neighbour.listen()
    bed = make()
    [problem] = bed.inputs.problems()
    assert f"{path} is served by process {os.getpid()} (" in problem
    assert bed.ask(bed.connect("djson"), frame(["d", 1, 1, [], []])) == b"1:0\n"  # the other one works
    for _ in range(3):
        bed.now += 1000
        bed.turns()
    assert sum(level == "error" for level, _ in bed.logged) == 1
    neighbour.close()
    bed.now += bed.inputs.attention_in()
    bed.turns()
    assert bed.inputs.problems() == []
    assert bed.ask(bed.connect("json"), event("a")) == b"a\n"


def test_something_else_in_the_way_is_kept(folder: Path, make: Callable[..., Bed]) -> None:
    os.makedirs(folder / "run")
    path = Path(sockets.path(str(folder / "run"), "json"))
    path.write_text("mine")
    [problem] = make().inputs.problems()
    assert "is no socket" in problem
    assert path.read_text() == "mine"


def test_a_removed_file_comes_back(bed: Bed) -> None:
    os.unlink(bed.path("json"))
    bed.now += bed.inputs.attention_in()
    bed.turns()
    assert bed.ask(bed.connect("json"), event("a")) == b"a\n"
    assert any("was removed" in text for _, text in bed.logged)


def test_a_successors_file_is_not_removed(bed: Bed) -> None:
    os.unlink(bed.path("json"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as successor:
        successor.bind(bed.path("json"))
        bed.inputs.close()
        assert os.path.exists(bed.path("json"))
    bed.start()


def test_a_path_too_long_is_named(make: Callable[..., Bed]) -> None:
    bed = make(inputs_dir="/tmp/" + "x" * 100)
    assert len(bed.inputs.problems()) == 2
    assert "107 bytes" in bed.inputs.problems()[0]
    assert "inputs_dir" in bed.inputs.problems()[0]


def test_a_folder_that_cannot_be_made_is_named(folder: Path, make: Callable[..., Bed]) -> None:
    (folder / "file").write_text("")
    [problem, _] = make(inputs_dir=str(folder / "file")).inputs.problems()
    assert f"cannot listen on {folder / 'file'}/lad_mdsd_json.socket" in problem


def test_the_folder_can_be_chosen(folder: Path, make: Callable[..., Bed]) -> None:
    bed = make(inputs_dir=str(folder / "else"))
    assert sorted(os.listdir(folder / "else")) == ["lad_mdsd_djson.socket", "lad_mdsd_json.socket"]
    assert not (folder / "run").exists()
    assert bed.inputs.problems() == []


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_tcp_only_when_asked_and_only_on_the_loopback(make: Callable[..., Bed]) -> None:
    port = free_port()
    bed = make(inputs_tcp=port)
    assert bed.inputs.names()[2] == f"127.0.0.1:{port}"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        assert bed.ask(client, event("a") + event("b")) == b"a\nb\n"


def test_a_taken_port_is_named(make: Callable[..., Bed]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        [problem] = make(inputs_tcp=port).inputs.problems()
    assert f"127.0.0.1:{port}" in problem
    assert "inputs_tcp" in problem


def test_a_port_that_is_none_is_named(make: Callable[..., Bed]) -> None:
    [problem] = make(inputs_tcp=70_000).inputs.problems()
    assert "127.0.0.1:70000" in problem


def test_no_descriptors_left_is_survived(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    client = bed.connect("json")
    real = socket.socket.accept

    def none_left(_self: socket.socket) -> tuple[socket.socket, object]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", none_left)
    bed.turns(3)
    assert bed.inputs.attention_in() > 0
    monkeypatch.setattr(socket.socket, "accept", real)
    bed.now += bed.inputs.attention_in()
    assert bed.ask(client, event("a")) == b"a\n"
    assert bed.counted == {f"{bed.path('json')}: no connection can be accepted": 1}


def test_no_sockets_without_a_source_to_feed(folder: Path) -> None:
    nothing = Plan(sources=PLAN.sources)
    assert server.open_inputs(nothing, str(folder), lambda _: True, lambda *_: None, lambda *_: None) is None
    assert os.listdir(folder) == []
