"""Each validation outcome that mdsd was seen to have (spec/mdsd.md 8), on a minimal document with one change."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from extension.config import document
from extension.config.document_check import rendered
from extension.config.document_report import Message
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.plan import Options, Plan, from_json

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SAS = "sv=2018-03-28&amp;ss=bt&amp;srt=sco&amp;sp=acluwr&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
TABLE_SAS = "sv=2018-03-28&amp;tn=mine&amp;sp=raud&amp;se=2031-05-06T07:08:09Z&amp;sig=Zm9v"
ACCOUNT = f'<SharedAccessSignature moniker="m" account="acct" key="{SAS}" isDefault="true"/>'
HOST = '<IdentityComponent name="Host">h</IdentityComponent>'
MANAGEMENT = f'<Management eventVolume="Medium"><Identity>{HOST}</Identity></Management>'
OBO = '<OboDirectPartitionField name="resourceId" value="/r"/>'
HASH = '<OboDirectPartitionField name="agentIdentityHash" value="H"/>'
SCHEMA = '<Schemas><Schema name="x"><Column name="A" type="str" mdstype="mt:wstr"/></Schema></Schemas>'
SOURCE = '<Source name="s" dynamic_schema="true"/>'
ROUTE = '<RouteEvent eventName="E"/>'
ROUTES = f'<MdsdEvents><MdsdEventSource source="s">{ROUTE}</MdsdEventSource></MdsdEvents>'
BASE = f"""<MonitoringManagement version="1.0" namespace="" eventVersion="2" timestamp="2014-12-01T20:00:00.000">
<Accounts>{ACCOUNT}</Accounts>
{MANAGEMENT}
<Sources>{SOURCE}</Sources>
<Events>{ROUTES}</Events>
</MonitoringManagement>
"""
MAP = '<MapName name="AvailableMemory" scaleUp="1024">\\Memory\\AvailableMemory</MapName>'
UNPIVOT = f'<Unpivot columnName="N" columnValue="V" columns="AvailableMemory">{MAP}</Unpivot>'
QUERY = (
    '<OMIQuery eventName="q" omiNamespace="root/scx" sampleRateInSeconds="15" storeType="local"'
    f' cqlQuery="SELECT AvailableMemory FROM SCX_MemoryStatisticalInformation">{UNPIVOT}</OMIQuery>'
)
LAD = '<LADQuery columnName="N" columnValue="V" partitionKey="p" instanceID=""/>'
DERIVED = f'<DerivedEvent eventName="D" source="q" duration="PT1M" isFullName="true">{LAD}</DerivedEvent>'
EVENTS = f"<OMI>{QUERY}</OMI><DerivedEvents>{DERIVED}</DerivedEvents>"
WITH_EVENTS = BASE.replace("</Events>", f"{EVENTS}</Events>")
PUBLISHED = (
    '<EventStreamingAnnotations><EventStreamingAnnotation name="s"><EventPublisher><Content/>'
    "<Key>https://n.servicebus.windows.net/hub?sr=x&amp;sig=y&amp;se=1&amp;skn=z</Key>"
    "</EventPublisher></EventStreamingAnnotation></EventStreamingAnnotations>"
)
ANNOTATED = BASE.replace("</Management>", f"{OBO}</Management>").replace("</Events>", f"</Events>{PUBLISHED}")


def judged(xml: str) -> tuple[list[Message], Problems, Plan | None]:
    """mdsd's messages, all problems, and the plan."""
    problems, verdict, plan = Problems(), list[Message](), None
    found = document.read(xml.encode(), "doc.xml", problems, environ={}, verdict=verdict)
    if found is not None:
        plan = resolve(
            found,
            Options(),
            "vm-1",
            environ={},
            decrypt=lambda text, _: text,
            now=NOW,
            problems=problems,
            verdict=verdict,
        )
    return verdict, problems, plan


def changed(base: str, old: str, new: str) -> str:
    assert old in base
    return base.replace(old, new, 1)


