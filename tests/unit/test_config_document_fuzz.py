"""Documents with anything cut, doubled or overwritten: always a document with a verdict, never an exception."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from extension.config import document, xmlsafe
from extension.config.document_report import Message
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.config.secrets import SecretError
from extension.plan import Options, from_json

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SECRET = "c2VjcmV0c2VjcmV0"
FULL = f"""<MonitoringManagement version="1.0" namespace="ns" eventVersion="2" timestamp="t">
<Imports><Import file="other.xml"/></Imports>
<Accounts><SharedAccessSignature moniker="m" account="acct" isDefault="true" tableEndpoint="https://h"
 key="sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluw&amp;se=2031-05-06T07:08:09Z&amp;sig={SECRET}"/>
<Account moniker="k" account="b" key="{SECRET}" decryptKeyPath="/k.prv"/></Accounts>
<Management eventVolume="Medium" defaultRetentionInDays="9"><Identity type="TenantRole" tenantNameAlias="T">
<IdentityComponent name="H" useComputerName="true"/><IdentityComponent name="I">i</IdentityComponent></Identity>
<AgentResourceUsage diskQuotaInMB="5" dupeWindowSeconds="60"/>
<OboDirectPartitionField name="resourceId" value="/r"/><OboDirectPartitionField name="a" value="b"/></Management>
<Schemas><Schema name="x"><Column name="A" type="str" mdstype="mt:wstr"/></Schema></Schemas>
<EnvelopeSchema><Field name="f" envariable="E"/><Extension name="e"><Field name="g">v</Field>
</Extension></EnvelopeSchema>
<Sources><Source name="s" schema="x"/><Source name="d" dynamic_schema="true"/></Sources>
<ServiceBusAccountInfos><ServiceBusAccountInfo name="m"><EventPublisher connectionString="https://n/h?sig={SECRET}"/>
</ServiceBusAccountInfo></ServiceBusAccountInfos>
<EventStreamingAnnotations><EventStreamingAnnotation name="d"><EventPublisher><Content>c</Content>
<Key decryptKeyPath="/k.prv">{SECRET}</Key></EventPublisher></EventStreamingAnnotation>
<EventStreamingAnnotation name="J"><OnBehalf directMode="true"><Content><![CDATA[<Config primaryPartitionField="a"
 partitionFields="a,a" timePeriods="PT1H"/>]]></Content></OnBehalf></EventStreamingAnnotation>
</EventStreamingAnnotations>
<Events><HeartBeats><HeartBeat/></HeartBeats><MdsdEvents><MdsdEventSource source="s">
<RouteEvent eventName="J" storeType="JsonBlob" duration="PT5M"><Filter/></RouteEvent>
<RouteEvent eventName="F" storeType="File" priority="low"/></MdsdEventSource></MdsdEvents>
<OMI><OMIQuery eventName="q" omiNamespace="root/scx" sampleRateInSeconds="15" storeType="local" priority="High"
 cqlQuery="SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation"><Unpivot columnName="N" columnValue="V"
 columns="AvailableMemory"><MapName name="AvailableMemory" scaleUp="2" scaleDown="3">M</MapName></Unpivot></OMIQuery>
</OMI>
<DerivedEvents><DerivedEvent eventName="D" source="q" duration="PT1M" isFullName="true" account="k"
 dontUsePerNDayTable="true"><LADQuery columnName="N" columnValue="V" partitionKey="p" instanceID="i"/></DerivedEvent>
</DerivedEvents><Extensions><Extension extensionName="x"><CommandLine>c</CommandLine><Body>b</Body>
<ResourceUsage cpuPercentUsage="5"/></Extension></Extensions><EtwProviders><EtwProvider guid="g" format="EventSource">
<Event id="1" eventName="e"/></EtwProvider></EtwProviders></Events>
</MonitoringManagement>
"""
VALUES = [m.span(1) for m in re.finditer(r'="([^"]*)"', FULL)]
TAGS = [m.span() for m in re.finditer(r"<[^>]+>", FULL)]


def judged(text: bytes) -> None:
    """Read and resolve; what must hold of any bytes."""
    problems, verdict = Problems(), list[Message]()

    def decrypt(sealed: str, key: str) -> str:
        if not sealed.isalnum():
            raise SecretError(f"cannot be decrypted with {key}")
        return sealed

    def load(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    found = document.read(text, "doc.xml", problems, load=load, environ={}, verdict=verdict)
    if found is None:
        assert problems.failed
        assert verdict
    else:
        plan = resolve(
            found,
            Options(),
            "h",
            environ={},
            decrypt=decrypt,
            now=NOW,
            problems=problems,
            verdict=verdict,
        )
        assert (plan is None) == problems.failed
        assert plan is None or from_json(plan.to_json()) == plan
    told = "".join(p.render() for p in problems) + "".join(m.render() for m in verdict)
    assert SECRET not in told
    assert "\n" not in told


def test_whole_document_names_only_what_is_not_run() -> None:
    problems, verdict = Problems(), list[Message]()
    text = FULL.replace('<Imports><Import file="other.xml"/></Imports>', "").encode()
    assert document.read(text, "doc.xml", problems, environ={"E": "e"}, verdict=verdict) is not None
    assert {m.severity for m in verdict} == {"Info", "Warning"}
    assert [m.text for m in verdict if m.severity == "Warning"] == [
        f"Ignoring extra identity column {name}" for name in "HI"
    ]


@given(st.integers(0, len(FULL)))
@settings(deadline=None)
def test_cut_off_anywhere(at: int) -> None:
    judged(FULL[:at].encode())


@given(st.sampled_from(TAGS), st.sampled_from(TAGS), st.sampled_from(["drop", "double", "swap"]))
@settings(deadline=None)
def test_tags_dropped_doubled_and_moved(one: tuple[int, int], other: tuple[int, int], how: str) -> None:
    first, second = sorted((one, other))
    a, b = FULL[first[0] : first[1]], FULL[second[0] : second[1]]
    if how == "drop":
        judged((FULL[: first[0]] + FULL[second[1] :]).encode())
    elif how == "double":
        judged((FULL[: second[1]] + FULL[first[0] : second[1]] + FULL[second[1] :]).encode())
    elif first != second:
        judged((FULL[: first[0]] + b + FULL[first[1] : second[0]] + a + FULL[second[1] :]).encode())


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters='<&"'), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "nan",
        "9" * 40,
        "PT0S",
        "P1D",
        "PT99999999999S",
        "true",
        "Local",
        "JsonBlob",
        "q",
        "s",
    ]
)


@given(st.sampled_from(VALUES), TEXTS, st.sampled_from(VALUES), TEXTS)
@settings(deadline=None)
def test_any_value_anywhere(one: tuple[int, int], text: str, other: tuple[int, int], more: str) -> None:
    if not xmlsafe.legal(text + more):
        return
    first, second = sorted((one, other))
    if first == second:
        judged((FULL[: first[0]] + text + FULL[first[1] :]).encode())
    else:
        judged((FULL[: first[0]] + text + FULL[first[1] : second[0]] + more + FULL[second[1] :]).encode())


@given(st.integers(0, len(FULL)), st.binary(max_size=8))
@settings(deadline=None)
def test_any_bytes_anywhere(at: int, data: bytes) -> None:
    text = FULL.encode()
    judged(text[:at] + data + text[at + len(data) :])
