"""What a document's stores, sources, streams and imports become in the plan."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from extension.config import document, xmlsafe
from extension.config.document_report import Message
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.config.secrets import SecretError
from extension.plan import OnBehalf, Options, Plan, Publisher, Route, Source, Target, from_json

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SAS = "sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluwr&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
ACCOUNT = f'<SharedAccessSignature moniker="m" account="acct" key="{SAS}" isDefault="true"/>'
OTHER = f'<SharedAccessSignature moniker="n" account="other" key="{SAS}"/>'
OBO = (
    '<OboDirectPartitionField name="resourceId" value="/r"/>'
    '<OboDirectPartitionField name="agentIdentityHash" value="H"/>'
)
HUB = "https://n.servicebus.windows.net/hub?sr=x&sig=y%3D&se=1935699000&skn=z"
QUERY = '<OMIQuery eventName="q" omiNamespace="root/scx" storeType="Local" cqlQuery="SELECT * FROM SCX_Agent"/>'
DERIVED = '<DerivedEvents><DerivedEvent eventName="D" source="q" duration="PT1M"/></DerivedEvents>'


def written(
    events: str = "",
    *,
    accounts: str = ACCOUNT,
    management: str = "",
    sources: str = "",
    first: str = "",
    last: str = "",
) -> str:
    """A document with these parts."""
    return (
        f'<MonitoringManagement version="1.0">{first}<Accounts>{accounts}</Accounts>'
        f'<Management eventVolume="Small">{management}</Management>{sources}<Events>{events}</Events>{last}'
        "</MonitoringManagement>"
    )


def plan_of(xml: str, path: str = "doc.xml", environ: dict[str, str] | None = None) -> tuple[Plan | None, Problems]:
    problems = Problems()
    found = document.read(xml.encode(), path, problems, environ=environ or {})
    if found is None:
        return None, problems

    def decrypt(text: str, key: str) -> str:
        if text == "BAD":
            raise SecretError(f"cannot be decrypted with {key}")
        return f"{HUB}&key={os.path.basename(key)}"

    plan = resolve(found, Options(), "vm", environ=environ or {}, decrypt=decrypt, now=NOW, problems=problems)
    if plan is not None:
        assert from_json(plan.to_json()) == plan
        assert "sig=" not in repr(plan)
    return plan, problems


def good(xml: str, path: str = "doc.xml") -> Plan:
    """The plan of a document without errors and warnings."""
    plan, problems = plan_of(xml, path)
    assert plan is not None, [p.render() for p in problems]
    assert [p.render() for p in problems if p.severity == "warning"] == []
    return plan


def told(problems: Problems, severity: str) -> list[str]:
    return [p.message for p in problems if p.severity == severity]


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("", Target("table", "E", "m")),
        ('storeType="XTable" account="n"', Target("table", "E", "n")),
        ('storeType="JsonBlob"', Target("jsonblob", "E", "m")),
        ('storeType="centraljson" account="n"', Target("jsonblob", "E", "n")),
        ('storeType="File"', Target("file", "E")),
        ('storeType="local"', Target("local", "E")),
        ('dontUsePerNDayTable="TRUE"', Target("table", "E", "m", per_nday=False)),
        ('dontUsePerNDayTable="yes"', Target("table", "E", "m")),
    ],
)
def test_every_store_of_a_route(given: str, target: Target) -> None:
    route = f'<MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="E" duration="PT30S" {given}/>'
    reader = '<DerivedEvents><DerivedEvent source="E" eventName="R" duration="PT1M"/></DerivedEvents>'
    events = f"{route}</MdsdEventSource></MdsdEvents>{reader if target.store == 'local' else ''}"
    sources = '<Sources><Source name="s" dynamic_schema="1"/></Sources>'
    plan = good(written(events, accounts=ACCOUNT + OTHER, management=OBO, sources=sources))
    assert plan.routes == (Route("s", 30, target),)
    assert plan.sources == (Source("s"),)
    assert plan.obo == (("resourceId", "/r"), ("agentIdentityHash", "H"))


def test_full_names_are_for_derived_events_only() -> None:
    named = DERIVED.replace("source", 'isFullName="true" source')
    query = QUERY.replace("storeType", 'isFullName="true" storeType').replace("Local", "Central")
    plan, problems = plan_of(written(f"<OMI>{query}{QUERY}</OMI>{named}"))
    assert plan is not None
    assert [d.target.full_name for d in plan.derived] == [True]
    assert [q.target.full_name for q in plan.queries] == [False, False]
    assert told(problems, "warning") == ["<OMIQuery> has no attribute isFullName"]


def test_sources_carry_the_columns_of_their_schema() -> None:
    columns = '<Column name="A" type="str" mdstype="mt:wstr"/><Column name="B" type="int-timet" mdstype="mt:utc"/>'
    sources = (
        f'<Schemas><Schema name="x">{columns}</Schema><Schema name="none"/></Schemas>'
        '<Sources><Source name="s" schema="x"/><Source name="e" schema="none"/></Sources>'
        '<Sources><Source name="d" dynamic_schema="true"/></Sources>'
    )
    plan = good(written(f"<OMI>{QUERY}</OMI>{DERIVED}", sources=sources))
    assert plan.sources == (
        Source("s", (("A", "str", "mt:wstr"), ("B", "int-timet", "mt:utc"))),
        Source("e", ()),
        Source("d"),
    )


def test_what_nobody_reads_is_named() -> None:
    sources = '<Sources><Source name="s" dynamic_schema="true"/></Sources>'
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>", sources=sources))
    assert plan is not None
    assert ["the rows of q go nowhere" in message for message in told(problems, "warning")] == [True]
    assert told(problems, "note") == ["what comes in for source s goes nowhere: nothing routes it"]


@pytest.mark.parametrize(
    ("given", "blob"),
    [
        ("", "https://acct.blob.core.windows.net"),
        ('blobEndpoint="http://127.0.0.1:10000/acct/"', "http://127.0.0.1:10000/acct"),
        ('tableEndpoint="https://acct.table.core.chinacloudapi.cn"', "https://acct.blob.core.chinacloudapi.cn"),
        ('tableEndpoint="file:///d/t.db"', "file:///d/t.db"),
        ('tableEndpoint="http://127.0.0.1:10002/acct"', "https://acct.blob.core.windows.net"),
    ],
)
def test_blob_endpoint_of_an_account(given: str, blob: str) -> None:
    account = ACCOUNT.replace("isDefault", f"{given} isDefault")
    assert good(written(f"<OMI>{QUERY}</OMI>{DERIVED}", accounts=account)).accounts[0].blob_endpoint == blob


def test_service_sas_is_a_sas_account() -> None:
    account = ACCOUNT.replace(SAS, "sv=2018-03-28&amp;tn=mine&amp;sp=raud&amp;se=2031-05-06&amp;sig=Zm9v")
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>{DERIVED}", accounts=account))
    assert plan is not None
    assert (plan.accounts[0].kind, plan.accounts[0].secret.split("&")[1]) == ("sas", "tn=mine")
    assert not problems.failed


# --- Event Hub and on-behalf-of


def annotation(name: str, inner: str) -> str:
    opened = f'<EventStreamingAnnotations><EventStreamingAnnotation name="{name}">'
    return f"{opened}{inner}</EventStreamingAnnotation></EventStreamingAnnotations>"


def published(name: str, key: str) -> str:
    return annotation(name, f"<EventPublisher><Content/>{key}</EventPublisher>")


ESCAPED = HUB.replace("&", "&amp;amp;")


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (f"<Key>{ESCAPED}</Key>", HUB),
        (f"<Key>\n  {ESCAPED}\n</Key>", HUB),
        (f"<Key><![CDATA[{HUB}]]></Key>", HUB),
        ('<Key decryptKeyPath="/w/T.prv">ABCD</Key>', HUB + "&key=T.prv"),
    ],
)
def test_publisher_with_a_key_of_its_own(key: str, url: str) -> None:
    plan = good(written(f"<OMI>{QUERY}</OMI>", management=OBO, last=published("q", key)))
    assert plan.publishers == (Publisher("q", url),)


def test_publisher_with_the_keys_of_service_bus_accounts() -> None:
    infos = (
        f'<ServiceBusAccountInfos><ServiceBusAccountInfo name="m"><EventPublisher connectionString="{ESCAPED}"/>'
        '</ServiceBusAccountInfo><ServiceBusAccountInfo name="n">'
        '<EventPublisher connectionString="AB" decryptKeyPath="/w/N.prv"/></ServiceBusAccountInfo>'
        "</ServiceBusAccountInfos>"
    )
    sources = '<Sources><Source name="s" dynamic_schema="true"/></Sources>'
    route = '<MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="E" account="n"/></MdsdEventSource>'
    xml = written(
        f"{route}</MdsdEvents>",
        accounts=ACCOUNT + OTHER,
        management=OBO,
        sources=sources,
        last=infos + published("s", ""),
    )
    assert good(xml).publishers == (Publisher("s", HUB), Publisher("s", HUB + "&key=N.prv"))
    plan, problems = plan_of(xml.replace('Info name="n"', 'Info name="o"'))
    assert plan is None
    assert told(problems, "error") == ["publisher s has no SAS"]


@pytest.mark.parametrize("url", ["sas", "http://n/hub?sig=secret", "https://n/hub", "https://[/hub?sig=secret"])
def test_publisher_that_cannot_send_is_a_warning_without_its_sas(url: str) -> None:
    plan, problems = plan_of(
        written(f"<OMI>{QUERY}</OMI>{DERIVED}", management=OBO, last=published("q", f"<Key>{url}</Key>"))
    )
    assert plan is not None
    assert plan.publishers == ()
    assert ["nothing is published for q" in message for message in told(problems, "warning")] == [True]
    assert "secret" not in "".join(p.render() for p in problems)


def test_publisher_with_an_expired_sas_is_tried_with_a_warning() -> None:
    key = f"<Key>{ESCAPED.replace('1935699000', '5')}</Key>"
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>", management=OBO, last=published("q", key)))
    assert plan is not None
    assert len(plan.publishers) == 1
    assert ["expired" in message for message in told(problems, "warning")] == [True]


def test_publisher_whose_key_does_not_decrypt() -> None:
    key = '<Key decryptKeyPath="/w/T.prv">BAD</Key>'
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>", management=OBO, last=published("q", key)))
    assert plan is None
    assert told(problems, "error") == ["the key cannot be decrypted with /w/T.prv"]


CONFIG = '<Config primaryPartitionField="a" partitionFields="b,c" timePeriods="PT5M" priority="Normal"/>'
FIELDS = "".join(f'<OboDirectPartitionField name="{n}" value="{n.upper()}"/>' for n in "abc")
BLOB_EVENTS = f"<OMI>{QUERY}</OMI>{DERIVED}".replace('"D"', '"D" storeType="JsonBlob"')


def on_behalf(config: str, mode: str = ' directMode="true"') -> str:
    return annotation("D", f"<OnBehalf{mode}><Content><![CDATA[{config}]]></Content></OnBehalf>")


def test_on_behalf_config_names_the_blobs() -> None:
    # Before the events: the paths of an event are made when it is read.
    xml = written(BLOB_EVENTS, management=FIELDS).replace("<Events>", on_behalf(CONFIG) + "<Events>")
    assert good(xml).on_behalf == (OnBehalf("D", "a", ("b", "c"), "PT5M", 300),)
    late, problems = plan_of(written(BLOB_EVENTS, management=OBO + FIELDS, last=on_behalf(CONFIG)))
    assert late is not None
    assert late.on_behalf == ()
    assert ["has no effect" in m for m in told(problems, "warning")] == [True]
    plan, problems = plan_of(xml.replace('name="c" value', 'name="d" value'))
    assert plan is None
    assert told(problems, "error") == ["JsonBlob needs the field c"]


def test_on_behalf_config_without_periods_has_hours() -> None:
    config = '<Config primaryPartitionField="a"/>'
    xml = written(BLOB_EVENTS, management=FIELDS).replace("<Events>", on_behalf(config) + "<Events>")
    assert good(xml).on_behalf == (OnBehalf("D", "a", (), "PT1H", 3600),)


@pytest.mark.parametrize(
    ("annotated", "severity", "message"),
    [
        (on_behalf(CONFIG, ""), "error", "needs the attribute directMode"),
        (on_behalf(CONFIG, ' directMode="false"'), "error", 'needs directMode="true"'),
        (on_behalf(""), "error", "<Content> is empty"),
        (on_behalf("<Config"), "error", "no XML element"),
        (on_behalf("<Other/>"), "error", "does not define subelement <Other>"),
        (on_behalf('<Config x="1"/>'), "warning", "has no attribute x"),
        (on_behalf('<Config timePeriods="1h"/>'), "error", "timePeriods"),
        (on_behalf(CONFIG).replace('name="D"', 'name="Z"'), "error", "Unknown name Z"),
        (on_behalf(CONFIG).replace('name="D"', ""), "error", "needs the attribute name"),
        (
            on_behalf(CONFIG).replace(
                "</EventStreamingAnnotation>", "<OnBehalf directMode='true'/></EventStreamingAnnotation>"
            ),
            "error",
            "second <OnBehalf>",
        ),
        (published("q", "<Key>a</Key>") + published("q", ""), "error", "second <EventPublisher>"),
        ("<ServiceBusAccountInfos><ServiceBusAccountInfo/></ServiceBusAccountInfos>", "error", "attribute name"),
    ],
)
def test_annotation_mistakes(annotated: str, severity: str, message: str) -> None:
    _, problems = plan_of(written(BLOB_EVENTS, management=OBO + FIELDS, last=annotated))
    assert any(message in m for m in told(problems, severity)), [p.render() for p in problems]
    assert problems.failed == (severity == "error")


# --- identity, limits, numbers


def test_aliases_and_the_duplicate_window() -> None:
    management = (
        '<Identity tenantNameAlias="DeploymentId" roleInstanceNameAlias="Host">'
        '<IdentityComponent name="Host"> a\nb </IdentityComponent></Identity>'
        '<AgentResourceUsage diskQuotaInMB="50000" dupeWindowSeconds="600"/>'
    )
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>{DERIVED}", management=management))
    assert plan is not None
    assert plan.identity_aliases == ("DeploymentId", "Role", "Host")
    assert plan.dupe_window_s == 600
    assert plan.identity == (("Host", " ab "),)
    assert ["blanks around it" in m for m in told(problems, "warning")] == [True]


@pytest.mark.parametrize(("given", "seconds"), [("0", 60), ("59", 60), ("60", 60), ("3600", 3600), ("3601", 3600)])
def test_duplicate_window_is_clamped(given: str, seconds: int) -> None:
    usage = f'<AgentResourceUsage dupeWindowSeconds="{given}"/>'
    plan, problems = plan_of(written(f"<OMI>{QUERY}</OMI>{DERIVED}", management=usage))
    assert plan is not None
    assert plan.dupe_window_s == seconds
    assert bool(told(problems, "warning")) == (int(given) != seconds)


def test_digits_count_as_mdsd_reads_them() -> None:
    mapped = '<Unpivot columnName="N" columnValue="V" columns="X"><MapName name="X" scaleUp="2.5e1x"/></Unpivot>'
    query = QUERY.replace("/>", f' sampleRateInSeconds="15s">{mapped}</OMIQuery>')
    plan, problems = plan_of(written(f"<OMI>{query}</OMI>{DERIVED}"))
    assert plan is not None
    assert plan.queries[0].rate == 15
    assert plan.queries[0].unpivot is not None
    assert plan.queries[0].unpivot.maps == {"X": ("X", 25.0)}
    assert len(told(problems, "warning")) == 2


# --- imports


def test_imports_are_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "accounts.xml").write_text(
        f'<MonitoringManagement version="9"><Accounts>{ACCOUNT}</Accounts>'
        '<Imports><Import file="deep/more.xml"/></Imports></MonitoringManagement>'
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "more.xml").write_text(
        f"<MonitoringManagement><Accounts>{OTHER}</Accounts></MonitoringManagement>"
    )
    first = '<Imports><Import file="accounts.xml"/></Imports>'
    plan = good(written(f"<OMI>{QUERY}</OMI>{DERIVED}", accounts="", first=first), str(tmp_path / "doc.xml"))
    assert [a.moniker for a in plan.accounts] == ["m", "n"]


def test_problems_of_an_import_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<MonitoringManagement>\n<Sauces/>\n</MonitoringManagement>")
    (tmp_path / "torn.xml").write_text("<MonitoringManagement>\n<a></b>")
    first = '<Imports><Import file="bad.xml"/><Import file="torn.xml"/></Imports>'
    problems, verdict = Problems(), list[Message]()
    document.read(written(first=first).encode(), str(tmp_path / "doc.xml"), problems, verdict=verdict)
    assert [p.path for p in problems] == [f"{tmp_path}/bad.xml line 2", f"{tmp_path}/torn.xml line 2"]
    assert [(m.file, m.line) for m in verdict] == [(f"{tmp_path}/bad.xml", 2), (f"{tmp_path}/torn.xml", 2)]


def test_imports_that_never_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "doc.xml"
    path.write_text(written(first='<Imports><Import file="./doc.xml"/></Imports>'))
    _, problems = plan_of(path.read_text(), str(path))
    assert "the imported file imports itself" in told(problems, "error")
    for n in range(8):  # each imports the next one twice: 2 to the power of 8 files
        twice = f'<Import file="{n + 1}.xml"/>' * 2
        (tmp_path / f"{n}.xml").write_text(f"<MonitoringManagement><Imports>{twice}</Imports></MonitoringManagement>")
    (tmp_path / "8.xml").write_text("<MonitoringManagement/>")
    _, problems = plan_of(written(first='<Imports><Import file="0.xml"/></Imports>'), str(path))
    assert f"more than {document.MAX_FILES} imports" in told(problems, "error")


@pytest.mark.parametrize("name", ["no.xml", ".", "a\tb", "x" * 5000])
def test_unreadable_imports_are_errors(tmp_path: Path, name: str) -> None:
    _, problems = plan_of(written(first=f'<Imports><Import file="{name}"/></Imports>'), str(tmp_path / "doc.xml"))
    assert any("cannot be read" in m for m in told(problems, "error"))


def test_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    _, problems = plan_of(written(first='<Imports><Import file="pipe"/></Imports>'), str(tmp_path / "doc.xml"))
    assert "the imported file cannot be read: Not a regular file" in told(problems, "error")


def test_imports_are_bounded_in_size(tmp_path: Path) -> None:
    def load(path: str) -> bytes:
        return b"<MonitoringManagement>" + b" " * (xmlsafe.MAX_BYTES // 2) + b"</MonitoringManagement>"

    problems = Problems()
    first = "<Imports>" + '<Import file="a"/>' * 3 + "</Imports>"
    document.read(written(first=first).encode(), "doc.xml", problems, load=load)
    assert any("imports have more than" in m for m in told(problems, "error"))


# --- what is checked, but not run


@pytest.mark.parametrize(
    ("events", "severity", "message"),
    [
        ("<Extensions><Extension/></Extensions>", "error", "needs the attribute extensionName"),
        (
            "<Extensions>" + "<Extension extensionName='e'/>" * 2 + "</Extensions>",
            "error",
            "extension e is given twice",
        ),
        ("<Extensions><Extension extensionName='e'><CommandLine/></Extension></Extensions>", "error", "CommandLine"),
        ("<Extensions><Extension extensionName='e'><Body/></Extension></Extensions>", "warning", "<Body> is empty"),
        ("<EtwProviders><EtwProvider/></EtwProviders>", "error", "needs the attribute guid"),
        ("<EtwProviders><EtwProvider guid='g' format='x'/></EtwProviders>", "error", "format must be EventSource"),
        ("<EtwProviders><EtwProvider guid='g'><Event/></EtwProvider></EtwProviders>", "error", "attribute id"),
    ],
)
def test_unrun_sections_are_checked(events: str, severity: str, message: str) -> None:
    _, problems = plan_of(written(f"<OMI>{QUERY}</OMI>{DERIVED}{events}"))
    assert any(message in m for m in told(problems, severity))
    assert problems.failed == (severity == "error")


def test_envelope_is_checked() -> None:
    envelope = (
        "<EnvelopeSchema><Field/>\n<Field name='a'/>\n<Field name='b' envariable='NO'>c</Field>"
        "<Extension><Field name='d'>e</Field></Extension></EnvelopeSchema>"
    )
    _, problems = plan_of(written(f"<OMI>{QUERY}</OMI>{DERIVED}", sources=envelope))
    assert told(problems, "error") == ["<Field> needs the attribute name", "<Extension> needs the attribute name"]
    assert [m for m in told(problems, "warning") if "field" in m] == [
        "the field has no value",
        "the field has no value",
        "the environment has no variable NO: the field is empty",
        "the field has more than one value, the first one counts",
    ]


def test_extension_alone_is_nothing_to_run() -> None:
    plan, problems = plan_of(written("<Extensions><Extension extensionName='e'/></Extensions>"))
    assert plan is None
    assert ["nothing to do" in m for m in told(problems, "error")] == [True]


def test_names_that_the_service_refuses_are_warned_of() -> None:
    for store, name, refused in (("Central", "a-b", True), ("JsonBlob", "a-b", False), ("JsonBlob", "a_b", True)):
        query = QUERY.replace("Local", store).replace('"q"', f'"{name}"')
        plan, problems = plan_of(written(f"<OMI>{query}</OMI>", management=OBO))
        assert plan is not None
        assert bool(told(problems, "warning")) == refused