ROUTED = [  # changes of the minimal document: what, by what, severities that mdsd reported
    ("unchanged", "Medium", "Medium", ""),
    ("service SAS with tn", SAS, TABLE_SAS, ""),
    ("two OMI blocks", "</Events>", f"<OMI/><OMI>{QUERY}</OMI></Events>", ""),
    (
        "DerivedEvent without LADQuery",
        "</Events>",
        f"<DerivedEvents>{DERIVED}</DerivedEvents></Events>".replace(LAD, "").replace('source="q"', 'source="s"'),
        "",
    ),
    ("cqlQuery without FROM", "</Events>", f"<OMI>{QUERY.replace('FROM', 'OF')}</OMI></Events>", ""),
    ("attributes over lines, with indent", ' version="1.0"', '\n version="1.0"', ""),
    ("Extension", "</Events>", "<Extensions><Extension extensionName='e'/></Extensions></Events>", ""),
    (
        "EtwProvider",
        "</Events>",
        "<EtwProviders><EtwProvider guid='g'><Event id='1' eventName='w'/></EtwProvider></EtwProviders></Events>",
        "",
    ),
    ("version missing", ' version="1.0"', "", "Fatal"),
    ("version 2.0", ' version="1.0"', ' version="2.0"', "Fatal"),
    ("eventVersion 0", 'eventVersion="2"', 'eventVersion="0"', "Error"),
    ("unknown root attribute", 'eventVersion="2"', 'eventVersion="2" x="1"', "Warning"),
    ("unknown account attribute", 'account="acct"', 'account="acct" x="1"', "Warning"),
    ("blank inside account", 'account="acct"', 'account="ac ct"', "Warning"),
    ("bad route priority", ROUTE, '<RouteEvent eventName="E" priority="soon"/>', "Warning"),
    ("route duration PT1S", ROUTE, '<RouteEvent eventName="E" duration="PT1S"/>', "Warning"),
    ("empty identity body", HOST, '<IdentityComponent name="Host"/>', "Warning"),
    ("missing env variable", HOST, '<IdentityComponent name="Host" envariable="NOPE"/>', "Warning"),
    (
        "dupeWindowSeconds 5",
        "</Management>",
        '<AgentResourceUsage dupeWindowSeconds="5"/></Management>',
        "Warning",
    ),
    ("stray text", "<Sources>", "stray<Sources>", "Warning"),
    ("HeartBeat element", "</Events>", "<HeartBeats><HeartBeat x='1'/></HeartBeats></Events>", "Info"),
    ("Filter child", ROUTE, '<RouteEvent eventName="E"><Filter>a</Filter></RouteEvent>', "Info"),
    ("unknown element", "<Sources>", "<Sauces/><Sources>", "Error"),
    ("no account", ACCOUNT, "", "Error Fatal"),
    ("none default", ' isDefault="true"', "", "Error Fatal"),
    ("duplicate moniker", "</Accounts>", f"{ACCOUNT}</Accounts>", "Error"),
    ("SAS lacking moniker", ' moniker="m"', "", "Fatal Error"),
    ("SAS lacking account", ' account="acct"', "", "Fatal Error"),
    ("SAS lacking key", f' key="{SAS}"', "", "Fatal Error"),
    ("account SAS without sp w", "sp=acluwr", "sp=aclur", "Error"),
    ("account SAS without srt c,o", "srt=sco", "srt=s", "Error"),
    ("account SAS without ss b", "ss=bt", "ss=t", "Error"),
    ("eventVolume Huge", '"Medium"', '"Huge"', "Error"),
    ("retention 0", '"Medium"', '"Medium" defaultRetentionInDays="0"', "Error"),
    ("duplicate identity", HOST, HOST + HOST, "Error"),
    (
        "envariable and useComputerName",
        HOST,
        '<IdentityComponent name="H" envariable="X" useComputerName="true"/>',
        "Error",
    ),
    ("unknown AgentResourceUsage attribute", "</Management>", '<AgentResourceUsage x="1"/></Management>', "Error"),
    ("OBO field without value", "</Management>", '<OboDirectPartitionField name="x"/></Management>', "Error"),
    (
        "schema: duplicate column",
        "<Sources>",
        SCHEMA.replace("</Schema>", '<Column name="A" type="str" mdstype="mt:wstr"/></Schema>') + "<Sources>",
        "Error",
    ),
    ("schema: bool to wstr", "<Sources>", SCHEMA.replace('"str"', '"bool"') + "<Sources>", "Error"),
    ("schema: type float", "<Sources>", SCHEMA.replace('"str"', '"float"') + "<Sources>", "Error"),
    ("Source with both schema forms", "<Sources>" + SOURCE, SCHEMA + f"<Sources>{SOURCE[:-2]} schema='x'/>", "Fatal"),
    ("Source with neither schema form", ' dynamic_schema="true"', "", "Fatal"),
    ("undefined schema", 'dynamic_schema="true"', 'schema="x"', "Error"),
    ("undefined route source", 'MdsdEventSource source="s"', 'MdsdEventSource source="t"', "Error"),
    ("RouteEvent without eventName", ROUTE, "<RouteEvent/>", "Error"),
    ("RouteEvent with blank", ROUTE, '<RouteEvent eventName="E F"/>', "Error"),
    ("RouteEvent to CentralBond", ROUTE, '<RouteEvent eventName="E" storeType="CentralBond"/>', "Error"),
    ("RouteEvent duration 1M", ROUTE, '<RouteEvent eventName="E" duration="1M"/>', "Error"),
    ("RouteEvent of unknown account", ROUTE, '<RouteEvent eventName="E" account="z"/>', "Error"),
    ("JsonBlob without resourceId", ROUTE, '<RouteEvent eventName="E" storeType="JsonBlob"/>', "Error"),
    ("malformed tag", "<Sources>", "<Sources", "Error"),
    ("attributes over lines, blank before the line end", ' version="1.0"', ' \nversion="1.0"', ""),
    ("attributes over lines, without indent", ' version="1.0" namespace', ' version="1.0"\nnamespace', "Error"),
    ("Import of a missing file", "<Accounts>", "<Imports><Import file='no.xml'/></Imports><Accounts>", "Error"),
]
SAMPLED = [  # changes of the document with a query and a derived event
    ("unchanged", "Medium", "Medium", ""),
    ("bad OMI priority", 'omiNamespace="root/scx"', 'omiNamespace="root/scx" priority="x"', "Warning"),
    ("unknown OMI attribute", 'omiNamespace="root/scx"', 'omiNamespace="root/scx" x="1"', "Warning"),
    ("duration is no OMI attribute", 'omiNamespace="root/scx"', 'omiNamespace="root/scx" duration="PT1M"', "Warning"),
    ("unknown Unpivot attribute", 'columns="', 'x="1" columns="', "Warning"),
    ("OMI without namespace", ' omiNamespace="root/scx"', "", "Error"),
    ("rate 0", 'sampleRateInSeconds="15"', 'sampleRateInSeconds="0"', "Error"),
    ("OMI to CentralBond", 'storeType="local"', 'storeType="CentralBond"', "Error Fatal"),
    ("DerivedEvent to CentralBond", 'isFullName="true"', 'storeType="CentralBond"', "Error Fatal"),
    ("Unpivot without a column", 'columns="AvailableMemory"', 'columns=" , "', "Error"),
    ("local eventName of a source", 'eventName="q"', 'eventName="s"', "Error"),
    ("Unpivot lacking columns", ' columns="AvailableMemory"', "", "Error"),
    ("MapName lacking name", '<MapName name="AvailableMemory"', "<MapName", "Error"),
    ("MapName scaleUp abc", 'scaleUp="1024"', 'scaleUp="abc"', "Error"),
    ("no duration", ' duration="PT1M"', "", "Error"),
    ("duration P1M", 'duration="PT1M"', 'duration="P1M"', "Error"),
    ("unknown source", 'source="q"', 'source="r"', "Error"),
    ("source defined later", EVENTS, f"<DerivedEvents>{DERIVED}</DerivedEvents><OMI>{QUERY}</OMI>", "Error"),
    ("partitionKey missing", ' partitionKey="p"', "", "Error"),
    ("partitionKey empty", ' partitionKey="p"', ' partitionKey=""', "Error"),
]
STREAMED = [  # changes of the document with an Event Hub publisher
    ("unchanged", "Medium", "Medium", ""),
    ("unknown name", 'Annotation name="s"', 'Annotation name="t"', "Error"),
    ("no key", PUBLISHED[PUBLISHED.index("<Key>") : PUBLISHED.index("</EventPublisher>")], "", "Error"),
    ("no resourceId", OBO, "", "Error"),
]
CASES = [(BASE, *case) for case in ROUTED] + [(WITH_EVENTS, *c) for c in SAMPLED] + [(ANNOTATED, *c) for c in STREAMED]


