"""The reader of mdsd documents: the validation cases of spec/mdsd.md 8, and the plan that a document gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from extension.config import document, options
from extension.config.document_model import Document
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.config.secrets import SecretError
from extension.plan import Account, Derived, LadQuery, Options, Plan, Query, Route, Source, Target, Unpivot

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SAS = "sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluwr&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
QUERY = "SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation"
HOST = "https://acct.table.core.windows.net"
BLOBS = "https://acct.blob.core.windows.net"
AT = f' tableEndpoint="{HOST}"'
HOST_COLUMN = '<IdentityComponent name="Host" useComputerName="true"/>'
MAP = '<MapName name="AvailableMemory" scaleUp="1048576">\\Memory\\AvailableMemory</MapName>'
METRIC = "\\Memory\\AvailableMemory"
ROUTE = '<RouteEvent eventName="E"/>'
BASE = f"""<MonitoringManagement version="1.0" namespace="" eventVersion="2" timestamp="2014-12-01T20:00:00.000">
<Accounts><SharedAccessSignature moniker="m" account="acct" key="{SAS}" isDefault="true"{AT}/></Accounts>
<Management eventVolume="Medium"><Identity>{HOST_COLUMN}</Identity></Management>
<Schemas><Schema name="x"><Column name="A" type="str" mdstype="mt:wstr"/></Schema></Schemas>
<Sources><Source name="s" dynamic_schema="true"/></Sources>
<Events><MdsdEvents><MdsdEventSource source="s"><RouteEvent eventName="E"/></MdsdEventSource></MdsdEvents>
<OMI><OMIQuery eventName="q" omiNamespace="root/scx" cqlQuery="{QUERY}" sampleRateInSeconds="15" storeType="local">
<Unpivot columnName="N" columnValue="V" columns="AvailableMemory, Other">
{MAP}</Unpivot></OMIQuery></OMI>
<DerivedEvents><DerivedEvent eventName="WADMetricsPT1MP10DV2S" source="q" duration="PT1M" isFullName="true">
<LADQuery columnName="N" columnValue="V" partitionKey="pk" instanceID=""/></DerivedEvent></DerivedEvents></Events>
</MonitoringManagement>
"""


def read(xml: str | bytes) -> tuple[Document | None, Problems]:
    problems = Problems()
    return document.read(xml.encode() if isinstance(xml, str) else xml, "doc.xml", problems), problems


def plan_of(
    xml: str,
    environ: dict[str, str] | None = None,
    decrypt: Callable[[str, str], str] = lambda text, key: text,
) -> tuple[Plan | None, Problems]:
    found, problems = read(xml)
    assert found is not None, [p.render() for p in problems]
    plan = resolve(found, Options(), "vm-1", environ=environ or {}, decrypt=decrypt, now=NOW, problems=problems)
    return plan, problems


def test_base_document_has_no_problem_at_all() -> None:
    plan, problems = plan_of(BASE)
    assert [p.render() for p in problems] == []
    assert plan is not None


CASES = [
    # (what is replaced, by what, severity or "ok", part of the message)
    ('version="1.0"', "", "error", "version must be 1.0"),
    ('version="1.0"', 'version="2.0"', "error", "version must be 1.0"),
    ('eventVersion="2"', 'eventVersion="0"', "error", "eventVersion must be a whole number"),
    ('eventVersion="2"', 'eventVersion="x"', "error", "eventVersion must be a whole number"),
    ('eventVersion="2"', 'eventVersion="2" colour="red"', "warning", "has no attribute colour"),
    ('account="acct"', 'account="acct" zone="1"', "warning", "has no attribute zone"),
    ('account="acct"', 'account=" ac ct"', "warning", "blanks in account"),
    (ROUTE, '<RouteEvent eventName="E" priority="soon"/>', "warning", "unknown priority"),
    (ROUTE, '<RouteEvent eventName="E" duration="PT1S"/>', "warning", "below 10 s"),
    (ROUTE, '<RouteEvent eventName="E" duration="1M"/>', "error", "no ISO 8601 duration"),
    (ROUTE, "<RouteEvent/>", "error", "needs the attribute eventName"),
    (ROUTE, '<RouteEvent eventName="E F"/>', "error", "must not have blanks"),
    (ROUTE, '<RouteEvent eventName="E" storeType="CentralBond"/>', "error", "unknown storeType"),
    (ROUTE, '<RouteEvent eventName="E" account="z"/>', "error", "account z is not defined"),
    (ROUTE, '<RouteEvent eventName="E"><Filter/></RouteEvent>', "note", "<Filter> is ignored"),
    (ROUTE, '<RouteEvent eventName="E" storeType="JsonBlob"/>', "error", "needs the field resourceId"),
    ('Source source="s"', 'Source source="t"', "error", "source t is not defined before"),
    ('InSeconds="15"', 'InSeconds="15" tint="x"', "warning", "has no attribute tint"),
    ('columns="A', 'tint="x" columns="A', "warning", "has no attribute tint"),
    (HOST_COLUMN, '<IdentityComponent name="D"/>', "warning", "Empty value"),
    ('useComputerName="true"', 'useComputerName="true" envariable="X"', "error", "exclude each other"),
    ("</Identity>", '<IdentityComponent name="Host">x</IdentityComponent></Identity>', "error", "given twice"),
    (
        "</Identity>",
        '<IdentityComponent name="X" tint="y">x</IdentityComponent></Identity>',
        "error",
        "no attribute tint",
    ),
    ("</Management>", '<AgentResourceUsage dupeWindowSeconds="5"/></Management>', "warning", "dupeWindowSeconds"),
    ("</Management>", '<AgentResourceUsage tint="5"/></Management>', "error", "no attribute tint"),
    ("</Management>", '<OboDirectPartitionField name="x"/></Management>', "error", "needs name and value"),
    ('eventVolume="Medium"', 'eventVolume="Huge"', "error", "eventVolume must be Small, Medium or Large"),
    ('eventVolume="Medium"', "", "warning", "no eventVolume"),
    ('eventVolume="Medium"', 'eventVolume="Medium" defaultRetentionInDays="0"', "error", "defaultRetentionInDays"),
    ("<Sources>", "stray<Sources>", "warning", "has text"),
    ("<Sources>", "<Sauces/><Sources>", "error", "does not define subelement <Sauces>"),
    ("<Events>", "<Events><HeartBeats><HeartBeat/></HeartBeats>", "note", "<HeartBeat> is ignored"),
    ("<Events>", "<Events><Extensions><Extension extensionName='e'/></Extensions>", "warning", "is not run here"),
    ("<Events>", "<Events><EtwProviders><EtwProvider guid='g'/></EtwProviders>", "warning", "is not run here"),
    ("<Accounts>", "<Imports><Import file='x.xml'/></Imports><Accounts>", "error", "imported file cannot be read"),
    ('isDefault="true"', "", "error", "No default credential is found"),
    ('moniker="m"', "", "error", "needs the attribute moniker"),
    ('account="acct"', "", "error", "needs the attribute account"),
    (f'key="{SAS}"', "", "error", "needs the attribute key"),
    ("</Accounts>", '<Account moniker="m" account="a" key="k"/></Accounts>', "error", "Duplicate creds"),
    ("</Accounts>", '<Account moniker="n" account="a" key="k" isDefault="1"/></Accounts>', "error", "second account"),
    (
        '<Column name="A"',
        '<Column name="A" type="str" mdstype="mt:wstr"/><Column name="A"',
        "error",
        "column A is given",
    ),
    ('type="str"', 'type="bool"', "error", "type bool cannot become mdstype mt:wstr"),
    ('type="str"', 'type="float"', "error", "type float cannot become"),
    ("</Schemas>", '<Schema name="x"/></Schemas>', "error", "schema x is given twice"),
    ('dynamic_schema="true"', 'dynamic_schema="true" schema="x"', "error", "exactly one of schema"),
    ('dynamic_schema="true"', "", "error", "exactly one of schema"),
    ('dynamic_schema="true"', 'schema="y"', "error", "schema y is not defined"),
    ('omiNamespace="root/scx"', "", "error", "needs the attribute omiNamespace"),
    (f'cqlQuery="{QUERY}"', "", "error", "needs the attribute cqlQuery"),
    ('sampleRateInSeconds="15"', 'sampleRateInSeconds="0"', "error", "sampleRateInSeconds must be"),
    ('sampleRateInSeconds="15"', 'sampleRateInSeconds="fast"', "error", "sampleRateInSeconds must be"),
    ('storeType="local"', 'storeType="CentralBond"', "error", "unknown storeType"),
    ('eventName="q"', 'eventName="s"', "error", "already the name of a Source"),
    ('columns="AvailableMemory, Other"', "", "error", "needs the attribute columns"),
    ('<MapName name="AvailableMemory"', "<MapName", "error", "needs the attribute name"),
    ('scaleUp="1048576"', 'scaleUp="abc"', "error", "scaleUp must be a number"),
    ('scaleUp="1048576"', 'scaleUp="nan"', "error", "scaleUp must be a number"),
    ('scaleUp="1048576"', 'scaleDown="0"', "error", "scaleDown must be a number"),
    ('duration="PT1M"', "", "error", "needs the attribute duration"),
    ('duration="PT1M"', 'duration="P1M"', "error", "no ISO 8601 duration"),
    ('duration="PT1M"', 'duration="PT0S"', "error", "no ISO 8601 duration"),
    ('source="q"', 'source="r"', "error", "source r is not defined before"),
    ('partitionKey="pk"', "", "error", "needs the attribute partitionKey"),
    ('partitionKey="pk"', 'partitionKey=""', "error", "needs the attribute partitionKey"),
    ("</MonitoringManagement>", "", "warning", "the document ends within <MonitoringManagement>"),
    ("<Sources>", "<Sources", "error", "malformed XML"),
    ("<MonitoringManagement", "<!DOCTYPE a []><MonitoringManagement", "error", "DOCTYPE"),
    ("<MonitoringManagement", '<MonitoringManagement xmlns="urn:x"', "warning", "XML namespace"),
    ("MonitoringManagement", "WadCfg", "error", "the root element is <WadCfg>"),
    ('eventVolume="Medium"', 'eventVolume="small"', "ok", ""),
    ('duration="PT1M"', 'duration="P1DT2H3M4.5S"', "ok", ""),
    ('storeType="local"', 'storeType="LOCAL"', "ok", ""),
    ('partitionKey="pk" instanceID=""', 'partitionKey="pk"', "ok", ""),
    ('dynamic_schema="true"', 'schema="x"', "ok", ""),
    ("<OMI>", "<OMI></OMI><OMI>", "ok", ""),
    (' columns="A', '\n columns="A', "ok", ""),
    (' columns="A', '\ncolumns="A', "error", "malformed XML once line ends are dropped"),
]


@pytest.mark.parametrize(("old", "new", "severity", "message"), CASES, ids=lambda v: str(v)[:40])
def test_validation_case(old: str, new: str, severity: str, message: str) -> None:
    assert old in BASE
    text = BASE.replace(old, new) if old == "MonitoringManagement" else BASE.replace(old, new, 1)
    _, problems = read(text)
    told = [(p.severity, p.message) for p in problems]
    if severity == "ok":
        assert told == []
        return
    assert any(s == severity and message in m for s, m in told), told
    if severity != "error":
        assert not problems.failed, told
    assert all(p.path.startswith("doc.xml") for p in problems)


def test_problems_name_the_line() -> None:
    _, problems = read(BASE.replace('scaleUp="1048576"', 'scaleUp="abc"'))
    assert [p.path for p in problems] == ["doc.xml line 9"]


def test_derived_event_must_follow_its_source() -> None:
    begin, rest = BASE.split("<OMI>")
    omi, tail = rest.split("</OMI>")
    derived, end = tail.split("</DerivedEvents>")
    _, problems = read(f"{begin}{derived}</DerivedEvents><OMI>{omi}</OMI>{end}")
    assert [p.message for p in problems] == ["source q is not defined before this element"]


def test_chained_derived_events_are_read() -> None:
    chain = '<DerivedEvent eventName="local1" source="q" duration="PT1M" storeType="Local"/>'
    chain += '<DerivedEvent eventName="Out" source="local1" duration="PT1H"/>'
    plan, problems = plan_of(BASE.replace("</DerivedEvents>", chain + "</DerivedEvents>"))
    assert list(problems) == []
    assert plan is not None
    assert [(d.source, d.duration, d.target) for d in plan.derived[1:]] == [
        ("q", 60, Target("local", "local1")),
        ("local1", 3600, Target("table", "Out", "m")),
    ]


def test_plan_says_all_that_the_document_says() -> None:
    plan, _ = plan_of(BASE.replace('eventVolume="Medium"', 'eventVolume="Large"'))
    assert plan == Plan(
        namespace="",
        event_version=2,
        partitions=100,
        identity=(("Host", "vm-1"),),
        accounts=(Account("m", "acct", "sas", SAS.replace("&amp;", "&"), HOST, True, BLOBS),),
        sources=(Source("s"),),
        routes=(Route("s", 300, Target("table", "E", "m")),),
        queries=(
            Query(
                "root/scx",
                QUERY,
                15,
                Target("local", "q"),
                Unpivot("N", "V", ("AvailableMemory", "Other"), {"AvailableMemory": (METRIC, 1048576.0)}),
            ),
        ),
        derived=(
            Derived(
                "q", 60, Target("table", "WADMetricsPT1MP10DV2S", "m", True, True), LadQuery("N", "V", "pk", ""), "PT1M"
            ),
        ),
    )


def test_map_without_a_new_name_and_with_both_scales() -> None:
    new = '<MapName name="AvailableMemory" scaleUp="3" scaleDown="2"/><MapName name="AvailableMemory">late</MapName>'
    plan, problems = plan_of(BASE.replace(MAP, new))
    assert plan is not None
    assert plan.queries[0].unpivot is not None
    assert plan.queries[0].unpivot.maps == {"AvailableMemory": ("AvailableMemory", 1.5)}
    assert [p.message for p in problems] == ["AvailableMemory is mapped twice, the first MapName counts"]


def test_priority_is_the_default_rate() -> None:
    for priority, rate in (("", 300), ('priority="HIGH"', 60), ('priority="low"', 900)):
        plan, _ = plan_of(BASE.replace('sampleRateInSeconds="15"', priority))
        assert plan is not None
        assert plan.queries[0].rate == rate


def test_query_escaped_more_than_once() -> None:
    assert document.unescaped("a &amp;amp;lt; &amp;#38;quot;b&quot;") == 'a < "b"'
    plan, _ = plan_of(BASE.replace(QUERY, QUERY + " WHERE AvailableMemory &amp;lt; 5"))
    assert plan is not None
    assert plan.queries[0].text == QUERY + " WHERE AvailableMemory < 5"


def test_query_that_will_fail_leaves_the_others_running() -> None:
    plan, problems = plan_of(BASE.replace("SCX_MemoryStatisticalInformation", "SCX_MemryStatisticalInformation"))
    assert plan is not None
    assert [p.severity for p in problems] == ["warning"]
    assert "SCX_MemoryStatisticalInformation" in next(iter(problems)).message


def test_events_of_unserved_stores_are_left_out_by_name() -> None:
    text = BASE.replace("</Accounts>", '<Account moniker="ai" appInsightsKey="k"/></Accounts>')
    plan, problems = plan_of(text.replace('isFullName="true"', 'isFullName="true" storeType="AppInsights"'))
    assert plan is not None
    assert plan.derived == ()
    assert sum("not served" in p.message for p in problems) == 2
    assert not problems.failed


def test_identity_from_everywhere() -> None:
    identity = (
        '<Identity type="TenantRole"><IdentityComponent name="A">text</IdentityComponent>'
        '<IdentityComponent name="B" envariable="BEE"/><IdentityComponent name="C" envariable="SEE"/></Identity>'
    )
    text = BASE.replace(f"<Identity>{HOST_COLUMN}</Identity>", identity)
    environ = {"MONITORING_TENANT": "t", "MONITORING_ROLE": "r", "MONITORING_ROLE_INSTANCE": "i", "BEE": "bee"}
    plan, problems = plan_of(text, environ)
    assert plan is not None
    tenant = (("Tenant", "t"), ("Role", "r"), ("RoleInstance", "i"))
    assert plan.identity == tenant
    assert [p.message for p in problems] == [
        f"identity column {name} is ignored: Identity type TenantRole gives all columns" for name in "ABC"
    ]
    plan, problems = plan_of(text.replace(' type="TenantRole"', ""), environ)
    assert plan is not None
    assert plan.identity == (("A", "text"), ("B", "bee"))
    assert [p.message for p in problems] == ["the environment has no variable SEE: there is no identity column C"]
    plan, _ = plan_of(BASE.replace("<Identity>", '<Identity type="ComputerName">'))
    assert plan is not None
    assert plan.identity == (("ComputerName", "vm-1"),)


def test_sealed_key_is_decrypted() -> None:
    text = BASE.replace(f'key="{SAS}"', 'key="ABCD" decryptKeyPath="/w/T.prv"')
    plan, _ = plan_of(text, decrypt=lambda text, key: SAS.replace("&amp;", "&") + f"&x={text}{key}")
    assert plan is not None
    assert plan.accounts[0].secret.endswith("&x=ABCD/w/T.prv")


def test_key_that_does_not_decrypt_is_an_error() -> None:
    def decrypt(_: str, key: str) -> str:
        raise SecretError(f"cannot be decrypted with {key}")

    plan, problems = plan_of(BASE.replace(f'key="{SAS}"', 'key="ABCD" decryptKeyPath="/w/T.prv"'), decrypt=decrypt)
    assert plan is None
    assert [(p.path, "/w/T.prv" in p.message) for p in problems] == [("doc.xml line 2", True)]


def test_document_without_any_work_gives_no_plan() -> None:
    plan, problems = plan_of(BASE[: BASE.index("<Events>")] + "<Events/></MonitoringManagement>")
    assert plan is None
    assert "nothing to do" in next(iter(problems)).message


def test_account_of_the_embedded_store_needs_no_key() -> None:
    text = BASE.replace(f'key="{SAS}"', 'key=""').replace(HOST, "file:///d/t.db")
    plan, problems = plan_of(text)
    assert list(problems) == []
    assert plan is not None
    assert plan.accounts[0].table_endpoint == "file:///d/t.db"
    assert plan.accounts[0].kind == "key"  # a SAS without fields would be taken for one that is bound to a table


def test_plan_survives_json() -> None:
    from extension.plan import from_json

    plan, _ = plan_of(BASE)
    assert plan is not None
    assert from_json(plan.to_json()) == plan


# --- options.json


def test_options_of_every_kind() -> None:
    problems = Problems()
    given = {"proc_root": "/x", "store_max_mib": 64, "upload_spread_s": 0}
    assert options.read(given, "options.json", problems) == Options(
        proc_root="/x", store_max_mib=64, upload_spread_s=0.0
    )
    assert list(problems) == []
    assert options.read({}, "options.json", problems) == Options()


@pytest.mark.parametrize(
    ("value", "severity", "path"),
    [
        ({"proc_rot": "/"}, "warning", "options.json.proc_rot"),
        ({"proc_root": 5}, "error", "options.json.proc_root"),
        ({"store_max_mib": "64"}, "error", "options.json.store_max_mib"),
        ({"store_max_mib": True}, "error", "options.json.store_max_mib"),
        ({"store_max_mib": -1}, "error", "options.json.store_max_mib"),
        ({"store_max_mib": 1.5}, "error", "options.json.store_max_mib"),
        ({"upload_spread_s": float("nan")}, "error", "options.json.upload_spread_s"),
        ([], "error", "options.json"),
    ],
)
def test_odd_options_are_named(value: object, severity: str, path: str) -> None:
    problems = Problems()
    assert options.read(value, "options.json", problems) == Options()
    assert [(p.severity, p.path) for p in problems] == [(severity, path)]
