"""Which elements and attributes an mdsd document may have (spec/mdsd.md 1.1 and 1.2)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from lxml import etree

from extension.config import xmlsafe
from extension.config.document_model import Place
from extension.config.document_report import Report


class Rule(NamedTuple):
    """One element: its attributes, its children, whether text may stand in it.

    ``strict``: an unknown attribute is an error, not a warning. ``anything``: neither attributes nor children are
    looked at. ``later``: the element is accepted, but not run here. ``ignored``: mdsd ignores it, with a message.
    """

    attributes: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    text: bool = False
    strict: bool = False
    anything: bool = False
    later: bool = False
    ignored: bool = False


def _rule(
    attributes: str = "",
    children: str = "",
    *,
    text: bool = False,
    strict: bool = False,
    anything: bool = False,
    later: bool = False,
    ignored: bool = False,
) -> Rule:
    words = frozenset(attributes.split()), frozenset(children.split())
    return Rule(words[0], words[1], text, strict, anything, later, ignored)


_ACCOUNT = "moniker account key decryptKeyPath isDefault tableEndpoint blobEndpoint appInsightsKey"
_TARGET = "eventName account storeType priority dontUsePerNDayTable"
_THROTTLES = (
    "cpuPercentUsage cpuThrottling memoryLimitInMB memoryThrottling ioReadLimitInKBPerSecond ioReadThrottling"
    " ioWriteLimitInKBPerSecond ioWriteThrottling"
)
_ON_BEHALF = (
    "onBehalfFields containerSuffix primaryPartitionField partitionFields onBehalfReplaceFields excludeFields"
    " timePeriods priority"
)

RULES: dict[str, Rule] = {
    "MonitoringManagement": _rule(
        "version namespace eventVersion timestamp",
        "Imports Accounts Management Schemas EnvelopeSchema Sources Events ServiceBusAccountInfos"
        " EventStreamingAnnotations",
    ),
    "Imports": _rule("", "Import"),
    "Import": _rule("file"),
    "Accounts": _rule("", "Account SharedAccessSignature"),
    "Account": _rule(_ACCOUNT),
    "SharedAccessSignature": _rule(_ACCOUNT),
    "Management": _rule("eventVolume defaultRetentionInDays", "Identity AgentResourceUsage OboDirectPartitionField"),
    "Identity": _rule("type tenantNameAlias roleNameAlias roleInstanceNameAlias", "IdentityComponent"),
    "IdentityComponent": _rule("name envariable useComputerName", text=True, strict=True),
    "AgentResourceUsage": _rule("diskQuotaInMB dupeWindowSeconds", strict=True),
    "OboDirectPartitionField": _rule("name value"),
    "Schemas": _rule("", "Schema"),
    "Schema": _rule("name", "Column"),
    "Column": _rule("name type mdstype"),
    "EnvelopeSchema": _rule("", "Field Extension", later=True),
    "EnvelopeSchema/Extension": _rule("name", "Field", strict=True),
    "Field": _rule("name envariable useComputerName", text=True, strict=True),
    "Sources": _rule("", "Source"),
    "Source": _rule("name schema dynamic_schema"),
    "Events": _rule("", "HeartBeats OMI MdsdEvents DerivedEvents Extensions EtwProviders"),
    "HeartBeats": _rule("", "HeartBeat"),
    "HeartBeat": _rule(anything=True, ignored=True),
    "OMI": _rule("", "OMIQuery"),
    "OMIQuery": _rule(f"{_TARGET} omiNamespace cqlQuery sampleRateInSeconds", "Unpivot"),
    "Unpivot": _rule("columnName columnValue columns", "MapName"),
    "MapName": _rule("name scaleUp scaleDown", text=True),
    "MdsdEvents": _rule("", "MdsdEventSource"),
    "MdsdEventSource": _rule("source", "RouteEvent"),
    "RouteEvent": _rule(f"{_TARGET} duration", "Filter"),
    "Filter": _rule(anything=True, ignored=True),
    "DerivedEvents": _rule("", "DerivedEvent"),
    "DerivedEvent": _rule(f"{_TARGET} duration source isFullName", "LADQuery"),
    "LADQuery": _rule("columnName columnValue partitionKey instanceID"),
    "EtwProviders": _rule("", "EtwProvider"),
    "EtwProvider": _rule("guid format priority storeType", "Event", later=True),
    "Event": _rule(f"{_TARGET} duration id"),
    "Extensions": _rule("", "Extension"),
    "Extension": _rule("extensionName", "CommandLine Body AlternativeExtensionLocation ResourceUsage", later=True),
    "CommandLine": _rule(text=True),
    "Body": _rule(text=True),
    "AlternativeExtensionLocation": _rule(text=True),
    "ResourceUsage": _rule(_THROTTLES),
    "ServiceBusAccountInfos": _rule("", "ServiceBusAccountInfo"),
    "ServiceBusAccountInfo": _rule("name", "EventPublisher"),
    "ServiceBusAccountInfo/EventPublisher": _rule("connectionString decryptKeyPath"),
    "EventStreamingAnnotations": _rule("", "EventStreamingAnnotation"),
    "EventStreamingAnnotation": _rule("name", "EventPublisher OnBehalf"),
    "EventPublisher": _rule("", "Content Key"),
    "Content": _rule(anything=True),
    "Key": _rule("decryptKeyPath", text=True),
    "OnBehalf": _rule("directMode", "Content"),
    "OnBehalf/Content": _rule(text=True),
    "Config": _rule(_ON_BEHALF),
}
"""By element, or PARENT/ELEMENT where the parent makes a difference."""
_NONE = "Expected no attributes"
_ANY = 'Ignoring unexpected <{}> attribute "{}"'
_QUOTED = 'Ignoring unexpected attribute "{1}"'
_BARE = "Ignoring unexpected attribute {1}"
_NAMED = "<{}> ignoring unexpected attribute {}"
_UNKNOWN = "Ignoring unknown attribute {1}"
_UNEXPECTED = {
    "MonitoringManagement": '<{}> ignoring unexpected attribute "{}"',
    "Import": 'Ignoring unknown attribute "{1}"',
    **dict.fromkeys(("Account", "SharedAccessSignature", "Schema", "Column", "Source"), _QUOTED),
    **dict.fromkeys(("OMIQuery", "Unpivot", "MapName", "MdsdEventSource", "DerivedEvent", "LADQuery"), _BARE),
    **dict.fromkeys(("Management", "IdentityComponent", "AgentResourceUsage", "Field"), _NAMED),
    **dict.fromkeys(("Identity", "OboDirectPartitionField"), _UNKNOWN),
    **dict.fromkeys(("RouteEvent", "EtwProvider", "Event"), "<{}> ignoring unexpected attribute '{}'."),
}
"""mdsd's words for an attribute that it does not know; elements that take none say so."""