@pytest.mark.parametrize(("base", "name", "old", "new", "severities"), CASES, ids=[c[1] for c in CASES])
def test_outcome(base: str, name: str, old: str, new: str, severities: str) -> None:
    verdict, problems, plan = judged(changed(base, old, new))
    assert {m.severity for m in verdict} == set(severities.split()), [m.render() for m in verdict]
    refused = "Error" in severities or "Fatal" in severities
    assert problems.failed == refused, [p.render() for p in problems]
    assert (plan is None) == refused
    text = rendered(verdict)
    assert text.startswith("Parse reported these messages:\n" if severities else "Parse succeeded with no messages.\n")
    assert all(line.startswith("doc.xml(") for line in text.splitlines()[1:])


def test_management_after_events_is_an_error_instead_of_a_crash() -> None:
    moved = BASE.replace(MANAGEMENT + "\n", "").replace("</Events>", f"</Events>{MANAGEMENT}")
    verdict, problems, plan = judged(moved)
    assert plan is None
    assert ["after <Events>" in m.text for m in verdict] == [True]
    assert [(p.severity, p.path) for p in problems] == [("error", "doc.xml line 4")]


@pytest.mark.parametrize("text", ["", " \n", "\ufeff"])
def test_empty_file_is_valid_but_of_no_use(text: str) -> None:
    verdict, problems, plan = judged(text)
    assert verdict == []
    assert plan is None
    assert [p.severity for p in problems] == ["warning", "error"]


