"""pywbem in its worker against a server that answers well, lies, dawdles and attacks."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omi_queries.backends.choose import Settings, open_backend, with_fallback
from omi_queries.backends.cimxml import CimxmlSource, Endpoint
from omi_queries.backends.direct import DirectBackend
from omi_queries.backends.source import Question, RefusedError, SourceError, wait_for
from omi_queries.types import MI_ACCESS_DENIED, QueryError, Reading
from tests.cimxml_bed import (
    MEMORY,
    PASSWORD,
    USER,
    FakeServer,
    Values,
    certificate,
    memory,
    message,
    named_instance,
    serving,
)

PROCESSOR = "SCX_ProcessorStatisticalInformation"
ASKED = f"SELECT AvailableMemory,PercentUsedMemory FROM {MEMORY}"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer({MEMORY: [(MEMORY, memory())]})) as fake:
        yield fake


@pytest.fixture
def sources() -> Iterator[list[CimxmlSource]]:
    made: list[CimxmlSource] = []
    yield made
    for source in made:
        source.close()


def read(fake: FakeServer, sources: list[CimxmlSource], text: str = ASKED, **endpoint: object) -> Reading:
    where: dict[str, object] = {"user": USER, "password": PASSWORD, "timeout_s": 8.0, **endpoint}
    source = CimxmlSource(Endpoint(fake.url, **where))  # type: ignore[arg-type]
    sources.append(source)
    return DirectBackend(source, 20.0).open("root/scx", text).read(0.0)


def test_values_types_and_where(server: FakeServer, sources: list[CimxmlSource]) -> None:
    server.answers[PROCESSOR] = [
        (PROCESSOR, {"Name": ("string", name), "IsAggregate": ("boolean", flag), "PercentIdleTime": ("uint8", idle)})
        for name, flag, idle in (("0", "FALSE", 10), ("1", "FALSE", 90), ("_Total", "TRUE", 50))
    ]
    reading = read(server, sources, f"SELECT Name,IsAggregate,PercentIdleTime FROM {PROCESSOR} WHERE Name='_TOTAL'")
    assert reading.instances == [{"Name": "_Total", "IsAggregate": True, "PercentIdleTime": 50}]
    assert reading.source == "cimxml"
    assert dict(reading.skipped) == {}
    assert server.requests == [f"EnumerateInstances {PROCESSOR}"]


def test_null_stays_null(server: FakeServer, sources: list[CimxmlSource]) -> None:
    server.answers[MEMORY] = [(MEMORY, memory(None, 7))]
    reading = read(server, sources)
    assert reading.instances == [{"AvailableMemory": None, "PercentUsedMemory": 7}]
    assert dict(reading.skipped) == {}


@pytest.mark.parametrize(
    ("percent", "said"),
    [
        (300, "out of the range of uint8"),
        (-1, "out of the range"),
        ("many", "no integer"),
        ("9" * 6000, "no integer"),
    ],
)
def test_a_bad_value_costs_that_value(
    server: FakeServer, sources: list[CimxmlSource], percent: object, said: str
) -> None:
    server.answers[MEMORY] = [(MEMORY, memory(5, percent))]
    reading = read(server, sources)
    assert reading.instances == [{"AvailableMemory": 5}]
    [(reason, n)] = reading.skipped.items()
    assert n == 1
    assert f"{MEMORY}.PercentUsedMemory" in reason
    assert said in reason


def test_lies_about_instances_are_counted(server: FakeServer, sources: list[CimxmlSource]) -> None:
    wrong_type: Values = {**memory(), "Name": ("string", "Other"), "AvailableMemory": ("string", "lots")}
    missing: Values = {"Name": ("string", "Third"), "PercentUsedMemory": ("uint8", 1)}
    given = [(MEMORY, memory()), (MEMORY, memory(9, 9)), ("Some_Other", memory())]
    server.answers[MEMORY] = [*given, (MEMORY, wrong_type), (MEMORY, missing)]
    reading = read(server, sources)
    assert reading.instances == [
        {"AvailableMemory": 1234, "PercentUsedMemory": 40},
        {"PercentUsedMemory": 40},
        {"PercentUsedMemory": 1},
    ]
    assert dict(reading.skipped) == {
        f"cimxml gave a {MEMORY}.AvailableMemory that is no integer but a text": 1,
        f"cimxml gave an instance of another class than {MEMORY}": 1,
        f"cimxml gave an instance of {MEMORY} twice": 1,
        f"cimxml gave no {MEMORY}.AvailableMemory": 1,
    }


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("redirect", "redirects elsewhere"),
        ("wrong-id", "another message"),
        ("xml-bomb", "DOCTYPE"),
        ("gzip-bomb", "compressed"),
        ("garbage", "not"),
        ("truncated", "not valid CIM-XML"),
        ("empty", "not valid CIM-XML"),
        ("503", "HTTP 503"),
        ("html", "not valid CIM-XML"),
        ("close", "connection failed"),
    ],
)
def test_what_is_no_answer_is_a_clear_error(
    server: FakeServer, sources: list[CimxmlSource], mode: str, said: str
) -> None:
    server.mode = mode
    with pytest.raises(SourceError, match=said) as caught:
        read(server, sources)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 300
    assert PASSWORD not in text
    if mode == "redirect":
        assert len(server.requests) == 1  # it was not followed, and the password not repeated
    server.mode = "ok"
    question = Question("root/scx", MEMORY, ("Name", "AvailableMemory", "PercentUsedMemory"))
    assert len(wait_for(sources[0].ask(question), 20)) == 1  # the same worker goes on


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (message("EnumerateInstances", "<IRETURNVALUE></IRETURNVALUE>"), f"gave no instance of {MEMORY}"),
        (message("EnumerateInstances", ""), f"gave no instance of {MEMORY}"),
        (message("GetClass", "<IRETURNVALUE></IRETURNVALUE>"), "not valid CIM-XML"),
        (message("EnumerateInstances", '<IRETURNVALUE><CLASS NAME="X"/></IRETURNVALUE>'), "not valid CIM-XML"),
        (message("EnumerateInstances", '<ERROR CODE="abc"/>'), "not valid CIM-XML"),
        (message("EnumerateInstances", "<VALUE.NAMEDINSTANCE>" * 3000 + "</VALUE.NAMEDINSTANCE>" * 3000), "not valid"),
        (message("EnumerateInstances", f"<IRETURNVALUE>{named_instance('Other', memory())}</IRETURNVALUE>"),
         "an instance of another class"),
        (b"<!--" + b"x" * 5000 + b"-->" + message("EnumerateInstances", "", "9"), "another message"),
    ],
)  # fmt: skip
def test_a_lie_about_all_instances_is_no_answer(
    server: FakeServer, sources: list[CimxmlSource], given: bytes, said: str
) -> None:
    server.fixed = given
    server.mode = "fixed"
    with pytest.raises(QueryError, match=said) as caught:
        read(server, sources)
    assert "\n" not in str(caught.value)


def test_a_source_without_any_instance_is_left_out_for_that_class(server: FakeServer) -> None:
    """A sample without a value would be as good as none: it comes from /proc, and the reason is named."""
    server.answers[MEMORY] = []
    settings = Settings(endpoint=server.url, user=USER, password=PASSWORD, deadline_s=8.0)
    backend = with_fallback("cimxml", settings, patience_s=20.0)
    try:
        reading = backend.open("root/scx", ASKED).read(0.0)
    finally:
        backend.close()
    assert (reading.source, len(reading.instances)) == ("procfs", 1)
    assert f"gave no instance of {MEMORY}" in reading.why


def test_an_endless_reply_is_held_by_the_memory_limit(server: FakeServer, sources: list[CimxmlSource]) -> None:
    server.mode = "endless"
    with pytest.raises(SourceError, match=r"needs more than 200 MiB|worker ended"):
        read(server, sources, memory_mib=200)


@pytest.mark.parametrize("mode", ["drip", "hang"])
def test_the_deadline_holds_whatever_the_server_does(
    server: FakeServer, sources: list[CimxmlSource], mode: str
) -> None:
    source = CimxmlSource(Endpoint(server.url, USER, PASSWORD, timeout_s=30))
    sources.append(source)
    assert wait_for(source.probe(), 30) == []  # started and connected
    server.mode = mode
    pid = source.pid
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0\.5 s"):
        wait_for(source.ask(Question("root/scx", MEMORY, ("AvailableMemory",))), 0.5)
    assert time.monotonic() - begun < 10  # not the 30 s of the socket, let alone the hours of the drip
    assert not os.path.exists(f"/proc/{pid}")
    server.mode = "ok"
    server.release.set()
    assert wait_for(source.ask(Question("root/scx", MEMORY, ("AvailableMemory",))), 30)
    assert source.pid not in (0, pid)


def test_the_environment_leads_nowhere_else(
    server: FakeServer, sources: list[CimxmlSource], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    assert read(server, sources).instances[0]["AvailableMemory"] == 1234


def test_a_wrong_password_is_named_and_not_repeated(server: FakeServer, sources: list[CimxmlSource]) -> None:
    with pytest.raises(SourceError, match="user name or password is refused") as caught:
        read(server, sources, password="wrong-s3cret")
    assert "s3cret" not in str(caught.value)
    assert caught.value.code == MI_ACCESS_DENIED


def test_a_refused_port_is_named(sources: list[CimxmlSource]) -> None:
    with pytest.raises(SourceError, match="refused"):
        read(FakeServer(port=9), sources)


def test_a_class_that_the_server_has_not(server: FakeServer, sources: list[CimxmlSource]) -> None:
    with pytest.raises(RefusedError, match="CIM_ERR_INVALID_CLASS") as caught:
        read(server, sources, f"SELECT * FROM {PROCESSOR}")
    assert caught.value.code == 5


def test_certificates(sources: list[CimxmlSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("CURL_CA_BUNDLE", cert)  # must not make it trusted
    with serving(FakeServer({MEMORY: [(MEMORY, memory())]}), (cert, key)) as fake:
        with pytest.raises(SourceError, match=r"certificate is refused \(self-signed\); set omiCaFile"):
            read(fake, sources)
        assert fake.authorizations == []
        assert read(fake, sources, ca_file=cert).instances
        assert read(fake, sources, no_verification=True).instances
        with pytest.raises(SourceError, match=r"certificate file .* cannot be read"):
            read(fake, sources, ca_file=str(tmp_path / "none.pem"))


def test_the_worker_keeps_its_connection_and_survives_its_loss(server: FakeServer, sources: list[CimxmlSource]) -> None:
    question = Question("root/scx", MEMORY, ("Name", "AvailableMemory"))
    assert read(server, sources).instances
    [source] = sources
    pid = source.pid
    server.mode = "close-once"
    for _ in range(3):
        assert len(wait_for(source.ask(question), 20)) == 1
    assert source.pid == pid
    assert server.mode == "ok"


def test_a_killed_worker_is_an_error_once(server: FakeServer, sources: list[CimxmlSource]) -> None:
    assert read(server, sources).instances
    [source] = sources
    os.kill(source.pid, signal.SIGKILL)
    question = Question("root/scx", MEMORY, ("Name",))
    time.sleep(0.1)
    with pytest.raises(SourceError, match="worker ended"):
        wait_for(source.ask(question), 20)
    assert len(wait_for(source.ask(question), 20)) == 1


def test_the_worker_ends_with_its_parent(server: FakeServer, sources: list[CimxmlSource]) -> None:
    assert read(server, sources).instances
    [source] = sources
    worker = source._worker
    assert worker is not None
    soft, _ = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    assert soft == 512 << 20
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes() + Path(f"/proc/{worker.pid}/cmdline").read_bytes()
    assert PASSWORD.encode() not in environment
    worker.close_input()
    assert worker.exit_code(10) == 0


def test_by_name(server: FakeServer) -> None:
    settings = Settings(endpoint=server.url, user=USER, password=PASSWORD)
    backend = open_backend("cimxml", settings)
    try:
        assert backend.open("root/scx", ASKED).read(0.0).instances
        with pytest.raises(QueryError, match="Nonsense"):
            backend.open("root/scx", "SELECT * FROM Nonsense").read(0.0)
    finally:
        backend.close()
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://u:p@h:1", "http://h/path", "http+unix:///x", "nonsense"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(QueryError, match="CIM-XML server") as caught:
        open_backend("cimxml", Settings(endpoint=url))
    assert "u:p" not in str(caught.value)


APACHE = "Apache_HTTPDServerStatistics"


def apache(name: str, cpu: object) -> Values:
    return {
        "InstanceID": ("string", name),
        "TotalPctCPU": ("uint32", cpu),
        "Load": ("real64", "0.5"),
        "Started": ("datetime", "20261121091618.000000+000"),
        "Ports": ("uint16", [80, 443]),
        "Restarts": ("sint64", None),
    }


def test_a_class_that_only_the_server_has(server: FakeServer, sources: list[CimxmlSource]) -> None:
    server.answers[APACHE] = [(APACHE, apache("a", 7)), (APACHE, apache("b", 90))]
    reading = read(server, sources, f"SELECT * FROM {APACHE} WHERE InstanceID = 'A'")
    assert reading.instances == [
        {
            "InstanceID": "a", "TotalPctCPU": 7, "Load": 0.5, "Started": "20261121091618.000000+000",
            "Restarts": None, "Ports": [80, 443], "Name": "x",
        }
    ]  # fmt: skip
    assert dict(reading.types) == {
        "InstanceID": "string", "TotalPctCPU": "uint32", "Load": "real64", "Started": "datetime",
        "Ports": "uint16[]", "Restarts": "sint64", "Name": "string",
    }  # fmt: skip
    assert dict(reading.skipped) == {}


@pytest.mark.parametrize("cpu", [-3, "many", "9" * 6000])
def test_a_bad_value_of_such_a_class_costs_that_value(
    server: FakeServer, sources: list[CimxmlSource], cpu: object
) -> None:
    server.answers[APACHE] = [(APACHE, apache("a", cpu))]
    reading = read(server, sources, f"SELECT InstanceID, TotalPctCPU FROM {APACHE}")
    assert reading.instances == [{"InstanceID": "a"}]
    [(reason, n)] = reading.skipped.items()
    assert f"{APACHE}.TotalPctCPU that is" in reason
    assert n == 1


def test_a_class_that_no_server_has(server: FakeServer, sources: list[CimxmlSource]) -> None:
    with pytest.raises(RefusedError, match="no such class here") as caught:
        read(server, sources, f"SELECT * FROM {APACHE}")
    assert caught.value.code == 5


def test_errors_say_where(server: FakeServer, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    for settings, said in (
        (Settings(endpoint=server.url, user=USER, password="no"), f"cimxml ({server.url}): user name or password"),
        (Settings(endpoint=server.url, ca_file=missing), f"cimxml ({server.url}): the certificate file {missing} "),
    ):
        backend = open_backend("cimxml", settings)
        try:
            with pytest.raises(SourceError) as caught:
                backend.open("root/scx", ASKED).read(0.0)
        finally:
            backend.close()
        assert str(caught.value).startswith(said)