def check(root: etree._Element, report: Report, at: Place | None = None) -> None:
    """Report every element, attribute and text that the grammar does not have. Depth is bounded by the parser.

    ``at``: where ``root`` stands, if it was parsed apart from its document.
    """
    pending = [(root, RULES[xmlsafe.local_name(root)])]
    while pending:
        element, rule = pending.pop()
        name, place = xmlsafe.local_name(element), at or report.at(element)
        if rule.later:
            report.beyond(place, f"<{name}> is accepted, but is not run here: it has no effect")
        if rule.ignored:
            report.info(place, f"<{name}> is ignored, as mdsd does", said=_entered(element, name))
        if rule.anything:
            continue
        _attributes(element, rule, report, place)
        texts = [element.text, *(child.tail for child in element)]
        if not rule.text and any(t and t.strip() for t in texts):
            report.warning(place, f"<{name}> has text, which is ignored", "remove the text")
        known: list[tuple[etree._Element, Rule]] = []
        for child in xmlsafe.children(element):
            child_name = xmlsafe.local_name(child)
            if child_name in rule.children:
                known.append((child, RULES.get(f"{name}/{child_name}") or RULES[child_name]))
                continue
            near = report.problems.nearest(child_name, rule.children)
            report.error(
                at or child,
                f"<{name}> does not define subelement <{child_name}>",
                f"did you mean <{near}>?" if near else "remove the element",
            )
        pending.extend(reversed(known))


def _attributes(element: etree._Element, rule: Rule, report: Report, place: Place) -> None:
    name = xmlsafe.local_name(element)
    for key in element.attrib:
        attribute = str(key)
        if attribute in rule.attributes:
            continue
        near = report.problems.nearest(attribute, rule.attributes)
        message = f"<{name}> has no attribute {attribute}"
        cure = f"did you mean {near}?" if near else "remove the attribute"
        words = _UNEXPECTED.get(name, _ANY if rule.attributes else _NONE)
        find = report.error if rule.strict else report.warning
        find(place, message, cure, said=words.format(name, attribute))


def _entered(element: etree._Element, name: str) -> str:
    """What mdsd says of an element that it ignores."""
    given = ", ".join(f'{key!s}="{value!s}"' for key, value in element.attrib.items())
    return f"Entered {name} with attribute(s) {given}" if given else f"Entered {name}"