def test_empty_events_are_valid_but_of_no_use() -> None:
    verdict, problems, plan = judged(BASE.replace(ROUTES, ""))
    assert verdict == []
    assert plan is None
    assert "nothing to do" in "".join(p.message for p in problems if p.severity == "error")


@pytest.mark.parametrize("given", ["&foo;", "<a b='&foo;'/>", "a & b", "<a b='1' b='2'/>", "<x:a>", "&amp"])
def test_what_ends_the_parse_is_an_error_with_its_line(given: str) -> None:
    verdict, problems, plan = judged(changed(BASE, "<Sources>", f"{given}<Sources>"))
    assert plan is None
    assert {(m.severity, m.line) for m in verdict} == {("Error", 4)}
    assert problems.failed


@pytest.mark.parametrize("cut", ["</MonitoringManagement>", "</Events>\n", "><RouteEvent"])
def test_truncated_document_keeps_what_is_whole(cut: str) -> None:
    verdict, problems, plan = judged(BASE[: BASE.index(cut)])
    assert verdict == []
    assert any("the document ends within" in p.message for p in problems if p.severity == "warning")
    assert (plan is not None) == ("RouteEvent" not in cut)


def test_bare_ampersand_on_one_line_is_no_end_of_the_document() -> None:
    verdict, _, plan = judged(changed(BASE, "<Sources>", "a & b<Sources>").replace("\n", ""))
    assert plan is None
    assert [m.text.partition(":")[0] for m in verdict] == ["malformed XML"]


def test_cut_off_event_is_not_kept() -> None:
    text = WITH_EVENTS.replace(ROUTES, "")
    verdict, problems, plan = judged(text[: text.index("</OMIQuery>")])
    assert verdict == []
    assert plan is None
    assert "nothing to do" in "".join(p.message for p in problems)


def test_cut_off_document_is_not_asked_for_its_publishers_keys() -> None:
    verdict, _, plan = judged(changed(ANNOTATED, 'Annotation name="s"', 'Annotation name="t"').replace("</Mon", "<!--"))
    assert verdict == []
    assert plan is not None
    assert plan.publishers == ()


