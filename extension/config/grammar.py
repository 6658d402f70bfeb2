"""Which elements and attributes an mdsd document may have (spec/mdsd.md 1.1 and 1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from extension.config import xmlsafe
from extension.config.problems import Problems


@dataclass(frozen=True)
class Rule:
    """One element: its attributes, its children, whether text may stand in it.

    ``strict``: an unknown attribute is an error, not a warning. ``anything``: neither attributes nor children are
    looked at. ``later``: the element is accepted, but not run by this version. ``ignored``: mdsd ignores it.
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
_TARGET = "eventName account storeType priority duration dontUsePerNDayTable"

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
    "Field": _rule("name envariable useComputerName", text=True, strict=True),
    "Sources": _rule("", "Source"),
    "Source": _rule("name schema dynamic_schema"),
    "Events": _rule("", "HeartBeats OMI MdsdEvents DerivedEvents Extensions EtwProviders"),
    "HeartBeats": _rule(anything=True, ignored=True),
    "OMI": _rule("", "OMIQuery"),
    "OMIQuery": _rule(f"{_TARGET} omiNamespace cqlQuery sampleRateInSeconds", "Unpivot"),
    "Unpivot": _rule("columnName columnValue columns", "MapName"),
    "MapName": _rule("name scaleUp scaleDown", text=True),
    "MdsdEvents": _rule("", "MdsdEventSource"),
    "MdsdEventSource": _rule("source", "RouteEvent"),
    "RouteEvent": _rule(_TARGET, "Filter"),
    "Filter": _rule(anything=True, ignored=True),
    "DerivedEvents": _rule("", "DerivedEvent"),
    "DerivedEvent": _rule(f"{_TARGET} source isFullName", "LADQuery"),
    "LADQuery": _rule("columnName columnValue partitionKey instanceID"),
    "EtwProviders": _rule(anything=True, later=True),
    "Extensions": _rule(anything=True, later=True),
    "ServiceBusAccountInfos": _rule(anything=True, later=True),
    "EventStreamingAnnotations": _rule(anything=True, later=True),
}
_LATER = "is accepted, but this version does not run it"


def check(root: etree._Element, path: str, problems: Problems) -> None:
    """Report every element, attribute and text that the grammar does not have. Depth is bounded by the parser."""
    pending = [root]
    while pending:
        element = pending.pop()
        rule = RULES[xmlsafe.local_name(element)]
        at = f"{path} line {xmlsafe.line_of(element)}"
        name = xmlsafe.local_name(element)
        if rule.later:
            problems.warning(at, f"<{name}> {_LATER}")
        if rule.ignored:
            problems.note(at, f"<{name}> is ignored, as mdsd does")
        if rule.anything:
            continue
        _attributes(element, rule, at, problems)
        texts = [element.text, *(child.tail for child in element)]
        if not rule.text and any(t and t.strip() for t in texts):
            problems.warning(at, f"<{name}> has text, which is ignored", "remove the text")
        known: list[etree._Element] = []
        for child in xmlsafe.children(element):
            child_name = xmlsafe.local_name(child)
            if child_name in rule.children:
                known.append(child)
                continue
            near = problems.nearest(child_name, rule.children)
            problems.error(
                f"{path} line {xmlsafe.line_of(child)}",
                f"<{name}> does not define subelement <{child_name}>",
                f"did you mean <{near}>?" if near else "remove the element",
            )
        pending.extend(reversed(known))


def _attributes(element: etree._Element, rule: Rule, at: str, problems: Problems) -> None:
    for key in element.attrib:
        attribute = str(key)
        if attribute in rule.attributes:
            continue
        near = problems.nearest(attribute, rule.attributes)
        message = f"<{xmlsafe.local_name(element)}> has no attribute {attribute}"
        cure = f"did you mean {near}?" if near else "remove the attribute"
        (problems.error if rule.strict else problems.warning)(at, message, cure)