def test_exact_words_of_a_refused_sas() -> None:
    for old, new, reason in (
        ("ss=bt", "ss=b", "Account SAS must enable blob and table services (ss='bt' or better)"),
        ("srt=sco", "srt=so", "Account SAS must enable container and object access (srt='co' or better)"),
        ("sp=acluwr", "sp=r", "Account SAS must grant sp='acluw' permissions or better"),
    ):
        verdict, _, _ = judged(changed(BASE, old, new))
        assert [m.text for m in verdict] == [f"Invalid SAS token given. Reason: {reason}"]


def test_refused_sas_is_tried_by_the_daemon() -> None:
    problems = Problems()
    found = document.read(changed(BASE, "ss=bt", "ss=t").encode(), "d", problems)
    assert found is not None
    plan = resolve(found, Options(), "h", environ={}, decrypt=lambda text, _: text, now=NOW, problems=problems)
    assert plan is not None
    assert [p.severity for p in problems] == ["warning"]


def test_messages_hold_no_secret() -> None:
    for base in (BASE, ANNOTATED):
        for old, new in (("sp=acluwr", "sp=r"), ("skn=z", "skn=\x7f"), ("https://n", "http://n")):
            if old in base:
                verdict, problems, _ = judged(base.replace(old, new))
                told = rendered(verdict) + "".join(p.render() for p in problems)
                assert "Zm9v" not in told
                assert "sig=" not in told.replace("sig=...", "")


NO_RESOURCE_ID = (
    "<EventStreamingAnnotation>: OboDirectPartitionField resourceId is missing, "
    "when Shoebox V2 EventHubs publisher needs one."
)
WORDS = [  # what mdsd itself says: base, what, by what, the messages in their order
    (BASE, HOST, '<IdentityComponent name="H"/>', ["Empty value for IdentityComponent; hope that's okay"]),
    (
        BASE,
        HOST,
        '<IdentityComponent name="B" envariable="NOPE"/>',
        ["Variable 'NOPE' not found in environment; B not added to identity columns"],
    ),
    (BASE, ' version="1.0"', "", ['Must specify "version" attribute']),
    (BASE, 'version="1.0"', 'version="2.0"', ["Only config file version 1.0 is supported"]),
    (BASE, 'eventVersion="2"', 'eventVersion="0"', ["eventVersion, when present, must be a positive integer"]),
    (BASE, 'eventVersion="2"', 'x="2"', ['<MonitoringManagement> ignoring unexpected attribute "x"']),
    (BASE, 'account="acct"', 'account="acct" x="1"', ['Ignoring unexpected attribute "x"']),
    (BASE, 'account="acct"', 'account="ac ct"', ["Account cannot contain spaces; blanks were removed"]),
    (BASE, "</Accounts>", f"{ACCOUNT}</Accounts>", ["Duplicate creds m ignored"]),
    (
        BASE,
        "</Accounts>",
        ACCOUNT.replace('"m"', '"n"') + "</Accounts>",
        ["Cannot make n default; another is already set"],
    ),
    (
        BASE.replace(ROUTE, '<RouteEvent eventName="E" account="n"/>'),
        "</Accounts>",
        ACCOUNT.replace('"m"', '"n"') + "</Accounts>",
        ["Cannot make n default; another is already set"],
    ),
    (
        BASE,
        "</Accounts>",
        '<Account account="a"/><SharedAccessSignature moniker="x"/></Accounts>',
        ['<Account> requires "moniker" attribute', '"account" must be specified'],
    ),
    (BASE, HOST, HOST + HOST, ["Ignoring duplicate identity column Host"]),
    (BASE, "<Sources>", "<Sauces/><Sources>", ["<MonitoringManagement> does not define subelement <Sauces>"]),
    (BASE, "<Sources>", "<Sources x='1'>", ["Expected no attributes"]),
    (
        BASE,
        "</Management>",
        '<AgentResourceUsage dupeWindowSeconds="5"/></Management>',
        ["dupeWindowSeconds must be >= 60"],
    ),
    (BASE, ROUTE, "<RouteEvent/>", ["<RouteEvent> requires attribute 'eventName'"]),
    (
        BASE,
        ROUTE,
        '<RouteEvent eventName="E" storeType="CentralBond"/>',
        ["<RouteEvent> attribute 'storeType' has invalid value 'CentralBond'."],
    ),
    (
        BASE,
        ROUTE,
        '<RouteEvent eventName="E" duration="PT1S"/>',
        ["Minimum supported duration is ten (10) seconds; using minimum"],
    ),
    (
        BASE,
        ROUTE,
        '<RouteEvent eventName="E" storeType="JsonBlob"/>',
        ["Unable to create routing for this event"],
    ),
    (BASE, 'EventSource source="s"', 'EventSource source="t"', ['Undefined source "t"']),
    (
        WITH_EVENTS,
        ' partitionKey="p"',
        "",
        ["Missing one or more required attributes (columnValue, columnName, partitionKey)"],
    ),
    (
        WITH_EVENTS,
        'columnName="N" columnValue="V" partitionKey',
        "partitionKey",
        ["Missing one or more required attributes (columnValue, columnName, partitionKey)"],
    ),
    (
        WITH_EVENTS,
        'storeType="local"',
        'storeType="JsonBlob"',
        [
            "Configuration error(s) detected; dropping this OMIQuery.",
            "DerivedEvent D references undefined source q",
        ],
    ),
    (
        WITH_EVENTS,
        'isFullName="true"',
        'storeType="CentralBond"',
        [
            "AddMonikerEventInfo() failed: MdsdEventCfg::AddEventSinkCfgInfoItem(): item param must be valid.",
            "Configuration error(s) detected; dropping this DerivedEvent.",
        ],
    ),
    (ANNOTATED, 'Annotation name="s"', 'Annotation name="t"', ["Unknown name 't' in EventStreamingAnnotation"]),
    (
        ANNOTATED,
        OBO,
        "",
        [
            NO_RESOURCE_ID,
            "Failed to find event publisher SAS key for item 's'",
        ],
    ),
]


@pytest.mark.parametrize(("base", "old", "new", "words"), WORDS, ids=[w[3][0][:40] for w in WORDS])
def test_words_are_those_of_mdsd(base: str, old: str, new: str, words: list[str]) -> None:
    verdict, _, _ = judged(changed(base, old, new))
    assert [line.partition(": ")[2] for line in rendered(verdict).splitlines()[1:]] == words


def test_words_with_a_secret_are_our_own() -> None:
    verdict, _, _ = judged(changed(BASE, ROUTE, '<RouteEvent eventName="E" priority="sv=1&amp;sig=abcdef"/>'))
    assert [m.text for m in verdict] == ["unknown priority, Normal is used"]


def test_messages_come_in_the_order_of_their_lines() -> None:
    text = changed(BASE, ROUTE, '<RouteEvent eventName="E"><Nope/></RouteEvent>')
    text = text.replace(HOST, '<IdentityComponent name="Host"/>').replace("sp=acluwr", "sp=r")
    verdict, _, _ = judged(text)
    lines = [line.partition(" ")[0] for line in rendered(verdict).splitlines()[1:]]
    assert lines == ["doc.xml(2)", "doc.xml(3)", "doc.xml(5)"]


def test_what_is_wrong_in_a_config_stands_on_the_line_of_its_content() -> None:
    config = '<OnBehalf directMode="true"><Content><![CDATA[<Config x="1"/>]]></Content></OnBehalf>'
    annotation = f'<EventStreamingAnnotation name="E">\n{config}</EventStreamingAnnotation>'
    text = ANNOTATED.replace("</EventStreamingAnnotations>", f"{annotation}</EventStreamingAnnotations>")
    verdict, _, _ = judged(text)
    line = text[: text.index("<Content><![CDATA[")].count("\n") + 1
    assert [m.render() for m in verdict] == [f'doc.xml({line}) Warning: Ignoring unexpected <Config> attribute "x"']


def test_a_duration_is_kept_as_it_is_written() -> None:
    _, _, plan = judged(changed(WITH_EVENTS, 'duration="PT1M"', 'duration="PT60S"'))
    assert plan is not None
    assert [(d.duration, d.grain) for d in from_json(plan.to_json()).derived] == [(60, "PT60S")]
